//! The two halves of a run that are in this program.
//!
//! A server writes `ready` and its address, and ends when its standard input closes: whoever
//! started it is gone then. A client writes one line: nanoseconds, two numbers where the load has
//! two columns. Both end without clearing up.

use std::io::Read;

use super::loads::{Job, Kind};
use super::spinners;
use super::systems::{self, Here, System};
use crate::turns::Failure;

/// What stands before the address of a server.
pub(super) const READY: &str = "ready ";

/// `serve SYSTEM MAPPER_PORT`, `drive SYSTEM MAPPER_PORT ADDRESS LOAD SIZE OPERATIONS`, or `spin`.
pub(super) fn work(args: &[String]) -> Result<(), Failure> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["serve", system, mapper] => {
            end_with_standard_input();
            half(system, |system| system.server)?.serve(mapper.parse()?);
            Ok(())
        }
        ["drive", system, mapper, address, kind, size, operations] => {
            let job = Job {
                kind: Kind::named(kind).ok_or("no such load")?,
                size: size.parse()?,
                operations: operations.parse()?,
            };
            let system = half(system, |system| system.client)?;
            let answer: Vec<String> = system
                .drive(mapper.parse()?, address, job)
                .iter()
                .map(ToString::to_string)
                .collect();
            println!("{}", answer.join(" "));
            std::process::exit(0)
        }
        ["spin"] => {
            end_with_standard_input();
            spinners::spin()
        }
        _ => Err("--worker wants serve, drive or spin, and their arguments".into()),
    }
}

fn half(name: &str, side: fn(&System) -> systems::Half) -> Result<&'static dyn Here, Failure> {
    let system = systems::ALL.iter().find(|known| known.name == name);
    match side(system.ok_or("no such system")?) {
        systems::Half::Here(here) => Ok(here),
        _ => Err("that half is another program".into()),
    }
}

fn end_with_standard_input() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
