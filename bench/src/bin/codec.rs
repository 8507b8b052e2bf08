//! The codec bench with the allocator that Rust programs have by default. See `codec`.

fn main() -> std::process::ExitCode {
    purlin_bench::codec::main()
}
