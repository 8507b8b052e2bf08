//! What a user sees who writes a server that cannot be one.

#[test]
fn misuse_of_behaviours_does_not_compile_and_says_why() {
    trybuild::TestCases::new().compile_fail("tests/misuse/*.rs");
}
