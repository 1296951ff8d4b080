//! Folder names with `${name}` in them, and the folder names they become.
//!
//! A value may come from anybody's mail. However it looks, it is one piece of one path component: it never adds a
//! separator, never names `.` or `..`, never hides a folder and never collides with the directories of a Maildir.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::inbox::{INBOX, fold_inbox};

/// The longest component, in bytes. Maildir++ puts several into one file name of at most 255.
pub const MAX_COMPONENT: usize = 200;
/// How many components a folder name may have.
pub const MAX_COMPONENTS: usize = 10;
/// How many hexadecimal digits of its sha256 a component that was cut gets.
const DIGITS: usize = 8;

/// The directories of a Maildir: a folder of that name would look like mail.
const RESERVED: [&str; 3] = ["cur", "new", "tmp"];

/// What a folder is for (RFC 6154 2), and what it is called when nobody says. A rule writes `\\Junk`.
pub const ROLES: [(&str, &str); 5] =
    [("Archive", "Archive"), ("Drafts", "Drafts"), ("Junk", "Junk"), ("Sent", "Sent"), ("Trash", "Trash")];

/// The role of that name, in whatever case, and its folder when nobody says.
pub fn role(name: &str) -> Option<(&'static str, &'static str)> {
    ROLES.into_iter().find(|(role, _)| role.eq_ignore_ascii_case(name))
}

/// A folder name with variables: `lists/${list}`.
///
/// `$$` is a `$`, and a `$` before anything but `{` is a `$` too. A value is never looked at again for variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    components: Vec<Vec<TemplatePiece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    Variable(String),
}

/// A text that is no template or no folder name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

impl TemplateError {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }
}

impl Template {
    /// Parses `text` and checks the parts that are its own: no empty component, no leading or trailing `/`, no
    /// component that begins with `.` or is a directory of a Maildir, no leading `~`, no control characters, at
    /// most [`MAX_COMPONENTS`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        check_ends(text)?;
        let components = split(text)?;
        for (offset, pieces) in &components {
            check_component(*offset, pieces)?;
        }
        if let Some((offset, _)) = components.get(MAX_COMPONENTS) {
            return Err(TemplateError::new(*offset, format!("more than {MAX_COMPONENTS} levels of folders")));
        }
        let mut components: Vec<_> = components.into_iter().map(|(_, pieces)| pieces).collect();
        if let Some([TemplatePiece::Text(text)]) = components.first_mut().map(Vec::as_mut_slice)
            && let Some((role, _)) = text.strip_prefix('\\').and_then(role)
        {
            *text = format!("\\{role}");
        }
        Ok(Self { components })
    }

    /// The template `INBOX`.
    pub fn inbox() -> Self {
        Self { components: vec![vec![TemplatePiece::Text("INBOX".to_owned())]] }
    }

    /// The template `${folder}`.
    pub fn whole_folder() -> Self {
        Self { components: vec![vec![TemplatePiece::Variable("folder".to_owned())]] }
    }

    /// The variables, in the order they are written; one that is written twice comes twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.components.iter().flatten().filter_map(|piece| match piece {
            TemplatePiece::Variable(name) => Some(name.as_str()),
            TemplatePiece::Text(_) => None,
        })
    }

    /// The folder name with the values of the variables; one that `lookup` does not know is empty.
    ///
    /// Two different short values never become the same name; one that is longer than [`MAX_COMPONENT`] is cut
    /// and carries a part of its hash.
    pub fn expand_folder<'v>(&self, lookup: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> FolderName {
        self.expand_levels(&|name| lookup(name).map(TemplatePart::Foreign).into_iter().collect())
    }

    /// The same where it is known which text of a value is the user's own: a `/` in that begins another level. Anything
    /// else in it is cleaned as any value is.
    pub fn expand_levels<'v>(&self, lookup: &dyn Fn(&str) -> Vec<TemplatePart<'v>>) -> FolderName {
        let levels = self.levels(lookup).into_iter().map(Level::finish);
        FolderName::of(at_most(MAX_COMPONENTS, levels.collect()))
    }

    /// A whole path: a `/` in any value begins another level, and levels without a name are left out. `None`: nothing is
    /// left.
    pub fn expand_path<'v>(&self, lookup: &dyn Fn(&str) -> Option<Cow<'v, str>>) -> Option<FolderName> {
        let levels = self.levels(&|name| lookup(name).map(TemplatePart::Own).into_iter().collect());
        let named: Vec<String> = levels.into_iter().filter(|level| !level.text.is_empty()).map(Level::finish).collect();
        (!named.is_empty()).then(|| FolderName::of(at_most(MAX_COMPONENTS, named)))
    }

    fn levels<'v>(&self, lookup: &dyn Fn(&str) -> Vec<TemplatePart<'v>>) -> Vec<Level> {
        let mut levels = Vec::new();
        for pieces in &self.components {
            let mut level = Level::default();
            for piece in pieces {
                match piece {
                    TemplatePiece::Text(text) => level.text.push_str(text),
                    TemplatePiece::Variable(name) => {
                        level.has_value = true;
                        lookup(name).iter().for_each(|part| level.put(part, &mut levels));
                    }
                }
            }
            levels.push(level);
        }
        levels
    }

    /// The folder name for an account's `into`, where `${folder}` standing alone between slashes is the whole
    /// folder name with its levels: `into: "${folder}"` mirrors the server.
    pub fn expand_into(&self, account: &str, folder: &FolderName) -> FolderName {
        let joined = folder.to_string();
        let lookup = |name: &str| match name {
            "account" => Some(Cow::Borrowed(account)),
            "folder" => Some(Cow::Borrowed(joined.as_str())),
            _ => None,
        };
        let mut components = Vec::new();
        for pieces in &self.components {
            match pieces.as_slice() {
                [TemplatePiece::Variable(name)] if name == "folder" => components.extend(folder.0.iter().cloned()),
                _ => {
                    let own = Self { components: vec![pieces.clone()] };
                    let levels = own.levels(&|name| lookup(name).map(TemplatePart::Foreign).into_iter().collect());
                    components.extend(levels.into_iter().map(Level::finish));
                }
            }
        }
        FolderName::of(at_most(MAX_COMPONENTS, components))
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        Self::parse(text)
    }
}

