//! What a coupon's code looks like: letters and digits of ASCII and hyphens, in upper case in the book.

use crate::error::Problem;
use crate::limits::{COUPON_CODE_MAX, COUPON_CODE_MIN};

/// The code as the book has it, or what is wrong with the field at `pointer`.
pub fn parse(text: &str, pointer: &'static str) -> Result<String, Problem> {
    let fits = (COUPON_CODE_MIN..=COUPON_CODE_MAX).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text.to_ascii_uppercase());
    }
    let detail = format!("must have {COUPON_CODE_MIN} to {COUPON_CODE_MAX} letters, digits or hyphens");
    Err(Problem::invalid(pointer, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_plain_and_in_upper_case() {
        for (text, code) in [
            ("welcome51", Some("WELCOME51")),
            ("DASHAIN-2026", Some("DASHAIN-2026")),
            ("abc", None),
            (" WELCOME51", None),
            ("दशैं2026", None),
            ("WELCOME\0", None),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456", None),
        ] {
            assert_eq!(parse(text, "/code").ok().as_deref(), code, "{text}");
        }
    }
}
