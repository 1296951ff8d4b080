//! Every message: when it came to its server, and when it stood here.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::maildir::message_id;
use crate::support::rough_line::Random;

/// The longest body, in lines.
const LONGEST: u64 = 200;

#[derive(Debug)]
pub struct Mail {
    pub account: usize,
    pub folder: String,
    pub came: Instant,
    /// Each time it was found.
    pub found: Vec<Instant>,
}

/// By Message-ID.
#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<String, Mail>>);

impl Ledger {
    /// A new message for a folder. It is noted before anybody can see it.
    pub fn message(&self, account: usize, folder: &str, random: &mut Random) -> String {
        let mut ledger = self.0.lock().unwrap();
        let id = format!("<{:07}@soak.example>", ledger.len());
        let mail = Mail { account, folder: folder.to_owned(), came: Instant::now(), found: Vec::new() };
        let head = format!("From: ann@soak.example\nTo: me@soak.example\nSubject: {folder}\nMessage-ID: {id}\n\n");
        let lines = random.below(LONGEST) as usize;
        ledger.insert(id, mail);
        head + &"Nothing is said here, but at some length.\n".repeat(lines)
    }

    /// What stands in `new/` of a folder is noted and read, as a person does.
    pub fn read(&self, maildir: &Path) {
        let files = fs::read_dir(maildir.join("new")).into_iter().flatten().flatten();
        for file in files {
            let Ok(bytes) = fs::read(file.path()) else { continue };
            let read = maildir.join("cur").join(format!("{}:2,S", file.file_name().to_string_lossy()));
            fs::rename(file.path(), read).unwrap();
            self.found(&bytes);
        }
    }

    fn found(&self, bytes: &[u8]) {
        let id = message_id(bytes).unwrap_or_default();
        let mut ledger = self.0.lock().unwrap();
        // What is none of ours is a notice; those are counted at the end.
        if let Some(mail) = ledger.get_mut(&id) {
            mail.found.push(Instant::now());
        }
    }

    pub fn is_here(&self, bytes: &[u8]) -> bool {
        let id = message_id(bytes).unwrap_or_default();
        self.0.lock().unwrap().get(&id).is_some_and(|mail| !mail.found.is_empty())
    }

    pub fn missing(&self) -> usize {
        self.0.lock().unwrap().values().filter(|mail| mail.found.is_empty()).count()
    }

    pub fn take(&self) -> BTreeMap<String, Mail> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// How long a message took from when it could have been fetched: when it came, or when the last thing broke before it was here.
/// `broken` is in order.
pub fn took(mail: &Mail, broken: &[Instant]) -> Option<Duration> {
    let here = *mail.found.first()?;
    let before = broken.partition_point(|at| *at <= here);
    let last = before.checked_sub(1).map_or(mail.came, |index| broken[index]);
    Some(here - mail.came.max(last))
}
