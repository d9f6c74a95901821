//! Money: whole paisa, exact, never a float (L16).

use sea_orm::DeriveValueType;
use std::fmt;
use std::str::FromStr;

/// An amount in paisa, a hundredth of a Nepali rupee. BIGINT in both databases.
///
/// There is no `+`: additions are checked, because an amount that wraps around is a wrong bill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Paisa(pub i64);

impl Paisa {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole rupees; `None` if that does not fit.
    pub const fn from_rupees(rupees: i64) -> Option<Self> {
        match rupees.checked_mul(100) {
            Some(paisa) => Some(Self(paisa)),
            None => None,
        }
    }

    /// Reads a decimal number of rupees with at most two decimal places, like `150`, `150.5` or `-0.05`.
    ///
    /// Anything else is refused: no exponent, no plus sign, no grouping, no blanks, no third decimal place.
    pub fn parse(text: &str) -> Result<Self, MoneyTextError> {
        let refused = || MoneyTextError(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (rupees, fraction) = match digits.split_once('.') {
            Some((rupees, fraction)) if matches!(fraction.len(), 1 | 2) => (rupees, fraction),
            Some(_) => return Err(refused()),
            None => (digits, ""),
        };
        if rupees.is_empty() {
            return Err(refused());
        }
        // Counted downwards for negative amounts, so that the least i64 can be read back as well.
        let mut paisa: i64 = 0;
        let places = fraction.bytes().chain(std::iter::repeat(b'0')).take(2);
        for digit in rupees.bytes().chain(places) {
            if !digit.is_ascii_digit() {
                return Err(refused());
            }
            let digit = i64::from(digit - b'0');
            paisa = paisa
                .checked_mul(10)
                .and_then(|paisa| if negative { paisa.checked_sub(digit) } else { paisa.checked_add(digit) })
                .ok_or_else(refused)?;
        }
        Ok(Self(paisa))
    }

    /// The sum; `None` if it does not fit.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(paisa) => Some(Self(paisa)),
            None => None,
        }
    }

    /// The difference; `None` if it does not fit. It may be negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(paisa) => Some(Self(paisa)),
            None => None,
        }
    }

    /// So many times the amount; `None` if it does not fit.
    pub const fn checked_mul(self, times: i64) -> Option<Self> {
        match self.0.checked_mul(times) {
            Some(paisa) => Some(Self(paisa)),
            None => None,
        }
    }

    /// The amount with the other sign; `None` for the least number, which has none.
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(paisa) => Some(Self(paisa)),
            None => None,
        }
    }

    /// The sum of many; `None` if it does not fit.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// More than nothing.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Less than nothing.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Exactly nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Rupees with two decimal places, as in `150.00`; [`Paisa::parse`] reads it back.
impl fmt::Display for Paisa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative() { "-" } else { "" };
        let paisa = self.0.unsigned_abs();
        f.pad(&format!("{sign}{}.{:02}", paisa / 100, paisa % 100))
    }
}

impl FromStr for Paisa {
    type Err = MoneyTextError;

    fn from_str(text: &str) -> Result<Self, MoneyTextError> {
        Self::parse(text)
    }
}

/// A text that is not an amount of rupees with at most two decimal places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of rupees with at most two decimal places")]
pub struct MoneyTextError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, paisa) in [
            ("0", 0),
            ("150", 15_000),
            ("150.00", 15_000),
            ("150.5", 15_050),
            ("0.05", 5),
            ("-0.05", -5),
            ("-12.34", -1_234),
            ("007.10", 710),
            ("92233720368547758.07", i64::MAX),
            ("-92233720368547758.08", i64::MIN),
        ] {
            assert_eq!(Paisa::parse(text), Ok(Paisa(paisa)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "-",
            ".",
            ".5",
            "5.",
            "1.234",
            "+1",
            "1e2",
            " 1",
            "1 ",
            "1,000",
            "--1",
            "1.-5",
            "1.0.0",
            "NaN",
            "९",
            "92233720368547758.08",
            "-92233720368547758.09",
            "99999999999999999999",
        ] {
            assert_eq!(Paisa::parse(text), Err(MoneyTextError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn an_amount_shows_as_it_is_read() {
        for (paisa, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (15_000, "150.00"),
            (i64::MAX, "92233720368547758.07"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            assert_eq!(Paisa(paisa).to_string(), text);
            assert_eq!(Paisa::parse(text), Ok(Paisa(paisa)));
        }
    }

    proptest::proptest! {
        #[test]
        fn every_amount_survives_its_text(paisa: i64) {
            assert_eq!(Paisa::parse(&Paisa(paisa).to_string()), Ok(Paisa(paisa)));
        }

        #[test]
        fn what_is_read_shows_as_the_same_number(text in "-?[0-9]{1,12}(\\.[0-9]{1,2})?") {
            let read = Paisa::parse(&text).unwrap().to_string();
            let (rupees, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let (whole, places) = read.split_once('.').unwrap();
            assert_eq!(places, format!("{fraction:0<2}"));
            assert_eq!(whole.parse::<i64>().unwrap(), rupees.parse::<i64>().unwrap());
        }
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(Paisa(i64::MAX).checked_add(Paisa(1)), None);
        assert_eq!(Paisa(i64::MIN).checked_sub(Paisa(1)), None);
        assert_eq!(Paisa(i64::MAX).checked_mul(2), None);
        assert_eq!(Paisa(i64::MIN).checked_neg(), None);
        assert_eq!(Paisa::from_rupees(i64::MAX), None);
        assert_eq!(Paisa::checked_sum([Paisa(i64::MAX), Paisa(1)]), None);
        assert_eq!(Paisa::checked_sum([Paisa(1), Paisa(2), Paisa(-4)]), Some(Paisa(-1)));
    }
}
