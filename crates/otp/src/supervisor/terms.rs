//! OTP's terms of supervisors: child specs, flags and requests as they are read, and child specs,
//! answers and reports as they are told.
//!
//! Source: the types of `supervisor`'s manual page; the checks, their order and their words are those
//! of `check_childspecs/2` and `check_flags/1` of OTP 28. A start is a `{M, F, A}` where it comes
//! from a term; where it goes into one, the driver says what it looks like.

use std::time::Duration;

use purlin_term::{Atom, List, Map, Term, atom};

use super::answer::{Answer, ChildInfo, Counts, Request, RequestError, Status};
use super::output::{Context, Offender, Report, Who};
use super::spec::{ChildSpec, Kind, Modules, Restart, Shutdown, SpecError, WORKER_SHUTDOWN, pair};
use super::{AutoShutdown, Flags, FlagsError, Strategy};

/// `{Module, Function, Args}`: what starts a child that was described by a term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mfargs {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// Its arguments.
    pub args: List,
}

impl Mfargs {
    /// `{Module, Function, Args}`.
    pub fn to_term(&self) -> Term {
        let (module, function) = (self.module.clone(), self.function.clone());
        Term::tuple([
            module.into(),
            function.into(),
            Term::List(self.args.clone()),
        ])
    }

    fn from_term(term: &Term) -> Option<Self> {
        match term.as_tuple()? {
            [module, function, args] => Some(Self {
                module: module.as_atom()?.clone(),
                function: function.as_atom()?.clone(),
                args: args.as_list()?.clone(),
            }),
            _ => None,
        }
    }
}

/// Reads a child spec, a map or a tuple of six, with OTP's defaults and checks.
///
/// # Errors
/// The first thing that is wrong, as OTP tells it.
pub fn child_spec(
    term: &Term,
    auto_shutdown: Option<AutoShutdown>,
) -> Result<ChildSpec<Mfargs>, SpecError> {
    let parts = Parts::of(term).ok_or_else(|| invalid(atom!("invalid_child_spec"), term))?;
    let id = parts.get("id").ok_or(SpecError::MissingId)?.clone();
    let start = parts.get("start").ok_or(SpecError::MissingStart)?;
    let start = Mfargs::from_term(start).ok_or_else(|| invalid(atom!("invalid_mfa"), start))?;
    let restart = parts.read("restart", atom!("invalid_restart_type"), restart)?;
    let significant = parts.read("significant", atom!("invalid_significant"), boolean)?;
    let mut spec = ChildSpec::worker(id, start);
    spec.restart = restart.unwrap_or_default();
    spec.significant = significant.unwrap_or(false);
    spec.check(auto_shutdown)?;
    let kind = parts.read("type", atom!("invalid_child_type"), kind)?;
    spec.kind = kind.unwrap_or_default();
    let shutdown = parts.read("shutdown", atom!("invalid_shutdown"), shutdown)?;
    spec.shutdown = shutdown.unwrap_or(match spec.kind {
        Kind::Worker => Shutdown::Timeout(WORKER_SHUTDOWN),
        Kind::Supervisor => Shutdown::Infinity,
    });
    spec.modules = match parts.get("modules") {
        Some(term) => modules(term)?,
        None => Modules::List(vec![spec.start.module.clone()]),
    };
    Ok(spec)
}

/// Reads a list of child specs: `check_childspecs`.
///
/// # Errors
/// The first thing that is wrong, as OTP tells it.
pub fn child_specs(
    term: &Term,
    auto_shutdown: Option<AutoShutdown>,
) -> Result<Vec<ChildSpec<Mfargs>>, SpecError> {
    let list = term.as_list();
    let list = list.ok_or_else(|| invalid(atom!("badarg"), term))?;
    let specs = list.iter().map(|term| child_spec(term, auto_shutdown));
    let specs: Vec<_> = specs.collect::<Result<_, _>>()?;
    super::check_childspecs(&specs, auto_shutdown)?;
    Ok(specs)
}

