//! Floats as `io_lib_format:fwrite_g/1` writes them.
//!
//! The shortest digits that read back as the same float, with or without an exponent, whichever
//! is shorter. Since OTP 25 that is `float_to_list(Float, [short])`; 25 and 28 agree on every
//! float that was tried (`otp_oracle`, random bits).

use std::fmt;

use crate::Float;

/// From here on not every integer is a float, and OTP always writes an exponent.
const EXACT_INTEGERS_END: f64 = 9_007_199_254_740_992.0;

pub(super) fn write(f: &mut dyn fmt::Write, float: Float) -> fmt::Result {
    let value = float.get();
    if value.is_sign_negative() {
        f.write_char('-')?;
    }
    if value == 0.0 {
        return f.write_str("0.0");
    }
    // Rust's exponent form has the shortest digits: `d[.ddd]e[-]x`.
    let shortest = format!("{:e}", value.abs());
    let (digits, exponent) = shortest.split_once('e').expect("an exponent form");
    let digits = digits.replace('.', "");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    if value.abs() >= EXACT_INTEGERS_END || exponent_is_shorter(&digits, exponent) {
        with_exponent(f, &digits, exponent)
    } else {
        plain(f, &digits, exponent)
    }
}

/// The rule of OTP's `insert_decimal/2`: compares the zeros that the plain form would add with
/// what an exponent costs. Where neither form adds zeros, the plain one wins.
fn exponent_is_shorter(digits: &str, exponent: i32) -> bool {
    let len = digits.len() as i32;
    let point = exponent + 1;
    let zeros = match point {
        ..0 => -point,
        _ if point >= len => point - len,
        _ => return false,
    };
    let dot_cost = if len == 1 { 2 } else { 1 };
    let exponent_cost = exponent.to_string().len() as i32 + 1 + dot_cost;
    zeros + 2 > exponent_cost
}

fn with_exponent(f: &mut dyn fmt::Write, digits: &str, exponent: i32) -> fmt::Result {
    let (first, rest) = digits.split_at(1);
    let rest = if rest.is_empty() { "0" } else { rest };
    write!(f, "{first}.{rest}e{exponent}")
}

fn plain(f: &mut dyn fmt::Write, digits: &str, exponent: i32) -> fmt::Result {
    let point = exponent + 1;
    let Ok(whole) = usize::try_from(point) else {
        let zeros = point.unsigned_abs() as usize;
        return write!(f, "0.{:0<zeros$}{digits}", "");
    };
    match whole {
        0 => write!(f, "0.{digits}"),
        _ if whole >= digits.len() => write!(f, "{digits:0<whole$}.0"),
        _ => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut text = String::new();
        write(&mut text, Float::new(value).unwrap()).unwrap();
        text
    }

    /// Measured with `io_lib:format("~0tp", ..)` of OTP 25 and 28.
    #[test]
    fn floats_print_as_otp_prints_them() {
        let expected = "1.0 2.0 1.0e10 1.0e-5 0.001 0.01 0.1 123456.789 1.0e15 100.0 1.0e3 \
            1.0e23 9007199254740991.0 9.007199254740992e15 9.007199254740994e15 \
            1.2345678901234568e18 5.0e-324 1.7976931348623157e308 -0.0 0.0 1.0e5 1.23e-5 0.0001 \
            1.2345678901234568e16 4.5e15 123456789012.0 3.602879701896397e16 -1.5";
        for text_of_otp in expected.split_whitespace() {
            assert_eq!(text(text_of_otp.parse().unwrap()), text_of_otp);
        }
    }
}
