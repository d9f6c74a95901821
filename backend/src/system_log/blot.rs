//! Blots secrets out of text, without I/O. It errs on the side of too much: a line that says less can be looked up
//! by its request, a token that was kept is out.

/// What stands where a secret stood.
pub(super) const BLOTTED: &str = "***";

/// Texts that begin like this are keys of providers.
const KEY_BEGINNINGS: &[&str] = &["sk_", "rk_", "whsec_", "pk_", "eyJ"];
/// The word after one of these is a credential.
const SCHEMES: &[&str] = &["bearer", "basic", "key"];
/// Words without spaces of so many letters and digits are tokens; an id has dashes and stays.
const TOKEN_MIN: usize = 24;
/// So many digits in a row are a telephone number, a card or a code; the last two stay.
const NUMBER_MIN: usize = 9;
/// In names of fields: what they hold is not for reading.
const SECRET_NAMES: &[&str] =
    &["password", "secret", "token", "authorization", "cookie", "otp", "code", "pin", "signature", "key"];
/// Of these names the value is no secret although a part of them sounds like one.
const OPEN_NAMES: &[&str] = &["dedup_key", "config_key", "key_id", "key_gen", "status_code", "problem_code"];

/// Whether a field of that name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !OPEN_NAMES.contains(&name.as_str())
        && name.split(['_', '.', '-']).any(|part| SECRET_NAMES.contains(&part))
}

/// The text without tokens, keys, passwords, addresses of people and telephone numbers.
pub fn blot(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut after_scheme = false;
    let mut after_name = false;
    let mut was_name = false;
    for piece in text.split_inclusive(is_border) {
        let border = piece.chars().next_back().filter(|last| is_border(*last));
        let word = border.map_or(piece, |border| &piece[..piece.len() - border.len_utf8()]);
        let names = matches!(border, Some('=' | ':'));
        if word.is_empty() {
            // `"token":` ends the name with a quote of its own.
            after_name |= names && was_name;
            clean.extend(border);
            continue;
        }
        if after_scheme || after_name {
            clean.push_str(BLOTTED);
        } else {
            clean.push_str(&blot_word(word));
        }
        let lower = word.to_ascii_lowercase();
        was_name = !after_name && is_secret(word);
        after_scheme = border == Some(' ') && SCHEMES.contains(&lower.as_str());
        after_name = names && was_name;
        clean.extend(border);
    }
    clean
}

/// Between words; a colon too, because `name:value` is common, and `user:password@host`.
fn is_border(letter: char) -> bool {
    letter.is_whitespace() || "\"'`,;=:(){}[]<>&?!/|\\".contains(letter)
}

fn blot_word(word: &str) -> String {
    if KEY_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning)) || is_token(word) {
        return BLOTTED.to_owned();
    }
    // `user@host` of a person, or `password@host` of an address with credentials.
    if let Some((_, host)) = word.split_once('@') {
        return format!("{BLOTTED}@{host}");
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is_number = word.chars().all(|letter| letter.is_ascii_digit() || "+-.".contains(letter));
    if is_number && digits >= NUMBER_MIN && !word.contains('.') {
        let end = &word[word.len() - 2..];
        return format!("{BLOTTED}{end}");
    }
    word.to_owned()
}

fn is_token(word: &str) -> bool {
    let of_token = |letter: char| letter.is_ascii_alphanumeric() || "+_.%".contains(letter);
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    word.len() >= TOKEN_MIN && has_digit && word.chars().all(of_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blotted_and_the_rest_stays() {
        let token = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for (text, expected) in [
            ("a job failed", "a job failed"),
            (
                "job 01890f3e-7cc2-7000-8000-000000000001 of payments.reconcile",
                "job 01890f3e-7cc2-7000-8000-000000000001 of payments.reconcile",
            ),
            ("Authorization: Bearer abc", "Authorization: *** ***"),
            ("header Bearer abc.def", "header Bearer ***"),
            ("refused sk_live_51abc", "refused ***"),
            ("postgres://chautari:s3cret@db/books", "postgres://chautari:***@db/books"),
            ("to sita@example.com", "to ***@example.com"),
            ("to +9779841000001 now", "to ***01 now"),
            ("password=hunter2&x=1", "password=***&x=1"),
            ("{\"otp\":\"123456\",\"n\":5}", "{\"otp\":\"***\",\"n\":5}"),
            ("at 2026-11-23T08:26:50.123456Z", "at 2026-11-23T08:26:50.123456Z"),
        ] {
            assert_eq!(blot(text), expected, "{text}");
        }
        assert_eq!(blot(&format!("token {token}!")), "token ***!");
        assert_eq!(blot(token), BLOTTED);
        assert_eq!(blot(&format!("?access={token}&y")), "?access=***&y");
    }

    #[test]
    fn names_of_fields_tell_what_they_hold() {
        for (name, expected) in [
            ("password", true),
            ("access_token", true),
            ("X-Api-Key", true),
            ("otp", true),
            ("dedup_key", false),
            ("status_code", false),
            ("station", false),
        ] {
            assert_eq!(is_secret(name), expected, "{name}");
        }
    }
}
