//! Decisions made by hand, carried out on a real disk: what the committer does with each of their parts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mailsluice::config::MailRoot;
use mailsluice::config::address_books::Format;
use mailsluice::config::lists;
use mailsluice::config::template::{FolderName, Template};
use mailsluice::decision::{
    Action, AnsweredQuestion, Decision, Deferral, EnvelopeFrom, Fact, Failure, Filing, Place, Redirect, RedirectMode,
    Telling, Way, Write,
};
use mailsluice::deliver::recover;
use mailsluice::filter::{Ask, FactAnswer, Facts, KnownList};
use mailsluice::message::{Bytes, Envelope, Flags, Key, Message, Origin};
use mailsluice::pass::{Committer, Decide, Filer, World};
use mailsluice::pipeline;
use mailsluice::source::{FetchOutcome, Fetched, Whole};
use mailsluice::state::{JournalRow, Places, RealDisk, SqliteStore};
use tempfile::TempDir;

use crate::stage::folder;
use crate::support::maildir::Maildirs;

type Answered = Result<Decision, Deferral>;

struct By<F>(F);

impl<F> fmt::Debug for By<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("by hand")
    }
}

impl<F: Fn(&Arc<Message>, &dyn Facts) -> Answered + Send + Sync> Decide for By<F> {
    fn decide(&self, message: &Arc<Message>, _: &Envelope, facts: &dyn Facts) -> Answered {
        self.0(message, facts)
    }
}

struct Home {
    folder: TempDir,
    world: World,
}

impl Home {
    fn new() -> Self {
        let folder = folder();
        let state = folder.path().join("state");
        let root = MailRoot::at(folder.path().join("Mail"));
        let store = Arc::new(SqliteStore::open(Places::new(&state, &root.path)).unwrap());
        let world = World::new(store, Arc::new(RealDisk), root, state);
        let world = World { threads: 2, host: "host".to_owned(), allow_root: true, ..world };
        Self { folder, world }
    }

    fn committer<F>(&self, decide: F) -> Committer
    where
        F: Fn(&Arc<Message>, &dyn Facts) -> Answered + Send + Sync + 'static,
    {
        let owned = self.world.own("me", Duration::from_secs(5)).unwrap();
        Committer::new(Filer::new(&self.world, &owned, "me", Template::inbox()), Arc::new(By(decide)))
    }

    /// Commits these messages, numbered from 1.
    fn commit<F>(&self, texts: &[&str], decide: F) -> Committer
    where
        F: Fn(&Arc<Message>, &dyn Facts) -> Answered + Send + Sync + 'static,
    {
        let bytes = texts.iter().map(|text| Bytes::Memory(text.as_bytes().to_vec()));
        self.commit_bytes(bytes.collect(), decide)
    }

    fn commit_bytes<F>(&self, messages: Vec<Bytes>, decide: F) -> Committer
    where
        F: Fn(&Arc<Message>, &dyn Facts) -> Answered + Send + Sync + 'static,
    {
        let mut committer = self.committer(decide);
        committer.begin_folder(&origin()).unwrap();
        let item = |(n, bytes): (usize, Bytes)| {
            let arrived = Timestamp::from_second(1_700_000_000).unwrap();
            let envelope = Envelope { key: key(n + 1), arrived, flags: Flags::default(), announced: 1 };
            FetchOutcome::Fetched(Fetched { envelope, bytes, whole: Whole::given() })
        };
        committer.commit(messages.into_iter().enumerate().map(item).collect()).unwrap();
        committer.filer.finish().unwrap();
        committer
    }

    /// Folder and content.
    fn mail(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for mail in Maildirs::at(self.folder.path().join("Mail")).delivered() {
            let text = String::from_utf8_lossy(&mail.bytes).into_owned();
            *found.entry((mail.folder.clone(), text)).or_default() += 1;
        }
        found
    }

    fn in_inbox(&self, part: &str) -> usize {
        let mail = self.mail();
        mail.iter().filter(|((folder, text), _)| folder == "INBOX" && text.contains(part)).map(|(_, n)| n).sum()
    }

    fn newest(&self) -> JournalRow {
        self.world.store.journal(Some("me"), 1).unwrap().remove(0)
    }