fn check_ends(text: &str) -> Result<(), TemplateError> {
    let wrong = |offset, message: &str| Err(TemplateError::new(offset, message));
    match text {
        "" => wrong(0, "a folder name cannot be empty"),
        _ if text.starts_with('/') => wrong(0, "a folder name cannot begin with `/`: it lies below `maildir`"),
        _ if text.starts_with('~') => wrong(0, "a folder name cannot begin with `~`: it lies below `maildir`"),
        _ if text.ends_with('/') => wrong(text.len() - 1, "a folder name cannot end with `/`"),
        _ => Ok(()),
    }
}

/// The components of a template, each with its offset.
fn split(text: &str) -> Result<Vec<(usize, Vec<TemplatePiece>)>, TemplateError> {
    let mut components = vec![(0, Vec::new())];
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (piece, length) = match c {
            '/' => {
                components.push((at + 1, Vec::new()));
                at += 1;
                continue;
            }
            '$' if rest.starts_with("$$") => (TemplatePiece::Text("$".to_owned()), 2),
            '$' if rest.starts_with("${") => variable(at, rest)?,
            c if c.is_control() => return Err(TemplateError::new(at, "a folder name cannot hold control characters")),
            c => (TemplatePiece::Text(c.to_string()), c.len_utf8()),
        };
        if let Some((_, pieces)) = components.last_mut() {
            append(pieces, piece);
        }
        at += length;
    }
    Ok(components)
}

fn variable(at: usize, rest: &str) -> Result<(TemplatePiece, usize), TemplateError> {
    variable_at(at, rest).map(|(name, length)| (TemplatePiece::Variable(name.to_owned()), length))
}

