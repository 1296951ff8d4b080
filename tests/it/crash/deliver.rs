//! The same for `deliver`: its caller tries again with the same bytes until it hears that they are safe.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use mailsluice::config::MailRoot;
use mailsluice::error::Result;
use mailsluice::filter::Engine;
use mailsluice::message::{Bytes, Key, Origin, STDIN};
use mailsluice::pass::{Report, World};
use mailsluice::pipeline;
use mailsluice::state::{KeyPurpose, RememberedKeys, SqliteStore, Stamp};
use tempfile::TempDir;

use super::disk::{Death, ForgetfulDisk, Rename};
use super::fate::Fate;
use super::store::{MortalStore, in_memory, owner};
use super::world::{MAIL, RULES, engine};
use super::{NEVER, is_thorough};

const FILED: &str = "Subject: for two folders\n\nfirst\n";
const DISCARDED: &str = "Subject: rubbish\n\nsecond\n";
/// Whether a message is taken into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Big,
}

struct Machine {
    size: Size,
    state: TempDir,
    engine: Arc<Engine>,
    fate: Fate,
    disk: ForgetfulDisk,
    store: Arc<SqliteStore>,
}

impl Machine {
    fn new(rename: Rename, size: Size) -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("locks")).unwrap();
        let fate = Fate::default();
        let directories = [Path::new("/home/me"), &state.path().join("spool")];
        let disk = ForgetfulDisk::with_directories(&fate, rename, None, &directories);
        let store = in_memory(state.path());
        Self { size, engine: engine(RULES), state, fate, disk, store }
    }

    /// Returns the steps it took, and what the caller heard.
    fn deliver(&self, text: &str, dies_before: Option<usize>, death: Death) -> (usize, Option<Result<Report>>) {
        self.fate.begin(dies_before);
        let digest = digest(text);
        // A process that dies cannot empty its lock file; what stands in it is lost when the power goes.
        let lock = self.state.path().join(format!("locks/deliver-{}.lock", &digest[..2]));
        let left = Arc::new(Mutex::new(Vec::new()));
        let (kept, path) = (Arc::clone(&left), lock.clone());
        self.fate.at_death(move || *kept.lock().unwrap() = fs::read(path).unwrap_or_default());
        let outcome = self.read(text).and_then(|bytes| {
            let engine = Arc::clone(&self.engine);
            pipeline::deliver(self.world(), engine, bytes, &digest).map(|delivered| delivered.report)
        });
        let steps = self.fate.steps().len();
        if !self.fate.is_dead() {
            return (steps, Some(outcome));
        }
        self.disk.restart(death);
        match death {
            Death::Killed => fs::write(lock, &*left.lock().unwrap()).unwrap(),
            Death::PowerCut => {
                let space = format!("deliver-{}", &digest[..2]);
                self.store.deciding(&owner(&self.store, self.state.path(), &space), None).unwrap();
                // The machine was started since.
                fs::write(lock, "released before\n").unwrap();
            }
        }
        (steps, None)
    }

    /// Big messages come in a file.
    fn read(&self, text: &str) -> Result<Bytes> {
        if self.size == Size::Small {
            return Ok(Bytes::Memory(text.as_bytes().to_vec()));
        }
        let mut writer = self.world().spool(Stamp::default()).begin_incoming()?;
        writer.write_lf(text.as_bytes())?;
        writer.finish()
    }

    fn world(&self) -> World {
        let disk = Arc::new(self.disk.clone());
        let store = Arc::new(MortalStore::new(&self.fate, &self.store, disk.clone(), None));
        let root = MailRoot::at(MAIL);
        let world = World::new(store, disk, root, self.state.path().to_path_buf());
        World { now: next_second, threads: 1, host: "host".to_owned(), ..world }
    }

    /// In `lists/a`, in `lists/b` and in the spool.
    fn delivered(&self) -> [usize; 3] {
        let mut mail = self.disk.files_below(Path::new(MAIL));
        mail.retain(|(path, _)| !path.ends_with(".mailsluice") && !path.ends_with(".mailsluice-new"));
        let mut spool = self.disk.files_below(self.state.path());
        // What was being read is pruned when it is a day old.
        spool.retain(|(path, _)| !path.file_name().unwrap().to_string_lossy().starts_with("incoming."));
        let is_in = |path: &Path, folder: &str| path.starts_with(Path::new(MAIL).join(folder).join("new"));
        let filed =
            |folder| mail.iter().filter(|(path, bytes)| is_in(path, folder) && bytes == FILED.as_bytes()).count();
        let discarded = spool.iter().filter(|(_, bytes)| bytes == DISCARDED.as_bytes()).count();
        assert_eq!(spool.len(), discarded, "something else is in the spool");
        let counts = [filed("lists/a"), filed("lists/b"), discarded];
        assert_eq!(mail.len() - self.staged(), counts[0] + counts[1], "something else was delivered");
        counts
    }

    fn is_acknowledged(&self, text: &str) -> bool {
        let origin = Origin { account: pipeline::DELIVER.to_owned(), folder: STDIN.to_owned(), generation: 0 };
        let key = Key::new(&Arc::new(origin), format!("{}.0", digest(text)));
        self.store.remembered(&key).unwrap().is_some_and(|r| r.mark == KeyPurpose::Settled)
    }

    /// Whether the message killed the program twice: then it stands in the inbox, once, with a notice.
    fn is_given_up(&self, text: &str) -> bool {
        let inbox = self.disk.files_below(&Path::new(MAIL).join("INBOX/new"));
        let copies = inbox.iter().filter(|(_, bytes)| bytes == text.as_bytes()).count();
        assert!(copies == 0 || (copies == 1 && inbox.len() == 2), "{inbox:?}");
        copies == 1
    }

    fn staged(&self) -> usize {
        let mail = self.disk.files_below(Path::new(MAIL));
        mail.iter().filter(|(path, _)| path.parent().unwrap().ends_with("tmp")).count()
    }
}