    fn spool(&self) -> Vec<String> {
        let files = fs::read_dir(self.world.spool_folder()).unwrap();
        let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn origin() -> Origin {
    Origin { account: "me".into(), folder: "INBOX".into(), generation: 1 }
}

fn key(n: usize) -> Key {
    Key::new(&Arc::new(origin()), n.to_string())
}

fn file(place: &str, words: &[&str], version: usize) -> Action {
    let mut flags = Flags::default();
    words.iter().for_each(|word| flags.parse_word(word).unwrap());
    Action::File(Filing { place: Place::Folder(FolderName::parse_safe(place, Some('/'))), flags, version })
}

fn redirect(version: usize) -> Action {
    let way = Way::Redirect(Redirect {
        to: vec!["phone@x".into()],
        mode: RedirectMode::Redirect,
        envelope_from: EnvelopeFrom::Default,
    });
    Action::Tell(Telling { version, relay: None, way })
}

fn doing(actions: Vec<Action>) -> Answered {
    Ok(Decision { actions, ..Decision::default() })
}

const MAIL: &str = "From: a@x\nSubject: hello\n\nbody\n";

#[test]
fn keywords_without_a_letter_are_dropped_and_named() {
    let home = Home::new();
    let words: Vec<String> = (0..27).map(|n| format!("$k{n:02}")).collect();
    let committer = home.commit(&[MAIL], move |_, _| {
        doing(vec![file("lists", &words.iter().map(String::as_str).collect::<Vec<_>>(), 0), redirect(0)])
    });
    let row = home.newest();
    assert!(row.outcome.contains("$k25] (without $k26: all 26 keywords of that folder are taken)"), "{}", row.outcome);
    assert!(row.outcome.ends_with(", redirect phone@x"), "{}", row.outcome);
    let [remark] = committer.filer.report.remarks.as_slice() else { panic!("{:?}", committer.filer.report) };
    assert_eq!(remark, "me/INBOX 1: $k26 was dropped in lists: all 26 keywords of that folder are taken");
    let found = Maildirs::at(home.folder.path().join("Mail")).delivered();
    assert_eq!(found[0].flags, ('a'..='z').collect::<String>());
}

#[test]
fn what_is_only_told_stands_in_the_spool_until_it_is() {
    let home = Home::new();
    home.commit(&[MAIL], |_, _| doing(vec![redirect(0)]));
    let row = home.newest();
    assert_eq!(row.outcome, "redirect phone@x");
    assert_eq!(home.in_inbox("Subject: hello"), 0);
    assert_eq!(home.spool().len(), 1);
    assert_eq!(home.world.store.outbox(Some(row.id), 9).unwrap().len(), 1);
}

#[test]
fn a_decision_about_nothing_keeps_the_message() {
    let home = Home::new();
    home.commit(&[MAIL], |_, _| doing(Vec::new()));
    assert_eq!((home.newest().outcome.as_str(), home.in_inbox("body")), ("keep INBOX", 1));
    assert_eq!(home.spool().len(), 0);
}

#[test]
fn a_big_message_is_told_from_where_it_lies() {
    for (came_as, is_edited) in [("incoming.7", false), ("incoming.7", true)] {
        let home = Home::new();
        let path = home.world.spool_folder().join(came_as);
        fs::write(&path, MAIL).unwrap();
        let big = Bytes::Spooled { head: MAIL.as_bytes().to_vec(), path, length: MAIL.len() as u64 };
        home.commit_bytes(vec![big], move |_, _| {
            let edited = Arc::new(Message::new(Bytes::Memory(b"X: y\n\nz\n".to_vec())));
            let actions = vec![file("lists", &[], 0), redirect(usize::from(is_edited))];
            Ok(Decision { actions, edited: vec![edited], ..Decision::default() })
        });
        let row = home.world.store.outbox(None, 9).unwrap().remove(0);
        assert_eq!(home.spool(), [row.bytes.file_name().unwrap().to_str().unwrap()]);
        let expected = if is_edited { "X: y\n\nz\n" } else { MAIL };
        assert_eq!(fs::read_to_string(row.bytes).unwrap(), expected);
        assert_eq!(home.mail(), BTreeMap::from([(("lists".to_owned(), MAIL.to_owned()), 1)]));
    }
}

/// Another process notes the key between the decision and its record: the message is decided again.
#[test]
fn what_changes_meanwhile_is_decided_anew() {
    let home = Home::new();
    let other = SqliteStore::open(Places::new(&home.world.state, home.world.folders.root())).unwrap();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    home.commit(&[MAIL, MAIL], move |message, facts| {
        let (handle, key) = ("h".to_owned(), "k".to_owned());
        let fact = Fact::Seen { handle: handle.clone(), key: key.clone() };
        let answer = facts.holds(&fact).unwrap();
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            assert!(!answer);
            let until = Timestamp::MAX;
            note(&other, Write::Seen { handle, key, until });
        }
        let _ = message;
        let actions = vec![file(if answer { "again" } else { "fresh" }, &[], 0)];
        Ok(Decision { actions, reads: vec![AnsweredQuestion { fact, answer }], ..Decision::default() })
    });
    assert_eq!(count.load(Ordering::SeqCst), 4);
    assert_eq!(home.mail(), BTreeMap::from([(("again".to_owned(), MAIL.to_owned()), 2)]));
    let left: Vec<_> = fs::read_dir(home.folder.path().join("Mail/fresh/tmp")).unwrap().collect();
    assert!(left.is_empty(), "what was staged is taken back");
}

fn note(store: &SqliteStore, write: Write) {
    use mailsluice::message::DeliveryName;
    use mailsluice::state::{About, Before, Entry, JournalEntries, KeyPurpose, Owned, Staged, sync_dirs};
    let key = Key::new(&Arc::new(Origin { account: "other".into(), ..origin() }), "1");
    let entry = Entry {
        name: DeliveryName::of(&key),
        key,
        announced: 0,
        mark: KeyPurpose::Here,
        head_hash: [0; 16],
        dress: [0; 16],
        size: 0,
        at: Timestamp::now(),
        about: About::default(),
        rule: String::new(),
        why: String::new(),
        outcome: String::new(),
        notes: Vec::new(),
        targets: Vec::new(),
        mboxes: Vec::new(),
        spooled: None,
        before: Before::default(),
        reads: Vec::new(),
        writes: vec![write],
        tellings: Vec::new(),
    };
    let staged = Staged::new(vec![entry], sync_dirs(&RealDisk, []).unwrap());
    store.record(&Owned::private("other").unwrap(), staged, &[]).unwrap();
}

#[test]
fn what_changes_again_and_again_is_left_for_the_next_pass() {
    let home = Home::new();
    let other = Arc::new(SqliteStore::open(Places::new(&home.world.state, home.world.folders.root())).unwrap());
    let decide = move |_: &Arc<Message>, facts: &dyn Facts| {
        let (list, entry) = ("l".to_owned(), "e".to_owned());
        let fact = Fact::Listed { list: list.clone(), entry: entry.clone() };
        let answer = facts.holds(&fact).unwrap();
        note(
            &other,
            if answer { Write::Unlist { list, entry } } else { Write::List { list, entry, value: None, until: None } },
        );
        Ok(Decision {
            actions: vec![file("x", &[], 0)],
            reads: vec![AnsweredQuestion { fact, answer }],
            ..Decision::default()
        })
    };
    let mut committer = home.committer(decide);
    let envelope = Envelope { key: key(1), arrived: Timestamp::now(), flags: Flags::default(), announced: 1 };
    let fetched = Fetched { envelope, bytes: Bytes::Memory(MAIL.into()), whole: Whole::given() };
    let error = committer.commit(vec![FetchOutcome::Fetched(fetched)]).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(home.mail(), BTreeMap::new());
    assert!(home.world.store.remembered(&key(1)).unwrap().is_none());
}

/// The second of two messages in a batch sees what the first will write.
#[test]
fn messages_of_one_batch_know_each_other() {
    let home = Home::new();
    home.commit(&[MAIL, MAIL, MAIL], |_, facts| {
        let (handle, key) = ("h".to_owned(), "k".to_owned());
        let fact = Fact::Seen { handle: handle.clone(), key: key.clone() };
        let answer = facts.holds(&fact).unwrap();
        let actions = vec![if answer { Action::Discard } else { file("fresh", &[], 0) }];
        let writes = vec![Write::Seen { handle, key, until: Timestamp::MAX }];
        Ok(Decision { actions, reads: vec![AnsweredQuestion { fact, answer }], writes, ..Decision::default() })
    });
    assert_eq!(home.mail(), BTreeMap::from([(("fresh".to_owned(), MAIL.to_owned()), 1)]));
    assert_eq!(home.spool().len(), 2);
}

fn later(_: &Arc<Message>, _: &dyn Facts) -> Answered {
    Err(Deferral { rule: "spam".into(), cause: "spamd is\nasleep".into() })
}

#[test]
fn a_deferred_message_stays_and_is_kept_after_ten_times() {
    let home = Home::new();
    for n in 1..10 {
        let committer = home.commit(&[MAIL], later);
        assert_eq!(
            (committer.filer.report.deferred, committer.filer.report.new, committer.filer.report.exit_code()),
            (1, 0, 75)
        );
        let remark = &committer.filer.report.remarks[0];
        let cause = "the rule `spam` deferred it: spamd is\\u{a}asleep";
        assert_eq!(*remark, format!("me/INBOX 1: {cause} (attempt {n} of 10)"));
        assert_eq!(home.mail(), BTreeMap::new());
        assert!(home.world.store.remembered(&key(1)).unwrap().is_none());
    }
    let committer = home.commit(&[MAIL], later);
    assert_eq!((committer.filer.report.deferred, committer.filer.report.new), (0, 1));
    assert_eq!(home.in_inbox("body\n"), 1);
    assert_eq!(home.in_inbox("X-Mailsluice-Notice: deferred"), 1);
    assert_eq!(home.in_inbox("spamd is"), 1);
}

#[test]
fn a_deferred_message_is_kept_after_a_day() {
    let mut home = Home::new();
    home.world.is_time_plausible().unwrap();
    home.commit(&[MAIL], later);
    home.world.now = || Timestamp::now() + jiff::SignedDuration::from_hours(25);
    home.commit(&[MAIL], later);
    assert_eq!(home.in_inbox("body\n"), 1);
}

#[test]
fn a_deferred_delivery_is_tried_again_by_its_caller() {
    let home = Home::new();
    let deliver = |decide: Arc<dyn Decide>| {
        let bytes = Bytes::Memory(MAIL.into());
        pipeline::deliver(home.world.clone(), decide, bytes, &"ab".repeat(32))
    };
    let error = deliver(Arc::new(By(later))).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("deferred it"), "{error}");
    deliver(Arc::new(By(|_: &Arc<Message>, _: &dyn Facts| Ok(Decision::keep("now"))))).unwrap();
    assert_eq!(home.in_inbox("body\n"), 1);
}

