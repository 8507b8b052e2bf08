#[purlin_macros::message(serde = "::serde")]
struct Put {
    key: String,
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, u8>,
}

fn main() {}
