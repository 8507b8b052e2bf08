//! What benches share in which systems take turns: which loads and systems are asked for, programs
//! that answer one line within a limit, and figures of several rounds.

mod figures;
mod only;
mod program;

pub(crate) use figures::{Figures, human_rate, is_noise, three_digits};
pub(crate) use only::Only;
pub(crate) use program::{Lost, erl, first_line, last_line_of};

pub(crate) type Failure = Box<dyn std::error::Error>;