#[test]
fn what_was_told_and_never_filed_is_filed_when_its_caller_tries_again() {
    let home = Home::new();
    let deliver = || {
        let copied = |_: &Arc<Message>, _: &dyn Facts| {
            let Decision { mut actions, .. } = Decision::keep("");
            actions.push(redirect(0));
            Ok(Decision { actions, ..Decision::default() })
        };
        pipeline::deliver(home.world.clone(), Arc::new(By(copied)), Bytes::Memory(MAIL.into()), &"ab".repeat(32))
    };
    deliver().unwrap();
    // Killed between recording and filing, and what it had staged was removed from `tmp/`.
    let db = rusqlite::Connection::open(home.folder.path().join("state/state.db")).unwrap();
    db.execute_batch("UPDATE journal SET done = 0; UPDATE seen SET mark = 0").unwrap();
    fs::remove_dir_all(home.folder.path().join("Mail/INBOX/new")).unwrap();
    fs::create_dir(home.folder.path().join("Mail/INBOX/new")).unwrap();
    deliver().unwrap();
    assert_eq!(home.in_inbox("body\n"), 1);
    assert_eq!(home.world.store.outbox(None, 10).unwrap().len(), 1, "and not told twice");
}

#[test]
fn who_was_taken_over_removes_nothing_of_the_new_owner() {
    let home = Home::new();
    let discard =
        |_: &Arc<Message>, _: &dyn Facts| Ok(Decision { actions: vec![Action::Discard], ..Decision::default() });
    let deliver = |world: &World, decide: Arc<dyn Decide>| {
        pipeline::deliver(world.clone(), decide, Bytes::Memory(MAIL.into()), &"ab".repeat(32))
    };
    let (world, locks) = (home.world.clone(), home.folder.path().join("state/locks"));
    // While it decides somebody removes the lock files, and another process delivers the same message.
    let overtaken = move |message: &Arc<Message>, facts: &dyn Facts| {
        fs::read_dir(&locks).unwrap().for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
        deliver(&world, Arc::new(By(discard))).unwrap();
        discard(message, facts)
    };
    let error = deliver(&home.world, Arc::new(By(overtaken))).unwrap_err();
    assert!(error.to_string().contains("has taken over"), "{error}");
    let rows = home.world.store.journal(None, 1).unwrap();
    assert_eq!(fs::read(&rows[0].files[0]).unwrap(), MAIL.as_bytes());
}

