//! The value of an Authentication-Results field (RFC 8601 2.2), as it is written: with blanks, comments, versions and quotes.

/// The server that wrote it and its results, (method, result), all lower-case. None for what names no server.
pub(super) fn read(value: &str) -> Option<(String, Vec<(String, String)>)> {
    let mut parts = Parts { rest: value };
    let server = parts.next()?.into_iter().next()?;
    let mut results = Vec::new();
    for words in parts {
        // `dmarc = pass`: the method, perhaps with a version, an equals sign, the result.
        let Some(equals) = words.iter().position(|word| word == "=") else { continue };
        if let (Some(method), Some(result)) = (method(&words[..equals]), words.get(equals + 1)) {
            results.push((method.to_owned(), result.clone()));
        }
    }
    Some((server, results))
}

/// `dkim`, `dkim/1`, `dkim / 1`.
fn method(words: &[String]) -> Option<&str> {
    let (first, version) = words.split_first()?;
    let has_version = first.ends_with('/') || version.first().is_some_and(|word| word.starts_with('/'));
    let is_method = version.is_empty() || has_version;
    first.split('/').next().filter(|name| is_method && !name.is_empty())
}

/// Gives the words between semicolons; `=` is a word of its own.
struct Parts<'v> {
    rest: &'v str,
}

impl Iterator for Parts<'_> {
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
                    skip_comment(&mut chars);
                    is_open = false;
                }
                '"' => {
                    words.push(quoted(&mut chars));
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

/// Comments nest (RFC 5322 3.2.2).
fn skip_comment(chars: &mut std::str::CharIndices<'_>) {
    let mut depth = 1_usize;
    while depth > 0 {
        match chars.next() {
            Some((_, '\\')) => _ = chars.next(),
            Some((_, '(')) => depth += 1,
            Some((_, ')')) => depth -= 1,
            Some(_) => {}
            None => return,
        }
    }
}

fn quoted(chars: &mut std::str::CharIndices<'_>) -> String {
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next().into_iter().flat_map(|(_, escaped)| escaped.to_lowercase())),
            c => text.extend(c.to_lowercase()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: &str) -> String {
        let Some((server, results)) = read(value) else { return String::new() };
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
            ("mx; dmarc=(open", "mx: "),
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
