//! How fast mail goes into the outbox and out of it: `cargo bench --bench outbox`.
//!
//! The real binary, on the disk under `TMPDIR`: `fetch` puts each message that a rule forwards durably into the outbox,
//! `queue run` empties it over one connection. The floors are what nobody can go below: a file written and synced for
//! each message, one after the other, and the same dialog with the same server without any disk.
//!
//! `MAILSLUICE_RELAY=PORT` sends to another server on this machine, `MAILSLUICE_MAILS=N` takes so many messages.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    missing_docs
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use support::imap_server::{ImapOptions, ImapServer};
use support::mailbox::Mailbox;
use support::sandbox::Sandbox;
use support::smtp_server::{SmtpOptions, SmtpServer};

/// Bytes of one message.
const SIZE: usize = 3000;

fn main() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<usize>().ok());
    let mails = setting("MAILSLUICE_MAILS").unwrap_or(3000);
    let server = SmtpServer::start(SmtpOptions::default());
    let port = setting("MAILSLUICE_RELAY").map_or(server.port(), |port| u16::try_from(port).unwrap());

    let mailbox = Mailbox::new("me", "open sesame");
    let imap = ImapServer::start(&mailbox, ImapOptions::default());
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.deadline(Duration::from_secs(600));
    let config = |relays: &str| {
        format!(
            "maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\nlimits: {{forwards_per_day: 100000}}\n{relays}\
             accounts:\n  box: {{imap: {{host: 127.0.0.1, port: {}, tls: none}}, user: me, password: open sesame}}\n\
             rules:\n  - {{name: forward, do: {{redirect: you@far.example}}}}\n",
            imap.port()
        )
    };
    sandbox.config(&config(""));
    let timed = |arguments: &[&str]| {
        let start = Instant::now();
        let output = sandbox.run(arguments);
        assert!(output.code == 0 || output.code == 75, "{output}");
        start.elapsed()
    };
    // What stands there before the first run is not forwarded.
    timed(&["--allow-root", "-q", "fetch"]);
    (1..=mails).for_each(|n| _ = mailbox.add("INBOX", mail(n)));
    println!("{mails} messages of {SIZE} bytes");
    report("into the outbox", mails, timed(&["--allow-root", "-q", "fetch"]));
    report("  one synced file each", mails, files(sandbox.home(), mails));
    sandbox.config(&config(&format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}}}}}\n")));
    report("out of the outbox", mails, timed(&["--allow-root", "-q", "queue", "run"]));
    report("  the same dialog alone", mails, dialog(port, mails));
    let rows = sandbox.run(&["--allow-root", "--json", "queue", "list", "--all"]);
    assert_eq!(rows.stdout.lines().filter(|row| row.contains("\"sent\"")).count(), mails, "{rows}");
}

fn mail(n: usize) -> String {
    let head = format!(
        "Return-Path: <ann@far.example>\nFrom: ann@far.example\nTo: me@home.example\nMessage-ID: <{n}@far.example>\n\
         Subject: number {n}\n\n"
    );
    let line = format!("This is line so and so of message {n}.\n");
    head + &line.repeat(SIZE / line.len())
}

fn report(what: &str, mails: usize, time: Duration) {
    let seconds = time.as_secs_f64();
    println!("{what:<26} {seconds:>7.3} s {:>9.0}/s", mails as f64 / seconds);
}

fn files(folder: &std::path::Path, mails: usize) -> Duration {
    let folder = folder.join("floor");
    std::fs::create_dir(&folder).unwrap();
    let start = Instant::now();
    for n in 0..mails {
        let mut file = std::fs::File::create(folder.join(n.to_string())).unwrap();
        file.write_all(&[b'x'; SIZE]).unwrap();
        file.sync_all().unwrap();
    }
    start.elapsed()
}

fn dialog(port: u16, mails: usize) -> Duration {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    let mut expect = |code: &str| {
        let mut line = String::new();
        loop {
            line.clear();
            replies.read_line(&mut line).unwrap();
            assert!(line.starts_with(code), "{line}");
            if line.as_bytes()[3] == b' ' {
                return;
            }
        }
    };
    expect("220");
    out.write_all(b"EHLO floor.example\r\n").unwrap();
    expect("250");
    let start = Instant::now();
    for n in 1..=mails {
        out.write_all(b"MAIL FROM:<me@home.example>\r\nRCPT TO:<you@far.example>\r\nDATA\r\n").unwrap();
        ["250", "250", "354"].into_iter().for_each(&mut expect);
        out.write_all((mail(n).replace('\n', "\r\n") + ".\r\n").as_bytes()).unwrap();
        expect("250");
    }
    start.elapsed()
}