#[test]
fn a_failure_keeps_the_message_and_says_which_rule_and_why() {
    let home = Home::new();
    home.commit(&[MAIL, MAIL], |_, _| {
        let failures = vec![Failure { rule: "spam\x1b".into(), cause: "exit code 3: no\nspace".into() }];
        let writes = vec![Write::List { list: "l".into(), entry: "e".into(), value: None, until: None }];
        let actions = vec![Action::Discard, redirect(0)];
        Ok(Decision { actions, failures, writes, notes: vec!["a\nnote".into()], ..Decision::default() })
    });
    let row = home.newest();
    let cause = "the rule `spam\\u{1b}` failed: exit code 3: no\\u{a}space";
    assert!(home.in_inbox("body\n") == 2 && home.in_inbox("X-Mailsluice-Notice: rules-failed") == 1);
    assert_eq!(home.in_inbox(&format!("The message me/INBOX 1 (hello): {cause}.")), 1);
    assert_eq!(home.world.store.outbox(None, 9).unwrap().len(), 0);
    assert!(home.world.store.list_entries("l", home.world.now()).unwrap().is_empty());
    let rows = home.world.store.journal(Some("me"), 9).unwrap();
    assert!(rows.iter().any(|row| row.notes == ["a\\u{a}note", cause]), "{row:?}");
}

