//! Calls from other nodes: `erpc`, `rpc` and remote spawn, as server.
//!
//! OTP calls a function of another node by a spawn request for `erpc:execute_call/4` with a
//! monitor; the new process ends with the result as its exit reason, which the monitor brings back
//! (distribution document, section 10). A spawn request for any other function runs that function
//! as a process. What is neither exported nor built in ends with `undef`, after a reply that says
//! the process was started, as OTP does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use purlin_term::{Atom, EncodedTerm, Pid, Term, atom};
use tokio::time::{Instant, timeout_at};

use crate::builtins;
use crate::export::{CallContext, FunctionName, Outcome, Raise, Run, Value};
use crate::host::BoxFuture;
use crate::node::Node;
use crate::process::{CatchUnwind, Mailbox};

/// A function, its arguments, and for whom it runs.
#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) name: FunctionName,
    pub(crate) args: Vec<Term>,
    pub(crate) caller: Pid,
    pub(crate) group_leader: Pid,
}

/// A call that raised, with what its stack trace names.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    raise: Raise,
    name: FunctionName,
    args: Arc<Vec<Term>>,
}

/// A request of a peer to spawn a process.
#[derive(Debug, Clone)]
pub(crate) struct SpawnRequest {
    pub(crate) from: Pid,
    pub(crate) group_leader: Pid,
    pub(crate) name: FunctionName,
    pub(crate) args: Vec<Term>,
}

/// The options of a spawn request that mean something here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SpawnOptions {
    pub(crate) link: bool,
    pub(crate) monitor: bool,
}

impl SpawnOptions {
    /// As [`SpawnOptions::parse`], of what came.
    pub(crate) fn read(encoded: &EncodedTerm) -> Option<Self> {
        Self::parse(&encoded.to_term().ok()?)
    }

    /// Reads the list of options; `None` if one is not an option of OTP.
    pub(crate) fn parse(options: &Term) -> Option<Self> {
        let mut parsed = Self::default();
        for option in options.as_list()? {
            let name = option
                .as_tuple()
                .and_then(|items| items.first())
                .unwrap_or(option);
            match name.as_atom()?.as_str() {
                "link" => parsed.link = true,
                "monitor" => parsed.monitor = true,
                // Tuning of an emulator's scheduler and memory: without meaning here.
                "priority" | "fullsweep_after" | "min_heap_size" | "min_bin_vheap_size"
                | "max_heap_size" | "message_queue_data" | "async_dist" | "scheduler" => {}
                _ => return None,
            }
        }
        Some(parsed)
    }
}

/// A function that runs.
///
/// Written by hand, since an async function would hold what it was called with several times.
pub(crate) struct Applied {
    called: CatchUnwind<dyn Future<Output = Outcome> + Send>,
    name: FunctionName,
    args: Arc<Vec<Term>>,
}

impl Future for Applied {
    type Output = Result<Term, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let called = ready!(Pin::new(&mut self.called).poll(cx));
        let outcome = called.unwrap_or_else(|panic| Err(Raise::Error(panic)));
        Poll::Ready(outcome.map_err(|raise| Failure {
            raise,
            name: self.name.clone(),
            args: self.args.clone(),
        }))
    }
}

/// Runs what a spawn request asks for, as the process that has `mailbox`; answers its exit reason. `held` is
/// dropped when it has ended.
pub(crate) fn run<T: Send + 'static>(
    mailbox: Mailbox,
    request: SpawnRequest,
    held: T,
) -> impl Future<Output = Term> + Send + 'static {
    let node = mailbox.node().clone();
    let (application, asker) = request.into_application();
    let value = match asker {
        Asker::Call(_) => Value::Wanted,
        Asker::Nobody => Value::Dropped,
    };
    let applied = apply(&node, application, Some(mailbox), value);
    async move {
        let outcome = applied.await;
        drop(held);
        match asker {
            Asker::Call(reference) => call_result(reference, outcome),
            Asker::Nobody => outcome.map_or_else(Failure::into_exit_reason, |_| normal()),
        }
    }
}

/// Who wants to know what a function answered.
enum Asker {
    /// A call of `erpc`, of this reference.
    Call(Term),
    Nobody,
}

