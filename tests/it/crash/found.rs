//! The mail that stands on the disk.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::ForgetfulDisk;
use super::world::MAIL;

/// One mail: where it stands, its flags and keywords, its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub folder: String,
    pub flags: String,
    pub content: String,
}

/// Everything that a reader would see, each with its number; notices by their kind.
pub fn delivered(disk: &ForgetfulDisk, content: &dyn Fn(&[u8]) -> String) -> BTreeMap<Place, usize> {
    let mut found = BTreeMap::new();
    let files = disk.files_below(Path::new(MAIL));
    for (path, bytes) in &files {
        let dir = path.parent().unwrap();
        let below = |path: &Path| path.strip_prefix(MAIL).unwrap().display().to_string();
        if is_mbox(path) {
            for content in messages_in_mbox(&String::from_utf8_lossy(bytes)) {
                *found.entry(Place { folder: below(path), flags: String::new(), content }).or_default() += 1;
            }
        }
        if !dir.ends_with("new") && !dir.ends_with("cur") {
            continue;
        }
        let folder = below(dir.parent().unwrap());
        let flags = flags(&files, path);
        let content = content(bytes);
        let kind = content.split_once("\nX-Mailsluice-Notice: ").and_then(|(_, rest)| rest.split_once('\n'));
        let content = kind.map_or(content.clone(), |(kind, _)| format!("(notice: {kind})"));
        *found.entry(Place { folder, flags, content }).or_default() += 1;
    }
    found
}

/// Letters, then the keywords that the Maildir's own file names.
fn flags(files: &[(std::path::PathBuf, Vec<u8>)], path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let letters = name.split_once(":2,").map_or("", |(_, letters)| letters);
    let file = path.parent().unwrap().parent().unwrap().join("dovecot-keywords");
    let keywords = files.iter().find(|(path, _)| *path == file).map(|(_, bytes)| String::from_utf8_lossy(bytes));
    let keyword = |letter: char| {
        let number = format!("{} ", letter as u32 - 'a' as u32);
        let line = keywords.as_ref().and_then(|text| text.lines().find_map(|line| line.strip_prefix(&number)));
        format!(" {}", line.unwrap_or("(unknown)"))
    };
    // The reader's flag says nothing about us.
    let capitals = letters.chars().filter(|letter| letter.is_ascii_uppercase() && *letter != 'S');
    let small = letters.chars().filter(char::is_ascii_lowercase).map(keyword);
    capitals.map(String::from).chain(small).collect()
}

/// The messages of an mbox, unquoted.
fn messages_in_mbox(text: &str) -> Vec<String> {
    let mut messages: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match messages.last_mut() {
            _ if line.starts_with("From ") => messages.push(String::new()),
            Some(message) => {
                let is_quoted = line.trim_start_matches('>').starts_with("From ");
                message.push_str(if is_quoted { &line[1..] } else { line });
            }
            None => {}
        }
    }
    messages.into_iter().map(|message| message.strip_suffix('\n').map(str::to_owned).unwrap_or(message)).collect()
}

fn is_mbox(path: &Path) -> bool {
    path.starts_with(Path::new(MAIL).join("boxes")) && path.extension().is_none()
}
