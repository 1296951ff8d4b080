//! SIGTERM and Ctrl-C while something does not answer: a safe state within five seconds, a word, and an end at once for whoever
//! asks twice.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Account, filled, mailbox};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Sandbox;

/// Whoever stops a service gives it five seconds; this machine is busy with other tests.
const SAFE: Duration = Duration::from_secs(7);
/// So long something may take until it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Begins a command, waits until it hangs, and stops it.
#[track_caller]
fn stops(sandbox: &Sandbox, command: &str, hangs: impl Fn() -> bool) {
    let running = sandbox.spawn(&[command]);
    until("it hangs", hangs);
    // It is in the midst of its wait.
    std::thread::sleep(Duration::from_millis(50));
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let output = running.wait();
    assert!(asked.elapsed() < SAFE, "{command}: {:?}\n{output}", asked.elapsed());
    assert_eq!(output.code, if command == "run" { 0 } else { 75 }, "{command}: {output}");
}

/// N12 of the newcomer's findings: 25 seconds of silence.
#[test]
fn newcomer_12_a_server_that_hangs_at_any_command_does_not_hold_up_the_stop() {
    let scene = |faults: &Faults| {
        let (mailbox, messages) = filled(3);
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(faults).without("IDLE"));
        let sandbox = Account::imap(server.port()).with("retention: delete").sandbox();
        (server, sandbox, messages)
    };
    let all = {
        let faults = Faults::none();
        let (_server, sandbox, _) = scene(&faults);
        assert_eq!(sandbox.run(&["fetch"]).code, 0);
        faults.commands_seen()
    };
    for (command, n) in (1..=all).flat_map(|n| [("fetch", n), ("run", n)]) {
        let faults = Faults::of([Fault::HangAt(n)]);
        let (_server, sandbox, messages) = scene(&faults);
        // The last one is the goodbye, which `run` says when it is stopped, and `fetch` waits a second for its answer.
        if n < all || command == "run" {
            stops(&sandbox, command, || faults.commands_seen() >= n.min(all - 1));
        }
        faults.clear();
        (0..2).for_each(|_| _ = sandbox.run(&["fetch"]));
        Maildirs::at(sandbox.maildir()).assert_holds(&messages);
    }
}

#[test]
fn a_server_that_never_greets_does_not_hold_up_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let sandbox = Account::imap(listener.local_addr().unwrap().port()).sandbox();
    let connection = std::cell::RefCell::new(None);
    for command in ["fetch", "run"] {
        connection.replace(None);
        stops(&sandbox, command, || {
            let accepted = listener.accept().ok();
            connection.borrow().is_some() || accepted.map(|new| connection.replace(Some(new))).is_some()
        });
    }
}

#[test]
fn a_password_program_that_hangs_does_not_hold_up_the_stop() {
    let server = ImapServer::start(&mailbox(), ImapOptions::default());
    let sandbox = Account::imap(server.port()).with("password: {command: [sh, ask]}").sandbox();
    sandbox.script("ask", "#!/bin/sh\ntrap '' TERM\ntouch ~/begun\nsleep 50\n");
    let begun = sandbox.home().join("begun");
    for command in ["fetch", "run"] {
        std::fs::remove_file(&begun).ok();
        stops(&sandbox, command, || begun.exists());
    }
}

/// On a terminal, where the answer is to be seen.
#[test]
fn newcomer_12_ctrl_c_answers_with_a_word_and_a_second_one_ends_at_once() {
    for command in ["fetch", "run"] {
        let (mailbox, _) = filled(3);
        let faults = Faults::none();
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let sandbox = Account::imap(server.port()).sandbox();
        // It hangs where it may still come to its end.
        assert_eq!(sandbox.run(&["fetch"]).code, 0);
        let fetched = faults.commands().iter().position(|command| command.contains("BODY.PEEK[]")).unwrap() + 1;
        let other = Account::imap(server.port()).sandbox();
        faults.set(Fault::HangAt(faults.commands_seen() + fetched));
        let mut child = other.command(&[command]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let seen = faults.commands_seen();
        until("it hangs", || faults.commands_seen() >= seen + fetched);
        let interrupt = || kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let asked = Instant::now();
        interrupt();
        assert!(said.any(|line| line.unwrap() == "stopping; Ctrl-C again ends at once"), "{command}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        interrupt();
        assert_eq!(child.wait().unwrap().code(), Some(75));
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
}

/// Whoever has waited for a turn does not begin any more.
#[test]
fn what_was_not_begun_is_not_begun_after_the_word() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let entry = |n: usize| Account::imap(port).with(&format!("user: u{n}")).entry(&format!("a{n}"));
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let entries: String = (0..30).map(entry).collect();
    let home = sandbox.home().display();
    sandbox.config(&format!("maildir: {home}/Mail\nstate: {home}/state\naccounts:\n{entries}"));
    let connections = std::thread::spawn(move || {
        let open: Vec<_> = listener.incoming().take(8).collect();
        (listener, open)
    });
    stops(&sandbox, "fetch", || connections.is_finished());
    let (listener, _open) = connections.join().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}
