//! How often something came: each message is counted once, when its decision is recorded, by when it arrived.

use jiff::SignedDuration;
use mailsluice::decision::{AnsweredQuestion, Counted, Fact, Write};
use mailsluice::state::{Entry, JournalEntries, Recording, RuleFacts, SqliteStore};

use crate::outbox::User;
use crate::stage::Account;
use crate::state::{entry, now, owned, record, store};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::Maildirs;

fn asked(mark: i64, minute: i64) -> Counted {
    let upto = now() + SignedDuration::from_mins(minute);
    Counted { handle: "h".into(), key: "ann".into(), mark, after: upto - SignedDuration::from_mins(60), upto }
}

/// A message that arrived at that minute and found so many others.
fn counts(mark: i64, minute: i64, number: u64) -> Entry {
    let of = asked(mark, minute);
    let (at, until) = (of.upto, of.upto + SignedDuration::from_mins(60));
    let write = Write::Counted { handle: of.handle.clone(), key: of.key.clone(), mark, at, until };
    let reads = vec![AnsweredQuestion { fact: Fact::Counted { of, number }, answer: true }];
    Entry { reads, writes: vec![write], ..entry(usize::try_from(mark).unwrap()) }
}

fn number(store: &SqliteStore, mark: i64, minute: i64) -> u64 {
    store.counted(&asked(mark, minute), &std::collections::HashSet::new()).unwrap()
}

#[test]
fn messages_are_counted_within_their_time_and_once() {
    let store = store();
    assert!(matches!(record(&store, vec![counts(1, 0, 0), counts(2, 10, 1)]), Recording::Recorded(_)));
    assert_eq!((number(&store, 9, 5), number(&store, 9, 10), number(&store, 9, 59)), (1, 2, 2));
    assert_eq!(number(&store, 9, 60), 1, "the first is an hour old");
    assert_eq!(number(&store, 9, -1), 0, "they came later");
    assert_eq!(number(&store, 2, 10), 1, "nobody counts himself");
    // A copy of the second.
    assert!(matches!(record(&store, vec![counts(2, 20, 1)]), Recording::Recorded(_)));
    assert_eq!(number(&store, 9, 20), 2);
    let other = Counted { key: "bob".into(), ..asked(9, 20) };
    assert_eq!(store.counted(&other, &std::collections::HashSet::new()).unwrap(), 0);
    store.prune(&owned(), now() + SignedDuration::from_mins(65), 1 << 30).unwrap();
    assert_eq!(number(&store, 9, 59), 1, "what is over is forgotten");
}

#[test]
fn whoever_counted_wrong_is_decided_anew() {
    let store = store();
    assert!(matches!(record(&store, vec![counts(1, 0, 1)]), Recording::Changed(_)));
    assert!(matches!(record(&store, vec![counts(1, 0, 0), counts(2, 1, 0)]), Recording::Changed(_)));
    assert!(matches!(record(&store, vec![counts(1, 0, 0), counts(2, 1, 1)]), Recording::Recorded(_)));
    assert!(matches!(record(&store, vec![counts(3, 2, 2), counts(3, 2, 2)]), Recording::Recorded(_)));
}

/// Of a counter with keys those go that took no number for longest.
#[test]
fn numbers_by_key_are_bounded() {
    let store = store();
    let number = |key: &str| Write::Number { counter: format!("posts\n{key}"), number: 7 };
    let own = Write::Number { counter: "posts".into(), number: 3 };
    assert!(matches!(
        record(&store, vec![Entry { writes: vec![number("a"), own], ..entry(1) }]),
        Recording::Recorded(_)
    ));
    let later = now() + SignedDuration::from_hours(1);
    for (at, start) in [(later, 0), (later, 50_000)] {
        let writes = (start..start + 50_000).map(|n| number(&n.to_string())).collect();
        let entry = Entry { at, writes, ..entry(2 + start) };
        assert!(matches!(record(&store, vec![entry]), Recording::Recorded(_)));
    }
    assert_eq!(store.last_number("posts\na").unwrap(), None);
    assert_eq!((store.last_number("posts\n7").unwrap(), store.last_number("posts").unwrap()), (Some(7), Some(3)));
}

const FLOOD: &str = "  - {if: {rate: {per: \"${from.addr}\", within: 1h, over: 3}}, do: {fileinto: flood}}";

fn mail(n: usize) -> String {
    format!("From: Ann <ann@far.example>\nSubject: {n}\nMessage-ID: <{n}@far.example>\n\nhelp {n}\n")
}

#[test]
fn a_flood_in_one_batch_is_seen() {
    let mailbox = crate::stage::mailbox();
    (1..=5).for_each(|n| _ = mailbox.add("INBOX", mail(n)));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::imap(server.port()).top(&format!("rules:\n{FLOOD}")).client();
    client.fetch_well();
    assert_eq!(client.mail().in_folder("flood").len(), 2);
    assert_eq!(client.mail().in_folder("INBOX").len(), 3);
}

/// Who looks counts nothing, and what is looked at again is the message that was counted when it came.
#[test]
fn looking_and_refiltering_count_nothing_twice() {
    let user = User::without_relay(FLOOD);
    (1..=3).for_each(|n| user.deliver(mail(n)));
    let file = user.sandbox.write("four.eml", mail(4));
    for _ in 0..2 {
        let explained = user.sandbox.run(&["--allow-root", "explain", file.to_str().unwrap()]);
        assert!(explained.stdout.contains("message 4 of \"ann@far.example\""), "{explained}");
    }
    for _ in 0..2 {
        let again = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
        assert_eq!(again.code, 0, "{again}");
    }
    let mail_root = Maildirs::at(user.sandbox.maildir());
    assert_eq!((mail_root.in_folder("INBOX").len(), mail_root.in_folder("flood").len()), (3, 0));
    user.deliver(mail(4));
    assert_eq!((mail_root.in_folder("INBOX").len(), mail_root.in_folder("flood").len()), (3, 1));
}
