//! The receiving half: frames to signals.
//!
//! A frame's header brings the atom cache up to date and lists the message's atoms; the control
//! tuple is walked and peeled where it lies; the payload is walked and goes on, small ones copied,
//! large ones as slices of the frame. A message in fragments is held until it is whole, then takes
//! the same way.
//!
//! Invariants `I3` to `I5` of [`channel`](super).

use bytes::Bytes;
use purlin_term::{
    Atom, DecodeError, DecodeErrorKind as Kind, Decoder, EncodedTerm, Limits, NameBudget, View,
    inflate,
};

use super::atom_cache::ReceiveCache;
use super::error::ChannelError as Error;
use super::header::{self, Form, Input};
use super::limits::{COPIED_PAYLOAD_MAX, ChannelLimits};
use super::reassembly::{FragmentId, Reassembly, Sequence};
use crate::control::{ATOM_REF, Control, NIL, Op, RecentNodes, SpawnTuple, Tuple, peel};
use crate::flags::Flags;
use crate::signal::{Monitored, Signal, SpawnRequest};

/// The receiving half of a channel.
///
/// Give it each frame in the order of arrival; after an error close the connection.
#[derive(Debug)]
pub struct Receiver {
    form: Form,
    cache: ReceiveCache,
    /// The atoms of the frame at hand; kept to use its memory again.
    atoms: Vec<Atom>,
    reassembly: Reassembly,
    terms: Terms,
    poisoned: bool,
}

/// What the terms of a connection may be and use.
#[derive(Debug)]
struct Terms {
    limits: Limits,
    names: NameBudget,
    nodes: RecentNodes,
    options: Recent,
    /// A payload that is an atom, as most exit reasons are.
    atom: Recent,
}

/// A small term whose only content are atoms, as it came last: nearly always what comes next, too.
#[derive(Debug, Default)]
struct Recent(Option<EncodedTerm>);

impl Recent {
    /// The term of these bytes, the numbers of whose atoms start at `atoms_at`, each after a tag.
    fn find(&self, bytes: &[u8], atoms_at: usize, atoms: &[Atom]) -> Option<EncodedTerm> {
        let known = self.0.as_ref().filter(|known| known.bytes() == bytes)?;
        let items = bytes.get(atoms_at..).unwrap_or_default();
        let mut numbers = items.chunks_exact(2).map(|atom| usize::from(atom[1]));
        let is_same = numbers.all(|number| known.atoms().get(number) == atoms.get(number));
        is_same.then(|| known.clone())
    }

    fn keep(&mut self, term: EncodedTerm) -> EncodedTerm {
        if term.bytes().len() <= RECENT_LEN_MAX {
            self.0 = Some(term.clone());
        }
        term
    }
}

/// The tag and the length of a list.
const LIST_HEAD_LEN: usize = 5;

/// Longer terms are not kept: room for more options than there are.
const RECENT_LEN_MAX: usize = 64;

impl Receiver {
    /// A receiver for a connection with these negotiated `flags`.
    pub fn new(flags: Flags, limits: &ChannelLimits) -> Self {
        Self {
            form: Form::of(flags),
            cache: ReceiveCache::default(),
            atoms: Vec::new(),
            reassembly: Reassembly::new(limits),
            terms: Terms {
                limits: limits.term,
                names: NameBudget::new(limits.term.new_node_names_max),
                nodes: RecentNodes::default(),
                options: Recent::default(),
                atom: Recent::default(),
            },
            poisoned: false,
        }
    }

    /// Takes the body of a frame, without its length, and answers the signal that it completes.
    /// A tick, which has no body, completes none.
    ///
    /// # Errors
    /// [`ChannelError`](Error): nothing of the frame is delivered, and every later call answers
    /// [`Poisoned`](Error::Poisoned).
    pub fn handle_frame(&mut self, frame: Bytes) -> Result<Option<Signal>, Error> {
        if self.poisoned {
            return Err(Error::Poisoned);
        }
        let answer = self.frame(&frame);
        self.poisoned = answer.is_err();
        answer
    }

    /// Bytes held for messages of which some fragments have not arrived.
    pub fn held_bytes(&self) -> usize {
        self.reassembly.held()
    }