impl SpawnRequest {
    /// What is to run: the function itself, or that which `erpc` is to call.
    fn into_application(self) -> (Application, Asker) {
        let (caller, group_leader) = (self.from, self.group_leader);
        let application = |name, args| Application {
            name,
            args,
            caller,
            group_leader,
        };
        if self.name.module == atom!("erpc") {
            let (inner, asker) = match &self.args[..] {
                [reference, module, function, args]
                    if self.name.function == atom!("execute_call") =>
                {
                    (
                        inner(module, function, args),
                        Asker::Call(reference.clone()),
                    )
                }
                [module, function, args] if self.name.function == atom!("execute_cast") => {
                    (inner(module, function, args), Asker::Nobody)
                }
                _ => (None, Asker::Nobody),
            };
            if let Some((name, args)) = inner {
                return (application(name, args), asker);
            }
        }
        (application(self.name, self.args), Asker::Nobody)
    }
}

/// The function that `erpc` is to call, if these are what names one.
fn inner(module: &Term, function: &Term, args: &Term) -> Option<(FunctionName, Vec<Term>)> {
    let args = args.as_list()?.to_vec();
    let name = FunctionName {
        module: module.as_atom()?.clone(),
        function: function.as_atom()?.clone(),
        arity: args.len(),
    };
    Some((name, args))
}

fn normal() -> Term {
    atom!("normal").into()
}

/// `{ResRef, return, Value}` and its siblings.
pub(crate) fn call_result(reference: Term, outcome: Result<Term, Failure>) -> Term {
    let tagged = |class: Atom, value| Term::tuple([reference.clone(), class.into(), value]);
    match outcome {
        Ok(value) => tagged(atom!("return"), value),
        Err(failure) => match failure.raise {
            Raise::Throw(value) => tagged(atom!("throw"), value),
            Raise::Exit(reason) => tagged(atom!("exit"), reason),
            Raise::Error(ref reason) => Term::tuple([
                reference.clone(),
                atom!("error").into(),
                reason.clone(),
                failure.stack(),
            ]),
        },
    }
}

/// Calls a function: an exported one first, then the built-ins. `mailbox` is of the process that the
/// function is, if it has one to itself.
pub(crate) fn apply(
    node: &Node,
    application: Application,
    mailbox: Option<Mailbox>,
    value: Value,
) -> Applied {
    let Application {
        name,
        args,
        caller,
        group_leader,
    } = unfold_apply(application);
    let args = Arc::new(args);
    let called: BoxFuture<'static, Outcome> = match node.exported(&name) {
        Some(export) if !export.options.allows(caller.node) => {
            tracing::info!(from = %caller.node, %name, "a call was refused by the rule of its function");
            Box::pin(std::future::ready(Err(Raise::eacces())))
        }
        Some(export) => {
            let deadline = export.options.deadline();
            let call = CallContext {
                node: node.clone(),
                caller,
                group_leader,
                deadline,
            };
            let called = export.handle(Run {
                call,
                mailbox,
                args: args.clone(),
                value,
            });
            match deadline {
                Some(deadline) => Box::pin(until(deadline, called, name.clone(), args.clone())),
                None => called,
            }
        }
        None => Box::pin(built_in(node.clone(), name.clone(), args.clone())),
    };
    Applied {
        called: CatchUnwind(called),
        name,
        args,
    }
}

async fn built_in(node: Node, name: FunctionName, args: Arc<Vec<Term>>) -> Outcome {
    let outcome = builtins::call(&node, &name, &args).await;
    outcome.unwrap_or_else(|| Err(Raise::undef()))
}

/// The outcome of a function that has so much time.
async fn until(
    deadline: Instant,
    called: BoxFuture<'static, Outcome>,
    name: FunctionName,
    args: Arc<Vec<Term>>,
) -> Outcome {
    timeout_at(deadline, called).await.unwrap_or_else(|_| {
        let function = Term::tuple([
            name.module.into(),
            name.function.into(),
            Term::list(args.iter().cloned()),
        ]);
        let reason = Term::tuple([atom!("timeout").into(), function]);
        Err(Raise::Exit(reason))
    })
}

