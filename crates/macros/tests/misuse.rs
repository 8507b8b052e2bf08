//! What a user sees who uses the attribute where it cannot work.

#[test]
fn misuse_does_not_compile_and_says_why() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
