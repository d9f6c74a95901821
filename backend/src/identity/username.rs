//! The name that other riders see.

use crate::error::Problem;
use crate::limits;

/// Reads a name that a rider chose. Names differ in more than their case, so that nobody passes for another.
pub fn parse(text: &str) -> Result<String, Problem> {
    let name = text.trim().to_ascii_lowercase();
    let length_fits = (limits::USERNAME_MIN..=limits::USERNAME_MAX).contains(&name.len());
    let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if length_fits && begins_well && name.bytes().all(is_known) {
        return Ok(name);
    }
    let (least, most) = (limits::USERNAME_MIN, limits::USERNAME_MAX);
    let detail = format!(
        "must have {least} to {most} letters of a to z, digits, dots, dashes or underscores, and begin with a letter or digit"
    );
    Err(Problem::invalid("/username", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_of_one_case() {
        for (text, name) in [
            (" Sita.Rai ", Some("sita.rai")),
            ("a-1", Some("a-1")),
            ("ab", None),
            (".abc", None),
            ("a b c", None),
            ("सीता", None),
            ("a\0bc", None),
            ("abcdefghijklmnopqrstuvwxyz01234", None),
        ] {
            assert_eq!(parse(text).ok().as_deref(), name, "{text:?}");
        }
    }
}