/// Reads flags: a map, or a tuple of three.
///
/// # Errors
/// The first thing that is wrong, as OTP tells it.
pub fn flags(term: &Term) -> Result<Flags, FlagsError> {
    let refuse = |error: Atom, value: &Term| FlagsError::Invalid {
        error,
        value: value.clone(),
    };
    let parts = match term.as_tuple() {
        Some([strategy, intensity, period]) => Parts(vec![
            ("strategy", strategy),
            ("intensity", intensity),
            ("period", period),
        ]),
        _ => {
            let map = term.as_map();
            Parts::named(
                map.ok_or_else(|| refuse(atom!("invalid_type"), term))?,
                &FLAGS,
            )
        }
    };
    let mut flags = Flags::default();
    if let Some(term) = parts.get("strategy") {
        flags.strategy = strategy(term).ok_or_else(|| refuse(atom!("invalid_strategy"), term))?;
    }
    if let Some(term) = parts.get("intensity") {
        flags.intensity = count(term).ok_or_else(|| refuse(atom!("invalid_intensity"), term))?;
    }
    if let Some(term) = parts.get("period") {
        let seconds = term
            .as_int()
            .and_then(|seconds| u64::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| *seconds > 0);
        let seconds = seconds.ok_or_else(|| refuse(atom!("invalid_period"), term))?;
        flags.period = Duration::from_secs(seconds);
    }
    if let Some(term) = parts.get("auto_shutdown") {
        let read = auto_shutdown(term);
        flags.auto_shutdown = read.ok_or_else(|| refuse(atom!("invalid_auto_shutdown"), term))?;
    }
    flags.check()?;
    match parts.get("hibernate_after") {
        Some(term) if !term.is_atom("infinity") && count(term).is_none() => {
            Err(refuse(atom!("invalid_hibernate_after"), term))
        }
        _ => Ok(flags),
    }
}

/// Reads what OTP's functions send as a `gen_server` call; `None` if it is nothing of the kind.
///
/// `start_child` reads its argument, which is a child spec ([`child_spec`]), or for
/// `SimpleOneForOne` the list of arguments that are added to those of the one spec.
pub fn request<S, E>(
    term: &Term,
    start_child: impl FnOnce(&Term) -> Result<Request<S>, E>,
) -> Option<Result<Request<S>, E>> {
    if let Some(word) = term.as_atom() {
        return match word.as_str() {
            "which_children" => Some(Ok(Request::WhichChildren)),
            "count_children" => Some(Ok(Request::CountChildren)),
            _ => None,
        };
    }
    let [word, argument] = term.as_tuple()? else {
        return None;
    };
    let request = match word.as_atom()?.as_str() {
        "start_child" => return Some(start_child(argument)),
        "terminate_child" => Request::TerminateChild,
        "restart_child" => Request::RestartChild,
        "delete_child" => Request::DeleteChild,
        "which_child" => Request::WhichChild,
        "get_childspec" => Request::GetChildspec,
        _ => return None,
    };
    Some(Ok(request(argument.clone())))
}

/// The keys of flags. Our processes do not hibernate, so `hibernate_after` is only checked.
const FLAGS: [&str; 5] = [
    "strategy",
    "intensity",
    "period",
    "auto_shutdown",
    "hibernate_after",
];

/// The keys of a child spec, in the order of the tuple but for `significant`, which has none there.
const SPEC: [&str; 7] = [
    "id",
    "start",
    "restart",
    "shutdown",
    "type",
    "modules",
    "significant",
];

/// Values by key; others than those of OTP are ignored, as in OTP.
struct Parts<'a>(Vec<(&'static str, &'a Term)>);

impl<'a> Parts<'a> {
    fn of(term: &'a Term) -> Option<Self> {
        match term.as_tuple() {
            Some(values) if values.len() == 6 => Some(Self(SPEC.into_iter().zip(values).collect())),
            Some(_) => None,
            None => Some(Self::named(term.as_map()?, &SPEC)),
        }
    }

    fn named(map: &'a Map, keys: &[&'static str]) -> Self {
        let find = |key: &&'static str| {
            let mut pairs = map.pairs().iter();
            let found = pairs.find(|(name, _)| name.is_atom(key));
            found.map(|(_, value)| (*key, value))
        };
        Self(keys.iter().filter_map(find).collect())
    }

    fn get(&self, key: &str) -> Option<&'a Term> {
        let found = self.0.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| *value)
    }

    fn read<R>(
        &self,
        key: &str,
        error: Atom,
        read: impl FnOnce(&Term) -> Option<R>,
    ) -> Result<Option<R>, SpecError> {
        let Some(term) = self.get(key) else {
            return Ok(None);
        };
        read(term).map(Some).ok_or_else(|| invalid(error, term))
    }
}

fn invalid(error: Atom, value: &Term) -> SpecError {
    let value = value.clone();
    SpecError::Invalid { error, value }
}

fn restart(term: &Term) -> Option<Restart> {
    match term.as_atom()?.as_str() {
        "permanent" => Some(Restart::Permanent),
        "transient" => Some(Restart::Transient),
        "temporary" => Some(Restart::Temporary),
        _ => None,
    }
}

