//! Threads of the lowest scheduling class, one for each core: they take only time that nobody
//! else wants, and keep virtual cores from idling, since waking an idle one takes longer than most
//! of what single messages are measured for.

use std::process::{Child, Command, Stdio};

use crate::turns::Failure;

const CORES: usize = 2;

/// Spin until they are dropped.
pub(super) struct Spinners(Vec<Child>);

impl Spinners {
    pub(super) fn start() -> Result<Self, Failure> {
        let mut spinners = Self(Vec::new());
        for _ in 0..CORES {
            let child = Command::new("chrt")
                .args(["--idle", "0"])
                .arg(std::env::current_exe()?)
                .args(["--worker", "spin"])
                .stdin(Stdio::piped())
                .spawn()
                .map_err(|error| format!("chrt(1), of util-linux: {error}"))?;
            spinners.0.push(child);
        }
        Ok(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The spinner itself.
pub(super) fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}
