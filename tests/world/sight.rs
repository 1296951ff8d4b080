//! Where on disk the messages stand.

use std::fs;
use std::path::Path;

use crate::mail;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In `new/` or `cur/` of this folder.
    Filed(String),
    Mbox(String),
    /// Staged, not published.
    Tmp,
    Spool,
    /// What an earlier state had in its spool.
    SetAside,
}

#[derive(Clone, Debug)]
pub struct Sighting {
    pub place: Place,
    pub token: String,
    pub whole: bool,
    /// Relative to the home.
    pub path: String,
}

pub const ROOT: &str = "Mail";
/// The true mail root while something else stands in its place.
pub const AWAY: &str = "Mail.away";
pub const STATE: &str = "state";

/// Everything, spool first: a message goes from there to the Maildirs, never the other way.
pub fn look(home: &Path) -> Vec<Sighting> {
    let mut found = Vec::new();
    walk(home, &home.join(STATE), &mut found);
    let away = home.join(AWAY);
    let root = if away.exists() { away } else { home.join(ROOT) };
    walk(home, &root, &mut found);
    found
}

fn walk(home: &Path, folder: &Path, found: &mut Vec<Sighting>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(home, &path, found),
            Ok(kind) if kind.is_file() => read(home, &path, found),
            _ => {}
        }
    }
}

fn read(home: &Path, path: &Path, found: &mut Vec<Sighting>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("state.db") || name.ends_with(".lock") {
        return;
    }
    // Moved on while we look: whoever looks again finds it.
    let Ok(bytes) = fs::read(path) else { return };
    let relative = path.strip_prefix(home).unwrap_or(path).to_string_lossy().into_owned();
    let Some(place) = place(&relative) else { return };
    for part in parts(&place, &bytes) {
        if let Some((token, whole)) = mail::read(part) {
            found.push(Sighting { place: place.clone(), token, whole, path: relative.clone() });
        }
    }
}

fn place(path: &str) -> Option<Place> {
    let mut parts: Vec<&str> = path.split('/').collect();
    let (top, name) = (parts.remove(0), parts.pop()?);
    if top == STATE {
        return Some(if parts.first() == Some(&"lost") { Place::SetAside } else { Place::Spool });
    }
    Some(match parts.last() {
        Some(&"new" | &"cur") => Place::Filed(parts[..parts.len() - 1].join("/")),
        Some(&"tmp") => Place::Tmp,
        _ if name.starts_with('.') || name.starts_with("dovecot") => return None,
        _ => Place::Mbox(name.to_owned()),
    })
}

/// An mbox holds many messages.
fn parts<'b>(place: &Place, bytes: &'b [u8]) -> Vec<&'b [u8]> {
    let Place::Mbox(_) = place else { return vec![bytes] };
    let is_start = |at: &usize| bytes[*at..].starts_with(b"From ") && (*at == 0 || bytes[*at - 1] == b'\n');
    let mut starts: Vec<usize> = (0..bytes.len()).filter(is_start).collect();
    starts.push(bytes.len());
    starts.windows(2).map(|pair| after_line(&bytes[pair[0]..pair[1]])).collect()
}

fn after_line(part: &[u8]) -> &[u8] {
    part.iter().position(|byte| *byte == b'\n').map_or(part, |at| &part[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::{Place, parts, place};

    #[test]
    fn a_path_says_what_a_file_is() {
        assert_eq!(place("Mail/INBOX/new/1"), Some(Place::Filed("INBOX".to_owned())));
        assert_eq!(place("Mail.away/lists/a/cur/1:2,S"), Some(Place::Filed("lists/a".to_owned())));
        assert_eq!(place("Mail/INBOX/tmp/1"), Some(Place::Tmp));
        assert_eq!(place("Mail/old"), Some(Place::Mbox("old".to_owned())));
        assert_eq!(place("state/spool/1"), Some(Place::Spool));
        assert_eq!(place("state/lost/1"), Some(Place::SetAside));
    }

    #[test]
    fn the_messages_of_an_mbox_are_told_apart() {
        let mbox = b"From a\nA: 1\n\nx\n\nFrom b\nB: 2\n\ny\n";
        let found = parts(&Place::Mbox("m".to_owned()), mbox);
        assert_eq!(found, [&b"A: 1\n\nx\n\n"[..], b"B: 2\n\ny\n"]);
    }
}
