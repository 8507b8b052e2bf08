use purlin::prelude::*;

#[purlin::message(reply = i64)]
struct Multiply(i64);

struct Counter(i64);

#[purlin::gen_server]
impl GenServer for Counter {
    #[call]
    fn add(&mut self, n: i64) -> i64 {
        self.0 += n;
        self.0
    }
}

async fn multiply(counter: ServerRef<Counter>) {
    let _ = counter.call(Multiply(2)).await;
}

fn main() {}
