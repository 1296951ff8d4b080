//! `maildir`: where folders lie, how their names stand on the disk, what they are for, and who else may read them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::problem::Problems;
use super::reader::{self, Base, MapReader, Shape, Takes};
use super::template::{self, FolderName};
use super::wildcard;
use super::yaml::{Node, Value, YamlKey};

/// The long form.
pub(super) static SHAPE: Shape = Shape {
    what: "the mail root",
    keys: &[
        ("path", "The folder below which mail is filed.", Takes::Text),
        (
            "layout",
            "How folders lie below it: `fs` (default: `PATH/lists/rust`) or `maildir++` (`PATH/.lists.rust`, INBOX is `PATH`). \
             Changing it renames nothing.",
            Takes::Word(&["fs", "maildir++"]),
        ),
        (
            "encoding",
            "How names beyond ASCII are written on disk: `utf8` (default), which mutt shows and Dovecot reads with `:UTF-8` at the end of \
             its `mail_location`; or `utf7`, as in IMAP, which Dovecot and Courier read without a setting. Changing it renames nothing.",
            Takes::Word(&["utf8", "utf7"]),
        ),
        (
            "roles",
            "The names of the folders for special uses (RFC 6154): {junk: Spam}. Default: `Archive`, `Drafts`, `Junk`, `Sent`, `Trash`. A rule writes `\\Junk`.",
            Takes::Named(&Takes::Text),
        ),
        (
            "roots",
            "Folders that are stored elsewhere, with all folders below them: {shared: /srv/mail/team}. The mail root gets a link to each; while one cannot be reached, nothing is filed at all. Only with `layout: fs`.",
            Takes::Named(&Takes::Text),
        ),
        (
            "modes",
            "The mode of the files in a folder and below it: {shared: \"0660\"}. Default: only you can read them. Directories get the matching mode; files that exist already keep theirs. Others also need access to the mail root (`chmod g+x`). The group is that of the directory above if that has the setgid bit (`chmod g+s`).",
            Takes::Named(&Takes::Text),
        ),
    ],
};

const LAYOUTS: &[(&str, Layout)] = &[("fs", Layout::Fs), ("maildir++", Layout::MaildirPlusPlus)];
const ENCODINGS: &[(&str, Encoding)] = &[("utf8", Encoding::Utf8), ("utf7", Encoding::Utf7)];

/// The root of all local folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailRoot {
    /// An absolute path.
    pub path: PathBuf,
    /// How folder names become directories below it.
    pub layout: Layout,
    /// How names beyond ASCII are written there.
    pub encoding: Encoding,
    /// The folders of [`template::ROLES`] that are called otherwise here, by role.
    pub roles: BTreeMap<&'static str, FolderName>,
    /// Folders of the topmost level that lie elsewhere, each with an absolute path.
    pub roots: BTreeMap<String, PathBuf>,
    /// The modes of the files in folders, where others than their owner may read them.
    pub modes: BTreeMap<FolderName, u32>,
}

impl MailRoot {
    /// With everything as it is when nobody says otherwise.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            layout: Layout::default(),
            encoding: Encoding::default(),
            roles: BTreeMap::new(),
            roots: BTreeMap::new(),
            modes: BTreeMap::new(),
        }
    }
}

/// How the characters of a folder name stand on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    #[default]
    Utf8,
    /// In modified UTF-7, as over IMAP (RFC 3501 5.1.3): what Dovecot and Courier read unless they are told otherwise.
    Utf7,
}

/// How a folder name becomes a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `lists/rust` is `PATH/lists/rust`, INBOX is `PATH/INBOX`. What mutt and mbsync users have.
    #[default]
    Fs,
    /// Maildir++: `lists/rust` is `PATH/.lists.rust`, INBOX is `PATH` itself. What Dovecot and Courier write.
    MaildirPlusPlus,
}

pub(super) fn read(node: &Node, base: &Base, problems: &mut Problems) -> Option<MailRoot> {
    let Value::Map(_) = &node.value else {
        return reader::path(node, base, problems).map(MailRoot::at);
    };
    let mut map = MapReader::new(node, &SHAPE, problems);
    let path = map.need("path", |n, p| reader::path(n, base, p));
    let layout = map.read("layout", |n, p| reader::choice(n, LAYOUTS, p)).unwrap_or_default();
    let encoding = map.read("encoding", |n, p| reader::choice(n, ENCODINGS, p)).unwrap_or_default();
    let roles = map.read("roles", roles).unwrap_or_default();
    let roots = map.read("roots", |n, p| roots(n, layout, base, p)).unwrap_or_default();
    let modes = map.read("modes", modes).unwrap_or_default();
    if let Some((name, _)) =
        path.as_ref().and_then(|path| roots.iter().find(|(_, root)| root.starts_with(path) || path.starts_with(root)))
    {
        let at = map.key_span("roots").unwrap_or(node.span);
        let problem = map.problems().error(at, format!("`{name}` would lie within the mail root, or around it"));
        problem.hint("folders there need no root; name a folder elsewhere");
        return None;
    }
    Some(MailRoot { path: path?, layout, encoding, roles, roots, modes })
}

fn entries<'n>(node: &'n Node, expected: &str, problems: &mut Problems) -> Option<&'n [(YamlKey, Node)]> {
    match &node.value {
        Value::Map(entries) => Some(entries),
        _ => {
            reader::mismatch(node, expected, problems);
            None
        }
    }
}

