#[purlin_macros::message(serde = "::serde")]
union Number {
    small: u32,
    large: u64,
}

fn main() {}