    fn frame(&mut self, frame: &Bytes) -> Result<Option<Signal>, Error> {
        use header::{FIRST_FRAGMENT, FRAGMENT, MESSAGE, PASS_THROUGH, VERSION};
        match (frame.first_chunk(), self.form) {
            (Some([PASS_THROUGH, VERSION]), form) if !form.has_header() => {
                self.pass_through(frame).map(Some)
            }
            (Some([VERSION, MESSAGE]), form) if form.has_header() => self.message(frame).map(Some),
            (Some([VERSION, FIRST_FRAGMENT]), form) if form.fragments => self.first_fragment(frame),
            (Some([VERSION, FRAGMENT]), form) if form.fragments => self.fragment(frame),
            _ => match frame[..] {
                [] => Ok(None),
                [first] => Err(Error::Form { first, second: 0 }),
                [first, second, ..] => Err(Error::Form { first, second }),
            },
        }
    }

    fn pass_through(&mut self, frame: &Bytes) -> Result<Signal, Error> {
        let tuple = self.terms.tuple(&frame[2..], &[])?;
        let at = 2 + tuple.bytes().len();
        let control = Control::of(tuple)?;
        let payload = match frame[at..] {
            [] => None,
            [header::VERSION, header::COMPRESSED, ..] => {
                Some(self.terms.inflated(&control, &frame[at + 2..])?)
            }
            [header::VERSION, ..] => {
                let op = control.op_with_payload()?;
                Some(self.terms.payload(op, frame, at + 1, &[])?)
            }
            [other, ..] => {
                let (op, kind) = (control.op_with_payload()?, Kind::Version(other));
                let error = DecodeError { kind, at: 0 };
                return Err(Error::Payload { op, error });
            }
        };
        Ok(control.signal(payload)?)
    }

    fn message(&mut self, frame: &Bytes) -> Result<Signal, Error> {
        let mut input = Input::new(frame);
        input.take(2)?;
        header::read(&mut input, self.form, &mut self.cache, &mut self.atoms)?;
        if let Some(signal) = self.terms.frequent(frame, input, &self.atoms)? {
            return Ok(signal);
        }
        let tuple = self.terms.tuple(input.rest(), &self.atoms)?;
        let at = input.at() + tuple.bytes().len();
        self.terms.signal(tuple, frame, at, &self.atoms)
    }

    fn first_fragment(&mut self, frame: &Bytes) -> Result<Option<Signal>, Error> {
        let mut input = Input::new(frame);
        let id = fragment_id(&mut input)?;
        header::read(&mut input, self.form, &mut self.cache, &mut self.atoms)?;
        let tuple = self.terms.tuple(input.rest(), &self.atoms)?;
        Control::of(tuple)?;
        let part = &input.rest()[tuple.bytes().len()..];
        // Copied: it would keep the whole first frame alive until the last one is there.
        let control = Bytes::copy_from_slice(tuple.bytes());
        match self.reassembly.first(id, control, &self.atoms, part)? {
            Some(whole) => self.whole(whole).map(Some),
            None => Ok(None),
        }
    }

    fn fragment(&mut self, frame: &Bytes) -> Result<Option<Signal>, Error> {
        let mut input = Input::new(frame);
        let id = fragment_id(&mut input)?;
        match self.reassembly.more(id, input.rest())? {
            Some(whole) => self.whole(whole).map(Some),
            None => Ok(None),
        }
    }

    fn whole(&mut self, mut whole: Sequence) -> Result<Signal, Error> {
        let payload = whole.take_payload();
        let tuple = self.terms.tuple(&whole.control, &whole.atoms)?;
        self.terms.signal(tuple, &payload, 0, &whole.atoms)
    }
}

fn fragment_id(input: &mut Input<'_>) -> Result<FragmentId, Error> {
    input.take(2)?;
    Ok(FragmentId {
        sequence: input.u64()?,
        number: input.u64()?,
    })
}

impl Terms {
    /// The control tuple that `bytes` start with.
    fn tuple<'a>(&mut self, bytes: &'a [u8], atoms: &'a [Atom]) -> Result<View<'a>, Error> {
        let mut decoder = Decoder::new(atoms, &self.limits, &mut self.names);
        decoder.view(bytes).map_err(Error::ControlTerm)
    }

