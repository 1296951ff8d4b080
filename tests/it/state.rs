//! What is remembered: facts of rules, the outbox, attempts, and what is let go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use mailsluice::decision::{
    AnsweredQuestion, EnvelopeFrom, Fact, Lmtp, Notify, Pipe, Redirect, RedirectMode, Telling, Way, Write,
};
use mailsluice::message::{DeliveryName, Key, Origin};
use mailsluice::state::{
    About, Before, Entry, JournalEntries, KeyPurpose, Original, Outbox, OutboxState, Owned, Places, RealDisk,
    Recording, RememberedKeys, RuleFacts, SqliteStore, Staged, Trouble, sync_dirs,
};

pub fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

fn key(id: usize) -> Key {
    let origin = Origin { account: "a".into(), folder: "INBOX".into(), generation: 1 };
    Key::new(&Arc::new(origin), id.to_string())
}

pub fn entry(id: usize) -> Entry {
    let key = key(id);
    Entry {
        name: DeliveryName::of(&key),
        key,
        announced: 1,
        mark: KeyPurpose::Here,
        head_hash: [0; 16],
        dress: [0; 16],
        size: 1,
        at: now(),
        about: About::default(),
        rule: String::new(),
        why: String::new(),
        outcome: "discard".into(),
        notes: vec!["one".into(), "two".into()],
        targets: Vec::new(),
        mboxes: Vec::new(),
        spooled: None,
        before: Before::default(),
        reads: Vec::new(),
        writes: Vec::new(),
        tellings: Vec::new(),
    }
}

pub fn record(store: &SqliteStore, entries: Vec<Entry>) -> Recording {
    let staged = Staged::new(entries, sync_dirs(&RealDisk, []).unwrap());
    store.record(&owned(), staged, &[]).unwrap()
}

#[track_caller]
fn record_well(store: &SqliteStore, entries: Vec<Entry>) {
    assert!(matches!(record(store, entries), Recording::Recorded(_)));
}

/// A name space of its own.
pub fn owned() -> Owned {
    Owned::private("test").unwrap()
}

pub fn store() -> SqliteStore {
    SqliteStore::in_memory(Places::new(Path::new("/state"), Path::new("/mail"))).unwrap()
}

fn seen(key: &str) -> Fact {
    Fact::Seen { handle: "h".into(), key: key.into() }
}

fn note(key: &str) -> Write {
    Write::Seen { handle: "h".into(), key: key.into(), until: now() + hours(1) }
}

fn listed(entry: &str) -> Fact {
    Fact::Listed { list: "book".into(), entry: entry.into() }
}

fn answered(since: Timestamp) -> Fact {
    Fact::Answered { handle: "h".into(), sender: "s".into(), since }
}

