use purlin::prelude::*;

struct Till(u32);

#[purlin::gen_server]
impl GenServer for Till {
    #[call]
    fn pay(&mut self, sum: u32) -> u32 {
        self.0 += sum;
        self.0
    }

    fn state(&self) -> Option<Term> {
        Some(self.0.into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("shop@127.0.0.1").cookie("secret").start().await?;
    node.supervise(one_for_one().registered("till", || Till(0))).await?;
    node.export("shop", "price", |item: String, pieces: u32| async move {
        match item.as_str() {
            "nail" => Ok(3 * pieces),
            _ => Err(Raise::badarg()),
        }
    });
    tokio::signal::ctrl_c().await?;
    Ok(())
}
