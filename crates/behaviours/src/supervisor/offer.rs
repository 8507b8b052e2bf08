//! What a shell may start under a supervisor.
//!
//! As in OTP the function is called when the start is made, after the spec was looked at: what fails in it is
//! the failure of that start, and no function of that name is one that fails with `undef`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use purlin_otp::reason::Reason;
use purlin_otp::supervisor::Kind;
use purlin_otp::supervisor::terms::Mfargs;
use purlin_runtime::{Process, panics};
use purlin_term::{Atom, Term, atom};

use super::Supervisor;
use super::child::{Ready, Start, StartChild, Started, start_server};
use crate::gen_server::{GenServer, ServerMessage, ServerOptions, nowhere};

/// What is offered, by module and function.
pub(super) type Offers = BTreeMap<(Atom, Atom), Offer>;

type StartOf = dyn Fn(&[Term], &Process<ServerMessage<Supervisor>>, Ready) -> Option<Result<Started, Reason>>
    + Send
    + Sync;

/// A function that starts a child with the arguments that a shell gives, unless it refuses them.
#[derive(Clone)]
pub(super) struct Offer {
    kind: Kind,
    start: Arc<StartOf>,
}

impl Offer {
    pub(super) fn new<S: GenServer>(
        make: impl Fn(&[Term]) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let start = move |args: &[Term], supervisor: &Process<_>, ready: Ready| {
            let server = make(args)?;
            Some(start_server(
                supervisor,
                ServerOptions::default(),
                ready,
                nowhere,
                move || server,
            ))
        };
        Self {
            kind: S::KIND,
            start: Arc::new(start),
        }
    }
}

/// What starts a child for a shell: what is offered under that name, or else what fails as OTP does.
pub(super) fn start(offers: &Offers, shown: Mfargs) -> Start {
    let name = (shown.module.clone(), shown.function.clone());
    let offer = offers.get(&name).cloned();
    let kind = offer.as_ref().map_or(Kind::Worker, |offer| offer.kind);
    let function = Arc::new(OfferStart {
        offer,
        mfargs: shown.clone(),
    });
    Start {
        function,
        shown,
        kind,
    }
}

struct OfferStart {
    offer: Option<Offer>,
    mfargs: Mfargs,
}

impl StartChild for OfferStart {
    fn start(
        &self,
        supervisor: &Process<ServerMessage<Supervisor>>,
        ready: Ready,
    ) -> Result<Started, Reason> {
        let args = self.mfargs.args.to_vec();
        let started = catch_unwind(AssertUnwindSafe(|| {
            let offer = self.offer.as_ref()?;
            (offer.start)(&args, supervisor, ready)
        }));
        match started {
            Ok(Some(started)) => started,
            Ok(None) => Err(self.failed(atom!("undef").into())),
            Err(panic) => Err(self.failed(Term::clone(&panics::exit_reason(&*panic)))),
        }
    }
}

impl OfferStart {
    /// `{'EXIT', {Reason, [{Module, Function, Args, []}]}}`, as a function of OTP's that fails.
    fn failed(&self, reason: Term) -> Reason {
        let Mfargs {
            module,
            function,
            args,
        } = self.mfargs.clone();
        let call = [
            module.into(),
            function.into(),
            Term::List(args),
            Term::nil(),
        ];
        let stack = Term::list([Term::tuple(call)]);
        let exit = [atom!("EXIT").into(), Term::tuple([reason, stack])];
        Reason::new(Term::tuple(exit))
    }
}
