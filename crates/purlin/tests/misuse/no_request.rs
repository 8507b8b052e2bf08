use purlin::prelude::*;

#[purlin::message]
struct Add(i64);

struct Counter(i64);

#[purlin::gen_server]
impl GenServer for Counter {
    #[call(Add)]
    fn add(&mut self, Add(n): Add) -> i64 {
        self.0 + n
    }
}

fn main() {}
