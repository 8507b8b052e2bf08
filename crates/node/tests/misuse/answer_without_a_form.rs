use purlin_node::Node;

struct Price;

fn export(node: &Node) {
    node.export("m", "price", |_: i64| async move { Price });
}

fn main() {}
