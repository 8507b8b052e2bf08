//! A chat room: members are processes that the room watches, and who leaves or crashes is out.
//!
//! `cargo run --example chat_room`

use std::collections::BTreeMap;

use purlin::prelude::*;

#[purlin::message]
struct Said {
    who: String,
    what: String,
}

#[derive(Default)]
struct Room {
    members: BTreeMap<Reference, (String, Pid)>,
}

#[purlin::gen_server]
impl GenServer for Room {
    /// Who joins hears what is said until it ends.
    #[call]
    fn join(&mut self, name: String, member: Pid, ctx: &mut Context<Self>) -> usize {
        self.members.insert(ctx.monitor(member), (name, member));
        self.members.len()
    }

    #[call]
    fn members(&self) -> usize {
        self.members.len()
    }

    #[cast]
    async fn say(&mut self, who: String, what: String, ctx: &mut Context<Self>) {
        for (_, member) in self.members.values() {
            let (who, what) = (who.clone(), what.clone());
            let _ = ctx.send(*member, Said { who, what }).await;
        }
    }

    async fn handle_down(
        &mut self,
        member: Reference,
        _: Target,
        _: Reason,
        ctx: &mut Context<Self>,
    ) {
        if let Some((name, _)) = self.members.remove(&member) {
            let (who, what) = ("the room".into(), format!("{name} left"));
            self.handle_cast(Say(who, what), ctx).await;
        }
    }
}

/// Joins, greets, and tells what it hears until it has heard enough.
async fn member(room: ServerRef<Room>, mut me: Process<Said>, name: &'static str, hears: usize) {
    let Ok(members) = room.call(Join(name.into(), me.pid())).await else {
        return;
    };
    let greeting = format!("hello, we are {members}");
    let _ = room.cast(Say(name.into(), greeting)).await;
    for _ in 0..hears {
        let Said { who, what } = me.receive_message().await;
        println!("{name} hears {who}: {what}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("chat@127.0.0.1")
        .cookie("secret")
        .without_epmd();
    let node = node.start().await?;
    let room = Room::default().start(&node).await?;

    let (ann, bob) = (room.clone(), room.clone());
    let ann = node.runtime().spawn(|me| member(ann, me, "ann", 3))?;
    let watcher = node.attach()?;
    watcher.monitor(ann.pid());
    // Ann hears her own greeting, Bob's, and that Bob left.
    while room.call(Members).await? < 1 {}
    node.runtime().spawn(|me| member(bob, me, "bob", 1))?;
    ended(watcher).await;

    node.stop(std::time::Duration::from_secs(1)).await;
    Ok(())
}

/// Returns when what the watcher watches has ended.
async fn ended(mut watcher: Mailbox) {
    while !matches!(watcher.receive().await, Delivery::Down { .. }) {}
}
