//! What a user sees who exports a function that cannot be called.

#[test]
fn misuse_does_not_compile_and_says_why() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