/// `erlang:apply(fun M:F/A, Args)` and `erlang:apply(M, F, Args)` name the function they call.
///
/// A fun with an environment is code, which does not travel: it stays `erlang:apply/2`, undefined.
fn unfold_apply(application: Application) -> Application {
    if application.name.module != atom!("erlang") || application.name.function != atom!("apply") {
        return application;
    }
    let (module, function, args) = match &application.args[..] {
        [Term::Export(export), Term::List(args)] if args.len() == usize::from(export.arity) => (
            export.module.clone(),
            export.function.clone(),
            args.to_vec(),
        ),
        [Term::Atom(module), Term::Atom(function), Term::List(args)] => {
            (module.clone(), function.clone(), args.to_vec())
        }
        _ => return application,
    };
    let name = FunctionName {
        module,
        function,
        arity: args.len(),
    };
    Application {
        name,
        args,
        ..application
    }
}

impl Failure {
    /// `[{M, F, Args, []}]`: with the arguments where they are what was wrong, else their number.
    fn stack(&self) -> Term {
        let shows_args =
            matches!(&self.raise, Raise::Error(r) if r.is_atom("undef") || r.is_atom("badarg"));
        let args = match shows_args {
            true => Term::list(self.args.iter().cloned()),
            false => Term::Int(self.name.arity as i64),
        };
        let (module, function) = (self.name.module.clone(), self.name.function.clone());
        Term::list([Term::tuple([
            module.into(),
            function.into(),
            args,
            Term::nil(),
        ])])
    }

    /// The reason a process ends with that does not catch this.
    fn into_exit_reason(self) -> Term {
        let stack = self.stack();
        match self.raise {
            Raise::Exit(reason) => reason,
            Raise::Error(reason) => Term::tuple([reason, stack]),
            Raise::Throw(value) => {
                Term::tuple([Term::tuple([atom!("nocatch").into(), value]), stack])
            }
        }
    }

    /// What `rpc:call` answers: a thrown value as it is, else `{badrpc, {'EXIT', Reason}}`.
    pub(crate) fn into_badrpc(self) -> Term {
        if let Raise::Throw(value) = self.raise {
            return value;
        }
        let exit = Term::tuple([atom!("EXIT").into(), self.into_exit_reason()]);
        Term::tuple([atom!("badrpc").into(), exit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(text: &str) -> Term {
        text.parse().unwrap()
    }

    fn failure(raise: Raise) -> Failure {
        let name = FunctionName {
            module: atom!("foo"),
            function: atom!("bar"),
            arity: 1,
        };
        Failure {
            raise,
            name,
            args: Arc::new(vec![1.into()]),
        }
    }

    #[test]
    fn results_of_erpc_have_the_forms_of_otp() {
        let result = |outcome| call_result(atom!("ref").into(), outcome);
        assert_eq!(result(Ok(5.into())), term("{ref,return,5}"));
        let raised = |raise| result(Err(failure(raise)));
        assert_eq!(raised(Raise::Throw(1.into())), term("{ref,throw,1}"));
        assert_eq!(raised(Raise::Exit(1.into())), term("{ref,exit,1}"));
        assert_eq!(
            raised(Raise::undef()),
            term("{ref,error,undef,[{foo,bar,[1],[]}]}")
        );
        let custom = raised(Raise::Error(term("{my,reason}")));
        assert_eq!(custom, term("{ref,error,{my,reason},[{foo,bar,1,[]}]}"));
    }

    #[test]
    fn old_calls_get_badrpc_but_a_thrown_value_as_it_is() {
        assert_eq!(failure(Raise::Throw(1.into())).into_badrpc(), term("1"));
        assert_eq!(
            failure(Raise::Exit(1.into())).into_badrpc(),
            term("{badrpc,{'EXIT',1}}")
        );
        let undef = term("{badrpc,{'EXIT',{undef,[{foo,bar,[1],[]}]}}}");
        assert_eq!(failure(Raise::undef()).into_badrpc(), undef);
    }

    #[test]
    fn unknown_spawn_options_are_refused() {
        let parse = |text| SpawnOptions::parse(&term(text));
        let both = SpawnOptions {
            link: true,
            monitor: true,
        };
        assert_eq!(
            parse("[link,{monitor,[{tag,x}]},{priority,high}]"),
            Some(both)
        );
        assert_eq!(parse("[]"), Some(SpawnOptions::default()));
        assert_eq!(parse("[nonsense]"), None);
        assert_eq!(parse("link"), None);
    }
}
