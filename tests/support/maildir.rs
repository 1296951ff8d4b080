//! What stands in a tree of Maildirs, and whether it is what should stand there.
//!
//! Reads both layouts: folders within folders (`Mail/INBOX`, `Mail/lists/rust`) and Maildir++ (`Mail` itself is the
//! INBOX, `Mail/.lists.rust` a folder).
//!
//! ```ignore
//! let maildirs = Maildirs::at(sandbox.maildir());
//! maildirs.assert_holds(&[first, second]);          // in any folder, each once, nothing else, tmp/ empty
//! assert_eq!(maildirs.in_folder("lists/rust")[0].flags, "S");
//! ```
//!
//! Contents are compared without regard to line endings, CRLF or LF: mail travels with the one and is often stored
//! with the other. [`Found::bytes`] has them as they are.

use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

pub struct Maildirs {
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sub {
    New,
    Cur,
    Tmp,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// With `/` between the levels, in both layouts.
    pub folder: String,
    pub sub: Sub,
    /// The whole file name.
    pub name: String,
    /// The letters behind `:2,`.
    pub flags: String,
    pub bytes: Vec<u8>,
}

impl Found {
    /// Without the flags: what a reader's changes leave alone.
    pub fn unique_name(&self) -> &str {
        self.name.split(":2,").next().unwrap_or(&self.name)
    }

    pub fn message_id(&self) -> Option<String> {
        message_id(&self.bytes)
    }
}

/// How often each value occurs.
pub type Multiset = BTreeMap<String, usize>;

impl Maildirs {
    /// A folder that does not exist is an empty tree.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Maildirs { root: root.into() }
    }

    /// Everything, `tmp/` too, in the order of folder, sub and name. Read anew each time.
    pub fn messages(&self) -> Vec<Found> {
        let mut found = Vec::new();
        walk(&self.root, &self.root, &mut found);
        found.sort();
        found
    }

    /// In `new/` and `cur/`.
    pub fn delivered(&self) -> Vec<Found> {
        self.messages().into_iter().filter(|message| message.sub != Sub::Tmp).collect()
    }

    pub fn in_folder(&self, folder: &str) -> Vec<Found> {
        self.delivered().into_iter().filter(|message| message.folder == folder).collect()
    }

    /// Also the empty ones.
    pub fn folders(&self) -> BTreeSet<String> {
        let mut folders = BTreeSet::new();
        walk_folders(&self.root, &mut |folder| _ = folders.insert(folder_name(&self.root, folder)));
        folders
    }

    /// What is delivered, by sha256 of its content.
    pub fn by_content(&self) -> Multiset {
        count(self.delivered().iter().map(|message| digest(&message.bytes)))
    }

    /// What is delivered, by Message-ID; without one under the empty name.
    pub fn by_message_id(&self) -> Multiset {
        count(self.delivered().iter().map(|message| message.message_id().unwrap_or_default()))
    }

    /// Each of these messages is delivered exactly once (or as often as it is listed), whatever the folder, and
    /// nothing else is there, not even in `tmp/`.
    #[track_caller]
    pub fn assert_holds<B: AsRef<[u8]>>(&self, expected: &[B]) {
        let problems = self.compare(expected);
        assert!(problems.is_empty(), "in {}:\n{problems}", self.root.display());
    }

    /// The same, but files in `tmp/` are not counted: as it must be right after a crash.
    #[track_caller]
    pub fn assert_delivered<B: AsRef<[u8]>>(&self, expected: &[B]) {
        let problems = compare(expected, &self.delivered());
        assert!(problems.is_empty(), "in {}:\n{problems}", self.root.display());
    }

    /// No message stands here more than once, and each is one of `expected`, whole: what must hold at any instant,
    /// also in the middle of a run.
    #[track_caller]
    pub fn assert_nothing_wrong_yet<B: AsRef<[u8]>>(&self, expected: &[B]) {
        let problems: String = compare(expected, &self.delivered())
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("lost"))
            .collect();
        assert!(problems.is_empty(), "in {}:\n{problems}", self.root.display());
    }

    fn compare<B: AsRef<[u8]>>(&self, expected: &[B]) -> String {
        let mut problems = compare(expected, &self.delivered());
        for left in self.messages().iter().filter(|message| message.sub == Sub::Tmp) {
            let _ = writeln!(problems, "left over in tmp: {}", describe(left));
        }
        problems
    }
}

/// One line for each difference.
fn compare<B: AsRef<[u8]>>(expected: &[B], found: &[Found]) -> String {
    let mut problems = String::new();
    let wanted = count(expected.iter().map(|bytes| digest(bytes.as_ref())));
    let there = count(found.iter().map(|message| digest(&message.bytes)));
    let mut told = BTreeSet::new();
    for bytes in expected.iter().map(AsRef::as_ref) {
        let key = digest(bytes);
        let (wanted, there) = (wanted[&key], there.get(&key).copied().unwrap_or(0));
        if there != wanted && told.insert(key.clone()) {
            let what = if there < wanted { "lost" } else { "doubled" };
            let _ = writeln!(
                problems,
                "{what}: {} stands {there} times, not {wanted}{}",
                title(bytes),
                places(found, &key)
            );
        }
    }
    for message in found.iter().filter(|message| !wanted.contains_key(&digest(&message.bytes))) {
        let part = canonical(&message.bytes);
        let is_half = expected.iter().any(|whole| canonical(whole.as_ref()).starts_with(&part));
        let what = if is_half { "half" } else { "unexpected" };
        let _ = writeln!(problems, "{what}: {}", describe(message));
    }
    problems
}

fn places(found: &[Found], key: &str) -> String {
    let here = found.iter().filter(|message| digest(&message.bytes) == key);
    here.map(|message| format!("\n         {}", path(message))).collect()
}

