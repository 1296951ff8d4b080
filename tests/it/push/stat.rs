//! POP3 mailboxes that are as they were.

use mailsluice::source::{Source, Stat};
use mailsluice::state::Stamp;

use crate::stage::{Account, Client, filled, message};
use crate::support::dovecot::Dovecot;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::scripted_server::ScriptedServer;

async fn session(home: &Client) -> Source {
    let (world, job) = home.open();
    Source::connect(&job.account, "me", world.spool(Stamp::parse(""))).await.unwrap()
}

async fn is_unchanged(home: &Client, stat: &Stat) -> bool {
    let mut source = session(home).await;
    let is_unchanged = source.is_unchanged(stat).await.unwrap();
    source.close().await.unwrap();
    is_unchanged
}

/// What is found at the end of a session that lists.
async fn listed(home: &Client) -> Option<Stat> {
    let mut source = session(home).await;
    source.open("INBOX").await.unwrap();
    let stat = source.stat();
    source.close().await.unwrap();
    stat
}

#[tokio::test]
async fn stat_and_the_last_id_stand_for_the_list() {
    let server = ScriptedServer::from_file("tests/dialogs/pop3-unchanged.dialog");
    let home = Account::pop3(server.port()).client();
    let stat = listed(&home).await.unwrap();
    assert_eq!(stat, Stat { count: 3, octets: 54, first_uidl: b"a".to_vec(), last_uidl: b"b \xff".to_vec() });
    for expected in [true, false, false] {
        assert_eq!(is_unchanged(&home, &stat).await, expected);
    }
    let empty = listed(&home).await.unwrap();
    assert_eq!(empty, Stat { count: 0, octets: 0, first_uidl: Vec::new(), last_uidl: Vec::new() });
    assert!(is_unchanged(&home, &empty).await);
    server.finish().unwrap();
}

#[tokio::test]
async fn dovecot_says_whether_a_mailbox_is_as_it_was() {
    let Some(dovecot) = Dovecot::start() else { return };
    let home = Account::pop3(dovecot.ports.pop3).with("password: pass").client();
    for number in 0..5 {
        let empty_or_not = listed(&home).await.unwrap();
        assert_eq!(empty_or_not.count, number);
        assert!(is_unchanged(&home, &empty_or_not).await);
        dovecot.add("me", "INBOX", message(number as usize));
        assert!(!is_unchanged(&home, &empty_or_not).await);
    }
}

/// Where ids come from the content, the server tells nothing about it.
#[tokio::test]
async fn ids_by_content_are_always_listed() {
    let (mailbox, _) = filled(2);
    let server = Pop3Server::start(&mailbox, Pop3Options::default());
    let by_uidl = Account::pop3(server.port()).client();
    let stat = listed(&by_uidl).await.unwrap();
    assert!(is_unchanged(&by_uidl, &stat).await);
    let by_content = Account::pop3(server.port()).with("identity: content").client();
    assert_eq!(listed(&by_content).await, None);
    assert!(!is_unchanged(&by_content, &stat).await);
}
