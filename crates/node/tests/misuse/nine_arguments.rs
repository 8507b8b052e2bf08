use purlin_node::Node;

type N = i64;

fn export(node: &Node) {
    node.export("m", "sum", |a: N, b: N, c: N, d: N, e: N, f: N, g: N, h: N, i: N| async move {
        a + b + c + d + e + f + g + h + i
    });
}

fn main() {}
