//! The marker in a mail root: which root it is, and what has to outlive the state.
//!
//! `.mailsluice` is a text file with one item a line: `root IDENTITY`, and for each account `account SPACE FIRST-RUN
//! IDENTITY LABEL` (the time in seconds, special characters in names escaped with `%`). `.mailsluice-water-…` beside it
//! holds the number of a state's transactions.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::opening::random_identity;
use super::{Disk, Registered};
use crate::error::Result;

/// The file with the number of transactions.
const WATER_PREFIX: &str = ".mailsluice-water";
/// A marker that is being written.
const NEW_FILE: &str = ".mailsluice-new";

/// The content of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The random name of the root, in hex.
    pub identity: String,
    /// Its accounts.
    pub accounts: Vec<Registered>,
}

impl Marker {
    /// The name of the file.
    pub const FILE: &str = ".mailsluice";

    /// A new marker with a random identity.
    pub fn new() -> Result<Self> {
        Ok(Self { identity: random_identity()?, accounts: Vec::new() })
    }

    /// The marker of a root, or `None` if there is none that can be read.
    pub fn read(root: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(root.join(Self::FILE)).ok()?)
    }

    /// Does the same through a [`Disk`].
    pub fn read_from(disk: &dyn Disk, root: &Path) -> std::io::Result<Option<Self>> {
        let mut text = String::new();
        match disk.open(&root.join(Self::FILE)).and_then(|mut file| file.read_to_string(&mut text)) {
            Ok(_) => Ok(Self::parse(&text)),
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Writes the marker as a whole. It is durable once the root is synced.
    pub fn write(&self, disk: &dyn Disk, root: &Path) -> std::io::Result<()> {
        let (new, file) = (root.join(NEW_FILE), root.join(Self::FILE));
        disk.remove(&new).or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        let mut out = disk.create(&new)?;
        out.write_all(self.text().as_bytes())?;
        out.finish(None)?;
        disk.replace(&new, &file)
    }

    /// The file in the root that holds the number of a state's transactions.
    pub(super) fn water(root: &Path, state: &str) -> PathBuf {
        root.join(format!("{WATER_PREFIX}-{}", state.get(..8).unwrap_or_default()))
    }

    fn text(&self) -> String {
        let mut text = format!("root {}\n", self.identity);
        for Registered { space, label, identity, first_run, .. } in &self.accounts {
            let [space, identity, label] = [space, identity, label].map(|word| escape(word));
            text += &format!("account {space} {} {identity} {label}\n", first_run.as_second());
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let identity = lines.next()?.strip_prefix("root ")?.trim().to_owned();
        let accounts = lines.filter_map(account_line).collect();
        (identity.len() == 32).then_some(Self { identity, accounts })
    }
}

fn account_line(line: &str) -> Option<Registered> {
    let mut words = line.strip_prefix("account ")?.split(' ');
    let space = unescape(words.next()?);
    let first_run = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
    Some(Registered {
        space,
        first_run,
        identity: unescape(words.next()?),
        label: unescape(words.next()?),
        moved: None,
        is_new: false,
        was_looked_at: false,
    })
}

fn escape(word: &str) -> String {
    word.chars()
        .map(|c| if c == '%' || c.is_whitespace() || c.is_control() { format!("%{:x};", c as u32) } else { c.into() })
        .collect()
}

fn unescape(word: &str) -> String {
    let mut parts = word.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once(';').unwrap_or(("", part));
        text.extend(u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
        text += rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let mut marker = Marker::new().unwrap();
        marker.accounts.push(Registered {
            space: "work".into(),
            label: "my work 100%".into(),
            identity: "imap:me@x y@host".into(),
            first_run: Timestamp::from_second(1_700_000_000).unwrap(),
            moved: None,
            is_new: false,
            was_looked_at: false,
        });
        assert_eq!(Marker::parse(&marker.text()), Some(marker.clone()));
        assert_eq!(Marker::parse("root short\n"), None);
        assert_eq!(Marker::parse(""), None);
        let later = format!("{}something of a later version\n", marker.text());
        assert_eq!(Marker::parse(&later), Some(marker));
    }
}
