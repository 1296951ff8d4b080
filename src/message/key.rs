//! The identity of a message at its source, and the file name that follows from it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD, Encoding};
use sha2::{Digest, Sha256};

use crate::clean;

/// The place messages come from: within it, ids do not change their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The account's name; `deliver` for standard input and `notice` for our own notices.
    pub account: String,
    /// The folder on the server, as the server spells it; INBOX for POP3.
    pub folder: String,
    /// UIDVALIDITY (RFC 3501 2.3.1.1); 0 where there is no such thing.
    pub generation: u32,
}

/// One message at its source: IMAP (origin, UID), POP3 (origin, UIDL and ordinal), stdin (hash of the bytes).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Where.
    pub origin: Arc<Origin>,
    /// Which one there.
    pub id: Vec<u8>,
}

/// The field that our forwards carry, with the address that forwarded: a loop is seen by it (RFC 5228 10).
pub const REDIRECTED_FROM: &str = "X-Mailsluice-Redirected-From";
/// The account in the keys of mail that is moved by `refilter`.
pub const REFILTERED: &str = "refilter";
/// The account in the keys of mail that is brought back by `undo`.
pub const UNDONE: &str = "undo";
/// The account in the keys of what the outbox files: what could not be told.
pub const OUTBOX: &str = "outbox";
/// The account in the keys of what the user sends with `sendmail`.
pub const SUBMITTED: &str = "sendmail";
/// The account of what comes on standard input.
pub const DELIVERED: &str = "deliver";
/// The folder in the keys of what comes on standard input.
pub const STDIN: &str = "(stdin)";
/// The folder in the keys of our own notices.
pub const NOTICES: &str = "(notices)";
/// The folder in the keys of mail that was found staged after a crash.
pub const RECOVERED: &str = "(recovered)";

impl Key {
    /// A key from its parts.
    pub fn new(origin: &Arc<Origin>, id: impl Into<Vec<u8>>) -> Self {
        Self { origin: Arc::clone(origin), id: id.into() }
    }

    /// The key of a UID.
    pub fn uid(origin: &Arc<Origin>, uid: u32) -> Self {
        Self::new(origin, uid.to_string())
    }

    /// The UID, if that is what the id is.
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

/// The UID at the beginning of an id. Behind it, and a NUL, stands more where another message has the same UID.
pub fn uid_in_id(id: &[u8]) -> Option<u32> {
    let uid = id.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(uid).ok()?.parse().ok()
}

/// The name under which the files stand that are written for an account and fetched from nowhere: notices and
/// rescued mail. What is left of them under `tmp/` is never an only copy.
pub fn written_for(account: &str) -> String {
    format!("(written for) {account}")
}

/// The unique part of a delivered file's name: derived from the key, so that a lost database can be rebuilt
/// from the Maildirs and a retried delivery finds what an earlier one left. 26 characters for the message,
/// then a dash and 7 for the account, so that each account recognises its own files in a shared folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryName(String);

impl DeliveryName {
    /// The name for a key.
    pub fn of(key: &Key) -> Self {
        let mut hash = Sha256::new();
        // Lengths go in too: no two different keys may feed the same bytes.
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

    /// The name inside a file name of ours, `SECONDS.NAME.HOST[:2,FLAGS]`, whosever it is, and the tag of its account.
    pub fn of_anybody(file_name: &str) -> Option<(Self, &str)> {
        let unique = file_name.split('.').nth(1)?;
        let (hash, tag) = unique.split_once('-')?;
        let is_ours =
            hash.len() == 26 && tag.len() == 7 && unique.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        is_ours.then(|| (Self(unique.to_owned()), tag))
    }

    /// The name inside a file name of the spool, `NAME` or `NAME.v2` with the stamp of who staged it, whole or on its way, and
    /// the tag of its account.
    pub fn of_spooled(path: &Path) -> Option<(Self, String)> {
        let name = path.file_name()?.to_str()?;
        let file = format!("0.{}", name.strip_prefix(INCOMING).unwrap_or(name));
        Self::of_anybody(&file).map(|(name, tag)| (name, tag.to_owned()))
    }

    /// The whole name of a file that another program named.
    pub fn of_another_program(file_name: &str) -> Self {
        Self(file_name.to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Begins the name of a file of the spool until its last byte is durable: nobody takes it for a message.
pub const INCOMING: &str = "incoming.";
/// Begins the ending of the name of a file that `refilter` or `undo` moved.
pub const MOVED: &str = ",R=";
/// Begins the part of a file name that says which edited version of the message it is.
const EDITED: &str = ",V=";

/// The part of a file name that stays when the file is moved or gets other flags.
pub fn lasting_name(file_name: &str) -> &str {
    let base = file_name.split(":2,").next().unwrap_or(file_name);
    base.split(MOVED).next().unwrap_or(base)
}

/// The name of a file without the mark of an edited version.
pub fn without_version(base: &str) -> &str {
    base.split(EDITED).next().unwrap_or(base)
}

/// Whether a file is an edited version of what it was made from; `base` is its name without flags.
pub fn is_edited_name(base: &str) -> bool {
    base.rsplit(MOVED).next().unwrap_or(base).contains(EDITED)
}

/// A short name for an account or another name space, as it stands in file names: 7 letters and digits.
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
