//! The `sys` protocol: how operators look into a process and steer it.
//!
//! Source: OTP's `sys.erl`, and `gen_server.erl` for the forms of states. A request is
//! `{system, {Pid, Tag}, Request}`, answered as a call is. What OTP's shell sends is understood; what it
//! prints for `trace` goes to the log, target `purlin::sys`, since a server has no console. A function that
//! is to change a state (`sys:replace_state/2`) or to see events (`sys:install/2`) would have to run here: it
//! is refused. A state that is sent in its place is taken, where the type of the server allows.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use purlin_otp::reason::Reason;
use purlin_runtime::panics;
use purlin_term::{Atom, EncodedTerm, Pid, Term, atom};

use crate::bounded::Bounded;
use crate::envelope::Caller;
use crate::gen_server::caught;
use crate::gen_server::{Context, GenServer};
use crate::status::{self, Part};

/// Events that a log keeps when it is switched on without a number: OTP's.
const LOG_DEFAULT: usize = 10;

/// Events that a log keeps at most: a peer can ask for any number.
const LOG_MAX: usize = 10_000;

/// What `sys` has set for a process.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Debug {
    is_suspended: bool,
    trace: bool,
    log: Option<Log>,
    statistics: Option<Statistics>,
}

#[derive(Debug)]
struct Log {
    max: usize,
    events: VecDeque<Term>,
}

#[derive(Debug, Clone, Copy)]
struct Statistics {
    since: Duration,
    messages_in: u64,
}

impl Debug {
    pub(crate) fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// The process is to end: it hears everything again.
    pub(crate) fn resume(&mut self) {
        self.is_suspended = false;
    }

    /// Whether events are to be noted.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.trace || self.log.is_some() || self.statistics.is_some()
    }

    /// A message came: `event` is it, in its envelope.
    pub(crate) fn note(&mut self, pid: Pid, event: Term) {
        if self.trace {
            let event = Bounded(&event);
            tracing::info!(target: "purlin::sys", "*DBG* {pid} got {event}");
        }
        if let Some(statistics) = &mut self.statistics {
            statistics.messages_in += 1;
        }
        if let Some(log) = &mut self.log {
            if log.events.len() >= log.max {
                log.events.pop_front();
            }
            log.events
                .push_back(Term::tuple([atom!("in").into(), event]));
        }
    }

    /// A request of `{debug, What}`; `None` if it is not known. `now` is the time of day. As in OTP, what is on
    /// already stays as it is when it is switched on.
    fn handle(&mut self, what: &Term, now: Duration) -> Option<Term> {
        if what.is_atom("no_debug") {
            (self.trace, self.log, self.statistics) = (false, None, None);
            return Some(ok());
        }
        let [name, flag] = what.as_tuple()? else {
            return None;
        };
        match name.as_atom()?.as_str() {
            "trace" => {
                self.trace = as_bool(flag)?;
                Some(ok())
            }
            "log" => self.handle_log(flag),
            "statistics" => self.handle_statistics(flag, now),
            "log_to_file" | "install" => Some(error(atom!("notsup").into())),
            "remove" => Some(ok()),
            _ => None,
        }
    }

    fn handle_log(&mut self, flag: &Term) -> Option<Term> {
        let log = |max: usize| {
            let events = VecDeque::new();
            Some(Log { max, events })
        };
        match flag {
            Term::Tuple(_) => {
                let [on, max] = flag.as_tuple()? else {
                    return None;
                };
                let max = usize::try_from(max.as_int()?).ok()?;
                if max == 0 || !as_bool(on)? {
                    return None;
                }
                self.log = self.log.take().or_else(|| log(max.min(LOG_MAX)));
                Some(ok())
            }
            flag if flag.is_atom("get") || flag.is_atom("print") => {
                let events = Term::list(self.log());
                if flag.is_atom("print") {
                    let events = Bounded(&events);
                    tracing::info!(target: "purlin::sys", "{events}");
                    return Some(ok());
                }
                Some(Term::tuple([ok(), events]))
            }
            flag => {
                self.log = match as_bool(flag)? {
                    true => self.log.take().or_else(|| log(LOG_DEFAULT)),
                    false => None,
                };
                Some(ok())
            }
        }
    }

    /// The events that were kept.
    pub(crate) fn log(&self) -> Vec<Term> {
        let events = self.log.iter().flat_map(|log| &log.events);
        events.cloned().collect()
    }

    fn handle_statistics(&mut self, flag: &Term, now: Duration) -> Option<Term> {
        if flag.is_atom("get") {
            let statistics = match self.statistics {
                Some(statistics) => statistics.shown(now),
                None => atom!("no_statistics").into(),
            };
            return Some(Term::tuple([ok(), statistics]));
        }
        let new = Statistics {
            since: now,
            messages_in: 0,
        };
        self.statistics = as_bool(flag)?.then(|| self.statistics.unwrap_or(new));
        Some(ok())
    }

    /// The list that `get_status` shows.
    fn shown(&self, now: Duration) -> Term {
        let trace = self.trace.then(|| pair("trace", atom!("true").into()));
        let log = self.log.as_ref().map(|log| {
            let events = Term::list(log.events.iter().cloned());
            let log = Term::tuple([Term::from(log.max as i64), events]);
            pair("log", log)
        });
        let statistics = self.statistics.map(|s| pair("statistics", s.shown(now)));
        Term::list([trace, log, statistics].into_iter().flatten())
    }
}

