use purlin::prelude::*;

#[purlin::message(reply = i64)]
struct Add(i64);

struct Counter;

impl GenServer for Counter {
    type Messages = (by::Call<Add>,);
}

fn main() {}