/// The variable at the beginning of `rest`, and the length of what was written for it.
pub(super) fn variable_at(at: usize, rest: &str) -> Result<(&str, usize), TemplateError> {
    let inner = &rest[2..];
    let Some(end) = inner.find('}') else {
        return Err(TemplateError::new(at, "`${` without `}`; a `$` before a `{` is written `$$`"));
    };
    let name = &inner[..end];
    if let Some(bad) = name.find(|c: char| !is_name_char(c)) {
        return Err(TemplateError::new(at + 2 + bad, "a variable's name is letters, digits, `_`, `-` and `.`"));
    }
    if name.is_empty() {
        return Err(TemplateError::new(at, "`${}` names no variable"));
    }
    Ok((name, end + 3))
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn append(pieces: &mut Vec<TemplatePiece>, piece: TemplatePiece) {
    match (pieces.last_mut(), piece) {
        (Some(TemplatePiece::Text(text)), TemplatePiece::Text(more)) => text.push_str(&more),
        (_, piece) => pieces.push(piece),
    }
}

fn check_component(offset: usize, pieces: &[TemplatePiece]) -> Result<(), TemplateError> {
    let message = match pieces {
        [] => "two `/` with nothing between them".to_owned(),
        [TemplatePiece::Text(text), ..] if text.starts_with('.') => {
            "a folder name cannot begin with `.`; levels are separated by `/`".to_owned()
        }
        [TemplatePiece::Text(text), rest @ ..] if offset == 0 && is_unknown_role(text, rest) => {
            let known = ROLES.map(|(role, _)| format!("`\\{role}`")).join(", ");
            format!("no folder has that role; there are {known}")
        }
        [TemplatePiece::Text(text)] if RESERVED.contains(&text.as_str()) => {
            format!("a folder cannot be named `{text}`: every Maildir has a directory of that name")
        }
        _ => return Ok(()),
    };
    Err(TemplateError::new(offset, message))
}

/// `\\` before a letter can mean nothing else.
fn is_unknown_role(text: &str, rest: &[TemplatePiece]) -> bool {
    let name = text.strip_prefix('\\').filter(|name| name.starts_with(|c: char| c.is_alphabetic()));
    name.is_some_and(|name| !rest.is_empty() || role(name).is_none())
}

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplatePart<'v> {
    /// Text of the user: a `/` in it separates levels.
    Own(Cow<'v, str>),
    /// Whatever a message or a program said: one piece of one level.
    Foreign(Cow<'v, str>),
}

/// A level of a folder name while it is made.
#[derive(Default)]
struct Level {
    text: String,
    has_value: bool,
}

impl Level {
    /// Puts a part of a value in; levels that are complete go to `above`.
    fn put(&mut self, part: &TemplatePart<'_>, above: &mut Vec<Self>) {
        match part {
            TemplatePart::Foreign(value) => escape_into(&mut self.text, value),
            TemplatePart::Own(text) => {
                for (n, piece) in text.split('/').enumerate() {
                    if n > 0 {
                        above.push(std::mem::replace(self, Self { text: String::new(), has_value: true }));
                    }
                    escape_into(&mut self.text, piece);
                }
            }
        }
    }

    fn finish(self) -> String {
        if self.has_value { safe_component(self.text) } else { shortened(self.text) }
    }
}

/// Appends a value. `%` is escaped too, so that two values never look alike.
fn escape_into(out: &mut String, value: &str) {
    for c in value.chars() {
        if c == '/' || c == '%' || c.is_control() {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&escaped(byte)));
        } else {
            out.push(c);
        }
    }
}

fn escaped(byte: u8) -> String {
    format!("%{byte:02X}")
}

/// A component that can stand in a path: not empty, not hidden, not a directory of a Maildir, not too long.
///
/// A lone `_` is escaped because it stands for "empty".
fn safe_component(text: String) -> String {
    if text.is_empty() {
        return "_".to_owned();
    }
    if text.starts_with(['.', '\\']) || text == "_" || RESERVED.contains(&text.as_str()) {
        let first = text.as_bytes().first().map(|byte| escaped(*byte)).unwrap_or_default();
        return shortened(format!("{first}{}", &text[1..]));
    }
    shortened(text)
}

