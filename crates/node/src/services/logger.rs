//! `logger_proxy`: log events of processes whose group leader lives here.
//!
//! A process that a peer spawned with one of our pids as group leader logs to us
//! (distribution document, section 9). The event is written to our log as text, bounded.

use purlin_term::{Term, atom};

use super::Service;
use crate::process::{Envelope, Mailbox};

pub(super) const SERVICE: Service = Service {
    name: atom!("logger_proxy"),
    run: |m| Box::pin(run(m)),
};

/// Characters of an event that are logged. A guess, unmeasured.
const TEXT_MAX: usize = 4096;

async fn run(mut mailbox: Mailbox) -> Term {
    loop {
        let envelope = super::next_envelope(&mut mailbox).await;
        let Some(Envelope::Info(event)) = envelope else {
            continue;
        };
        let Some([tag, Term::Atom(level), content @ ..]) = event.as_tuple() else {
            continue;
        };
        if tag.is_atom("log") {
            let text: String = Term::list(content.iter().cloned()).to_string();
            let text: String = text.chars().take(TEXT_MAX).collect();
            tracing::info!(level = %level, "log event of a peer: {text}");
        }
    }
}
