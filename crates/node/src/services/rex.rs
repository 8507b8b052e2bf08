//! `rex`: the older way to call functions, and the features of the newer one.
//!
//! OTP 23 and later call through a spawn request (`remote_call`) and ask `rex` only for its
//! features. `ei`, `erl_call` and Jinterface send `{Pid, {call, M, F, Args, GroupLeader}}` and wait
//! for `{rex, Value}` (distribution document, section 10). Each call runs in a process of its own,
//! so one that takes long delays no other: OTP's own `rex` serialises block calls only.

use std::sync::Arc;

use purlin_term::{Atom, Pid, Term, atom};
use tokio::sync::Semaphore;

use super::Service;
use crate::export::{FunctionName, Value};
use crate::limits::REX_CALLS_MAX;
use crate::process::{Caller, Destination, Envelope, Mailbox};
use crate::remote_call::{self, Application};

pub(super) const SERVICE: Service = Service {
    name: atom!("rex"),
    run: |m| Box::pin(run(m)),
};

/// Who waits for the value of a call, and in which form.
#[derive(Clone)]
enum Asker {
    /// `{rex, Value}` to a process.
    Plain(Pid),
    /// The reply of a `gen_server` call.
    Call(Caller),
    /// Nobody.
    Nobody,
}

async fn run(mut mailbox: Mailbox) -> Term {
    let calls = Arc::new(Semaphore::new(REX_CALLS_MAX));
    loop {
        match super::next_envelope(&mut mailbox).await {
            Some(Envelope::Call(caller, request)) => {
                let leader = caller.pid;
                start(&mailbox, Asker::Call(caller), leader, &request, &calls);
            }
            Some(Envelope::Cast(request)) => {
                start(&mailbox, Asker::Nobody, mailbox.pid(), &request, &calls);
            }
            Some(Envelope::Info(message)) => plain(&mailbox, &message, &calls),
            _ => {}
        }
    }
}

fn plain(mailbox: &Mailbox, message: &Term, calls: &Arc<Semaphore>) {
    let Some([Term::Pid(from), request]) = message.as_tuple() else {
        return;
    };
    let from = *from;
    if request.is_atom("features_request") {
        let features = Term::list([atom!("erpc").into()]);
        let me = mailbox.node().name().into();
        let reply = Term::tuple([atom!("features_reply").into(), me, features]);
        super::send(mailbox, from, &reply);
        return;
    }
    match request.as_tuple() {
        Some([tag, Term::Atom(name), message]) if tag.is_atom("sbcast") => {
            broadcast_here(mailbox, from, name, message);
        }
        _ => start(mailbox, Asker::Plain(from), from, request, calls),
    }
}

/// `rpc:sbcast`: delivers to a name of this node, and says whether there is such a name.
fn broadcast_here(mailbox: &Mailbox, from: Pid, name: &Atom, message: &Term) {
    let node = mailbox.node();
    let found = match node.whereis(name) {
        Some(_) => {
            let to = Destination::Name(name.clone(), node.name());
            super::send(mailbox, to, message);
            node.name().into()
        }
        None => Term::tuple([atom!("nonexisting_name").into(), name.clone().into()]),
    };
    let reply = Term::tuple([atom!("rex").into(), node.name().into(), found]);
    super::send(mailbox, from, &reply);
}

/// Tells `asker` the value of its call.
fn answer(mailbox: &Mailbox, asker: &Asker, value: Term) {
    match asker {
        Asker::Plain(pid) => {
            let reply = Term::tuple([atom!("rex").into(), value]);
            super::send(mailbox, *pid, &reply);
        }
        Asker::Call(caller) => super::reply(mailbox, caller, value),
        Asker::Nobody => {}
    }
}

/// Runs `{call | block_call | cast, M, F, Args, GroupLeader}` in a process of its own.
fn start(mailbox: &Mailbox, asker: Asker, caller: Pid, request: &Term, calls: &Arc<Semaphore>) {
    let Some([tag, Term::Atom(module), Term::Atom(function), args, leader]) = request.as_tuple()
    else {
        return;
    };
    if !["call", "block_call", "cast"]
        .iter()
        .any(|known| tag.is_atom(known))
    {
        return;
    }
    let Some(args) = args.as_list() else { return };
    let name = FunctionName {
        module: module.clone(),
        function: function.clone(),
        arity: args.len(),
    };
    let Ok(place) = calls.clone().try_acquire_owned() else {
        return answer(mailbox, &asker, system_limit());
    };
    let application = Application {
        name,
        args: args.to_vec(),
        caller,
        group_leader: leader.as_pid().unwrap_or(caller),
    };
    let (node, refused) = (mailbox.node().clone(), asker.clone());
    let wanted = match asker {
        Asker::Nobody => Value::Dropped,
        _ => Value::Wanted,
    };
    let leader = application.group_leader;
    let started = mailbox
        .node()
        .spawn_with_leader(leader, move |mailbox| async move {
            let outcome = remote_call::apply(&node, application, None, wanted).await;
            let value = outcome.unwrap_or_else(|failure| failure.into_badrpc());
            answer(&mailbox, &asker, value);
            drop(place);
        });
    if started.is_err() {
        answer(mailbox, &refused, system_limit());
    }
}

fn system_limit() -> Term {
    let limit = Term::tuple([atom!("EXIT").into(), atom!("system_limit").into()]);
    Term::tuple([atom!("badrpc").into(), limit])
}