fn roles(node: &Node, problems: &mut Problems) -> Option<BTreeMap<&'static str, FolderName>> {
    let mut roles = BTreeMap::new();
    for (key, node) in entries(node, "roles with the names of folders (a mapping)", problems)? {
        let Some((role, _)) = template::role(&key.text) else {
            let known: Vec<_> = template::ROLES.iter().map(|(role, _)| role.to_lowercase()).collect();
            let text = format!("there is no role `{}`", crate::clean::short(&key.text, 40));
            problems.error(key.span, text).hint(format!("the roles are {}", known.join(", ")));
            continue;
        };
        let folder = folder(node, problems)?;
        if folder.components()[0].starts_with('\\') {
            problems.error(node.span, "a role is called by the name of a folder, and not by another role");
            continue;
        }
        roles.insert(role, folder);
    }
    Some(roles)
}

/// A folder that no message has a say in.
fn folder(node: &Node, problems: &mut Problems) -> Option<FolderName> {
    let template = reader::template(node, problems)?;
    match template.names().next() {
        None => Some(template.expand_folder(&|_| None)),
        Some(_) => {
            problems.error(node.span, "this folder has no variables").hint("write the name itself, like `Spam`");
            None
        }
    }
}

fn roots(node: &Node, layout: Layout, base: &Base, problems: &mut Problems) -> Option<BTreeMap<String, PathBuf>> {
    if layout != Layout::Fs {
        problems.error(node.span, "`roots` needs `layout: fs`: in Maildir++ no folder lies within another");
        return None;
    }
    let mut roots: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (key, node) in entries(node, "folders with paths (a mapping)", problems)? {
        let name: Option<FolderName> = key.text.parse().ok();
        let is_one = name.is_some_and(|name| {
            name != FolderName::inbox() && name.components().len() == 1 && !key.text.starts_with('\\')
        });
        if !is_one {
            let problem = problems.error(key.span, "a folder of the topmost level lies elsewhere, and never INBOX");
            problem.hint("write a name without `/`, like `shared`");
            continue;
        }
        let Some(path) = reader::path(node, base, problems) else { continue };
        let is_near = |other: &PathBuf| other.starts_with(&path) || path.starts_with(other);
        if let Some((other, _)) = roots.iter().find(|(_, other)| is_near(other)) {
            problems
                .error(node.span, format!("`{other}` lies there, above it or below it"))
                .hint("give each a folder of its own");
            continue;
        }
        roots.insert(key.text.clone(), path);
    }
    Some(roots)
}

fn modes(node: &Node, problems: &mut Problems) -> Option<BTreeMap<FolderName, u32>> {
    let mut modes = BTreeMap::new();
    for (key, node) in entries(node, "folders with modes (a mapping)", problems)? {
        if wildcard::has_wildcard(&key.text) {
            let problem = problems.error(key.span, "a mode is for a folder and all that is below it: no wildcards");
            problem.hint("write the name of the upper folder");
            continue;
        }
        let Ok(folder) = key.text.parse::<FolderName>() else {
            problems.error(key.span, "this cannot be the name of a folder");
            continue;
        };
        modes.extend(mode(node, problems).map(|mode| (folder, mode)));
    }
    Some(modes)
}

/// Octal digits, as `chmod` has them. The owner reads and writes, and nothing is a program.
fn mode(node: &Node, problems: &mut Problems) -> Option<u32> {
    let digits = node.as_text().filter(|text| matches!(text.len(), 3 | 4) && text.bytes().all(|b| b.is_ascii_digit()));
    let mode = digits.and_then(|text| u32::from_str_radix(text, 8).ok());
    let is_one = |mode: &u32| mode & 0o600 == 0o600 && mode & !0o666 == 0;
    let mode = mode.filter(is_one);
    if mode.is_none() {
        let problem = reader::mismatch(node, "the mode of files, in which you read and write", problems);
        problem.hint("write it like `\"0640\"` (a group reads) or `\"0660\"` (it writes too); directories follow it");
    }
    mode
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::SourceFile;
    use crate::config::yaml::Document;

    fn read_text(text: &str) -> (Option<MailRoot>, Vec<String>) {
        let source = Arc::new(SourceFile::new("t.yaml", text));
        let mut problems = Problems::new(&source);
        let document = Document::parse(&source, &mut problems).unwrap();
        let root = read(&document.root, &Base::new("/", None), &mut problems);
        (root, problems.into_vec().into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn roles_roots_and_modes() {
        let (root, problems) = read_text(
            "path: /m\nroles: {junk: Spam, Archive: old/mail}\nroots: {shared: /srv/mail}\nmodes: {shared: \"0660\", lists: 640}\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let root = root.unwrap();
        let folder = |name: &str| name.parse::<FolderName>().unwrap();
        assert_eq!(root.roles, [("Junk", folder("Spam")), ("Archive", folder("old/mail"))].into());
        assert_eq!(root.roots, [("shared".to_owned(), PathBuf::from("/srv/mail"))].into());
        assert_eq!(root.modes, [(folder("shared"), 0o660), (folder("lists"), 0o640)].into());
    }

    #[test]
    fn what_cannot_be_meant() {
        for (text, problem) in [
            ("path: /m\nroles: {spam: Spam}\n", "there is no role `spam`"),
            ("path: /m\nroles: {junk: \"${x}\"}\n", "this folder has no variables"),
            ("path: /m\nroots: {a/b: /srv}\n", "a folder of the topmost level lies elsewhere, and never INBOX"),
            ("path: /m\nroots: {inbox: /srv}\n", "a folder of the topmost level lies elsewhere, and never INBOX"),
            (
                "path: /m\nlayout: maildir++\nroots: {a: /srv}\n",
                "`roots` needs `layout: fs`: in Maildir++ no folder lies within another",
            ),
        ] {
            assert_eq!(read_text(text).1, [problem], "{text}");
        }
        for mode in ["0777", "0060", "66", "rw", "0668"] {
            assert_eq!(read_text(&format!("path: /m\nmodes: {{a: \"{mode}\"}}\n")).1.len(), 1, "{mode}");
        }
    }
}
