//! What passes over connections, recorded by `tcpdump` and read by Wireshark's dissector of the Erlang
//! distribution protocol (`tshark`): a judge of our frames that is neither ours nor OTP's.
//!
//! What the judge cannot read, measured with Wireshark 4.0.17 on connections between two nodes of OTP
//! 25 and of OTP 28, and so is not held against anyone:
//! - what follows a string (tag 107), a bitstring (77) or a map (116) in a message: it does not know
//!   where they end, so what it makes of the rest is left out;
//! - the names of operations 35, 36 (unlinking) and 37 (alternative actions); it does read their terms.
//!
//! Recording needs root, or a passwordless sudo.

use std::fmt::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Net, PATIENCE};

/// Tags of terms whose end the judge does not find: `STRING_EXT`, `BIT_BINARY_EXT`, `MAP_EXT`.
const UNREAD: [&str; 3] = ["(107)", "(77)", "(116)"];

/// A recording of some ports of the loopback interface.
pub struct Capture {
    tcpdump: Child,
    printed: Lines<BufReader<ChildStdout>>,
    marker: UdpSocket,
    file: PathBuf,
    ports: Vec<u16>,
}

impl Capture {
    /// Records from now on what passes to and from these ports.
    pub async fn start(net: &Net, ports: &[u16]) -> Self {
        let marker = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut filter = format!("udp port {}", marker.local_addr().unwrap().port());
        for port in ports {
            write!(filter, " or tcp port {port}").unwrap();
        }
        let file = net.folder().join("frames.pcap");
        let mut command = as_root("tcpdump");
        // Each packet is printed when it is in the file, which is how `end` knows that all are.
        command
            .args("-i lo -n -q -l --print -U --immediate-mode -s 0 -B 65536 -w".split(' '))
            .arg(&file)
            .arg(&filter)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut tcpdump = command
            .spawn()
            .expect("tcpdump is there: `cargo xtask test` installs it");
        let mut told = BufReader::new(tcpdump.stderr.take().unwrap()).lines();
        let mut printed = BufReader::new(tcpdump.stdout.take().unwrap()).lines();
        let started = next_with(&mut told, "listening on lo").await;
        assert!(started, "tcpdump needs root or a passwordless sudo");
        // It listens before its filter holds: the first marker that it prints says that it does.
        send_to_itself(&marker);
        assert!(next_with(&mut printed, "UDP").await);
        Self {
            tcpdump,
            printed,
            marker,
            file,
            ports: ports.to_vec(),
        }
    }

    /// Ends the recording, when all that passed until now is in it. Answers its file.
    pub async fn end(mut self) -> Recording {
        send_to_itself(&self.marker);
        assert!(next_with(&mut self.printed, "UDP").await);
        let pid = self.tcpdump.id().expect("it runs").to_string();
        let ended = as_root("kill").arg(pid).status().await.unwrap();
        assert!(ended.success());
        self.tcpdump.wait().await.unwrap();
        Recording {
            file: self.file,
            ports: self.ports,
        }
    }
}

fn as_root(program: &str) -> Command {
    let is_root = std::process::Command::new("id").arg("-u").output();
    if is_root.is_ok_and(|said| said.stdout.starts_with(b"0")) {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn send_to_itself(socket: &UdpSocket) {
    let address = socket.local_addr().unwrap();
    socket.send_to(b"marker", address).unwrap();
}

/// Whether a line with `text` comes before the end.
async fn next_with<R: tokio::io::AsyncBufRead + Unpin>(lines: &mut Lines<R>, text: &str) -> bool {
    let search = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(text) {
                return true;
            }
        }
        false
    };
    timeout(PATIENCE, search).await.expect("tcpdump says more")
}

/// The file of a recording that has ended.
pub struct Recording {
    pub file: PathBuf,
    ports: Vec<u16>,
}

impl Recording {
    /// What the judge makes of it: the frames, in their order.
    pub async fn dissect(&self) -> Vec<Frame> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file);
        for port in &self.ports {
            command.args(["-d", &format!("tcp.port=={port},erldp")]);
        }
        // Errors are reported of TCP as well; warnings of it only tell that someone was slow.
        command.args([
            "-O",
            "erldp",
            "-Y",
            "erldp || _ws.malformed || _ws.expert.severity == error",
        ]);
        let output = command
            .output()
            .await
            .expect("tshark is there: `cargo xtask test` installs it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let mut reading = Reading::default();
        let printed = String::from_utf8_lossy(&output.stdout);
        printed.lines().for_each(|line| reading.read(line));
        reading.frames
    }
}

/// What the judge makes of one frame; of a message in fragments, where the last one ends it.
#[derive(Debug)]
pub struct Frame {
    pub from: u16,
    pub to: u16,
    /// The number of the control message's operation; none in handshakes, ticks and first fragments.
    pub operation: Option<u8>,
    /// What is wrong, in the judge's words.
    pub faults: Vec<String>,
    /// It has lost its place.
    is_lost: bool,
    is_in_control: bool,
}

/// The way through what `tshark -O erldp` prints.
#[derive(Default)]
struct Reading {
    ports: (u16, u16),
    frames: Vec<Frame>,
}

impl Reading {
    fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("Transmission Control Protocol, Src Port: ") {
            let mut numbers = rest.split([' ', ',']).filter_map(|word| word.parse().ok());
            self.ports = (numbers.next().unwrap(), numbers.next().unwrap());
        } else if line == "Erlang Distribution Protocol" {
            self.frames.push(Frame::new(self.ports));
        } else if let Some(frame) = self.frames.last_mut() {
            frame.read(line.trim());
        }
    }
}

impl Frame {
    fn new((from, to): (u16, u16)) -> Self {
        Self {
            from,
            to,
            operation: None,
            faults: Vec::new(),
            is_lost: false,
            is_in_control: false,
        }
    }

    fn read(&mut self, line: &str) {
        let is_fault = ["[Malformed Packet", "[Expert Info (Error", "Tag: Unknown"]
            .iter()
            .any(|fault| line.starts_with(fault));
        self.is_lost |= line.starts_with("Tag: ") && UNREAD.iter().any(|tag| line.ends_with(tag));
        if is_fault && !self.is_lost {
            self.faults.push(line.to_owned());
        }
        if line == "ControlMessage" {
            self.is_in_control = true;
        } else if self.is_in_control
            && let Some(number) = line.strip_prefix("Int: ")
        {
            self.operation = number.parse().ok();
            self.is_in_control = false;
        }
    }
}