fn boolean(term: &Term) -> Option<bool> {
    match term.as_atom()?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn kind(term: &Term) -> Option<Kind> {
    match term.as_atom()?.as_str() {
        "worker" => Some(Kind::Worker),
        "supervisor" => Some(Kind::Supervisor),
        _ => None,
    }
}

fn shutdown(term: &Term) -> Option<Shutdown> {
    if let Some(millis) = term.as_int() {
        let millis = u64::try_from(millis).ok()?;
        return Some(Shutdown::Timeout(Duration::from_millis(millis)));
    }
    match term.as_atom()?.as_str() {
        "infinity" => Some(Shutdown::Infinity),
        "brutal_kill" => Some(Shutdown::BrutalKill),
        _ => None,
    }
}

fn modules(term: &Term) -> Result<Modules, SpecError> {
    if term.is_atom("dynamic") {
        return Ok(Modules::Dynamic);
    }
    let list = term.as_list();
    let list = list.ok_or_else(|| invalid(atom!("invalid_modules"), term))?;
    let read = |term: &Term| {
        let module = term.as_atom().cloned();
        module.ok_or_else(|| invalid(atom!("invalid_module"), term))
    };
    list.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Modules::List)
}

fn strategy(term: &Term) -> Option<Strategy> {
    match term.as_atom()?.as_str() {
        "one_for_one" => Some(Strategy::OneForOne),
        "one_for_all" => Some(Strategy::OneForAll),
        "rest_for_one" => Some(Strategy::RestForOne),
        "simple_one_for_one" => Some(Strategy::SimpleOneForOne),
        _ => None,
    }
}

fn auto_shutdown(term: &Term) -> Option<AutoShutdown> {
    match term.as_atom()?.as_str() {
        "never" => Some(AutoShutdown::Never),
        "any_significant" => Some(AutoShutdown::AnySignificant),
        "all_significant" => Some(AutoShutdown::AllSignificant),
        _ => None,
    }
}

