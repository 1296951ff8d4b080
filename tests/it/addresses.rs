//! Addresses as tables of facts: what is read of a list, and to whom it is sent. What Python and Postfix make of the same
//! lists stands beside it where it is something else, with the reason.
//!
//! ```text
//! > Doe, Jane <jane@example.net>
//!   read     Doe, Jane <jane@example.net>
//!   sent     refused: `Doe` may be …
//!   python   Doe | jane@example.net
//!   because  a name with a comma is a name
//! ```
//!
//! `read` is received mail, `sent` the recipients of `sendmail -t`. `python` is `email.utils.getaddresses` of 3.13, which is
//! strict; `postfix` is what Postfix 3.7 had in its queue for `sendmail -t`. Addresses alone are compared with them.
//! `UPDATE_EXPECTED=1` writes `read` and `sent` anew.

use std::fs;

use mailsluice::message::{Address, AddressList, Bytes, Message, Recipient, parse_addresses};
use proptest::prelude::*;

/// One list, by its line in the table.
struct Fact {
    input: String,
    read: String,
    sent: String,
    /// The lines about others.
    others: Vec<(String, String)>,
}

impl Fact {
    fn other(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }
}

fn message(fields: &str) -> Message {
    Message::new(Bytes::Memory(format!("{fields}\n\n").into_bytes()))
}

/// As the table has it: `Name <address>`.
fn shown(address: &Address) -> String {
    address.name.as_ref().map_or(address.address.clone(), |name| format!("{name} <{}>", address.address))
}

fn joined(texts: &[String]) -> String {
    if texts.is_empty() { "-".to_owned() } else { texts.join(" | ") }
}

fn read(list: &str) -> String {
    joined(&message(&format!("To: {list}")).addresses("To").map(shown).collect::<Vec<_>>())
}

/// Names without a domain have one here, as in a Postfix with `myorigin = home.example`.
fn sent(list: &str) -> String {
    let message = message(&format!("To: {list}"));
    let found = message.fields()[0].address_list().recipients(&|name| name == "root");
    let whole = |recipient| match recipient {
        Recipient::Address(address) => address,
        Recipient::Bare(name) => format!("{name}@home.example"),
    };
    match found {
        Ok(found) => joined(&found.into_iter().map(whole).collect::<Vec<_>>()),
        Err(bad) => format!("refused: {}", bad.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// The table with what is read by now.
fn renewed(table: &str) -> (String, Vec<Fact>) {
    let (mut text, mut facts) = (String::new(), Vec::<Fact>::new());
    for line in table.lines() {
        if let Some(input) = line.strip_prefix('>') {
            let input = input.trim().to_owned();
            let (read, sent) = (read(&input), sent(&input));
            text += &format!("{}\n  read     {read}\n  sent     {sent}\n", line.trim_end());
            facts.push(Fact { input, read, sent, others: Vec::new() });
        } else if let Some((key, rest)) = line.strip_prefix("  ").and_then(|line| line.split_once(' ')) {
            if !["read", "sent"].contains(&key) {
                text += &format!("{line}\n");
                facts.last_mut().unwrap().others.push((key.to_owned(), rest.trim().to_owned()));
            }
        } else {
            text += &format!("{line}\n");
        }
    }
    (text, facts)
}

fn table(name: &str) -> Vec<Fact> {
    let path = format!("{}/tests/addresses/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(&path).unwrap();
    let (new, facts) = renewed(&table);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, new).unwrap();
    } else {
        for (number, (old, new)) in (1..).zip(table.lines().zip(new.lines())) {
            assert_eq!(old, new, "{name}.txt, line {number}");
        }
        assert_eq!(table.lines().count(), new.lines().count(), "{name}.txt");
    }
    facts
}

/// The addresses of a line of the table, in no order.
fn alone<'a>(line: &'a str) -> Vec<&'a str> {
    let address = |one: &'a str| one.rsplit_once(" <").map_or(one, |(_, address)| address.trim_end_matches('>'));
    let mut all: Vec<&str> = line.split(" | ").map(address).collect();
    all.sort_unstable();
    all
}

#[test]
fn b1_b10_m72_s1_s12_the_lists_of_the_reports() {
    let facts = table("findings");
    assert!(facts.len() > 35, "{}", facts.len());
}

#[test]
fn what_people_and_programs_write() {
    assert!(table("forms").len() > 50);
}

