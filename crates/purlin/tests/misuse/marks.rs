use purlin::prelude::*;

struct Borrows;

#[purlin::gen_server]
impl GenServer for Borrows {
    #[call]
    fn say(&mut self, text: &str) {}
}

struct Answers;

#[purlin::gen_server]
impl GenServer for Answers {
    #[cast]
    fn reset(&mut self) -> i64 {
        0
    }
}

struct Both;

#[purlin::gen_server]
impl GenServer for Both {
    #[call]
    #[cast]
    fn reset(&mut self) {}
}

struct Free;

#[purlin::gen_server]
impl GenServer for Free {
    #[call]
    fn get() -> i64 {
        0
    }
}

struct Inherent;

#[purlin::gen_server]
impl Inherent {
    #[call]
    fn get(&self) -> i64 {
        0
    }
}

fn main() {}
