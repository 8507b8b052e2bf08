//! What others ask of a supervisor, by type.

use std::fmt;

use purlin_otp::supervisor::terms::Mfargs;
use purlin_otp::supervisor::{
    Answer, ChildInfo, ChildSpec, Counts, Request as Asked, RequestError,
};
use purlin_runtime::Local;
use purlin_term::{EncodedTerm, Pid, Term, atom};

use super::Supervisor;
use super::child::{Child, Start};
use crate::call::CallError;
use crate::gen_server::Context;
use crate::reply_to::ReplyTo;
use crate::request::Request;
use crate::room::{Place, Room};
use crate::server_ref::ServerRef;

/// Which child: its id, or the pid of a dynamic one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which(Term);

impl From<&str> for Which {
    /// An id, as [`Supervisor::child`] takes it.
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<Pid> for Which {
    fn from(pid: Pid) -> Self {
        Self(pid.into())
    }
}

impl From<Term> for Which {
    fn from(id: Term) -> Self {
        Self(id)
    }
}

/// Why a supervisor did not do what it was asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ChildError {
    /// The supervisor refused, or the child did not start: OTP's `{error, Reason}`.
    Refused(Term),
    /// The supervisor was not reached, or did not answer.
    Call(CallError),
}

impl std::error::Error for ChildError {}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "the supervisor refused: {reason}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl From<CallError> for ChildError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// A request by type: it stays on its node, since what starts a child does.
pub type Ask = Local<AskOf>;

/// What is asked, as it is sent.
pub struct AskOf(Asked<Start>);

impl AskOf {
    pub(super) fn into_request(self) -> Asked<Start> {
        self.0
    }
}

impl Request for Ask {
    type Reply = Local<Answer<Start>>;
}

/// Who is answered.
pub(super) enum Asker {
    Typed(ReplyTo<Local<Answer<Start>>>),
    /// With the room that it takes while it waits.
    Shell(ReplyTo<Term>, Option<Place>),
}

impl Asker {
    /// Answers without waiting.
    pub(super) fn answer(self, answer: Answer<Start>, ctx: &mut Context<Supervisor>) {
        match self {
            Self::Typed(from) => from.reply_here(Local(answer)),
            Self::Shell(from, place) => {
                answer_shell(from, answer.to_term(shown), ctx);
                drop(place);
            }
        }
    }
}

/// Answers without waiting.
pub(super) fn answer_shell(from: ReplyTo<Term>, answer: Term, ctx: &mut Context<Supervisor>) {
    if let Err((from, answer)) = from.try_reply_here(answer)
        && let Some(caller) = from.caller()
    {
        ctx.answer(caller, &answer);
    }
}

/// Bytes of requests of shells that wait until a supervisor has done what it is at, each with
/// [`REQUEST_COST`]. A guess, unmeasured: sixteen thousand short ones.
const WAITING_MAX: usize = 16 << 20;

/// What a request that waits takes besides what it is on the wire. A guess.
const REQUEST_COST: usize = 1 << 10;

/// Room for a request of a shell that has to wait, if there is any. What programs of this node ask by type is not
/// bounded: it waits in any case, as does who asks.
pub(super) fn place_for(room: &Room, request: &Term, from: &ReplyTo<Term>) -> Option<Place> {
    let len =
        |term: &Term| EncodedTerm::encode(term).map_or(WAITING_MAX, |term| term.bytes().len());
    let tag = from.caller().map_or(0, |caller| len(&caller.tag));
    let bytes = len(request).saturating_add(tag);
    room.take(bytes.saturating_add(REQUEST_COST), WAITING_MAX)
}

/// What starts a child, as OTP shows it.
pub(super) fn shown(start: &Option<Start>) -> Term {
    match start {
        Some(start) => start.shown.to_term(),
        None => atom!("undefined").into(),
    }
}

impl ServerRef<Supervisor> {
    async fn ask(&self, request: Asked<Start>) -> Result<Answer<Start>, ChildError> {
        let Local(answer) = self.call(Local(AskOf(request))).await?;
        match answer {
            Answer::Error(error) => Err(refused(&error)),
            answer => Ok(answer),
        }
    }

    /// Starts one more child: `supervisor:start_child/2`. Answers its pid; `None` if its `init` said that
    /// it is not wanted.
    ///
    /// # Errors
    /// [`ChildError`]; nothing was started.
    pub async fn start_child(&self, child: Child) -> Result<Option<Pid>, ChildError> {
        match self.ask(Asked::StartChild(child.into_spec())).await? {
            Answer::Started(pid, _) => Ok(pid),
            _ => Ok(None),
        }
    }

    /// Asks for one more child, and does not hear what came of it: what starts it says so.
    pub(crate) fn start_child_unheard(&self, child: Child) {
        let request = Asked::StartChild(child.into_spec());
        drop(self.send_request(Local(AskOf(request))));
    }

    /// Ends a child, which is kept if it is not temporary or dynamic: `supervisor:terminate_child/2`.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child.
    pub async fn terminate_child(&self, which: impl Into<Which>) -> Result<(), ChildError> {
        let Which(which) = which.into();
        self.ask(Asked::TerminateChild(which)).await.map(drop)
    }

    /// Starts a child that has ended and is kept: `supervisor:restart_child/2`.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child, it runs, or it did not start.
    pub async fn restart_child(&self, id: impl Into<Which>) -> Result<Option<Pid>, ChildError> {
        let Which(id) = id.into();
        match self.ask(Asked::RestartChild(id)).await? {
            Answer::Started(pid, _) => Ok(pid),
            _ => Ok(None),
        }
    }

    /// Forgets a child that has ended: `supervisor:delete_child/2`.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child, or it runs.
    pub async fn delete_child(&self, id: impl Into<Which>) -> Result<(), ChildError> {
        let Which(id) = id.into();
        self.ask(Asked::DeleteChild(id)).await.map(drop)
    }

    /// All children, the youngest first: `supervisor:which_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Call`].
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, ChildError> {
        match self.ask(Asked::WhichChildren).await? {
            Answer::Children(children) => Ok(children),
            _ => Ok(Vec::new()),
        }
    }

    /// How many children there are: `supervisor:count_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Call`].
    pub async fn count_children(&self) -> Result<Counts, ChildError> {
        match self.ask(Asked::CountChildren).await? {
            Answer::Counts(counts) => Ok(counts),
            _ => Ok(Counts::default()),
        }
    }

    /// What the supervisor knows of a child: `supervisor:get_childspec/2`. Its start is shown as OTP does.
    ///
    /// # Errors
    /// [`ChildError`]: there is no such child.
    pub async fn get_childspec(
        &self,
        which: impl Into<Which>,
    ) -> Result<ChildSpec<Option<Mfargs>>, ChildError> {
        let Which(which) = which.into();
        match self.ask(Asked::GetChildspec(which)).await? {
            Answer::Spec(spec) => {
                let (spec, start) = spec.with_start(());
                Ok(spec.with_start(start.map(|start| start.shown)).0)
            }
            _ => Err(ChildError::Refused(atom!("not_found").into())),
        }
    }
}

fn refused(error: &RequestError<Start>) -> ChildError {
    ChildError::Refused(error.to_term(shown))
}
