//! A counter: a server that a supervisor keeps, which Rust asks by type and Erlang by
//! `gen_server:call({counter, 'counter@127.0.0.1'}, {add, 2})`.
//!
//! `cargo run --example counter`

use purlin::prelude::*;

struct Counter(i64);

#[purlin::gen_server]
impl GenServer for Counter {
    #[call]
    fn get(&self) -> i64 {
        self.0
    }

    #[call]
    fn add(&mut self, n: i64) -> i64 {
        self.0 += n;
        self.0
    }

    #[cast]
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("counter@127.0.0.1")
        .cookie("secret")
        .without_epmd();
    let node = node.start().await?;
    let tree = one_for_one().registered("counter", || Counter(40));
    node.supervise(tree).await?;

    // By name, on this node or another; and by type, which the compiler checks against what it takes.
    let name = ("counter", "counter@127.0.0.1");
    assert_eq!(node.call(name, Add(2)).await?, 42);
    let counter = ServerRef::<Counter>::of(&node, name);
    counter.cast(Reset).await?;
    assert_eq!(counter.call(Get).await?, 0);
    println!("the counter counts");

    node.stop(std::time::Duration::from_secs(1)).await;
    Ok(())
}
