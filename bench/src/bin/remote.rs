//! The remote bench. See `purlin_bench::remote`.

fn main() -> std::process::ExitCode {
    purlin_bench::remote::main()
}
