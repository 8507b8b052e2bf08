use std::rc::Rc;

use purlin_node::Node;

fn export(node: &Node) {
    node.export("m", "count", |n: i64| async move {
        let count = Rc::new(n);
        std::future::ready(()).await;
        *count
    });
}

fn main() {}
