//! `net_kernel`: answers `net_adm:ping` and old tools.
//!
//! A ping is the call `{is_auth, Node}`, answered `yes`; anything else counts as `pang` at the
//! peer. The spawn requests of releases before 23 are refused with `{error, notsup}`.

use purlin_term::{Term, atom};

use super::Service;
use crate::process::{Caller, Envelope, Mailbox};

pub(super) const SERVICE: Service = Service {
    name: atom!("net_kernel"),
    run: |m| Box::pin(run(m)),
};

async fn run(mut mailbox: Mailbox) -> Term {
    loop {
        if let Some(Envelope::Call(caller, request)) = super::next_envelope(&mut mailbox).await {
            answer(&mailbox, &caller, &request);
        }
    }
}

fn answer(mailbox: &Mailbox, caller: &Caller, request: &Term) {
    let tag = request
        .as_tuple()
        .and_then(|items| items.first())
        .unwrap_or(request);
    let reply = match tag.as_atom().map(|tag| tag.as_str().to_owned()).as_deref() {
        Some("is_auth") => atom!("yes").into(),
        Some("spawn" | "spawn_link" | "spawn_opt") => {
            Term::tuple([atom!("error").into(), atom!("notsup").into()])
        }
        Some("longnames") => super::uses_long_names(mailbox.node()).into(),
        _ => return,
    };
    super::reply(mailbox, caller, reply);
}
