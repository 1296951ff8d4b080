//! Keywords in a Maildir: the file `dovecot-keywords` assigns each a letter from `a` to `z` for file names.
//!
//! A line is `N name`: 0 is `a`, 25 is `z`. Numbers never change, lines of other programs survive, and the file is
//! durable before a message with one of its letters is published. Programs that change it hold `dovecot-uidlist.lock`.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::Path;

use super::dotlock::Dotlock;
use crate::error::{Error, Result};
use crate::message::{Flag, Flags};
use crate::state::Disk;

/// How many keywords can have letters.
const MAX_KEYWORDS: usize = 26;
/// How long the file may be. Dovecot writes no longer one.
const MAX_FILE_BYTES: u64 = 64 * 1024;
const KEYWORDS_FILE: &str = "dovecot-keywords";
const LOCK_FILE: &str = "dovecot-uidlist.lock";
const NEW_KEYWORDS_FILE: &str = "dovecot-keywords.mailsluice";

/// The letters of one Maildir's keywords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    names: [Option<String>; MAX_KEYWORDS],
    /// Whether no further letters may be assigned.
    is_closed: bool,
}

impl Letters {
    /// The letters of these keywords. New ones are written to the Maildir's file. A keyword gets no letter if all 26
    /// are taken.
    pub fn assign(disk: &dyn Disk, maildir: &Path, keywords: &BTreeSet<&str>) -> Result<Self> {
        if keywords.is_empty() {
            return Ok(Self::default());
        }
        let failed = |e| Error::of_target(maildir, format!("giving keywords letters in {}", maildir.display()), e);
        let known = Self::parse(&read(disk, maildir).map_err(failed)?);
        let letters = if known.lacks(keywords) { add(disk, maildir, keywords).map_err(failed)? } else { known };
        // A process before this one may have died between writing the file and this sync.
        disk.sync_dir(maildir).map_err(failed)?;
        Ok(letters)
    }

    /// The letters that are assigned in a Maildir.
    pub fn read(disk: &dyn Disk, maildir: &Path) -> Result<Self> {
        let failed = |e| Error::disk(format!("reading the keywords of {}", maildir.display()), e);
        Ok(Self::parse(&read(disk, maildir).map_err(failed)?))
    }

    /// The flags and keywords in a file name, such as `…:2,FSa`.
    pub fn flags(&self, file_name: &str) -> Flags {
        let mut flags = Flags::default();
        for letter in file_name.rsplit_once(":2,").map_or("", |(_, letters)| letters).chars() {
            if let Some(flag) = Flag::from_letter(letter) {
                flags.add(flag);
            } else if let Some(Some(name)) = (letter as usize).checked_sub('a' as usize).and_then(|n| self.names.get(n))
            {
                flags.add_keyword(name);
            }
        }
        flags
    }

    /// The letter of a keyword, whatever its case.
    pub fn letter(&self, keyword: &str) -> Option<char> {
        let is_it = |name: &Option<String>| name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(keyword));
        let number = self.names.iter().position(is_it)?;
        u8::try_from(number).ok().map(|number| char::from(b'a' + number))
    }

    fn parse(text: &[u8]) -> Self {
        let mut letters = Self { is_closed: text.len() as u64 > MAX_FILE_BYTES, ..Self::default() };
        for line in text.split(|byte| *byte == b'\n') {
            let parts = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' '));
            let Some((number, name)) = parts else { continue };
            let slot = number.parse().ok().and_then(|number: usize| letters.names.get_mut(number));
            if let Some(slot @ None) = slot {
                *slot = Some(name.to_owned());
            }
        }
        letters
    }

    /// Whether a keyword has no letter and could get one.
    fn lacks(&self, keywords: &BTreeSet<&str>) -> bool {
        self.free().is_some() && keywords.iter().any(|keyword| self.letter(keyword).is_none())
    }

    fn free(&self) -> Option<usize> {
        if self.is_closed { None } else { self.names.iter().position(Option::is_none) }
    }
}

fn read(disk: &dyn Disk, maildir: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match disk.open(&maildir.join(KEYWORDS_FILE)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        file => drop(file?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?),
    }
    Ok(text)
}

fn add(disk: &dyn Disk, maildir: &Path, keywords: &BTreeSet<&str>) -> io::Result<Letters> {
    let _lock = Dotlock::take(disk, &maildir.join(LOCK_FILE))?;
    let mut text = read(disk, maildir)?;
    let mut letters = Letters::parse(&text);
    if !letters.lacks(keywords) {
        return Ok(letters);
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    for keyword in keywords {
        if letters.letter(keyword).is_none()
            && let Some(number) = letters.free()
        {
            text.extend_from_slice(format!("{number} {keyword}\n").as_bytes());
            letters.names[number] = Some((*keyword).to_owned());
        }
    }
    write(disk, maildir, &text)?;
    Ok(letters)
}

/// Writes the file, complete and durable, under another name, and then renames it.
fn write(disk: &dyn Disk, maildir: &Path, text: &[u8]) -> io::Result<()> {
    let new = maildir.join(NEW_KEYWORDS_FILE);
    let mut file = match disk.create(&new) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(&new)?;
            disk.create(&new)?
        }
        file => file?,
    };
    file.write_all(text)?;
    file.finish(None)?;
    disk.replace(&new, &maildir.join(KEYWORDS_FILE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::RealDisk;

    fn assign(maildir: &Path, keywords: &[&str]) -> Letters {
        Letters::assign(&RealDisk, maildir, &keywords.iter().copied().collect()).unwrap()
    }

    fn text(maildir: &Path) -> String {
        std::fs::read_to_string(maildir.join(KEYWORDS_FILE)).unwrap()
    }

    #[test]
    fn numbers_stay_and_foreign_lines_survive() {
        let maildir = tempfile::tempdir().unwrap();
        let maildir = maildir.path();
        assign(maildir, &[]);
        assert!(!maildir.join(KEYWORDS_FILE).exists(), "a Maildir without keywords never gets the file");
        let foreign = "1 $Work\n30 beyond\nnonsense\n1 again\n0";
        std::fs::write(maildir.join(KEYWORDS_FILE), foreign).unwrap();
        let letters = assign(maildir, &["$finance", "$WORK", "Junk"]);
        assert_eq!(text(maildir), format!("{foreign}\n0 $finance\n2 Junk\n"));
        let found = ["$finance", "$work", "junk", "beyond"].map(|name| letters.letter(name));
        assert_eq!(found, [Some('a'), Some('b'), Some('c'), None]);
        assert_eq!(std::fs::read_dir(maildir).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn there_are_26_and_no_more() {
        let maildir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..30).map(|n| format!("k{n:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let letters = assign(maildir.path(), &names);
        assert_eq!(letters.letter("k25"), Some('z'));
        assert_eq!(letters.letter("k26"), None);
        assert_eq!(text(maildir.path()).lines().count(), 26);
        assert_eq!(assign(maildir.path(), &["k26"]).letter("k26"), None);
    }

    #[test]
    fn processes_and_threads_do_not_lose_each_others_names() {
        let maildir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..8).map(|n| format!("k{n}")).collect();
        std::thread::scope(|scope| names.iter().for_each(|name| drop(scope.spawn(|| assign(maildir.path(), &[name])))));
        let numbers: BTreeSet<Option<char>> =
            names.iter().map(|name| assign(maildir.path(), &[name]).letter(name)).collect();
        assert_eq!(numbers.len(), 8);
        assert!(!numbers.contains(&None));
    }
}
