use purlin_node::Node;

fn export(node: &Node) {
    node.export("m", "double", |n: i64| 2 * n);
}

fn main() {}
