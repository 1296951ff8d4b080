//! A password in a file of the form of `.netrc`, as ftp(1), curl, fetchmail and msmtp read it.

use std::path::Path;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::fetched::{checked, private_file, wrong};
use crate::clean;
use crate::error::Result;

/// The password of the entry for that host and user. An entry without `login` is for everybody, `default` for every host.
///
/// # Errors
///
/// The file cannot be read or is open to others, or there is no such entry.
pub(super) async fn from_netrc(path: &Path, host: &str, user: &str) -> Result<SecretString> {
    let from = format!("the file {}", path.display());
    let bytes = private_file(path, &from).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong(format!("{from} is not UTF-8")))?;
    match password_in(text, host, user) {
        Some(password) => checked(password.as_bytes(), &from),
        None => {
            Err(wrong(format!("{from} has no password for {} at {}", clean::short(user, 80), clean::short(host, 80)))
                .helped_by("an entry is like: machine HOST login USER password PASSWORD"))
        }
    }
}

#[derive(Default)]
struct NetrcEntry {
    /// `None`: for every host.
    host: Option<String>,
    login: Option<String>,
    password: Option<Zeroizing<String>>,
}

impl NetrcEntry {
    fn is_for(&self, host: &str, user: &str) -> bool {
        self.host.as_ref().is_none_or(|known| known.eq_ignore_ascii_case(host))
            && self.login.as_ref().is_none_or(|login| login == user)
    }
}

/// The first entry that fits and has a password.
fn password_in(text: &str, host: &str, user: &str) -> Option<Zeroizing<String>> {
    let mut entries = Vec::new();
    let mut words = NetrcWords(text);
    while let Some(word) = words.keyword() {
        match word.as_str() {
            "machine" => {
                entries.push(NetrcEntry { host: words.next().map(|word| word.to_string()), ..NetrcEntry::default() })
            }
            "default" => entries.push(NetrcEntry::default()),
            // A macro goes to the next empty line.
            "macdef" => words.skip_macro(),
            "login" => {
                let login = words.next();
                if let (Some(entry), Some(login)) = (entries.last_mut(), login) {
                    entry.login = Some(login.to_string());
                }
            }
            "password" => {
                let password = words.next();
                if let (Some(entry), Some(password)) = (entries.last_mut(), password) {
                    entry.password = Some(password);
                }
            }
            "account" => _ = words.next(),
            _ => {}
        }
    }
    entries.into_iter().filter(|entry| entry.is_for(host, user)).find_map(|entry| entry.password)
}

/// Words between blanks; in double quotes with a backslash before what means something, as fetchmail and curl read them. A comment
/// goes from `#` where a keyword could stand to the end of its line: a password may begin with one.
struct NetrcWords<'t>(&'t str);

impl NetrcWords<'_> {
    fn keyword(&mut self) -> Option<Zeroizing<String>> {
        while let Some(comment) = self.0.trim_start().strip_prefix('#') {
            self.0 = comment.split_once('\n').map_or("", |(_, rest)| rest);
        }
        self.next()
    }

    fn next(&mut self) -> Option<Zeroizing<String>> {
        self.0 = self.0.trim_start();
        if self.0.is_empty() {
            return None;
        }
        let mut word = Zeroizing::new(String::new());
        let is_quoted = self.0.starts_with('"');
        let mut chars = self.0.char_indices().skip(usize::from(is_quoted));
        let end = loop {
            match chars.next() {
                None => break self.0.len(),
                Some((_, '\\')) if is_quoted => word.extend(chars.next().map(|(_, c)| c)),
                Some((at, '"')) if is_quoted => break at + 1,
                Some((at, c)) if !is_quoted && c.is_whitespace() => break at,
                Some((_, c)) => word.push(c),
            }
        };
        self.0 = &self.0[end..];
        Some(word)
    }

    fn skip_macro(&mut self) {
        self.0 = self.0.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine
machine imap.example.com login me password first
machine imap.example.com
  login you
  password \"with blank \\\" and # sign\"
macdef init
machine evil.example login me password no

machine IMAP.other.example password for-all
machine open.example login me
machine hash.example login me password #a\\b
default login me password \"last one\"
";

    #[test]
    fn the_entry_of_host_and_user() {
        let found = |host: &str, user: &str| password_in(FILE, host, user).map(|it| it.to_string());
        assert_eq!(found("imap.example.com", "me").as_deref(), Some("first"));
        assert_eq!(found("imap.example.com", "you").as_deref(), Some("with blank \" and # sign"));
        assert_eq!(found("imap.other.example", "anybody").as_deref(), Some("for-all"));
        assert_eq!(found("evil.example", "me").as_deref(), Some("last one"), "a macro is no entry");
        assert_eq!(found("open.example", "me").as_deref(), Some("last one"), "an entry without a password is none");
        assert_eq!(found("hash.example", "me").as_deref(), Some("#a\\b"), "no comment, and no escape without quotes");
        assert_eq!(found("open.example", "you"), None);
        assert_eq!(password_in("machine", "h", "u").map(|it| it.to_string()), None);
        assert_eq!(password_in("password x", "h", "u").map(|it| it.to_string()), None);
    }
}
