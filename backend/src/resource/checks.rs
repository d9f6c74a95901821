//! What is wrong with the fields that staff typed: all of it, not only the first.

use crate::error::{FieldProblem, Problem, RequestRefusal};
use axum::http::Uri;

/// Notes each field that is wrong, by its JSON pointer.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldProblem>);

impl Checks {
    /// Trims a text that must have 1 to `max` characters.
    pub fn text(&mut self, pointer: &str, text: &mut String, max: usize) {
        trim(text);
        let fits = !text.is_empty() && text.chars().count() <= max;
        self.require(fits, pointer, || format!("must have 1 to {max} characters"));
        self.without_nul(pointer, text);
    }

    /// Trims a text that may be empty and has at most `max` characters.
    pub fn text_or_empty(&mut self, pointer: &str, text: &mut String, max: usize) {
        trim(text);
        self.require(text.chars().count() <= max, pointer, || format!("must have at most {max} characters"));
        self.without_nul(pointer, text);
    }

    /// PostgreSQL cannot store it.
    fn without_nul(&mut self, pointer: &str, text: &str) {
        self.require(!text.contains('\0'), pointer, || "must not contain NUL".to_owned());
    }

    /// Trims a text that may be absent; an empty one is absent.
    pub fn text_or_none(&mut self, pointer: &str, text: &mut Option<String>, max: usize) {
        if let Some(present) = text {
            self.text_or_empty(pointer, present, max);
        }
        if text.as_deref() == Some("") {
            *text = None;
        }
    }

    /// A link: `https://…`, `http://…`, or a path on this server. Never a scheme that runs code.
    pub fn link(&mut self, pointer: &str, link: &mut String, max: usize) {
        self.text(pointer, link, max);
        let detail = || "must be an https:// link or a path that begins with /".to_owned();
        self.require(is_link(link), pointer, detail);
    }

    /// A link that may be absent; an empty one is absent.
    pub fn link_or_none(&mut self, pointer: &str, link: &mut Option<String>, max: usize) {
        if link.as_deref().is_some_and(|link| link.trim().is_empty()) {
            *link = None;
        }
        if let Some(present) = link {
            self.link(pointer, present, max);
        }
    }

    /// A number within bounds.
    pub fn number(&mut self, pointer: &str, number: i32, bounds: std::ops::RangeInclusive<i32>) {
        let detail = || format!("must be {} to {}", bounds.start(), bounds.end());
        self.require(bounds.contains(&number), pointer, detail);
    }

    /// Notes the field if the condition does not hold; the first fault of a field is enough.
    pub fn require(&mut self, holds: bool, pointer: &str, detail: impl FnOnce() -> String) {
        if !holds && !self.0.iter().any(|fault| fault.pointer == pointer) {
            self.0.push(FieldProblem { pointer: pointer.to_owned(), detail: detail() });
        }
    }

    /// All is well, or one problem that names every fault.
    pub(crate) fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Problem { errors: self.0, ..RequestRefusal::ValidationFailed.problem() })
    }
}

fn trim(text: &mut String) {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
}

fn is_link(link: &str) -> bool {
    let Ok(uri) = link.parse::<Uri>() else { return false };
    match (uri.scheme_str(), uri.host()) {
        (Some("https" | "http"), Some(host)) => !host.is_empty(),
        // `//host/path` is another server's.
        (None, None) => link.starts_with('/') && !link.starts_with("//"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web_or_to_this_server() {
        for (link, good) in [
            ("https://chautari.example/offers?x=1", true),
            ("http://127.0.0.1:8080/a.svg", true),
            ("/assets/flag-np.svg", true),
            ("//elsewhere.example/a.svg", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("chautari.example", false),
            ("https://", false),
            ("assets/flag.svg", false),
            ("", false),
        ] {
            assert_eq!(is_link(link), good, "{link}");
        }
    }

    #[test]
    fn every_fault_is_named_once() {
        let mut checks = Checks::default();
        let (mut name, mut link) = ("  ".to_owned(), "javascript:x".to_owned());
        checks.text("/name", &mut name, 5);
        checks.require(false, "/name", || "twice".to_owned());
        checks.link("/link", &mut link, 100);
        checks.number("/order", 3, 0..=2);
        let faults: Vec<_> =
            checks.done().unwrap_err().errors.into_iter().map(|fault| fault.pointer).collect();
        assert_eq!(faults, ["/name", "/link", "/order"]);
    }
}
