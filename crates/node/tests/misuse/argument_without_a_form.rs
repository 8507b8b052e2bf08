use purlin_node::Node;

struct Item;

fn export(node: &Node) {
    node.export("m", "buy", |_: Item| async move { 1 });
}

fn main() {}
