//! The local bench. See `purlin_bench::local`.

fn main() -> std::process::ExitCode {
    purlin_bench::local::main()
}