/// At most [`MAX_COMPONENT`] bytes; what is cut is replaced by a part of the hash of the whole.
fn shortened(text: String) -> String {
    if text.len() <= MAX_COMPONENT {
        return text;
    }
    let hash = HEXLOWER.encode(&Sha256::digest(&text));
    let cut = text.floor_char_boundary(MAX_COMPONENT - DIGITS - 1);
    format!("{}-{}", &text[..cut], &hash[..DIGITS])
}

/// The first components as they are, and what is beyond `most` together in the last.
fn at_most(most: usize, mut components: Vec<String>) -> Vec<String> {
    if components.len() > most {
        let rest = components.split_off(most - 1);
        let mut last = String::new();
        escape_into(&mut last, &rest.join("/"));
        components.push(safe_component(last));
    }
    components
}

/// The name of a local folder: its components can stand in a path as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FolderName(Vec<String>);

impl FolderName {
    /// `INBOX`.
    pub fn inbox() -> Self {
        Self(vec![INBOX.to_owned()])
    }

    /// `INBOX` has no case (RFC 3501 5.1).
    fn of(mut components: Vec<String>) -> Self {
        if let Some(first) = components.first_mut()
            && let Cow::Owned(folded) = fold_inbox(first)
        {
            *first = folded;
        }
        Self(components)
    }

    /// The local name for a folder of a server that separates levels by `delimiter` (`None`: it has no levels).
    ///
    /// It is treated like a value from a mail.
    pub fn parse_safe(name: &str, delimiter: Option<char>) -> Self {
        let parts: Vec<&str> = match delimiter {
            Some(delimiter) => name.split(delimiter).collect(),
            None => vec![name],
        };
        Self::of(at_most(MAX_COMPONENTS, parts.into_iter().map(remote_component).collect()))
    }

    /// A folder as a person names it: `\\Junk` by what it is for, else as [`Self::parse_safe`] has it.
    pub fn of_user(text: &str) -> Self {
        let (first, below) = text.split_once('/').map_or((text, None), |(first, below)| (first, Some(below)));
        match first.strip_prefix('\\').and_then(role) {
            Some((role, _)) => {
                let below = below.map(|below| Self::parse_safe(below, Some('/')).0).unwrap_or_default();
                Self(vec![format!("\\{role}")]).with_below(&below)
            }
            None => Self::parse_safe(text, Some('/')),
        }
    }

    /// The folder of these levels below this one.
    #[must_use]
    pub fn with_below(&self, levels: &[String]) -> Self {
        Self(at_most(MAX_COMPONENTS, [&self.0, levels].concat()))
    }

    /// What the folder is for, where it is named by that.
    pub fn role(&self) -> Option<&str> {
        self.0.first().and_then(|first| first.strip_prefix('\\'))
    }

    /// The levels, the topmost first; at least one, at most [`MAX_COMPONENTS`].
    pub fn components(&self) -> &[String] {
        &self.0
    }
}

fn remote_component(part: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, part);
    safe_component(out)
}

/// The levels joined by `/`; [`FolderName::from_str`] reads it back.
impl fmt::Display for FolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// Reads what [`fmt::Display`] wrote; refuses what no `FolderName` can hold.
impl FromStr for FolderName {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        check_ends(text)?;
        let components: Vec<String> = text.split('/').map(str::to_owned).collect();
        let is_safe = |part: &String| {
            !part.is_empty()
                && !part.starts_with('.')
                && !RESERVED.contains(&part.as_str())
                && !part.contains(char::is_control)
                && part.len() <= MAX_COMPONENT
        };
        if components.len() > MAX_COMPONENTS || !components.iter().all(is_safe) {
            return Err(TemplateError::new(0, "this cannot be the name of a folder"));
        }
        Ok(Self::of(components))
    }
}

