//! What OTP asks of an event manager: `{Label, {Pid, Tag}, Request}`, as `gen_event.erl` sends it.

use purlin_runtime::Message;
use purlin_term::{EncodedTerm, Term, atom};

use super::GenEvent;
use crate::envelope::Caller;
use crate::gen_server::Context;
use crate::reply_to::send_term;

impl<E: Message + Sync> GenEvent<E> {
    /// Answers a request of OTP; says whether the message was one.
    pub(super) async fn answer(&mut self, message: &EncodedTerm, ctx: &mut Context<Self>) -> bool {
        let Some([_, from, request]) = message.view().as_tuple_of() else {
            return false;
        };
        let Some((caller, request)) = Caller::read(from).zip(request.to_term().ok()) else {
            return false;
        };
        let Some(reply) = self.reply(&request, ctx).await else {
            return false;
        };
        let (runtime, pid) = (ctx.runtime().clone(), ctx.pid());
        send_term(&runtime, pid, &caller, &reply).await;
        true
    }

    /// The answer to a request; `None` if it is none that OTP sends.
    async fn reply(&mut self, request: &Term, ctx: &mut Context<Self>) -> Option<Term> {
        if request.is_atom("which_handlers") {
            return Some(Term::list(
                self.handlers.iter().map(|handler| handler.id().clone()),
            ));
        }
        let parts = request.as_tuple()?;
        match (parts.first()?.as_atom()?.as_str(), &parts[1..]) {
            ("sync_notify", [event]) => {
                let event = EncodedTerm::encode(event).ok()?;
                match E::decode(&event) {
                    Ok(event) => self.notify(&event, ctx).await,
                    Err(_) => self.inform(&event, ctx).await,
                }
                Some(atom!("ok").into())
            }
            ("call", [id, query]) => Some(self.call(id, query.clone(), ctx).await),
            ("delete_handler", [id, argument]) => {
                let left = self.delete(id, argument.clone(), ctx).await;
                Some(left.unwrap_or_else(|| error(atom!("module_not_found").into())))
            }
            ("add_handler", [id, argument]) | ("add_sup_handler", [id, argument, _]) => {
                Some(undefined(id, argument.clone()))
            }
            ("swap_handler", [_, _, id, argument])
            | ("swap_sup_handler", [_, _, id, argument, _]) => {
                Some(error(undefined(id, argument.clone())))
            }
            _ => None,
        }
    }

    async fn call(&mut self, id: &Term, query: Term, ctx: &mut Context<Self>) -> Term {
        let Some(place) = self.place(id) else {
            return error(atom!("bad_module").into());
        };
        let (verdict, reply) = self.handlers[place].call(query, ctx).await;
        self.judge(place, verdict, ctx).await;
        reply
    }
}

fn error(reason: Term) -> Term {
    Term::tuple([atom!("error").into(), reason])
}

/// What OTP answers when a handler's module is not there: `{'EXIT', {undef, [{Module, init, [Argument], []}]}}`.
fn undefined(id: &Term, argument: Term) -> Term {
    let module = match id.as_tuple() {
        Some([module, _]) => module.clone(),
        _ => id.clone(),
    };
    let arguments = Term::list([argument]);
    let call = Term::tuple([module, atom!("init").into(), arguments, Term::nil()]);
    let undef = Term::tuple([atom!("undef").into(), Term::list([call])]);
    Term::tuple([atom!("EXIT").into(), undef])
}