impl Statistics {
    fn shown(self, now: Duration) -> Term {
        let count = |count: u64| Term::from(i64::try_from(count).unwrap_or(i64::MAX));
        Term::list([
            pair("start_time", date_and_time(self.since)),
            pair("current_time", date_and_time(now)),
            pair("reductions", count(0)),
            pair("messages_in", count(self.messages_in)),
            pair("messages_out", count(0)),
        ])
    }
}

/// Answers a request of `sys`.
pub(crate) async fn handle<S: GenServer>(
    server: &mut S,
    ctx: &mut Context<S>,
    caller: &Caller,
    request: &EncodedTerm,
) {
    let reply = match request.to_term() {
        Ok(term) => answer(server, ctx, caller, &term).await,
        Err(_) => error(atom!("badarg").into()),
    };
    ctx.answer(caller, &reply);
}

async fn answer<S: GenServer>(
    server: &mut S,
    ctx: &mut Context<S>,
    caller: &Caller,
    request: &Term,
) -> Term {
    let unknown = || {
        let what = Term::tuple([atom!("unknown_system_msg").into(), request.clone()]);
        error(what)
    };
    if let Some(name) = request.as_atom() {
        return match name.as_str() {
            "get_state" => state_for(caller, server, ctx),
            "get_status" => status(server, ctx),
            "suspend" => {
                ctx.debug.is_suspended = true;
                ok()
            }
            "resume" => {
                ctx.debug.is_suspended = false;
                ok()
            }
            _ => unknown(),
        };
    }
    let now = ctx.runtime().executor().wall_clock();
    match request.as_tuple() {
        Some([name, what]) if name.is_atom("debug") => {
            let unknown = || atom!("unknown_debug").into();
            ctx.debug.handle(what, now).unwrap_or_else(unknown)
        }
        Some([name, reason]) if name.is_atom("terminate") => {
            ctx.stop(reason.clone());
            ok()
        }
        Some([name, new]) if name.is_atom("replace_state") => {
            replace_state(caller, server, ctx, new)
        }
        Some([name, _module, version, extra])
            if name.is_atom("change_code") && ctx.debug.is_suspended() =>
        {
            match caught(server.code_change(version.clone(), extra.clone())).await {
                Ok(Ok(())) => ok(),
                Ok(Err(reason)) => error(reason),
                Err(panic) => {
                    let reason = panics::exit_reason(&*panic);
                    error(Term::tuple([atom!("EXIT").into(), Term::clone(&reason)]))
                }
            }
        }
        _ => unknown(),
    }
}

/// `{ok, State}`, and before OTP 28 the state alone. A state without a form as a term is shown by the name of
/// its type.
fn state_for<S: GenServer>(caller: &Caller, server: &S, ctx: &Context<S>) -> Term {
    let state = match catch_unwind(AssertUnwindSafe(|| server.state())) {
        Ok(state) => state.unwrap_or_else(|| std::any::type_name::<S>().into()),
        Err(panic) => {
            let reason = panics::exit_reason(&*panic);
            return failed(server, atom!("system_get_state"), &reason);
        }
    };
    match ctx.runtime().is_of_otp28(caller.pid.node) {
        true => Term::tuple([ok(), state]),
        false => state,
    }
}

