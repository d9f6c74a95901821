//! What a coupon's code looks like: letters and digits of ASCII and hyphens, in upper case in the book.

use crate::error::Problem;
use crate::limits::{COUPON_CODE_MAX, COUPON_CODE_MIN};

/// How much of a hidden code is shown, at most.
const SHOWN_MAX: usize = 3;

/// The code as the book has it, or what is wrong with the field at `pointer`.
pub fn parse(text: &str, pointer: &'static str) -> Result<String, Problem> {
    let fits = (COUPON_CODE_MIN..=COUPON_CODE_MAX).contains(&text.len());
    if fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(text.to_ascii_uppercase());
    }
    let detail = format!("must have {COUPON_CODE_MIN} to {COUPON_CODE_MAX} letters, digits or hyphens");
    Err(Problem::invalid(pointer, detail))
}

/// The code for those who must not be able to use it: its end tells it from others, and most of it is hyphens.
pub(super) fn hidden(code: &str) -> String {
    let shown = (code.len() / 3).min(SHOWN_MAX);
    let hidden = code.len() - shown;
    format!("{}{}", "-".repeat(hidden), code.get(hidden..).unwrap_or_default())
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

    #[test]
    fn a_hidden_code_shows_its_end_alone() {
        for (code, shown) in [("ABCD", "---D"), ("DASHAIN-2026", "---------026")] {
            assert_eq!(hidden(code), shown);
        }
    }
}
