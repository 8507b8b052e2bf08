use purlin_node::Node;

fn export(node: &Node) {
    node.export("m", "len", |text: &str| {
        let len = text.len();
        async move { len }
    });
}

fn main() {}
