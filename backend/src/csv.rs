//! CSV (RFC 4180) that is safe to open in a spreadsheet.

/// A field with words from outside. A spreadsheet takes a field that begins with one of these signs
/// for a formula, so it gets an apostrophe before it (OWASP, CSV injection).
pub fn text(words: &str) -> String {
    let is_formula = words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", words.replace('"', "\"\""))
}

/// A field that may be absent; then it is empty.
pub fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Fields as a line.
pub fn line(fields: &[String]) -> String {
    fields.join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_a_formula_or_breaks_out() {
        for (words, field) in [
            ("paid", "\"paid\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("a,\"b\"\r\nc", "\"a,\"\"b\"\"\r\nc\""),
        ] {
            assert_eq!(text(words), field);
        }
        assert_eq!(line(&[optional(Some(5)), optional(None::<i32>), text("a")]), "5,,\"a\"\r\n");
    }
}
