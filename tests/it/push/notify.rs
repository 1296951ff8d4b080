//! NOTIFY: one session is told of all folders.

use std::time::{Duration, Instant};

use mailsluice::source::{Heard, PushMethod};
use tokio::time::timeout;

use super::{Kept, connect, glance, names, news, play};
use crate::stage::{Account, message};
use crate::support::dovecot::Dovecot;

const SOON: Duration = Duration::from_millis(1_500);
const LATE: Duration = Duration::from_secs(20);

#[track_caller]
fn is_quiet<T>(heard: Result<T, tokio::time::error::Elapsed>) {
    assert!(heard.is_err());
}

/// Names in UTF-7, the same twice, a folder of somebody else's, one with another case.
#[tokio::test]
async fn what_comes_anywhere_is_heard_once() {
    let (mut kept, server) = play("notify", "all").await;
    let folders = kept.source.folders().await.unwrap().folders;
    assert_eq!(kept.source.pushed(), PushMethod::Notify);
    for folder in &folders {
        kept.source.open(folder).await.unwrap();
    }
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["Entwürfe"]), "while another one was open");
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["INBOX", "Lists/rust"]));
    // Told in the midst of the answer to another command.
    kept.source.open("Lists/rust").await.unwrap();
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["Entwürfe"]));
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn an_overflow_and_new_folders_may_be_news_anywhere() {
    let (mut kept, server) = play("notify-overflow", "all").await;
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("a").await.unwrap();
    kept.source.open("INBOX").await.unwrap();
    assert_eq!(kept.source.wait(&folders).await.unwrap(), Heard::Anywhere, "a new folder");
    assert_eq!(kept.source.wait(&folders).await.unwrap(), Heard::Anywhere, "an overflow");
    assert_eq!(kept.source.pushed(), PushMethod::Idle, "a server that cannot keep up so soon never does");
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn where_it_is_refused_there_is_idle() {
    let (mut kept, server) = play("notify-refused", "[INBOX, Sent]").await;
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("INBOX").await.unwrap();
    assert_eq!(kept.source.wait(&folders).await.unwrap(), news(&["INBOX"]));
    assert_eq!(kept.source.pushed(), PushMethod::Idle);
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn a_new_folder_is_seen_by_whoever_glances() {
    let (mut kept, server) = play("glance-new-folder", "all").await;
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("a").await.unwrap();
    assert_eq!(kept.source.glance(&folders).await.unwrap().len(), 5);
    assert_eq!(kept.source.wait(&folders).await.unwrap(), Heard::Anywhere);
    kept.source.glance(&folders).await.unwrap();
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    drop(kept);
    server.finish().unwrap();
}

/// Three hundred folders of a real server, and a session that has opened one.
async fn on_dovecot(dovecot: &Dovecot) -> (Kept, Vec<String>) {
    dovecot.add("me", "INBOX", message(1));
    for number in 0..300 {
        dovecot.add("me", &format!("box{number}"), message(number));
    }
    dovecot.add("me", "Entw&APw-rfe", message(1));
    let mut kept = connect(Account::imap(dovecot.ports.imap).with("password: pass").with("folders: all")).await;
    let folders = kept.source.folders().await.unwrap().folders;
    assert_eq!((folders.len(), kept.source.pushed()), (302, PushMethod::Notify));
    kept.source.glance(&folders).await.unwrap();
    (kept, folders)
}

fn arrives(dovecot: &Dovecot, folder: &str) {
    let path = dovecot.maildir("me").join("given.eml");
    std::fs::write(&path, message(7)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let script = format!("doveadm -c {} save -u me -m {folder} < {path}", dovecot.config().display());
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

#[tokio::test]
async fn dovecot_tells_of_three_hundred_folders() {
    let Some(dovecot) = Dovecot::start() else { return };
    let (mut kept, folders) = on_dovecot(&dovecot).await;
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    for (number, folder) in ["box7", "INBOX", "Entwürfe", "box299"].into_iter().enumerate() {
        // A pass opens a folder between the waits, and once the session is asked to be told again.
        kept.source.open(if number == 1 { "box7" } else { folder }).await.unwrap();
        is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
        arrives(&dovecot, folder);
        let begun = Instant::now();
        assert_eq!(timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap(), news(&[folder]), "{folder}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{folder}: {:?}", begun.elapsed());
    }
    // While a folder is open, its own news is not told.
    kept.source.open("box7").await.unwrap();
    arrives(&dovecot, "box7");
    arrives(&dovecot, "box8");
    assert_eq!(timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap(), news(&["box7", "box8"]));
}

#[tokio::test]
async fn dovecot_tells_of_folders_that_come() {
    let Some(dovecot) = Dovecot::start() else { return };
    let (mut kept, folders) = on_dovecot(&dovecot).await;
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    dovecot.doveadm(&["mailbox", "create", "-u", "me", "brand new"]);
    assert_eq!(timeout(LATE, kept.source.wait(&folders)).await.unwrap().unwrap(), Heard::Anywhere);
    // What another program moves into a folder is never announced: a glance sees it.
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    dovecot.add("me", "box9", message(2));
    is_quiet(timeout(SOON, kept.source.wait(&folders)).await);
    let seen = kept.source.glance(&names(&["box9"])).await.unwrap()["box9"];
    assert_eq!((seen.exists, seen.uid_next), (Some(2), Some(3)));
    assert_ne!(seen, glance(1, 3, 2));
}
