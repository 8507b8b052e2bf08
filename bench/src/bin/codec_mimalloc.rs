//! The codec bench's Rust workers with mimalloc: `codec` runs it as a variant when it was built
//! (`cargo build --release --features mimalloc`).

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    purlin_bench::codec::main()
}
