//! The runtime under the systems that are made of tokio tasks.

/// As the goals say: the machine they were set on has two cores.
pub(super) const WORKERS: usize = 2;

/// Runs on the worker threads, as a task of theirs. When it ends, what it started is not waited
/// for: ending a million tasks is not part of any load.
pub(super) fn run<T: Send + 'static>(load: impl Future<Output = T> + Send + 'static) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("two threads can be started");
    let answer = runtime.block_on(async { tokio::spawn(load).await });
    runtime.shutdown_background();
    answer.expect("the load does not panic")
}
