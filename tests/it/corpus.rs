//! Real input: 2,545 real and malformed messages in a real Dovecot, fetched over IMAPS and over POP3S.
//!
//! The corpus lies beside the checkout and is not part of it (its licences differ). Without it these tests say so
//! and are skipped, except where MAILSLUICE_REQUIRE_CORPUS=1 makes that a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::support::dovecot::Dovecot;
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Sandbox;

const BINARY: &str = env!("CARGO_BIN_EXE_mailsluice");

/// Rules over what real mail has, so that the corpus is really sorted.
const RULES: &str = r#"
rules:
  - {name: spam, if: {header: {Subject: {contains: [viagra, free, money]}}}, do: [{fileinto: Junk}]}
  - {name: lists, if: {list_id: {regex: '^(?<list>[^.]+)\.'}}, do: [{fileinto: "lists/${list}"}]}
  - {name: big, if: {size: {over: 20K}}, do: [{fileinto: {folder: [Big, All], flags: [flagged]}}]}
"#;

#[test]
fn the_corpus_comes_over_imaps_byte_for_byte_once() {
    // An IMAP literal cannot hold NUL (RFC 3501 4.3); Dovecot sends 0x80 in its place.
    let without_nul = |message: &[u8]| to_lf(message).into_iter().map(|b| if b == 0 { 0x80 } else { b }).collect();
    fetch_corpus("imap", |dovecot| dovecot.ports.imaps, without_nul);
}

#[test]
fn the_corpus_comes_over_pop3s_byte_for_byte_once() {
    // A POP3 reply ends with CRLF, so Dovecot completes a message whose last line has no end.
    fetch_corpus(
        "pop3",
        |dovecot| dovecot.ports.pop3s,
        |message| {
            let mut lf = to_lf(message);
            if !lf.ends_with(b"\n") {
                lf.push(b'\n');
            }
            lf
        },
    );
}

fn fetch_corpus(protocol: &str, port: impl Fn(&Dovecot) -> u16, as_served: impl Fn(&[u8]) -> Vec<u8>) {
    let Some(corpus) = corpus() else { return };
    let Some(dovecot) = Dovecot::start() else { return };
    for message in &corpus {
        dovecot.add("me", "INBOX", message);
    }
    let sandbox = Sandbox::new(BINARY);
    let configure = |retention: &str| {
        sandbox.config(&format!(
            "maildir: ~/Mail\naccounts:\n  all:\n    {protocol}: {{host: localhost, port: {}, ca_file: {}}}\n    user: me\n    \
             password: pass\n    retention: {retention}\n{RULES}",
            port(&dovecot),
            dovecot.ca_file().display()
        ));
    };

    configure("keep");
    let first = sandbox.run(&["--json", "fetch"]);
    assert_eq!(first.code, 0, "{first}");
    assert!(first.stdout.contains(&format!("\"new\":{}", corpus.len())), "{first}");

    let expected: BTreeMap<Vec<u8>, usize> = counted(corpus.iter().map(|m| as_served(m)));
    let mail = Maildirs::at(sandbox.maildir());
    let found = mail.messages();
    // A big message stands in two folders; each message is counted where it stands first.
    let once = found.iter().filter(|m| m.folder != "All").map(|m| m.bytes.to_vec());
    assert_same(&expected, &counted(once));
    assert!(found.iter().all(|m| m.sub != crate::support::maildir::Sub::Tmp), "something is left under tmp/");
    let folders = mail.folders();
    for folder in ["INBOX", "Junk", "Big", "All"] {
        assert!(folders.iter().any(|f| f == folder), "{folder} is missing among {folders:?}");
    }
    assert!(folders.iter().any(|f| f.starts_with("lists/")), "no list was sorted: {folders:?}");
    assert_eq!(dovecot.count("me", "INBOX"), corpus.len(), "the server keeps its mail by default");

    let second = sandbox.run(&["fetch"]);
    assert_eq!((second.code, second.stdout.as_str()), (0, ""), "a second run fetches nothing: {second}");

    configure("delete");
    let last = sandbox.run(&["fetch"]);
    assert_eq!(last.code, 0, "{last}");
    assert_eq!(dovecot.count("me", "INBOX"), 0, "retention: delete empties the server: {last}");
    assert_eq!(Maildirs::at(sandbox.maildir()).messages().len(), found.len());
}

fn corpus() -> Option<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/messages");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(std::env::var_os("MAILSLUICE_REQUIRE_CORPUS").is_none(), "the corpus is missing");
        eprintln!("SKIPPED: the message corpus is not beside this checkout");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Some(paths.iter().map(|path| std::fs::read(path).unwrap()).collect())
}

fn to_lf(message: &[u8]) -> Vec<u8> {
    let mut lf = Vec::with_capacity(message.len());
    for (i, byte) in message.iter().enumerate() {
        if *byte != b'\r' || message.get(i + 1) != Some(&b'\n') {
            lf.push(*byte);
        }
    }
    lf
}

fn counted(messages: impl Iterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, usize> {
    messages.fold(BTreeMap::new(), |mut counts, message| {
        *counts.entry(message).or_default() += 1;
        counts
    })
}

fn assert_same(expected: &BTreeMap<Vec<u8>, usize>, found: &BTreeMap<Vec<u8>, usize>) {
    let missing: Vec<_> = expected.iter().filter(|(m, n)| found.get(*m) != Some(n)).collect();
    let extra: Vec<_> = found.iter().filter(|(m, n)| expected.get(*m) != Some(n)).collect();
    let show = |m: &[u8]| String::from_utf8_lossy(&m[..m.len().min(200)]).into_owned();
    if let Some((message, count)) = missing.first() {
        let (extra_message, n) = extra.first().map_or((String::new(), 0), |(m, n)| (show(m), **n));
        panic!(
            "{} messages differ; first expected {count} times:\n{}\n--- and found {n} times:\n{extra_message}",
            missing.len(),
            show(message)
        );
    }
    assert!(extra.is_empty(), "{} messages more than there are", extra.len());
}