    /// The signal of a control tuple, its payload being what `buffer` holds from `at` on.
    fn signal(
        &mut self,
        tuple: View<'_>,
        buffer: &Bytes,
        at: usize,
        atoms: &[Atom],
    ) -> Result<Signal, Error> {
        let control = Control::of(tuple)?;
        let payload = if at == buffer.len() {
            None
        } else {
            Some(self.payload(control.op_with_payload()?, buffer, at, atoms)?)
        };
        Ok(control.signal(payload)?)
    }

    /// The signal in `frame` behind its header, if it is of a frequent form.
    fn frequent(
        &mut self,
        frame: &Bytes,
        input: Input<'_>,
        atoms: &[Atom],
    ) -> Result<Option<Signal>, Error> {
        let Some(peeled) = peel(input.rest(), atoms, &mut self.nodes, &mut self.names) else {
            return Ok(None);
        };
        let (op, at) = (peeled.op, input.at() + peeled.len);
        if op.has_payload() != (at < frame.len()) {
            return Ok(None);
        }
        let mut payload = || self.payload(op, frame, at, atoms);
        Ok(Some(match peeled.tuple {
            Tuple::Whole(signal) => signal,
            Tuple::Send { from, to } => Signal::Send {
                from: Some(from),
                to,
                message: payload()?,
                priority: false,
                token: None,
            },
            Tuple::MonitorExit {
                from,
                to,
                reference,
            } => Signal::MonitorExit {
                from: Monitored::Pid(from),
                to,
                reference,
                reason: payload()?,
            },
            Tuple::SpawnRequest(request) => {
                let arguments = payload()?;
                self.spawn_request(request, arguments, atoms)?
            }
        }))
    }

    fn spawn_request(
        &mut self,
        request: SpawnTuple<'_>,
        arguments: EncodedTerm,
        atoms: &[Atom],
    ) -> Result<Signal, Error> {
        let options = match self.options.find(request.options, LIST_HEAD_LEN, atoms) {
            Some(known) => known,
            None => {
                let bytes = Bytes::copy_from_slice(request.options);
                let options = EncodedTerm::validated(bytes, atoms, &self.limits, &mut self.names);
                self.options.keep(options.map_err(Error::ControlTerm)?)
            }
        };
        Ok(Signal::SpawnRequest(Box::new(SpawnRequest {
            id: request.id,
            from: request.from,
            group_leader: request.group_leader,
            module: request.module.clone(),
            function: request.function.clone(),
            arity: request.arity,
            options,
            arguments,
            token: None,
        })))
    }

    /// The payload that `buffer` holds from `at` on.
    fn payload(
        &mut self,
        op: Op,
        buffer: &Bytes,
        at: usize,
        atoms: &[Atom],
    ) -> Result<EncodedTerm, Error> {
        let mut validated = |bytes| {
            EncodedTerm::validated(bytes, atoms, &self.limits, &mut self.names)
                .map_err(|error| Error::Payload { op, error })
        };
        match &buffer[at..] {
            atom @ [ATOM_REF, _] => match self.atom.find(atom, 0, atoms) {
                Some(known) => Ok(known),
                None => Ok(self.atom.keep(validated(Bytes::copy_from_slice(atom))?)),
            },
            [NIL] => Ok(EncodedTerm::nil()),
            small if small.len() <= COPIED_PAYLOAD_MAX => validated(Bytes::copy_from_slice(small)),
            _ => validated(buffer.slice(at..)),
        }
    }

    /// The payload that follows the tag of a compressed term. Only pass-through frames have those:
    /// their terms are whole external terms.
    fn inflated(&mut self, control: &Control<'_>, compressed: &[u8]) -> Result<EncodedTerm, Error> {
        let op = control.op_with_payload()?;
        let fail = |error| Error::Payload { op, error };
        let (bytes, used) = inflate(compressed, self.limits.inflated_max).map_err(fail)?;
        if used < compressed.len() {
            let kind = Kind::Trailing(compressed.len() - used);
            return Err(fail(DecodeError { kind, at: used }));
        }
        let bytes = Bytes::from(bytes.into_boxed_slice());
        EncodedTerm::validated(bytes, &[], &self.limits, &mut self.names).map_err(fail)
    }
}
