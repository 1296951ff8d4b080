//! The identity of a message at its source, and the file name derived from it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, Encoding};
use sha2::{Digest, Sha256};

use crate::clean;

/// The source of messages. Within one origin, an id always means the same message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The account's name; `deliver` for standard input and `notice` for our own notices.
    pub account: String,
    /// The folder on the server, as the server spells it; INBOX for POP3.
    pub folder: String,
    /// UIDVALIDITY (RFC 3501 2.3.1.1); 0 if the source has none.
    pub generation: u32,
}

/// One message at its source: IMAP (origin, UID), POP3 (origin, UIDL and ordinal), stdin (hash of the bytes).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its source.
    pub origin: Arc<Origin>,
    /// Its id at the source.
    pub id: Vec<u8>,
}

/// The field that we add to forwarded mail, with the forwarding address. It detects mail loops (RFC 5228 10).
pub const REDIRECTED_FROM: &str = "X-Mailsluice-Redirected-From";
/// The account in the keys of mail that `refilter` moves.
pub const REFILTERED: &str = "refilter";
/// The account in the keys of mail that `undo` moves back.
pub const UNDONE: &str = "undo";
/// The account in the keys of messages that the outbox files because they could not be sent.
pub const OUTBOX: &str = "outbox";
/// The account in the keys of mail that the user sends with `sendmail`.
pub const SUBMITTED: &str = "sendmail";
/// The account in the keys of mail from standard input.
pub const DELIVERED: &str = "deliver";
/// The folder in the keys of mail from standard input.
pub const STDIN: &str = "(stdin)";
/// The folder in the keys of our own notices.
pub const NOTICES: &str = "(notices)";
/// The folder in the keys of staged mail that was found after a crash.
pub const RECOVERED: &str = "(recovered)";

impl Key {
    /// Makes a key of its parts.
    pub fn new(origin: &Arc<Origin>, id: impl Into<Vec<u8>>) -> Self {
        Self { origin: Arc::clone(origin), id: id.into() }
    }

    /// The key of a UID.
    pub fn uid(origin: &Arc<Origin>, uid: u32) -> Self {
        Self::new(origin, uid.to_string())
    }

    /// The UID, if the id is one.
    pub fn as_uid(&self) -> Option<u32> {
        uid_in_id(&self.id)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.origin.account, clean::line(self.origin.folder.as_bytes()), clean::line(&self.id))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The UID at the beginning of an id. If several messages have the same UID, a NUL and more text follow it.
pub fn uid_in_id(id: &[u8]) -> Option<u32> {
    let uid = id.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(uid).ok()?.parse().ok()
}

/// The name for files that are written for an account but not fetched: notices and rescued mail. A file of this name
/// left under `tmp/` is never the only copy.
pub fn written_for(account: &str) -> String {
    format!("(written for) {account}")
}

/// The unique part of the name of a delivered file. It is derived from the key, so that a lost database can be rebuilt
/// from the Maildirs, and a retried delivery finds the file of an earlier attempt. It has 26 characters for the
/// message, a dash, and 7 characters for the account, so that each account recognises its own files in a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryName(String);

impl DeliveryName {
    /// The name for a key.
    pub fn of(key: &Key) -> Self {
        let mut hash = Sha256::new();
        // The lengths are hashed too, so that no two keys give the same input.
        for part in [key.origin.account.as_bytes(), key.origin.folder.as_bytes(), &key.id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(key.origin.generation.to_be_bytes());
        let Origin { account, folder, .. } = &*key.origin;
        let tag = match folder.as_str() {
            NOTICES | RECOVERED => space_tag(&written_for(account)),
            _ => space_tag(account),
        };
        Self(format!("{}-{tag}", lower(&hash.finalize()[..16])))
    }

    /// The name in a file name that we wrote for any account, `SECONDS.NAME.HOST[:2,FLAGS]`, and the tag of that
    /// account.
    pub fn of_anybody(file_name: &str) -> Option<(Self, &str)> {
        let unique = file_name.split('.').nth(1)?;
        let (hash, tag) = unique.split_once('-')?;
        let is_ours =
            hash.len() == 26 && tag.len() == 7 && unique.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        is_ours.then(|| (Self(unique.to_owned()), tag))
    }

    /// The name in a file name of the spool, `NAME` or `NAME.v2` with the stamp of the process that staged it, complete
    /// or not, and the tag of its account.
    pub fn of_spooled(path: &Path) -> Option<(Self, String)> {
        let name = path.file_name()?.to_str()?;
        let file = format!("0.{}", name.strip_prefix(INCOMING).unwrap_or(name));
        Self::of_anybody(&file).map(|(name, tag)| (name, tag.to_owned()))
    }

    /// Uses the whole name of a file that another program named.
    pub fn of_another_program(file_name: &str) -> Self {
        Self(file_name.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The prefix of a spool file until its last byte is durable. A file with this prefix is not taken for a message.
pub const INCOMING: &str = "incoming.";
/// Marks the file name of a message that `refilter` or `undo` moved.
pub const MOVED: &str = ",R=";
/// Marks the number of an edited version in a file name.
const EDITED: &str = ",V=";

/// The part of a file name that stays the same when the file is moved or its flags change.
pub fn lasting_name(file_name: &str) -> &str {
    let base = file_name.split(":2,").next().unwrap_or(file_name);
    base.split(MOVED).next().unwrap_or(base)
}

/// The name of a file without the mark of an edited version.
pub fn without_version(base: &str) -> &str {
    base.split(EDITED).next().unwrap_or(base)
}

/// Whether a file is an edited version of a message; `base` is its name without flags.
pub fn is_edited_name(base: &str) -> bool {
    base.rsplit(MOVED).next().unwrap_or(base).contains(EDITED)
}

/// A short tag for an account or another name space in file names: 7 letters and digits.
pub fn space_tag(space: &str) -> String {
    lower(&Sha256::digest(space.as_bytes())[..4])
}

fn lower(bytes: &[u8]) -> String {
    let base32: &Encoding = &BASE32_NOPAD;
    base32.encode(bytes).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str, folder: &str, id: &str) -> Key {
        Key::new(&Arc::new(Origin { account: account.into(), folder: folder.into(), generation: 1 }), id)
    }

    #[test]
    fn a_name_is_found_again_in_its_file_name_with_the_tag_of_its_account() {
        let name = DeliveryName::of(&key("work", "INBOX", "17"));
        let file = format!("1700000000.{}.host.example:2,FS", name.as_str());
        assert_eq!(DeliveryName::of_anybody(&file), Some((name, &*space_tag("work"))));
        assert_ne!(space_tag("home"), space_tag("work"));
        assert_eq!(DeliveryName::of_anybody("1700000000.M1P2.host"), None);
    }

    #[test]
    fn what_is_written_here_is_told_from_what_is_fetched() {
        let file = format!("1700000000.{}.host", DeliveryName::of(&key("work", NOTICES, "set-aside")).as_str());
        let (_, tag) = DeliveryName::of_anybody(&file).unwrap();
        assert_eq!(tag, space_tag(&written_for("work")));
        assert_ne!(tag, space_tag("work"));
    }

    #[test]
    fn different_keys_have_different_names() {
        assert_ne!(DeliveryName::of(&key("a", "bc", "1")), DeliveryName::of(&key("ab", "c", "1")));
        assert_ne!(DeliveryName::of(&key("a", "b", "1")), DeliveryName::of(&key("a", "b", "2")));
    }
}