#[test]
fn rules_may_ask_programs_and_list_files() {
    let home = Home::new();
    let path = home.folder.path().join("list");
    fs::write(&path, "A@x\n").unwrap();
    home.commit(&[MAIL], move |message, facts| {
        let ask = |run: &[&str], input| {
            let run: Vec<String> = run.iter().map(|word| (*word).to_owned()).collect();
            let timeout = Duration::from_secs(20);
            facts.ask(&Ask {
                run: &run,
                input,
                timeout,
                most: 100,
                lock: None,
                environment: &[("MAILSLUICE_X", "1".into())],
            })
        };
        let out = b"body\n1\n".to_vec();
        let script = "sed '1,/^$/d'; echo $MAILSLUICE_X; exit 4";
        assert_eq!(ask(&["/bin/sh", "-c", script], Some(message)), FactAnswer::Ended { code: 4, out });
        assert!(matches!(ask(&["/nonexistent"], None), FactAnswer::Failed(why) if why.contains("could not be started")));
        let list = |from| facts.list(&lists::EntriesOrigin { from, format: Format::Lines });
        assert!(matches!(list(lists::ListSource::File(path.clone())), KnownList::Entries(found) if found.find("a@x").is_some()));
        assert!(matches!(list(lists::ListSource::File("/nonexistent".into())), KnownList::Failed(_)));
        let told = |script: &str| {
            let run = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
            list(lists::ListSource::Command(run, Duration::from_secs(3600)))
        };
        // Asked once: what it says then would be another thing.
        let counts = format!("echo x >>{0}; wc -l <{0}", path.with_extension("count").display());
        for _ in 0..3 {
            assert!(matches!(told(&counts), KnownList::Entries(found) if found.find("1").is_some()));
        }
        assert!(matches!(told("exit 3"), KnownList::Failed(why) if why.contains("ended with 3")));
        doing(vec![file("asked", &[], 0)])
    });
    assert_eq!(home.mail().len(), 1);
}

#[test]
fn an_mbox_is_appended_to_and_where_a_folder_has_its_name_the_message_is_kept() {
    let home = Home::new();
    let into_box = |name: &'static str| {
        move |_: &Arc<Message>, _: &dyn Facts| {
            let place = Place::Mbox(FolderName::parse_safe(name, Some('/')));
            doing(vec![Action::File(Filing { place, flags: Flags::default(), version: 0 })])
        }
    };
    let committer = home.commit(&[MAIL, "Return-Path: <b@y>\nFrom: a@x\n\nFrom here\n"], into_box("old/box"));
    assert_eq!(committer.filer.report.folders, BTreeMap::from([("old/box".to_owned(), 2)]));
    assert!(home.newest().outcome == "fileinto mbox old/box" && home.newest().done);
    let text = fs::read_to_string(home.folder.path().join("Mail/old/box")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("From a@x Tue Nov 14 22:13:20 2023 1700000000."), "{text}");
    assert!(lines[6].starts_with("From b@y Tue Nov 14 22:13:20 2023 1700000000."), "{text}");
    assert_eq!((lines.len(), lines[10], text.ends_with("\n\n")), (12, ">From here", true));
    assert_eq!(fs::read_dir(home.world.mbox_spool()).unwrap().count(), 0);

    drop(committer);
    let mut committer = home.committer(into_box("old"));
    let envelope = Envelope { key: key(9), arrived: Timestamp::now(), flags: Flags::default(), announced: 1 };
    let fetched = Fetched { envelope, bytes: Bytes::Memory(MAIL.into()), whole: Whole::given() };
    committer.commit(vec![FetchOutcome::Fetched(fetched)]).unwrap();
    assert!(home.mail().contains_key(&("INBOX".to_owned(), MAIL.to_owned())), "{:?}", home.mail());
    committer.filer.finish().unwrap();
    drop(committer);
    let (world, owned) = (&home.world, home.world.own("me", Duration::ZERO).unwrap());
    let recovered = recover(&RealDisk, &*world.store, world.folders.root(), &owned).unwrap();
    assert!(!recovered.is_odd(), "nothing was recorded");
}
