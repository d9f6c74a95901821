//! Bodies and queries as Stripe reads them: names with brackets, and nothing that it does not know.

use std::collections::BTreeMap;

use crate::stripe::answer::Failure;

/// `line_items[0][quantity]=1` and its like, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`; the last of two values with one name counts.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(n, v)| (decode(n), decode(v)))
                .collect(),
        )
    }

    /// Refuses names that are not in `known`; one that ends in `*` stands for all that begin so.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let stranger = self.0.keys().find(|name| {
            !known.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == known,
            })
        });
        match stranger {
            Some(name) => Err(Failure::invalid(
                "parameter_unknown",
                name,
                &format!("Received unknown parameter: {name}"),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Failure> {
        let missing =
            || Failure::invalid("parameter_missing", name, &format!("Missing required param: {name}."));
        self.text(name).ok_or_else(missing)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong =
            |_| Failure::invalid("parameter_invalid_integer", name, &format!("Invalid integer: {text}"));
        text.parse().map(Some).map_err(wrong)
    }

    /// `metadata[key]=value` below `name`.
    pub(super) fn map(&self, name: &str) -> BTreeMap<String, String> {
        let start = format!("{name}[");
        let below = self.0.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(&start)?.strip_suffix(']')?;
            (!key.contains('[')).then(|| (key.to_owned(), value.clone()))
        });
        below.collect()
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(decoded)) => {
                bytes.push(decoded);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_read_escaped_or_not() {
        for text in ["metadata[a]=x%20y&metadata[b]=1&n=%2B", "metadata%5Ba%5D=x+y&metadata%5bb%5d=1&n=%2b"] {
            let form = Form::parse(text);
            assert_eq!(
                form.map("metadata"),
                BTreeMap::from([("a".into(), "x y".into()), ("b".into(), "1".into())])
            );
            assert_eq!(form.text("n"), Some("+"));
        }
        assert_eq!(Form::parse("a=%zz&b=%"), Form::parse("b=%25&a=%25zz"));
    }

    #[test]
    fn a_stranger_among_the_names_is_refused() {
        let form = Form::parse("mode=payment&metadata[a]=1");
        assert!(form.only(&["mode", "metadata[*"]).is_ok());
        assert!(form.only(&["mode"]).is_err());
    }
}
