//! IDLE: one folder tells of its news.

use std::time::{Duration, Instant};

use mailsluice::error::Kind;
use mailsluice::source::PushMethod;
use tokio::time::timeout;

use super::{connect, names, news, play};
use crate::stage::{Account, filled, message};
use crate::support::dovecot::Dovecot;
use crate::support::imap_server::{ImapOptions, ImapServer};

const SOON: Duration = Duration::from_millis(1_500);
const LATE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn what_came_between_the_listing_and_idle_is_heard() {
    let (mut kept, server) = play("idle-race", "INBOX").await;
    let folders = kept.source.folders().await.unwrap().folders;
    let listing = kept.source.open("INBOX").await.unwrap();
    assert_eq!(listing.ids.len(), 1);
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["INBOX"]), "told after the listing");
    assert_eq!(kept.source.open("INBOX").await.unwrap().ids.len(), 2);
    assert_eq!(kept.source.glance(&names(&["Sent"])).await.unwrap().len(), 1);
    kept.source.open("Sent").await.unwrap();
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["INBOX"]), "while another folder was open");
    drop(kept);
    server.finish().unwrap();
}

/// What is waited in is another folder than the pass had open: its UIDs are those of other messages.
#[tokio::test]
async fn what_was_listed_before_the_wait_cannot_be_asked_for_after_it() {
    let (mut kept, server) = play("idle-elsewhere", "[INBOX, Sent]").await;
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.glance(&names(&["INBOX"])).await.unwrap();
    let listing = kept.source.open("Sent").await.unwrap();
    timeout(SOON, kept.source.wait(&folders)).await.unwrap_err();
    let error = kept.source.describe(&listing.ids, Default::default()).await.unwrap_err();
    assert!(error.to_string().contains("no folder is open"), "{error}");
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_idle_does_not_push() {
    let (mut kept, server) = play("idle-bad", "INBOX").await;
    assert_eq!(kept.source.pushed(), PushMethod::Idle);
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("INBOX").await.unwrap();
    timeout(SOON, kept.source.wait(&folders)).await.unwrap_err();
    assert_eq!(kept.source.pushed(), PushMethod::None);
    timeout(SOON, kept.source.wait(&folders)).await.unwrap_err();
    assert!(kept.source.is_alive(LATE).await);
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn goodbyes_and_refusals_that_pass_are_errors() {
    for (name, kind, words) in [
        ("idle-bye", Kind::Network, "ended the session"),
        ("idle-closed", Kind::Network, "unexpected end of file"),
        ("idle-too-many", Kind::Refused, "Maximum number of connections"),
    ] {
        let (mut kept, server) = play(name, "INBOX").await;
        let folders = kept.source.folders().await.unwrap().folders;
        kept.source.open("INBOX").await.unwrap();
        let error = timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap_err();
        assert!(error.kind() == kind && error.is_transient() && error.to_string().contains(words), "{name}: {error}");
        drop(kept);
        server.finish().unwrap();
    }
}

#[tokio::test]
async fn mail_is_heard_of_at_once_and_deletions_as_well() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut kept = connect(Account::imap(server.port())).await;
    let folders = kept.source.folders().await.unwrap().folders;
    for round in 0..3 {
        assert_eq!(kept.source.open("INBOX").await.unwrap().ids.len(), round + 1);
        timeout(SOON, kept.source.wait(&folders)).await.unwrap_err();
        mailbox.add("INBOX", message(10 + round));
        assert_eq!(timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap(), news(&["INBOX"]));
    }
}

#[tokio::test]
async fn dovecot_tells_of_mail_that_another_program_puts_there() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add("me", "INBOX", message(1));
    let port = dovecot.imap_without_notify();
    let mut kept = connect(Account::imap(port).with("password: pass")).await;
    assert_eq!(kept.source.pushed(), PushMethod::Idle);
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("INBOX").await.unwrap();
    timeout(SOON, kept.source.wait(&folders)).await.unwrap_err();
    dovecot.add("me", "INBOX", message(2));
    let begun = Instant::now();
    assert_eq!(timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap(), news(&["INBOX"]));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(kept.source.open("INBOX").await.unwrap().ids.len(), 2);
}
