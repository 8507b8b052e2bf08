use purlin::prelude::*;

struct Cache<T>(Vec<T>);

#[purlin::gen_server]
impl<T: Send + 'static> GenServer for Cache<T> {
    #[cast]
    fn put(&mut self, value: Vec<T>) {
        self.0.extend(value);
    }
}

struct Shown;

#[purlin::gen_server]
impl GenServer for Shown {
    #[cast]
    fn show<D: std::fmt::Display>(&mut self, value: D) {
        println!("{value}");
    }
}

struct Sometimes;

#[purlin::gen_server]
impl GenServer for Sometimes {
    #[cfg(test)]
    #[cast]
    fn reset(&mut self) {}
}

fn main() {}
