//! A process that stands where a peer of the one under test would.

use std::fmt;
use std::time::Duration;

use purlin_behaviours::envelope::{Caller, Opened};
use purlin_otp::reason::Reason;
use purlin_otp::relations::Info;
use purlin_runtime::{Attached, Raw, Received, Runtime, SendError};
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

/// The first words of what it is, and then its term.
impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(question) => write!(f, "a call of {}", question.request),
            Self::Cast(message) => write!(f, "a cast of {message}"),
            Self::Message(message) => write!(f, "the message {message}"),
            Self::Exit(pid, reason) => write!(f, "the exit of {pid}, {reason}"),
            Self::Down(reason) => write!(f, "the end of whom it watches, {reason}"),
        }
    }
}

/// What a probe did not hear, or could not say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// Nothing came.
    #[error("a probe heard nothing")]
    Nothing,
    /// Something else came than was expected, which is said beside it.
    #[error("a probe heard {0} where {1} was expected")]
    Unexpected(Heard, &'static str),
    /// An exit signal ended the probe.
    #[error("a probe was ended: {0}")]
    Ended(Reason),
    /// The answer was not sent.
    #[error("the answer of a probe was not sent: {0}")]
    NotSent(#[from] SendError),
}

/// As [`Model::run`](crate::Model::run) says why it failed.
impl From<ProbeError> for String {
    fn from(error: ProbeError) -> Self {
        error.to_string()
    }
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
    /// [`ProbeError::Nothing`] in five seconds, or the probe was ended.
    pub async fn next(&mut self) -> Result<Heard, ProbeError> {
        let heard = self.within(PATIENCE).await?;
        heard.ok_or(ProbeError::Nothing)
    }

    /// The next that comes, which has to be a call.
    ///
    /// # Errors
    /// [`ProbeError::Nothing`], or something else came.
    pub async fn call(&mut self) -> Result<Question, ProbeError> {
        match self.next().await? {
            Heard::Call(question) => Ok(question),
            other => Err(ProbeError::Unexpected(other, "a call")),
        }
    }

    /// That nothing has come, nor does when all have done what they can do now.
    ///
    /// # Errors
    /// Something came, or the probe was ended.
    pub async fn nothing(&mut self) -> Result<(), ProbeError> {
        sleep(SETTLED).await;
        match self.within(Duration::ZERO).await? {
            Some(heard) => Err(ProbeError::Unexpected(heard, "nothing")),
            None => Ok(()),
        }
    }

    /// It ends, and those linked to it or watching it hear the reason.
    pub fn end(self, reason: impl Into<Term>) {
        self.process.end(reason);
    }

    /// What comes within that time.
    async fn within(&mut self, timeout: Duration) -> Result<Option<Heard>, ProbeError> {
        let Ok(received) = time::timeout(timeout, self.process.receive()).await else {
            return Ok(None);
        };
        let received = received.map_err(|ended| ProbeError::Ended(ended.0))?;
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
    /// [`ProbeError::NotSent`].
    pub async fn reply(self, reply: impl Into<Term>) -> Result<(), ProbeError> {
        let answer = Term::tuple([self.caller.tag.clone(), reply.into()]);
        let answer = EncodedTerm::encode(&answer);
        let answer = answer.map_err(|error| SendError::Encode(error.to_string()))?;
        let to = self.caller.reply_to();
        Ok(self.runtime.send_encoded(self.by, to, answer).await?)
    }
}
