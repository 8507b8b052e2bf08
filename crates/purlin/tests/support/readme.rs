//! What README has its reader type, and what it says is printed then.

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"));

/// A line to type and the one line that is to be printed.
pub type Typed = (&'static str, &'static str);

/// What follows a prompt of this kind, and the line after it.
fn typed(input: impl Fn(&'static str) -> Option<&'static str>) -> Vec<Typed> {
    let lines: Vec<&str> = README.lines().map(str::trim).collect();
    let pairs = lines.windows(2);
    let found: Vec<Typed> = pairs
        .filter_map(|pair| Some((input(pair[0])?, pair[1])))
        .collect();
    assert!(!found.is_empty(), "README has such lines");
    found
}

/// The lines for `erl`, without their dots and comments.
pub fn for_erl() -> Vec<Typed> {
    typed(|line| {
        let (number, code) = line.split_once("> ")?;
        number.parse::<u32>().ok()?;
        let code = code.split('%').next()?;
        code.trim_end().strip_suffix('.')
    })
}

/// The lines for `iex`.
pub fn for_iex() -> Vec<Typed> {
    typed(|line| line.strip_prefix("iex> "))
}

/// The commands that print an answer, as arguments of the binary.
pub fn for_the_shell() -> Vec<(Vec<&'static str>, &'static str)> {
    let typed = typed(|line| line.strip_prefix("$ cargo run --release -- "));
    // The shell's quotes, in which README has no spaces.
    let words = |line: &'static str| {
        line.split(' ')
            .map(|word| word.trim_matches('\''))
            .collect()
    };
    typed
        .into_iter()
        .map(|(line, printed)| (words(line), printed))
        .collect()
}

/// The program in Rust.
pub fn program() -> &'static str {
    let (_, program) = README
        .split_once("\n```rust,no_run\n")
        .expect("README has a program");
    let (program, _) = program.split_once("```").expect("it ends");
    program
}
