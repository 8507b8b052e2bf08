use purlin::prelude::*;

struct Counter(i64);

#[purlin::gen_server]
impl GenServer for Counter {
    #[call]
    fn add(&mut self, n: i64) -> i64 {
        self.0 += n;
        self.0
    }
}

async fn add(counter: ServerRef<Counter>) {
    let _: String = counter.call(Add(2)).await.unwrap();
}

fn main() {}
