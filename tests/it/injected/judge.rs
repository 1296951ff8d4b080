//! What stands where, read from outside, and what is wrong about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::mail::{Place, Standing, is_whole, number};
use crate::support::maildir::{Maildirs, Sub};
use crate::support::smtp_server::Taken;

/// One file or part of a file.
struct Seen {
    place: Place,
    number: usize,
    is_whole: bool,
}

impl Seen {
    fn new(place: Place, bytes: &[u8]) -> Option<Self> {
        let number = number(bytes)?;
        let is_whole = is_whole(number, &place, bytes);
        Some(Self { place, number, is_whole })
    }
}

/// All that anybody could find below this home and at the relay.
fn look(home: &Path, told: &[Taken]) -> Vec<Seen> {
    let mut seen = Vec::new();
    for found in Maildirs::at(home.join("Mail")).delivered() {
        seen.extend(Seen::new(Place::Folder(found.folder.clone()), &found.bytes));
    }
    let mbox = fs::read(home.join("Mail/old")).unwrap_or_default();
    seen.extend(parts(&mbox).iter().filter_map(|part| Seen::new(Place::Mbox, part)));
    let spool = files(&home.join("state/spool"));
    seen.extend(spool.iter().filter_map(|path| Seen::new(Place::Spool, &fs::read(path).ok()?)));
    seen.extend(told.iter().filter_map(|taken| Seen::new(Place::Relay, &taken.message())));
    seen
}

/// The messages of an mbox, without their `From ` lines.
fn parts(mbox: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(mbox);
    let text = format!("\n{text}");
    let parts = text.split("\nFrom ").skip(1);
    parts.filter_map(|part| part.split_once('\n')).map(|(_, message)| message.as_bytes().to_vec()).collect()
}

pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path()).collect()
}

/// The messages that stand nowhere whole. Half done is enough: a spool, one folder of two.
pub fn nowhere(home: &Path, told: &[Taken], numbers: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let safe: BTreeSet<usize> = look(home, told).iter().filter(|it| it.is_whole).map(|it| it.number).collect();
    numbers.into_iter().filter(|number| !safe.contains(number)).collect()
}

pub fn standing(home: &Path, told: &[Taken]) -> Standing {
    let whole = look(home, told).into_iter().filter(|seen| seen.is_whole);
    whole.fold(Standing::new(), |mut standing, seen| {
        *standing.entry((seen.place, seen.number)).or_default() += 1;
        standing
    })
}

/// Copies more than are wanted that docs/durability.md allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Excuse {
    /// The relay had it, and nobody could note that any more: it may come once more.
    pub told: Option<usize>,
    /// Whoever gave it heard no answer and gave it again: both may have been taken.
    pub given_twice: Option<usize>,
}

impl Excuse {
    fn copies(self, place: &Place, number: usize) -> usize {
        let is_told_again = *place == Place::Relay && self.told == Some(number);
        let may_stand = matches!(place, Place::Relay | Place::Spool) || *place == Place::folder("Recovered");
        usize::from(is_told_again) + usize::from(may_stand && self.given_twice == Some(number))
    }
}

/// Everything that is not as it is wanted, once nothing moves any more.
pub fn wrong(home: &Path, told: &[Taken], wanted: &Standing, excuse: Excuse) -> Vec<String> {
    let halves = look(home, told).into_iter().filter(|seen| !seen.is_whole);
    let mut wrong: Vec<String> = halves.map(|seen| format!("HALF: {} in {:?}", seen.number, seen.place)).collect();
    let found = standing(home, told);
    for (place, number) in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let key = (place.clone(), *number);
        let (wants, has) = (wanted.get(&key).copied().unwrap_or(0), found.get(&key).copied().unwrap_or(0));
        let may = wants + excuse.copies(place, *number);
        let what = match () {
            () if has < wants && !found.keys().any(|(_, other)| other == number) => "LOST",
            () if has < wants => "MISSING",
            () if has > may && wants == 0 => "MISPLACED",
            () if has > may => "DOUBLED",
            () => continue,
        };
        wrong.push(format!("{what}: {number} stands {has} times in {place:?}, not {wants}"));
    }
    wrong.extend(left_over(home));
    wrong
}

/// What nobody needs any more.
pub fn left_over(home: &Path) -> Vec<String> {
    let mut left = Vec::new();
    walk(home, &mut |path| {
        let parent = path.parent().and_then(Path::file_name).unwrap_or_default();
        let is_lock = path.starts_with(home.join("Mail")) && path.extension().is_some_and(|end| end == "lock");
        if parent == "tmp" || is_lock || path.starts_with(home.join("state/spool/mbox")) {
            left.push(format!("LEFT OVER: {}", path.strip_prefix(home).unwrap().display()));
        }
    });
    left
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path(), visit),
            _ => visit(&entry.path()),
        }
    }
}

/// The notices that the program filed: how many of each kind.
pub fn notices(home: &Path) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for found in Maildirs::at(home.join("Mail")).messages().iter().filter(|found| found.sub != Sub::Tmp) {
        let text = String::from_utf8_lossy(&found.bytes).into_owned();
        if let Some(kind) = text.lines().find_map(|line| line.strip_prefix("X-Mailsluice-Notice: ")) {
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
    }
    kinds
}
