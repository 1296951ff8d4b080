//! The same for `refilter` and `undo`: whoever is interrupted runs it again, and every message is in one place.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mailsluice::config::MailRoot;
use mailsluice::config::template::FolderName;
use mailsluice::error::Result;
use mailsluice::filter::Engine;
use mailsluice::pass::World;
use mailsluice::state::{Disk, SqliteStore};
use mailsluice::upkeep::{self, Refilter};
use tempfile::TempDir;

use super::disk::{Death, ForgetfulDisk, Lie, Rename};
use super::fate::Fate;
use super::store::{MortalStore, in_memory};
use super::world::{MAIL, engine};
use super::{NEVER, is_thorough};

const REFILTERING: &str = "
rules:
  - {if: {subject: two}, do: [{fileinto: [lists/a, lists/b]}]}
  - {if: {subject: rubbish}, do: discard}
  - {if: {subject: marked}, do: [{addflag: [flagged, $later]}]}
  - {if: {subject: changed}, do: [{setheader: {X-Label: new}}, {fileinto: lists/a}]}
  - {if: {subject: odd}, do: {fileinto: lists/a}}
";

/// Each message, its file, and where it belongs afterwards: place and how often.
const MESSAGES: [(&str, &str, &[&str]); 6] = [
    ("two", "new/1700000001.a.host", &["lists/a/new", "lists/b/new"]),
    ("rubbish", "cur/1700000002.b.host:2,S", &["spool"]),
    ("marked", "new/1700000003.c.host", &["INBOX/cur"]),
    ("changed", "cur/1700000004.d.host:2,S", &["lists/a/cur"]),
    ("odd", "cur/1700000006.a name\nof two lines.host:2,S", &["lists/a/cur"]),
    ("staying", "new/1700000005.e.host", &["INBOX/new"]),
];

struct Machine {
    state: TempDir,
    engine: Arc<Engine>,
    fate: Fate,
    disk: ForgetfulDisk,
    store: Arc<SqliteStore>,
}

impl Machine {
    fn new(rename: Rename) -> Self {
        Self::with(rename, None)
    }

    fn with(rename: Rename, lie: Option<Lie>) -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir(state.path().join("locks")).unwrap();
        let fate = Fate::default();
        let inbox = Path::new(MAIL).join("INBOX");
        let dirs = ["", "new", "cur", "tmp"].map(|sub| inbox.join(sub));
        let spool = state.path().join("spool");
        let mut directories = vec![Path::new("/home/me"), Path::new(MAIL), spool.as_path()];
        directories.extend(dirs.iter().map(|dir| dir.as_path()));
        let disk = ForgetfulDisk::with_directories(&fate, rename, lie, &directories);
        let machine = Self { store: in_memory(state.path()), state, engine: engine(REFILTERING), fate, disk };
        machine.fate.begin(None);
        for (subject, file, _) in MESSAGES {
            let mut new = machine.disk.create(&inbox.join(file)).unwrap();
            new.write_all(text(subject).as_bytes()).unwrap();
            new.finish(Timestamp::from_second(1_700_000_000).ok()).unwrap();
        }
        dirs.iter().for_each(|dir| machine.disk.sync_dir(dir).unwrap());
        machine
    }

    fn world(&self) -> World {
        let disk = Arc::new(self.disk.clone());
        let store = Arc::new(MortalStore::new(&self.fate, &self.store, disk.clone(), None));
        let root = MailRoot::at(MAIL);
        let world = World::new(store, disk, root, self.state.path().to_path_buf());
        let now = || Timestamp::from_second(1_700_001_000).unwrap();
        World { now, threads: 1, host: "host".to_owned(), ..world }
    }

    /// Runs `work` until it dies; returns how many steps it took.
    fn run(&self, dies_before: Option<usize>, death: Death, work: &dyn Fn(&World) -> Result<()>) -> usize {
        self.fate.begin(dies_before);
        let outcome = work(&self.world());
        let steps = self.fate.steps().len();
        if self.fate.is_dead() {
            // A process that dies releases no lock.
            fs::write(self.state.path().join("locks/refilter.lock"), "1\n").unwrap();
            self.disk.restart(death);
        } else {
            outcome.unwrap();
        }
        steps
    }

    fn refilter(&self, world: &World) -> Result<()> {
        let engine = &self.engine;
        let refilter = Refilter {
            world,
            engine,
            account: "refilter",
            send: false,
            run_programs: false,
            keep_newest: 0,
            coming: Default::default(),
        };
        refilter.run(&["INBOX".to_owned()], true, &mut |_| {}).map(drop)
    }

    /// Every message at its places, once, and nothing else.
    fn check(&self, places: impl Fn(usize) -> Vec<&'static str>, context: &dyn Fn() -> String) {
        let mut files = self.disk.files_below(Path::new(MAIL));
        let is_mail = |path: &Path| ["new", "cur", "tmp"].iter().any(|sub| path.parent().unwrap().ends_with(sub));
        files.retain(|(path, _)| is_mail(path));
        let spool = self.disk.files_below(&self.state.path().join("spool"));
        let mut found: Vec<String> = Vec::new();
        for (path, bytes) in &files {
            let below = path.parent().unwrap().strip_prefix(MAIL).unwrap().display().to_string();
            found.push(format!("{} in {below}", subject(bytes)));
        }
        found.extend(spool.iter().map(|(_, bytes)| format!("{} in spool", subject(bytes))));
        let mut wanted: Vec<String> = Vec::new();
        for (i, (subject, _, _)) in MESSAGES.iter().enumerate() {
            wanted.extend(places(i).iter().map(|place| format!("{subject} in {place}")));
        }
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted, "{}", context());
        let changed = files.iter().filter(|(_, bytes)| subject(bytes) == "changed");
        assert!(
            changed.clone().all(|(_, bytes)| bytes.ends_with(b"\n\nof changed\n")),
            "half a message: {}",
            context()
        );
    }
}

