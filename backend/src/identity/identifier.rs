//! What a rider is known by: a Nepali mobile number or an e-mail address, each in one text form.

use crate::error::Problem;
use std::fmt;

/// The longest e-mail address, characters (RFC 5321).
const EMAIL_MAX: usize = 254;

/// A proven or to be proven way to reach a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// E.164: `+9779801234567`.
    Phone(String),
    /// Lower case.
    Email(String),
}

impl Identifier {
    /// Reads what a person typed. Numbers without a country are Nepal's; only Nepal's mobile numbers are taken,
    /// because codes to any other cost money and reach nobody we serve.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        let parsed = if text.contains('@') { email(text) } else { phone(text) };
        parsed.ok_or_else(|| {
            Problem::invalid("/identifier", "must be a Nepali mobile number or an e-mail address")
        })
    }

    /// The one text form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(text) | Self::Email(text) => text,
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Loads the number plans: the first parse is slow, so the program does one at its start.
pub fn warm_up() {
    let _ = phone("9801234567");
}

fn phone(text: &str) -> Option<Identifier> {
    use phonenumber::metadata::DATABASE;
    if text.len() > 32 || !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-() .".contains(&byte)) {
        return None;
    }
    let number = phonenumber::parse(Some(phonenumber::country::NP), text).ok()?;
    let is_mobile = matches!(
        number.number_type(&DATABASE),
        phonenumber::Type::Mobile | phonenumber::Type::FixedLineOrMobile
    );
    if number.code().value() != 977 || !number.is_valid() || !is_mobile {
        return None;
    }
    Some(Identifier::Phone(number.format().mode(phonenumber::Mode::E164).to_string()))
}

fn email(text: &str) -> Option<Identifier> {
    let (local, domain) = text.rsplit_once('@')?;
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&byte));
    let labels_fit = domain.split('.').all(|label| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    });
    let fits = text.len() <= EMAIL_MAX && !local.is_empty() && local.len() <= 64 && !local.contains('@');
    (fits && printable && labels_fit && domain.contains('.'))
        .then(|| Identifier::Email(text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_it_is_the_same_person() {
        for text in
            ["9801234567", "+9779801234567", "00977 980-1234567", " +977 980 123 4567 ", "977 9801234567"]
        {
            assert_eq!(Identifier::parse(text).unwrap().as_str(), "+9779801234567", "{text}");
        }
        assert_eq!(Identifier::parse("Sita@Example.COM").unwrap().as_str(), "sita@example.com");
    }

    #[test]
    fn what_reaches_no_rider_of_ours_is_refused() {
        for text in [
            "",
            "12345",
            "+14155550100",
            "014412345",
            "98012345678901234567890123456789012",
            "９８０１２３４５６７",
            "@",
            "a@",
            "@b.np",
            "a@b",
            "a@b..np",
            "a b@c.np",
            "a@b@c.np",
            "a@-b.np",
            "<x>@b.np",
            "98\n01234567",
        ] {
            assert!(Identifier::parse(text).is_err(), "{text:?}");
        }
    }
}