fn describe(message: &Found) -> String {
    format!("{}, {} bytes, {}", path(message), message.bytes.len(), title(&message.bytes))
}

fn path(message: &Found) -> String {
    let (sub, _) = SUBS.iter().find(|(_, sub)| *sub == message.sub).unwrap();
    format!("{}/{sub}/{}", message.folder, message.name)
}

/// How a person knows the message again.
fn title(bytes: &[u8]) -> String {
    match message_id(bytes).or_else(|| header_field(bytes, "subject")) {
        Some(name) => format!("{name:?}"),
        None => format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)])),
    }
}

pub fn message_id(bytes: &[u8]) -> Option<String> {
    header_field(bytes, "message-id")
}

fn header_field(bytes: &[u8], name: &str) -> Option<String> {
    let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// With LF at the end of each line.
pub fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(index + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}

/// The sha256 of the content, line endings apart.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(canonical(bytes)).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn count(values: impl IntoIterator<Item = String>) -> Multiset {
    values.into_iter().fold(Multiset::new(), |mut counts, value| {
        *counts.entry(value).or_default() += 1;
        counts
    })
}

const SUBS: [(&str, Sub); 3] = [("new", Sub::New), ("cur", Sub::Cur), ("tmp", Sub::Tmp)];

fn walk(root: &Path, folder: &Path, found: &mut Vec<Found>) {
    walk_folders(folder, &mut |maildir| {
        for (name, sub) in SUBS {
            for path in entries(&maildir.join(name)) {
                found.extend(read(&path, sub, folder_name(root, maildir)));
            }
        }
    });
}

/// Calls `visit` for each folder that is a Maildir, the first one included.
fn walk_folders(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let is_sub = |path: &Path| SUBS.iter().any(|(name, _)| path.ends_with(name));
    let is_maildir = SUBS.iter().any(|(name, _)| folder.join(name).is_dir());
    if is_maildir {
        visit(folder);
    }
    for path in entries(folder).into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
        // A folder may be called `new`, but not inside a Maildir.
        if !(is_maildir && is_sub(&path)) {
            walk_folders(&path, visit);
        }
    }
}

/// None when the folder is not there.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or(Vec::new(), |entries| entries.flatten().map(|entry| entry.path()).collect())
}

/// None when a running program has taken the file away meanwhile, or it is no file.
fn read(path: &Path, sub: Sub, folder: String) -> Option<Found> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let name = path.file_name()?.to_string_lossy().into_owned();
    let flags = name.split_once(":2,").map_or(String::new(), |(_, flags)| flags.to_owned());
    Some(Found { folder, sub, name, flags, bytes: fs::read(path).ok()? })
}

fn folder_name(root: &Path, maildir: &Path) -> String {
    let name = maildir.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    match name.strip_prefix('.') {
        Some(dotted) if !dotted.contains('/') => dotted.replace('.', "/"),
        _ if name.is_empty() => "INBOX".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::{Maildirs, Sub};
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn both_layouts_are_read() {
        let root = TempDir::new().unwrap();
        put(root.path(), "INBOX/new/1.a", "a\n");
        put(root.path(), "lists/rust/cur/2.b:2,FS", "b\n");
        put(root.path(), "cur/new/3.c", "c\n");
        fs::create_dir_all(root.path().join("lists/empty/new")).unwrap();
        let maildirs = Maildirs::at(root.path());
        assert_eq!(maildirs.in_folder("lists/rust")[0].flags, "FS");
        assert_eq!(maildirs.in_folder("lists/rust")[0].unique_name(), "2.b");
        assert_eq!(maildirs.in_folder("INBOX")[0].sub, Sub::New);

        let plus = TempDir::new().unwrap();
        put(plus.path(), "new/1.a", "a\n");
        put(plus.path(), ".lists.rust/cur/2.b:2,", "b\n");
        let maildirs = Maildirs::at(plus.path());
        assert_eq!(maildirs.folders().into_iter().collect::<Vec<_>>(), ["INBOX", "lists/rust"]);
        maildirs.assert_holds(&["a\n", "b\r\n"]);
        assert!(Maildirs::at("/nowhere").messages().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let root = TempDir::new().unwrap();
        let message = |name: &str| format!("Message-ID: <{name}>\n\nbody of {name}\n");
        put(root.path(), "INBOX/new/1", &message("twice"));
        put(root.path(), "lists/new/2", &message("twice"));
        put(root.path(), "INBOX/new/3", &message("half")[..20]);
        put(root.path(), "INBOX/new/4", "stranger");
        put(root.path(), "INBOX/tmp/5", &message("well"));
        put(root.path(), "INBOX/cur/6:2,S", &message("well").replace('\n', "\r\n"));
        let maildirs = Maildirs::at(root.path());
        let problems = maildirs.compare(&["twice", "half", "well", "gone"].map(message));
        assert_eq!(
            problems,
            "doubled: \"<twice>\" stands 2 times, not 1\n         INBOX/new/1\n         lists/new/2\n\
             lost: \"<half>\" stands 0 times, not 1\nlost: \"<gone>\" stands 0 times, not 1\n\
             half: INBOX/new/3, 20 bytes, \"<half>\"\nunexpected: INBOX/new/4, 8 bytes, \"stranger\"\n\
             left over in tmp: INBOX/tmp/5, 33 bytes, \"<well>\"\n"
        );
        assert_eq!(maildirs.by_message_id()["<twice>"], 2);
    }

    #[test]
    fn in_the_middle_of_a_run_some_may_be_missing() {
        let root = TempDir::new().unwrap();
        put(root.path(), "INBOX/new/1", "one\n");
        Maildirs::at(root.path()).assert_nothing_wrong_yet(&["one\n", "two\n"]);
    }
}