impl TryFrom<String> for FolderName {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<FolderName> for String {
    fn from(name: FolderName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(template: &str, value: &str) -> FolderName {
        Template::parse(template).unwrap().expand_folder(&|_| Some(Cow::Borrowed(value)))
    }

    fn error(template: &str) -> TemplateError {
        Template::parse(template).unwrap_err()
    }

    #[test]
    fn plain_names_stay() {
        assert_eq!(expand("lists/rust", "").components(), ["lists", "rust"]);
        assert_eq!(expand("gh/${owner}/x-${repo}", "a").to_string(), "gh/a/x-a");
        assert_eq!(expand("$$${x}$5 ~ 100%", "v").to_string(), "$v$5 ~ 100%");
        assert_eq!(expand("a$", "").to_string(), "a$");
        assert_eq!(expand("$${x}", "v").to_string(), "${x}");
        assert_eq!(expand("${x}", "${x}").to_string(), "${x}", "a value is not looked at again");
    }

    #[test]
    fn variables_are_listed() {
        let template = Template::parse("${account}/a${list.id}b${account}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["account", "list.id", "account"]);
        assert_eq!(Template::parse("${unknown}").unwrap().expand_folder(&|_| None).to_string(), "_");
    }

    #[test]
    fn wrong_templates_say_where() {
        for (template, offset) in [
            ("", 0),
            ("/a", 0),
            ("a/", 1),
            ("a//b", 2),
            ("a/../b", 2),
            ("./a", 0),
            ("a/.hidden", 2),
            (".${x}", 0),
            ("a/cur", 2),
            ("new", 0),
            ("~/a", 0),
            ("a${x", 1),
            ("a${}", 1),
            ("a${x y}", 4),
            ("a${x/y}", 4),
            ("a\nb", 1),
        ] {
            assert_eq!(error(template).offset, offset, "{template:?}");
        }
        assert!(Template::parse("a/b/c/d/e/f/g/h/i/j").is_ok());
        assert!(Template::parse("a/b/c/d/e/f/g/h/i/j/k").is_err());
        assert!(Template::parse("cur${x}/current").is_ok());
    }

    #[test]
    fn hostile_values_stay_one_component() {
        for (value, expected) in [
            ("../../.ssh/authorized_keys", "%2E.%2F..%2F.ssh%2Fauthorized_keys"),
            ("/etc", "%2Fetc"),
            ("a\0b", "a%00b"),
            ("a\u{85}b", "a%C2%85b"),
            (".INBOX..", "%2EINBOX.."),
            (".", "%2E"),
            ("..", "%2E."),
            ("cur", "%63ur"),
            ("tmp", "%74mp"),
            ("", "_"),
            ("_", "%5F"),
            ("%2F", "%252F"),
            ("größe", "größe"),
        ] {
            assert_eq!(expand("lists/${x}", value).components(), ["lists", expected], "{value:?}");
        }
        assert_eq!(expand("c${x}", "ur").to_string(), "%63ur");
        assert_eq!(expand("${x}${x}", ".").to_string(), "%2E.");
    }

    #[test]
    fn own_text_keeps_its_levels_and_values_do_not() {
        let levels = |template: &str, parts: &[TemplatePart<'static>]| {
            Template::parse(template).unwrap().expand_levels(&|_| parts.to_vec()).to_string()
        };
        let (own, foreign) = (TemplatePart::Own("lists/".into()), TemplatePart::Foreign("../a/b".into()));
        assert_eq!(levels("${x}", &[own.clone(), foreign.clone()]), "lists/%2E.%2Fa%2Fb");
        assert_eq!(levels("y/${x}-z", &[own]), "y/lists/-z");
        assert_eq!(levels("${x}", &[foreign]), "%2E.%2Fa%2Fb");
        assert_eq!(levels("${x}", &[TemplatePart::Own("../cur/".into())]), "%2E./%63ur/_");
        assert_eq!(levels("${x}", &[]), "_");
    }

    #[test]
    fn a_path_keeps_its_levels_and_stays_below_the_root() {
        let path = |template: &str, value: &'static str| {
            Template::parse(template).unwrap().expand_path(&|_| Some(value.into())).map(|name| name.to_string())
        };
        assert_eq!(path("${x}", "a/b").as_deref(), Some("a/b"));
        assert_eq!(path("in/${x}/y", "/../../etc//./cur/~").as_deref(), Some("in/%2E./%2E./etc/%2E/%63ur/~/y"));
        assert_eq!(path("${x}", "//").as_deref(), None);
        assert_eq!(path("${x}", "inbox/x").as_deref(), Some("INBOX/x"));
        let deep: &'static str = Box::leak("a/".repeat(50).into_boxed_str());
        assert_eq!(
            Template::parse("${x}").unwrap().expand_path(&|_| Some(deep.into())).unwrap().0.len(),
            MAX_COMPONENTS
        );
    }

    #[test]
    fn long_values_are_cut() {
        let (a, b) = ("ä".repeat(150), format!("{}b", "ä".repeat(150)));
        let name = expand("${x}", &a);
        assert!(name.components()[0].len() <= MAX_COMPONENT);
        assert_ne!(name, expand("${x}", &b));
        assert_eq!(expand("${x}", &"x".repeat(200)).to_string(), "x".repeat(200));
    }

    #[test]
    fn server_folders_are_mirrored() {
        assert_eq!(FolderName::parse_safe("Lists.rust", Some('.')).components(), ["Lists", "rust"]);
        assert_eq!(FolderName::parse_safe("inbox/Sub", Some('/')).components(), ["INBOX", "Sub"]);
        assert_eq!(FolderName::parse_safe("../x//", Some('/')).components(), ["%2E.", "x", "_", "_"]);
        assert_eq!(FolderName::parse_safe("a/b", None).components(), ["a%2Fb"]);
        let deep = FolderName::parse_safe(&vec!["a"; 40].join("/"), Some('/'));
        assert_eq!(deep.components().len(), MAX_COMPONENTS);

        let folder = FolderName::parse_safe("Lists.rust", Some('.'));
        let into = |template: &str| Template::parse(template).unwrap().expand_into("work", &folder).to_string();
        assert_eq!(into("${folder}"), "Lists/rust");
        assert_eq!(into("${account}/${folder}"), "work/Lists/rust");
        assert_eq!(into("x-${folder}"), "x-Lists%2Frust");
        assert_eq!(into("INBOX"), "INBOX");
    }

    #[test]
    fn unsafe_names_are_not_read_back() {
        for text in ["", "/a", "a/", "a//b", "..", "a/.b", "a/cur", "a\0", "~a"] {
            assert!(text.parse::<FolderName>().is_err(), "{text:?}");
        }
        assert_eq!("a/b".parse::<FolderName>().unwrap().components(), ["a", "b"]);
    }

    /// Values with many of the characters that matter.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof!["[./%_\\x00-\\x1fcurnewtmp2F5E]{0,8}", "\\PC{0,40}", any::<String>(), "[./]{0,300}"]
    }