/// A count that is not negative; beyond 32 bits it is as good as none.
fn count(term: &Term) -> Option<u32> {
    let count = u64::try_from(term.as_int()?).ok()?;
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Restart {
    /// As OTP says it.
    pub fn to_atom(self) -> Atom {
        match self {
            Self::Permanent => atom!("permanent"),
            Self::Transient => atom!("transient"),
            Self::Temporary => atom!("temporary"),
        }
    }
}

impl Shutdown {
    /// As OTP says it: an atom, or milliseconds.
    pub fn to_term(self) -> Term {
        match self {
            Self::BrutalKill => atom!("brutal_kill").into(),
            Self::Infinity => atom!("infinity").into(),
            Self::Timeout(time) => u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into(),
        }
    }
}

impl Modules {
    /// `dynamic` or a list.
    pub fn to_term(&self) -> Term {
        match self {
            Self::Dynamic => atom!("dynamic").into(),
            Self::List(modules) => Term::list(modules.iter().cloned().map(Term::from)),
        }
    }
}

impl<S> ChildSpec<S> {
    /// The map of `get_childspec`.
    pub fn to_term(&self, start: impl FnOnce(&S) -> Term) -> Term {
        let pairs = [
            (atom!("id"), self.id.clone()),
            (atom!("start"), start(&self.start)),
            (atom!("restart"), self.restart.to_atom().into()),
            (atom!("significant"), self.significant.into()),
            (atom!("shutdown"), self.shutdown.to_term()),
            (atom!("type"), self.kind.to_atom().into()),
            (atom!("modules"), self.modules.to_term()),
        ];
        let pairs = pairs.map(|(key, value)| (Term::from(key), value));
        Term::map(pairs).expect("seven different keys")
    }

    /// OTP's `#child{}`, which it tells of a child that was not started.
    fn to_record(&self, start: impl FnOnce(&S) -> Term) -> Term {
        Term::tuple([
            atom!("child").into(),
            atom!("undefined").into(),
            self.id.clone(),
            start(&self.start),
            self.restart.to_atom().into(),
            self.significant.into(),
            self.shutdown.to_term(),
            self.kind.to_atom().into(),
            self.modules.to_term(),
        ])
    }
}

impl ChildInfo {
    /// `{Id, Child, Type, Modules}`.
    pub fn to_term(&self) -> Term {
        Term::tuple([
            self.id.clone(),
            self.status.to_term(),
            self.kind.to_atom().into(),
            self.modules.clone(),
        ])
    }
}

impl Counts {
    /// The property list of `count_children`.
    pub fn to_term(&self) -> Term {
        let counts = [
            (atom!("specs"), self.specs),
            (atom!("active"), self.active),
            (atom!("supervisors"), self.supervisors),
            (atom!("workers"), self.workers),
        ];
        Term::list(counts.map(|(key, count)| pair(key, count as u64)))
    }
}

impl<S> Answer<S> {
    /// What OTP answers. `start` says what starts a child, of which nothing may be kept.
    ///
    /// One that is not settled is taken for that of a pid which is no child: see
    /// [`Answer::settle`].
    pub fn to_term(&self, start: impl FnOnce(&Option<S>) -> Term) -> Term {
        match self {
            Self::Done => atom!("ok").into(),
            Self::Started(pid, extra) => {
                let child = pid.map_or_else(|| atom!("undefined").into(), Term::from);
                let ok = [atom!("ok").into(), child];
                Term::tuple(ok.into_iter().chain(extra.clone()))
            }
            Self::Ignored => atom!("ignore").into(),
            Self::Children(children) => Term::list(children.iter().map(ChildInfo::to_term)),
            Self::Child(child) => pair(atom!("ok"), child.to_term()),
            Self::Counts(counts) => counts.to_term(),
            Self::Spec(spec) => pair(atom!("ok"), spec.to_term(start)),
            Self::Error(error) => pair(atom!("error"), error.to_term(start)),
            Self::UnknownPid(..) => pair(atom!("error"), atom!("not_found")),
        }
    }
}

impl<S> RequestError<S> {
    /// What is in OTP's `{error, _}`.
    pub fn to_term(&self, start: impl FnOnce(&Option<S>) -> Term) -> Term {
        match self {
            Self::Running => atom!("running").into(),
            Self::Restarting => atom!("restarting").into(),
            Self::NotFound => atom!("not_found").into(),
            Self::SimpleOneForOne => atom!("simple_one_for_one").into(),
            Self::AlreadyPresent => atom!("already_present").into(),
            Self::AlreadyStarted(pid) => pair(atom!("already_started"), *pid),
            Self::MaxChildren => atom!("max_children").into(),
            Self::Invalid(error) => error.to_term(),
            Self::NotStarted(reason, spec) => pair(Term::clone(reason), spec.to_record(start)),
            Self::Failed(reason) => Term::clone(reason),
        }
    }
}

impl Context {
    /// OTP's `errorContext`, or `progress`.
    pub fn to_atom(self) -> Atom {
        match self {
            Self::Progress { .. } => atom!("progress"),
            Self::StartError => atom!("start_error"),
            Self::ChildTerminated => atom!("child_terminated"),
            Self::ShutdownError => atom!("shutdown_error"),
            Self::Shutdown => atom!("shutdown"),
        }
    }
}

impl<S> Report<S> {
    /// The `report` of OTP's log event, a property list.
    pub fn to_term(&self, supervisor: Term, start: impl FnOnce(&Option<S>) -> Term) -> Term {
        let supervisor = pair(atom!("supervisor"), supervisor);
        let offender = self.offender.to_term(start);
        if let Context::Progress { .. } = self.context {
            return Term::list([supervisor, pair(atom!("started"), offender)]);
        }
        Term::list([
            supervisor,
            pair(atom!("errorContext"), self.context.to_atom()),
            pair(atom!("reason"), Term::clone(&self.reason)),
            pair(atom!("offender"), offender),
        ])
    }
}

impl<S> Offender<S> {
    fn to_term(&self, start: impl FnOnce(&Option<S>) -> Term) -> Term {
        let who = match self.who {
            Who::Children(count) => pair(atom!("nb_children"), count as u64),
            Who::Child(Status::Restarting(was)) => {
                let was = was.map_or_else(|| atom!("undefined").into(), Term::from);
                pair(atom!("pid"), pair(atom!("restarting"), was))
            }
            Who::Child(status) => pair(atom!("pid"), status.to_term()),
        };
        let spec = &self.spec;
        Term::list([
            who,
            pair(atom!("id"), spec.id.clone()),
            pair(atom!("mfargs"), start(&spec.start)),
            pair(atom!("restart_type"), spec.restart.to_atom()),
            pair(atom!("significant"), spec.significant),
            pair(atom!("shutdown"), spec.shutdown.to_term()),
            pair(atom!("child_type"), spec.kind.to_atom()),
        ])
    }
}
