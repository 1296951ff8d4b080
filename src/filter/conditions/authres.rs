//! Reads the value of an Authentication-Results field (RFC 8601 2.2), with blanks, comments, versions and quotes.

/// The content of a field: pairs of method and result, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AuthResult {
    /// A well-formed field.
    Sound { server: String, results: Vec<(String, String)> },
    /// A field with an unclosed comment or quote, or with one that ends before it begins. Text from the sender may have
    /// caused that, so it is unclear what the server wrote. `words` may contain its name, and `failures` are all
    /// failures in the text.
    Unsound { words: Vec<String>, failures: Vec<(String, String)> },
}

/// Parses a field; `None` if it names no server.
pub(super) fn read(value: &str) -> Option<AuthResult> {
    let mut parts = ResultWords { rest: value, is_sound: true };
    let all: Vec<Vec<String>> = parts.by_ref().collect();
    if !parts.is_sound {
        return Some(unsound(value));
    }
    let (first, rest) = all.split_first()?;
    let server = first.first()?.clone();
    let mut results = Vec::new();
    for words in rest {
        // `dmarc = pass`: the method, possibly with a version, an equals sign, the result.
        let Some(equals) = words.iter().position(|word| word == "=") else { continue };
        if let (Some(method), Some(result)) = (method(&words[..equals]), words.get(equals + 1)) {
            results.push((method.to_owned(), result.clone()));
        }
    }
    Some(AuthResult::Sound { server, results })
}

/// Reads a malformed field word by word.
fn unsound(value: &str) -> AuthResult {
    let lower = value.to_lowercase();
    let is_mark = |c: char| c.is_whitespace() || "()\";\\".contains(c);
    let spaced = lower.replace('=', " = ");
    let words: Vec<&str> = spaced.split(is_mark).filter(|word| !word.is_empty()).collect();
    let failure = |three: &[&str]| match three {
        [method, "=", result] if result.ends_with("fail") => {
            let name = method.split('/').next().unwrap_or_default();
            Some((name.to_owned(), (*result).to_owned()))
        }
        _ => None,
    };
    let failures = words.windows(3).filter_map(failure).collect();
    AuthResult::Unsound { words: words.into_iter().map(str::to_owned).collect(), failures }
}

/// The method in `dkim`, `dkim/1` or `dkim / 1`.
fn method(words: &[String]) -> Option<&str> {
    let (first, version) = words.split_first()?;
    let has_version = first.ends_with('/') || version.first().is_some_and(|word| word.starts_with('/'));
    let is_method = version.is_empty() || has_version;
    first.split('/').next().filter(|name| is_method && !name.is_empty())
}

/// Yields the words between semicolons. `=` is a separate word.
struct ResultWords<'v> {
    rest: &'v str,
    /// All comments and quotes so far are closed.
    is_sound: bool,
}

impl Iterator for ResultWords<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut words: Vec<String> = Vec::new();
        let mut is_open = false;
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ';' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(words);
                }
                '(' => {
                    self.is_sound &= skip_comment(&mut chars);
                    is_open = false;
                }
                ')' => self.is_sound = false,
                '"' => {
                    let (text, has_end) = quoted(&mut chars);
                    words.push(text);
                    self.is_sound &= has_end;
                    is_open = false;
                }
                '=' => {
                    words.push("=".to_owned());
                    is_open = false;
                }
                c if c.is_whitespace() => is_open = false,
                c => {
                    match words.last_mut().filter(|_| is_open) {
                        Some(word) => word.extend(c.to_lowercase()),
                        None => words.push(c.to_lowercase().collect()),
                    }
                    is_open = true;
                }
            }
        }
        self.rest = "";
        Some(words)
    }
}

/// Skips a comment, which may contain comments (RFC 5322 3.2.2). Returns false if it is not closed.
fn skip_comment(chars: &mut std::str::CharIndices<'_>) -> bool {
    let mut depth = 1_usize;
    while depth > 0 {
        match chars.next() {
            Some((_, '\\')) => _ = chars.next(),
            Some((_, '(')) => depth += 1,
            Some((_, ')')) => depth -= 1,
            Some(_) => {}
            None => return false,
        }
    }
    true
}

/// The text up to the closing quote, and whether there is one.
fn quoted(chars: &mut std::str::CharIndices<'_>) -> (String, bool) {
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        match c {
            '"' => return (text, true),
            '\\' => text.extend(chars.next().into_iter().flat_map(|(_, escaped)| escaped.to_lowercase())),
            c => text.extend(c.to_lowercase()),
        }
    }
    (text, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> String {
        let (server, results) = match read(value) {
            Some(AuthResult::Sound { server, results }) => (server, results),
            Some(AuthResult::Unsound { failures, .. }) => ("?".to_owned(), failures),
            None => return String::new(),
        };
        let results: Vec<String> = results.iter().map(|(method, result)| format!("{method}={result}")).collect();
        format!("{server}: {}", results.join(" "))
    }

    #[test]
    fn results_are_read_however_they_are_written() {
        for (value, read) in [
            (
                "mx.example.org; spf=pass smtp.mailfrom=a@b; dkim=fail (bad; sig=x) header.d=b",
                "mx.example.org: spf=pass dkim=fail",
            ),
            ("MX.example.org 1; DMARC = Pass (p=none)", "mx.example.org: dmarc=pass"),
            ("mx.example.org; dmarc/1=pass; dkim / 1 = fail", "mx.example.org: dmarc=pass dkim=fail"),
            ("\"mx.example.org\"; spf=\"pass\"", "mx.example.org: spf=pass"),
            ("(a (nested) comment) mx.example.org (v) ; dmarc (x) = (y) pass", "mx.example.org: dmarc=pass"),
            ("mx.example.org; dkim=pass reason=\"good; dmarc=pass\"", "mx.example.org: dkim=pass"),
            ("mx.example.org; none", "mx.example.org: "),
            ("mx.example.org", "mx.example.org: "),
            ("; dmarc=pass", ""),
            ("", ""),
            ("mx; dmarc=(open", "?: "),
            ("mx; dkim=pass (DKIM=Fail spf/1 =softfail; dmarc=", "?: dkim=fail spf=softfail"),
        ] {
            assert_eq!(shown(value), read, "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(value in "([a-c=;/() \"\\\\]|é|İ){0,40}") {
            read(&value);
        }
    }
}