/// A clock that never stands still: a second attempt gives a file another name than the first one.
fn next_second() -> Timestamp {
    use std::sync::atomic::{AtomicI64, Ordering};
    static SECOND: AtomicI64 = AtomicI64::new(1_700_000_000);
    Timestamp::from_second(SECOND.fetch_add(1, Ordering::SeqCst)).unwrap()
}

fn digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets it die before these steps, then tries until it is told that all is well, then gives the same bytes once more.
fn survive(text: &str, size: Size, rename: Rename, crashes: &[(usize, Death)]) -> usize {
    let machine = Machine::new(rename, size);
    let context = || format!("{text:?}, {size:?}, {rename:?}, {crashes:?}");
    let mut steps = 0;
    let mut is_safe = false;
    for (dies_before, death) in crashes {
        let outcome = machine.deliver(text, Some(*dies_before), *death);
        steps = outcome.0;
        is_safe |= outcome.1.is_some_and(|heard| heard.is_ok());
        if !is_safe && *death == Death::PowerCut && machine.is_acknowledged(text) {
            // The one moment in which it cannot be known whether the caller heard: here a second copy may come.
            return steps;
        }
    }
    if !is_safe {
        machine.deliver(text, None, Death::Killed).1.unwrap().unwrap();
    }
    let died_deciding_twice = crashes.len() == 2 && crashes.iter().all(|(_, death)| *death == Death::Killed);
    if died_deciding_twice && machine.is_given_up(text) {
        return steps;
    }
    let one = if text == FILED { [1, 1, 0] } else { [0, 0, 1] };
    assert_eq!(machine.delivered(), one, "{}", context());
    // The note of what was begun is not worth a sync. Without it the file stays in tmp/, which mail readers clean.
    let note_is_lost = crashes.iter().any(|(_, death)| *death == Death::PowerCut);
    assert!(note_is_lost || machine.staged() == 0, "left over: {}", context());
    machine.deliver(text, None, Death::Killed).1.unwrap().unwrap();
    assert_eq!(machine.delivered(), one.map(|n| 2 * n), "the same bytes again are new mail: {}", context());
    steps
}

/// Every crash, and every pair or a part of them. Returns how many pairs.
fn survive_all(text: &str, size: Size, rename: Rename, [first, second]: [Death; 2]) -> usize {
    let stride = if is_thorough() { 1 } else { 6 };
    let mut pairs = 0;
    let steps = survive(text, size, rename, &[(NEVER, first)]);
    for n in 1..=steps {
        let in_recovery = survive(text, size, rename, &[(n, first), (NEVER, second)]);
        for j in (1 + n % stride..=in_recovery).step_by(stride) {
            survive(text, size, rename, &[(n, first), (j, second)]);
            pairs += 1;
        }
    }
    pairs
}

#[test]
fn the_same_bytes_are_delivered_once_whatever_crashes() {
    let mut pairs = 0;
    for text in [FILED, DISCARDED] {
        pairs += survive_all(text, Size::Small, Rename::EachSide, [Death::Killed, Death::Killed]);
        pairs += survive_all(text, Size::Small, Rename::Atomic, [Death::Killed, Death::PowerCut]);
        pairs += survive_all(text, Size::Small, Rename::Atomic, [Death::PowerCut, Death::Killed]);
    }
    assert!(pairs > 300, "the steps have gone missing: {pairs}");
}

/// What stands in the spool of an attempt that was never recorded is not in the way of the next one.
#[test]
fn a_big_message_is_delivered_once_whatever_crashes() {
    let mut pairs = 0;
    for text in [FILED, DISCARDED] {
        pairs += survive_all(text, Size::Big, Rename::EachSide, [Death::PowerCut, Death::PowerCut]);
        pairs += survive_all(text, Size::Big, Rename::Atomic, [Death::Killed, Death::PowerCut]);
    }
    assert!(pairs > 150, "the steps have gone missing: {pairs}");
}