fn text(subject: &str) -> String {
    format!("Subject: {subject}\nMessage-ID: <{subject}@x>\n\nof {subject}\n")
}

fn subject(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("(torn)").to_owned()
}

fn survive(rename: Rename, crashes: &[(usize, Death)]) -> usize {
    survive_on(Machine::new(rename), rename, crashes)
}

fn survive_on(machine: Machine, rename: Rename, crashes: &[(usize, Death)]) -> usize {
    let context = || format!("{rename:?}, {crashes:?}");
    let mut steps = 0;
    for (dies_before, death) in crashes {
        steps = machine.run(Some(*dies_before), *death, &|world| machine.refilter(world));
    }
    machine.run(None, Death::Killed, &|world| machine.refilter(world));
    machine.check(|i| MESSAGES[i].2.to_vec(), &context);
    machine.disk.restart(Death::PowerCut);
    machine.run(None, Death::Killed, &|world| machine.refilter(world));
    machine.check(|i| MESSAGES[i].2.to_vec(), &context);
    steps
}

#[test]
fn every_message_is_in_its_place_once_whatever_crashes() {
    let stride = if is_thorough() { 1 } else { 7 };
    let mut pairs = 0;
    for (rename, [first, second]) in [
        (Rename::EachSide, [Death::PowerCut, Death::PowerCut]),
        (Rename::Atomic, [Death::Killed, Death::Killed]),
        (Rename::Atomic, [Death::PowerCut, Death::Killed]),
    ] {
        let steps = survive(rename, &[(NEVER, first)]);
        for n in 1..=steps {
            let in_recovery = survive(rename, &[(n, first), (NEVER, second)]);
            for j in (1 + n % stride..=in_recovery).step_by(stride) {
                survive(rename, &[(n, first), (j, second)]);
                pairs += 1;
            }
        }
    }
    println!("{pairs} pairs");
    assert!(pairs > 500, "the steps have gone missing: {pairs}");
}

/// After it all came to its places, every message is brought back, with a crash at every step of it.
#[test]
fn undo_brings_everything_back_once_whatever_crashes() {
    let inbox = |i: usize| match MESSAGES[i].0 {
        // A discarded message stays in the spool until its time is over.
        "rubbish" => vec!["INBOX/cur", "spool"],
        "changed" | "odd" => vec!["INBOX/cur"],
        _ => vec!["INBOX/new"],
    };
    let undo_all = |world: &World| -> Result<()> {
        let rows = world.store.journal(Some("refilter"), 100)?;
        for row in rows {
            match upkeep::undo(world, row.id, &|_| FolderName::inbox()) {
                // What an interrupted run brought back already, and what never left.
                Err(e) if e.to_string().contains("already") => {}
                result => drop(result?),
            }
        }
        Ok(())
    };
    for (rename, death) in [(Rename::EachSide, Death::PowerCut), (Rename::Atomic, Death::Killed)] {
        let crash_at = |n: usize| {
            let machine = Machine::new(rename);
            machine.run(None, Death::Killed, &|world| machine.refilter(world));
            let steps = machine.run(Some(n), death, &undo_all);
            machine.run(None, Death::Killed, &undo_all);
            machine.check(inbox, &|| format!("{rename:?}, {death:?} before step {n}"));
            let edited = |(_, bytes): &(PathBuf, Vec<u8>)| bytes != text(subject(bytes).as_str()).as_bytes();
            let inbox = Path::new(MAIL).join("INBOX");
            let files = ["new", "cur"].map(|sub| machine.disk.files_below(&inbox.join(sub))).concat();
            assert!(!files.iter().any(edited), "the originals are back, {death:?} before step {n}");
            steps
        };
        let steps = crash_at(NEVER);
        (1..=steps).for_each(|n| _ = crash_at(n));
        assert!(steps > 30, "the steps have gone missing: {steps}");
    }
}

/// The negative control: on a disk that forgets `new` although it was synced, this proof finds that mail is lost.
#[test]
fn without_the_sync_of_new_refiltered_mail_is_lost() {
    let rename = Rename::EachSide;
    let on_that_disk =
        |n| survive_on(Machine::with(rename, Some(Lie::Directory("new"))), rename, &[(n, Death::PowerCut)]);
    let found = std::panic::catch_unwind(|| (1..=NEVER).take(200).for_each(|n| _ = on_that_disk(n)));
    assert!(found.is_err(), "nothing was found");
}