#[test]
fn what_is_written_is_remembered_as_long_as_it_is_valid() {
    let store = store();
    let list = Write::List { list: "book".into(), entry: "b".into(), value: None, until: None };
    let unlist = Write::Unlist { list: "book".into(), entry: "a".into() };
    let first = Write::List { list: "book".into(), entry: "a".into(), value: None, until: None };
    let answer = Write::Answered { handle: "h".into(), sender: "s".into(), at: now() };
    record_well(&store, vec![Entry { writes: vec![note("k"), first, list, unlist, answer], ..entry(1) }]);
    let holds = |fact: Fact, at| store.holds(&fact, at).unwrap();
    assert!(holds(seen("k"), now()) && !holds(seen("k"), now() + hours(1)) && !holds(seen("other"), now()));
    assert!(holds(listed("b"), now()) && !holds(listed("a"), now()));
    let entries = store.list_entries("book", Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.text.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(holds(answered(now() - hours(1)), now()) && !holds(answered(now() + hours(1)), now() + hours(2)));
    assert!(holds(answered(now() - hours(99)), now() - hours(2)), "an answer from the future was given");
    assert_eq!(store.journal(None, 1).unwrap()[0].notes, ["one", "two"]);
}

#[test]
fn entries_of_lists_have_values_and_may_stop_counting() {
    let store = store();
    let add = |entry: &str, value: Option<&str>, until| Write::List {
        list: "book".into(),
        entry: entry.into(),
        value: value.map(str::to_owned),
        until,
    };
    let soon = Some(now() + hours(1));
    let writes =
        vec![add("a", Some("people/a"), None), add("b", None, soon), add("a", None, None), add("c", None, soon)];
    record_well(&store, vec![Entry { writes, ..entry(1) }]);
    let shown = |at| {
        let entries = store.list_entries("book", at).unwrap();
        entries
            .iter()
            .map(|entry| format!("{}{}", entry.text, entry.value.as_deref().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(now()), ["apeople/a", "b", "c"]);
    assert_eq!(shown(now() + hours(1)), ["apeople/a"]);
    assert!(store.holds(&listed("b"), now()).unwrap() && !store.holds(&listed("b"), now() + hours(1)).unwrap());
    assert_eq!(store.list_value("book", "a").unwrap().as_deref(), Some("people/a"));
    // Added again, it counts anew.
    store.change_lists(&[add("b", None, Some(now() + hours(9)))], now()).unwrap();
    store.prune(&owned(), now() + hours(2), 0).unwrap();
    assert_eq!(shown(now()), ["apeople/a", "b"]);
    store.change_lists(&[Write::Unlist { list: "book".into(), entry: "a".into() }], now()).unwrap();
    assert_eq!(shown(now()), ["b"]);
}

#[test]
fn a_changed_answer_keeps_the_batch_from_being_recorded() {
    let store = store();
    let read = |key, answer| vec![AnsweredQuestion { fact: seen(key), answer }];
    record_well(&store, vec![Entry { reads: read("k", false), writes: vec![note("k")], ..entry(1) }]);
    let stale = Entry { reads: read("k", false), writes: vec![note("x")], ..entry(2) };
    let Recording::Changed(staged) = record(&store, vec![entry(3), stale]) else { panic!("it was recorded") };
    assert_eq!(staged.entries().len(), 2);
    assert!(store.remembered(&key(3)).unwrap().is_none(), "nothing of it stands there");
    assert!(!store.holds(&seen("x"), now()).unwrap());
    // What an earlier message of the same batch writes, the later one knew.
    let writes = Entry { reads: read("y", false), writes: vec![note("y")], ..entry(4) };
    record_well(&store, vec![writes, Entry { reads: read("y", true), ..entry(5) }]);
    let reversed = vec![Entry { reads: read("z", true), ..entry(6) }, Entry { writes: vec![note("z")], ..entry(7) }];
    assert!(matches!(record(&store, reversed), Recording::Changed(_)));
}

#[test]
fn noted_keys_are_bounded_and_the_oldest_go() {
    let store = store();
    let all = |keys: std::ops::Range<usize>| {
        let until = |n: usize| now() + hours(1) + SignedDuration::from_secs(n as i64);
        let write = |n: usize| Write::Seen { handle: "h".into(), key: n.to_string(), until: until(n) };
        keys.map(write).collect::<Vec<_>>()
    };
    record_well(&store, vec![Entry { writes: all(0..100_000), ..entry(1) }]);
    assert!(store.holds(&seen("0"), now()).unwrap());
    record_well(&store, vec![Entry { writes: all(100_000..100_002), ..entry(2) }]);
    let holds = |key: &str| store.holds(&seen(key), now()).unwrap();
    assert!(!holds("0") && !holds("1") && holds("2") && holds("100001"));
    store.prune(&owned(), now() + hours(100), 1 << 30).unwrap();
    assert!(!holds("2"));
}

#[test]
fn a24_answered_senders_are_bounded_and_the_oldest_go() {
    let store = store();
    let answer = |n: i64| Write::Answered {
        handle: "h".into(),
        sender: n.to_string(),
        at: now() - hours(1) + SignedDuration::from_secs(n),
    };
    record_well(&store, vec![Entry { writes: (0..1_001).map(answer).collect(), ..entry(1) }]);
    let holds = |n: i64| {
        let fact = Fact::Answered { handle: "h".into(), sender: n.to_string(), since: now() - hours(24) };
        store.holds(&fact, now()).unwrap()
    };
    assert!(holds(0), "RFC 5230 4.2 asks for 1000 at least");
    record_well(&store, vec![Entry { writes: (1_001..10_002).map(answer).collect(), ..entry(2) }]);
    assert!(!holds(0) && !holds(1) && holds(2) && holds(10_001));
}

fn tellings() -> Vec<Telling> {
    let ways = [
        Way::Redirect(Redirect {
            to: vec!["b@x".into()],
            mode: RedirectMode::Attach,
            envelope_from: EnvelopeFrom::Address("a@x".into()),
        }),
        Way::Pipe(Pipe {
            run: vec!["cat".into()],
            input: Default::default(),
            only: Vec::new(),
            timeout: Default::default(),
            lock: None,
        }),
        Way::Notify(Notify {
            run: None,
            mail: None,
            webhook: None,
            desktop: true,
            title: "t".into(),
            text: "ü".into(),
            importance: Default::default(),
        }),
        Way::Lmtp(Lmtp { to: vec!["b@x".into()] }),
    ];
    ways.into_iter().map(|way| Telling { version: 1, relay: Some("r".into()), way }).collect()
}

#[test]
fn what_is_told_waits_in_the_outbox_with_its_bytes() {
    let store = store();
    let path = PathBuf::from("/state/spool/x.v1");
    let told = tellings().into_iter().map(|telling| (telling, path.clone())).collect();
    record_well(&store, vec![entry(1), Entry { tellings: told, spooled: Some("/state/spool/x".into()), ..entry(2) }]);
    let rows = store.outbox(None, 10).unwrap();
    assert_eq!(rows.iter().rev().map(|row| row.telling.clone()).collect::<Vec<_>>(), tellings());
    assert!(rows.iter().all(|row| row.bytes == path && row.state == OutboxState::Waiting && row.attempts == 0));
    assert_eq!(store.outbox(Some(rows[0].entry), 10).unwrap().len(), 4);
    assert_eq!(store.outbox(Some(rows[0].entry + 1), 10).unwrap().len(), 0);
    assert!(store.is_spooled(&path).unwrap() && store.is_spooled("/state/spool/x".as_ref()).unwrap());
    // The discarded original goes after its time; what is still to be told never does.
    assert_eq!(store.prune(&owned(), now() + hours(31 * 24), 1 << 30).unwrap(), [PathBuf::from("/state/spool/x")]);
    store.prune(&owned(), now() + hours(400 * 24), 1 << 30).unwrap();
    assert!(store.is_spooled(&path).unwrap());
    assert_eq!(store.outbox(None, 10).unwrap().len(), 4);
    assert_eq!(store.journal(None, 10).unwrap().len(), 1, "the row of the other message is gone");
}

#[test]
fn bytes_that_are_still_to_be_told_are_not_pruned_as_discarded() {
    let store = store();
    let path = PathBuf::from("/state/spool/x");
    let told = vec![(tellings().remove(0), path.clone())];
    record_well(&store, vec![Entry { tellings: told, spooled: Some(path), ..entry(1) }]);
    assert_eq!(store.prune(&owned(), now() + hours(31 * 24), 1 << 30).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn discarded_mail_is_bounded_in_bytes_and_the_oldest_goes() {
    let store = store();
    for n in 0..4 {
        let spooled = Some(PathBuf::from(format!("/state/spool/{n}")));
        let at = now() + SignedDuration::from_mins(n as i64);
        record_well(&store, vec![Entry { spooled, at, size: 400 << 20, ..entry(n) }]);
    }
    let gone = store.prune(&owned(), now() + hours(1), 1 << 30).unwrap();
    assert_eq!(gone, ["/state/spool/1", "/state/spool/0"].map(PathBuf::from));
    assert_eq!(store.prune(&owned(), now() + hours(1), 1 << 30).unwrap(), Vec::<PathBuf>::new());
}

/// The oldest originals go when all are more than so much, whether they stand in the journal or in the spool.
#[test]
fn originals_are_bounded_in_bytes_and_in_time() {
    let store = store();
    let path = |n: usize| PathBuf::from(format!("/state/spool/{n}"));
    for n in 1..=4 {
        let original = if n == 2 { Original::Head(vec![b'x'; 300]) } else { Original::Whole(path(n)) };
        let at = now() + SignedDuration::from_secs(n as i64);
        record_well(
            &store,
            vec![Entry { at, size: 300, before: Before { original, ..Before::default() }, ..entry(n) }],
        );
    }
    let kept = |n| store.entry(n).unwrap().unwrap().before.original != Original::Filed;
    assert!((1..=4).all(kept) && store.is_spooled(&path(1)).unwrap());
    assert_eq!(store.prune(&owned(), now() + hours(1), 1000).unwrap(), [path(1)]);
    assert_eq!((1..=4).map(kept).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!(store.prune(&owned(), now() + hours(31 * 24), 1000).unwrap(), [path(4), path(3)]);
    assert!(!(1..=4).any(kept) && !store.is_spooled(&path(3)).unwrap());
}

#[test]
fn another_trouble_is_counted_anew() {
    let store = store();
    let attempt = |trouble, at| {
        let attempt = store.attempt(&owned(), &key(1), trouble, "why", at).unwrap();
        (attempt.count, attempt.first)
    };
    let later = now() + hours(1);
    assert_eq!(attempt(Trouble::Deferred, now()), (1, now()));
    assert_eq!(attempt(Trouble::Deferred, later), (2, now()));
    assert_eq!(attempt(Trouble::Died, later), (1, later));
    assert_eq!(store.attempts(&key(1).origin).unwrap()[&key(1).id].trouble, Trouble::Died);
}
