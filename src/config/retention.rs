//! `retention`: what becomes of fetched mail on the server.

use super::inbox::fold_inbox;
use super::problem::Problems;
use super::reader::{self, MapReader, Shape, Takes};
use super::wildcard::{has_wildcard, matches};
use super::yaml::{Node, Span, Value};
use super::{Account, FetchedFolders, Protocol, Retention};
use crate::clean;

/// The long form of `retention`.
pub(super) static SHAPE: Shape = Shape {
    what: "the retention",
    keys: &[
        ("delete_after", "Delete a message so long after it was fetched, like `14d`.", Takes::Duration),
        (
            "move_to",
            "IMAP: move a message to this folder of the server, which is made if it is missing and never fetched.",
            Takes::Text,
        ),
    ],
};

/// A word of `retention`.
#[derive(Clone, Copy)]
enum RetentionWord {
    Keep,
    Delete,
    MarkSeen,
}

const RETENTION_WORDS: &[(&str, RetentionWord)] =
    &[("keep", RetentionWord::Keep), ("delete", RetentionWord::Delete), ("mark_seen", RetentionWord::MarkSeen)];

/// The value of `retention`.
pub(super) fn read(node: &Node, protocol: Option<Protocol>, problems: &mut Problems) -> Option<Retention> {
    let retention = match &node.value {
        Value::Map(_) => read_long(node, problems)?,
        _ => match read_word(node, problems)? {
            RetentionWord::Keep => Retention::Keep,
            RetentionWord::Delete => Retention::Delete,
            RetentionWord::MarkSeen => Retention::MarkSeen,
        },
    };
    if protocol == Some(Protocol::Pop3) && matches!(retention, Retention::MoveTo(_) | Retention::MarkSeen) {
        let hint = "POP3 can only keep and delete: use `keep`, `delete` or {delete_after: 14d}, or use `imap`";
        problems.error(node.span, "this retention is for IMAP only").hint(hint);
        return None;
    }
    Some(retention)
}

fn read_word(node: &Node, problems: &mut Problems) -> Option<RetentionWord> {
    if let Some(key @ ("delete_after" | "move_to")) = node.as_text() {
        let value = if key == "move_to" { "Archive" } else { "14d" };
        let message = format!("`{key}` needs a value");
        problems.error(node.span, message).hint(format!("write {{{key}: {value}}}"));
        return None;
    }
    reader::choice(node, RETENTION_WORDS, problems)
}

fn read_long(node: &Node, problems: &mut Problems) -> Option<Retention> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let after = map.read("delete_after", reader::duration).map(Retention::DeleteAfter);
    let folder = map.read("move_to", |n, p| reader::text(n, "a folder of the server", p));
    match (map.key_span("delete_after"), map.key_span("move_to"), &node.value) {
        (Some(_), Some(at), _) => {
            map.problems().error(at, "a message is either deleted or moved, not both");
            return None;
        }
        (None, None, Value::Map(entries)) if entries.is_empty() => {
            reader::mismatch(node, "{delete_after: …} or {move_to: …}", map.problems());
        }
        _ => {}
    }
    after.or_else(|| folder.map(|folder| Retention::MoveTo(folder.to_owned())))
}

/// Whether `move_to` puts mail into a folder that is fetched by its name: it would be moved onto itself in each pass.
pub(super) fn target_among(
    map: &mut MapReader<'_, '_>,
    folders: &FetchedFolders,
    except: &[String],
    retention: &Retention,
) -> Option<(Span, String)> {
    let (FetchedFolders::Patterns(names), Retention::MoveTo(target)) = (folders, retention) else { return None };
    let is_target = |name: &&String| fold_inbox(name).to_lowercase() == fold_inbox(target).to_lowercase();
    let named = names.iter().filter(|name| !has_wildcard(name)).find(is_target)?;
    if except.iter().any(|pattern| matches(pattern, named)) {
        return None;
    }
    let at = map.key_span("retention")?;
    Some((at, format!("`move_to` puts mail into {}, which is fetched", clean::short(named, 80))))
}

/// Whether each of two accounts that are one mailbox fetches what the other one moves.
pub(super) fn is_moved_back(one: &Account, other: &Account) -> bool {
    let is_fetched_by = |folder: &str, account: &Account| {
        let is_wanted = match &account.folders {
            FetchedFolders::All => true,
            FetchedFolders::Patterns(patterns) => patterns.iter().any(|pattern| matches(pattern, folder)),
        };
        is_wanted && !account.except.iter().any(|pattern| matches(pattern, folder))
    };
    match (&one.retention, &other.retention) {
        (Retention::MoveTo(first), Retention::MoveTo(second)) => {
            fold_inbox(first) != fold_inbox(second) && is_fetched_by(first, other) && is_fetched_by(second, one)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::accounts::tests::accounts;

    #[test]
    fn two_accounts_do_not_move_mail_to_and_fro() {
        let told = |first: &str, second: &str| {
            let server = "imap: mail.example.com, user: me, password: {env: X}";
            accounts(&format!("{{a: {{{server}, {first}}}, b: {{{server}, {second}}}}}")).1.join("; ")
        };
        let to_old = "retention: {move_to: Old}";
        assert!(told(to_old, "folders: [Old], retention: {move_to: Inbox}").contains("to and fro"));
        assert!(!told(to_old, "folders: [Old], retention: {move_to: Older}").contains("to and fro"));
        assert!(!told(to_old, "folders: all, retention: {move_to: Old}").contains("to and fro"));
        assert!(!told(to_old, "folders: [Old]").contains("to and fro"));
    }
}
