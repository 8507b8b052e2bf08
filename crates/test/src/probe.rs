//! A process that stands where a peer of the one under test would.

use std::time::Duration;

use purlin_behaviours::envelope::{Caller, Opened};
use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Raw, Received, Runtime};
use purlin_term::{EncodedTerm, Pid, Term};
use tokio::time::{self, sleep};

/// How long a probe waits for what is to come, in virtual time: as long as OTP's calls do, since what is
/// asked of a peer has come by then or never will.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a probe lets others go on before it says that nothing came. In virtual time that is over when all
/// wait for something.
const SETTLED: Duration = Duration::from_millis(1);

/// A process whose part the test plays: the one under test talks to it in place of its peer.
pub struct TestProbe {
    process: Attached<Raw>,
}

/// What came to a probe.
#[derive(Debug)]
pub enum Heard {
    /// It was asked: `gen_server:call`.
    Call(Question),
    /// `gen_server:cast`.
    Cast(Term),
    /// A plain message, or a request of `sys`.
    Message(Term),
    /// A linked process ended.
    Exit(Pid, Reason),
    /// A watched process ended.
    Down(Reason),
}

/// A call that waits for the probe's answer; dropped, it is never answered.
#[derive(Debug)]
pub struct Question {
    /// What was asked.
    pub request: Term,
    caller: Caller,
    runtime: Runtime,
    by: Pid,
}

impl TestProbe {
    /// A probe that hears of the ends of those it is linked to.
    ///
    /// # Panics
    /// If the runtime takes no more processes.
    pub fn new(runtime: &Runtime) -> Self {
        let process = runtime.attach().expect("room for one more process");
        process.trap_exit(true);
        Self { process }
    }

    /// Under which the process under test knows it.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// The next that comes.
    ///
    /// # Errors
    /// Nothing came, or the probe was ended.
    pub async fn next(&mut self) -> Result<Heard, String> {
        let heard = self.within(PATIENCE).await?;
        heard.ok_or_else(|| "a probe heard nothing".to_owned())
    }

    /// The next that comes, which has to be a call.
    ///
    /// # Errors
    /// Nothing came, or something else.
    pub async fn call(&mut self) -> Result<Question, String> {
        match self.next().await? {
            Heard::Call(question) => Ok(question),
            other => Err(format!("a probe heard {other:?} where a call was expected")),
        }
    }

    /// That nothing has come, nor does when all have done what they can do now.
    ///
    /// # Errors
    /// Something came, or the probe was ended.
    pub async fn nothing(&mut self) -> Result<(), String> {
        sleep(SETTLED).await;
        match self.within(Duration::ZERO).await? {
            Some(heard) => Err(format!(
                "a probe heard {heard:?} where nothing was expected"
            )),
            None => Ok(()),
        }
    }

    /// It ends, and those linked to it or watching it hear the reason.
    pub fn end(self, reason: impl Into<Term>) {
        self.process.end(reason);
    }

    /// What comes within that time.
    async fn within(&mut self, timeout: Duration) -> Result<Option<Heard>, String> {
        let Ok(received) = time::timeout(timeout, self.process.receive()).await else {
            return Ok(None);
        };
        let received = received.map_err(|ended| format!("a probe was ended: {ended}"))?;
        Ok(match received {
            Received::Message(Raw(message)) => Some(self.heard(&message)),
            Received::Info(Info::Exit { from, reason }) => Some(Heard::Exit(from, reason)),
            Received::Info(Info::Down { reason, .. }) => Some(Heard::Down(reason)),
            Received::Info(other) => Some(Heard::Message(format!("{other:?}").as_str().into())),
            // All that comes is of a probe's type.
            Received::Foreign(_) => None,
        })
    }

    fn heard(&self, message: &EncodedTerm) -> Heard {
        let term = |view: purlin_term::View<'_>| view.to_term().unwrap_or_else(|_| Term::nil());
        match Opened::open(message.view()) {
            Opened::Call(caller, request) => Heard::Call(Question {
                request: term(request),
                caller,
                runtime: self.process.runtime().clone(),
                by: self.pid(),
            }),
            Opened::Cast(content) => Heard::Cast(term(content)),
            Opened::Info(content) => Heard::Message(term(content)),
            Opened::System(..) => Heard::Message(term(message.view())),
        }
    }
}

impl Question {
    /// Answers.
    ///
    /// # Errors
    /// The answer could not be sent.
    pub async fn reply(self, reply: impl Into<Term>) -> Result<(), String> {
        let answer = Term::tuple([self.caller.tag.clone(), reply.into()]);
        let answer = EncodedTerm::encode(&answer).map_err(|error| error.to_string())?;
        let to = self.caller.reply_to();
        let sent = self.runtime.send_encoded(self.by, to, answer).await;
        sent.map_err(|error| error.to_string())
    }
}