    fn is_one_safe_component(name: &FolderName) -> bool {
        let [part] = name.components() else { return false };
        !part.is_empty()
            && !part.starts_with('.')
            && !part.contains(['/', '\0'])
            && !RESERVED.contains(&part.as_str())
            && part.len() <= MAX_COMPONENT
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn no_value_leaves_its_component(value in hostile()) {
            for template in ["${x}", "a${x}", "${x}${x}", "${x}."] {
                let name = expand(template, &value);
                prop_assert!(is_one_safe_component(&name), "{template} {name:?}");
            }
        }

        #[test]
        fn different_values_have_different_names(a in hostile(), b in hostile()) {
            if a != b && a.len() < 60 && b.len() < 60 {
                prop_assert_ne!(expand("${x}", &a), expand("${x}", &b));
            }
        }

        #[test]
        fn names_round_trip(name in hostile(), delimiter in prop_oneof![Just(None), Just(Some('.')), Just(Some('/'))]) {
            let folder = FolderName::parse_safe(&name, delimiter);
            let read = folder.to_string().parse::<FolderName>();
            if folder.components()[0].starts_with('~') {
                prop_assert!(read.is_err());
            } else {
                prop_assert_eq!(read, Ok(folder));
            }
        }

        #[test]
        fn any_template_is_parsed_or_refused(text in "[a${}/.~%]{0,20}") {
            if let Ok(template) = Template::parse(&text) {
                let name = template.expand_folder(&|_| Some(Cow::Borrowed("../x")));
                prop_assert!(name.components().iter().all(|part| !part.starts_with('.') && !part.contains('/')));
            }
        }
    }
}