fn replace_state<S: GenServer>(
    caller: &Caller,
    server: &mut S,
    ctx: &Context<S>,
    new: &Term,
) -> Term {
    let refused = || error(atom!("notsup").into());
    if matches!(new, Term::Fun(_) | Term::Export(_)) {
        return refused();
    }
    let Ok(new) = EncodedTerm::encode(new) else {
        return refused();
    };
    match catch_unwind(AssertUnwindSafe(|| server.replace_state(&new))) {
        Ok(true) => state_for(caller, server, ctx),
        Ok(false) => refused(),
        Err(panic) => {
            let reason = panics::exit_reason(&*panic);
            failed(server, atom!("system_replace_state"), &reason)
        }
    }
}

/// What panicked for `sys`, by the name of OTP's function in its place.
fn failed<S: GenServer>(server: &S, function: Atom, reason: &Reason) -> Term {
    let module = server.described().module;
    error(status::callback_failed(module, function, reason))
}

/// `{status, Pid, {module, Mod}, [Dictionary, State, Parent, Debug, Misc]}`, with the parts that OTP's behaviours show.
fn status<S: GenServer>(server: &S, ctx: &Context<S>) -> Term {
    let now = ctx.runtime().executor().wall_clock();
    let pid = Term::from(ctx.pid());
    let described = server.described();
    let of_server = status::formatted(server, ctx, None);
    let module = pair("module", described.module.into());
    let mode = match ctx.debug.is_suspended {
        true => atom!("suspended"),
        false => atom!("running"),
    };
    let parent = Term::from(ctx.parent().unwrap_or(ctx.pid()));
    let name = ctx.runtime().name_of(ctx.pid());
    let header = format!(
        "Status for {} {}",
        described.title,
        name.map_or_else(|| ctx.pid().to_string(), |name| name.to_string())
    );
    let data = |pairs: Vec<(&str, Term)>| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| Term::tuple([Term::string(name), value]));
        pair("data", Term::list(pairs))
    };
    let shown = [
        ("Status", mode.clone().into()),
        ("Parent", parent.clone()),
        ("Logged events", Term::list(of_server.log)),
    ];
    let state = match of_server.part {
        Part::Data => data(vec![of_server.state]),
        Part::Items => {
            let (name, handlers) = of_server.state;
            pair("items", Term::tuple([Term::string(name), handlers]))
        }
    };
    let misc = Term::list([
        pair("header", Term::string(&header)),
        data(shown.into_iter().chain(of_server.details).collect()),
        state,
    ]);
    let dictionary = Term::nil();
    let parts = [dictionary, mode.into(), parent, ctx.debug.shown(now), misc];
    Term::tuple([atom!("status").into(), pid, module, Term::list(parts)])
}

fn ok() -> Term {
    atom!("ok").into()
}

fn error(reason: Term) -> Term {
    Term::tuple([atom!("error").into(), reason])
}

fn pair(name: &'static str, value: Term) -> Term {
    let name = Atom::new(name).expect("a short word");
    Term::tuple([name.into(), value])
}

fn as_bool(term: &Term) -> Option<bool> {
    match term.as_atom()?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// `{{Year, Month, Day}, {Hour, Minute, Second}}` of a time since 1970, UTC.
fn date_and_time(since_epoch: Duration) -> Term {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let triple = |parts: [u64; 3]| Term::tuple(parts.map(|part| Term::from(part as i64)));
    let date = triple([year, month, day]);
    let time = triple([seconds / 3600 % 24, seconds / 60 % 60, seconds % 60]);
    Term::tuple([date, time])
}

/// The date of a day since 1970-01-01: Howard Hinnant's `civil_from_days`, for days that are not before.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_date() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
    }

    #[test]
    fn a_log_keeps_the_last_events() {
        let mut debug = Debug::default();
        let on = Term::tuple([
            atom!("log").into(),
            Term::tuple([atom!("true").into(), 2.into()]),
        ]);
        assert_eq!(debug.handle(&on, Duration::ZERO), Some(ok()));
        let pid = Pid {
            node: purlin_term::NodeName::nonode(),
            creation: 0,
            id: 1,
            serial: 0,
        };
        (1..=3).for_each(|n| debug.note(pid, Term::from(n)));
        let get = Term::tuple([atom!("log").into(), atom!("get").into()]);
        let log = debug.handle(&get, Duration::ZERO).unwrap();
        assert_eq!(log.to_string(), "{ok,[{in,2},{in,3}]}");
    }
}