#[test]
fn what_others_publish_as_facts() {
    assert!(table("published").len() > 40);
}

/// Where Python or Postfix reads something else, the table says why; where it does not, the table does not claim it.
#[test]
fn differences_have_their_reasons() {
    for name in ["findings", "forms", "published"] {
        for fact in table(name) {
            let others = [("python", &fact.read), ("postfix", &fact.sent)];
            let mut differs = false;
            for (other, ours) in others {
                if let Some(theirs) = fact.other(other) {
                    assert_ne!(alone(theirs), alone(ours), "{name}: {}: {other}", fact.input);
                    differs = true;
                }
            }
            assert_eq!(fact.other("because").is_some(), differs, "{name}: {}", fact.input);
        }
    }
}

/// Whatever stands within quotes or in a comment is the domain of nobody.
#[test]
fn b1_sp00_the_domain_is_what_stands_behind_the_quotes() {
    for (list, domain) in [
        ("\"boss@work.example\"@evil.example", "evil.example"),
        ("<\"boss@work.example\"@evil.example>", "evil.example"),
        ("Boss <\"boss@work.example> x\"@evil.example>", "evil.example"),
        ("\"<boss@work.example>\" <x@evil.example>", "evil.example"),
        ("x@evil.example (<boss@work.example>)", "evil.example"),
        ("(<boss@work.example>,) x@evil.example", "evil.example"),
        ("\"x\\\"<boss@work.example>,\" <x@evil.example>", "evil.example"),
    ] {
        let found: Vec<String> = parse_addresses(list).iter().map(|one| one.domain().to_owned()).collect();
        assert_eq!(found, [domain], "{list}");
    }
}

#[test]
fn s1_five_thousand_recipients_of_one_field() {
    let list: Vec<String> = (0..5_000).map(|number| format!("person.{number}@y.example")).collect();
    let message = message(&format!("Bcc: {}", list.join(",\n ")));
    let found = message.fields()[0].address_list().recipients(&|_| false).unwrap();
    assert_eq!(found.len(), 5_000);
    assert_eq!(message.addresses("Bcc").count(), 1_000, "rules see so many");
}

/// What grew with the square of its length would take minutes.
#[test]
fn e8_lists_are_read_in_linear_time() {
    let bombs = [
        "<",
        ">",
        "(",
        ")",
        "\"",
        "\\",
        ",",
        ";",
        ":",
        "@",
        ".",
        "[",
        "]",
        "a:",
        "a@b,",
        "a@b ",
        "<a@",
        "\"\\",
        "(\\",
        "=?",
        "=?a?q?",
        "=?a?q?,",
        "=?a?q?,?=",
        "@[",
        "a@[b",
        "Doe, ",
        "<@a,",
        "<@a:",
        "\"a\".",
        "a:;",
        "(()",
        "x <a@b>",
        "é",
    ];
    for bomb in bombs {
        let text = bomb.repeat(200_000);
        let begun = std::time::Instant::now();
        drop(AddressList::read(&text).recipients(&|_| false));
        drop(parse_addresses(&text));
        assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{bomb}: {:?}", begun.elapsed());
    }
}

/// Pieces of addresses in any order.
const PIECES: &str =
    "([<>:;,@()\"\\\\.\\[\\]]|[a-c]|é| |\\t|=\\?utf-8\\?Q\\?a\\?=|a@b\\.example|<a@b>|\"a b\"|\\(c\\)){0,40}";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    /// What was read is the same when it is written and read again, and is sent to whom it is read.
    #[test]
    fn an_address_that_is_written_is_read_again(text in PIECES) {
        for address in parse_addresses(&text) {
            let written = address.written();
            prop_assert_eq!(parse_addresses(&written), [address.clone()], "{} of {}", &written, &text);
        }
    }

    /// Nobody gets mail whom received mail would not have named.
    #[test]
    fn a_recipient_is_one_of_those_that_are_read(text in PIECES) {
        let read: Vec<String> = parse_addresses(&text).iter().map(Address::canonical).collect();
        for recipient in AddressList::read(&text).recipients(&|_| false).unwrap_or_default() {
            let Recipient::Address(address) = recipient else { continue };
            let plain = parse_addresses(&address).iter().map(Address::canonical).collect::<Vec<_>>();
            prop_assert!(plain.len() == 1 && read.contains(&plain[0]), "{address} of {text}: {read:?}");
        }
    }
}
