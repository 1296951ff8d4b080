//! Is the POP3 server right when it should be, and wrong exactly as told?

use super::faults::{Fault, Faults, MessageFault};
use super::imap_server::{ImapOptions, ImapServer};
use super::mailbox::Mailbox;
use super::pop3_server::{Pop3Options, Pop3Server};
use super::raw_client::RawClient;
use super::tls::Certificate;
use super::wire::Security;

fn three_messages() -> Mailbox {
    let mailbox = Mailbox::new("me", "secret");
    mailbox.add("INBOX", "Subject: one\n\n.dot\nfirst\n");
    mailbox.add("INBOX", "Subject: two\n\nsecond\n");
    mailbox.add("INBOX", "Subject: three\n\nthird\n");
    mailbox
}

async fn logged_in(server: &Pop3Server) -> RawClient {
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.line().await, "+OK ready");
    assert!(client.pop3("USER me").await.starts_with("+OK"));
    assert!(client.pop3("PASS secret").await.starts_with("+OK"));
    client
}

#[tokio::test]
async fn mail_is_listed_read_and_deleted_at_quit() {
    let mailbox = three_messages();
    let server = Pop3Server::start(&mailbox, Pop3Options::default());
    let mut client = logged_in(&server).await;
    assert_eq!(client.pop3("STAT").await, "+OK 3 78");
    assert_eq!(client.pop3_lines("LIST").await, "+OK messages|1 29|2 24|3 25|.");
    assert_eq!(client.pop3("LIST 2").await, "+OK 2 24");
    assert_eq!(client.pop3_lines("UIDL").await, "+OK unique ids|1 uidl-000001|2 uidl-000002|3 uidl-000003|.");
    assert_eq!(client.pop3_lines("RETR 1").await, "+OK 29 octets|Subject: one||..dot|first|.");
    assert_eq!(client.pop3_lines("TOP 1 1").await, "+OK 22 octets|Subject: one||..dot|.");
    assert!(client.pop3("DELE 1").await.starts_with("+OK"));
    assert!(client.pop3("RETR 1").await.starts_with("-ERR"));
    assert_eq!(client.pop3_lines("LIST").await, "+OK messages|2 24|3 25|.");
    assert!(client.pop3("RSET").await.starts_with("+OK"));
    assert!(client.pop3("DELE 2").await.starts_with("+OK"));
    assert_eq!(mailbox.count("INBOX"), 3, "not before QUIT");
    assert_eq!(client.pop3("QUIT").await, "+OK 1 deleted");
    assert_eq!(client.rest().await, "");
    assert_eq!(mailbox.uids("INBOX"), [1, 3]);
}

#[tokio::test]
async fn a_session_without_quit_deletes_nothing() {
    let mailbox = three_messages();
    let server = Pop3Server::start(&mailbox, Pop3Options::default());
    let mut client = logged_in(&server).await;
    client.pop3("DELE 1").await;
    drop(client);
    logged_in(&server).await.pop3("QUIT").await;
    assert_eq!(mailbox.count("INBOX"), 3);
}

#[tokio::test]
async fn one_session_at_a_time() {
    let server = Pop3Server::start(&three_messages(), Pop3Options::default());
    let mut first = logged_in(&server).await;
    let mut second = RawClient::connect(server.address()).await;
    second.line().await;
    second.pop3("USER me").await;
    assert!(second.pop3("PASS secret").await.starts_with("-ERR [IN-USE]"));
    first.pop3("QUIT").await;
    second.pop3("USER me").await;
    assert!(second.pop3("PASS secret").await.starts_with("+OK"));
}

#[tokio::test]
async fn every_way_to_log_in() {
    let server = Pop3Server::start(&three_messages(), Pop3Options::default());
    let blob = super::base64::encode(b"\0me\0secret");
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    assert!(client.pop3_lines("CAPA").await.contains("|PIPELINING|"));
    assert!(client.pop3("UTF8").await.starts_with("+OK"));
    assert!(client.pop3("LIST").await.starts_with("-ERR"));
    assert!(client.pop3("PASS secret").await.starts_with("-ERR"));
    client.pop3("USER me").await;
    assert!(client.pop3("PASS wrong").await.starts_with("-ERR [AUTH]"));
    assert_eq!(client.pop3("AUTH PLAIN").await, "+");
    assert!(client.pop3(&blob).await.starts_with("+OK"));
    client.pop3("QUIT").await;
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    assert!(client.pop3(&format!("AUTH PLAIN {blob}")).await.starts_with("+OK"));
}

#[tokio::test]
async fn commands_may_come_in_one_segment() {
    let server = Pop3Server::start(&three_messages(), Pop3Options::default());
    let mut client = logged_in(&server).await;
    client.send("RETR 2\r\nRETR 3\r\nNOOP\r\nQUIT\r\n").await;
    assert_eq!(
        client.rest().await,
        "+OK 24 octets\r\nSubject: two\r\n\r\nsecond\r\n.\r\n+OK 25 octets\r\nSubject: three\r\n\r\nthird\r\n.\r\n\
         +OK done\r\n+OK 0 deleted\r\n"
    );
}

#[tokio::test]
async fn tls_from_the_start_and_by_stls() {
    let mailbox = three_messages();
    let server = Pop3Server::start(&mailbox, Pop3Options::with_security(Security::Implicit(Certificate::Valid)));
    let mut client = RawClient::connect(server.address()).await.start_tls().await;
    assert_eq!(client.line().await, "+OK ready");

    let server = Pop3Server::start(&mailbox, Pop3Options::with_security(Security::StartTls(Certificate::Valid)));
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    assert!(client.pop3_lines("CAPA").await.contains("|STLS|"));
    assert!(client.pop3("USER me").await.starts_with("-ERR"));
    assert!(client.pop3("STLS").await.starts_with("+OK"));
    let mut client = client.start_tls().await;
    client.pop3("USER me").await;
    assert!(client.pop3("PASS secret").await.starts_with("+OK"));
}

#[tokio::test]
async fn a_cut_quit_deletes_or_not() {
    for (fault, left) in [(Fault::CutBefore(4), 3), (Fault::CutAfter(4), 2)] {
        let mailbox = three_messages();
        let server = Pop3Server::start(&mailbox, Pop3Options::with_faults(&Faults::of([fault])));
        let mut client = logged_in(&server).await;
        client.pop3("DELE 1").await;
        client.send("QUIT\r\n").await;
        assert_eq!(client.rest().await, "");
        assert_eq!(mailbox.count("INBOX"), left);
        logged_in(&server).await;
    }
}

#[tokio::test]
async fn messages_break_as_told() {
    let faults = Faults::none();
    let server = Pop3Server::start(&three_messages(), Pop3Options::with_faults(&faults));
    let session = async |fault: MessageFault| {
        faults.clear();
        faults.message(2, fault);
        let mut client = logged_in(&server).await;
        client.send("LIST\r\nUIDL\r\nRETR 2\r\nQUIT\r\n").await;
        client.rest().await
    };
    assert!(session(MessageFault::Refused).await.contains("-ERR [SYS/TEMP]"));
    assert!(session(MessageFault::NotGiven).await.contains("-ERR no such message"));
    assert!(session(MessageFault::CutAt(4)).await.ends_with("octets\r\nSubj"));
    assert!(session(MessageFault::CutAt(999)).await.ends_with("second\r\n.\r\n"), "all of it, then the end");
    assert!(session(MessageFault::AnnouncedLonger(6)).await.contains("+OK 30 octets\r\nSubject: two\r\n"));
    assert!(session(MessageFault::Size(7)).await.contains("\r\n2 7\r\n"));
    assert!(session(MessageFault::Nil).await.contains("+OK 0 octets\r\n.\r\n"));
    assert!(!session(MessageFault::NoUidl).await.contains("uidl-000002"));
    assert!(session(MessageFault::Uidl("uidl-000001".to_owned())).await.contains("2 uidl-000001\r\n"));
}

#[tokio::test]
async fn faults_of_the_whole_server() {
    let connect = async |fault: Fault| {
        let server = Pop3Server::start(&three_messages(), Pop3Options::with_faults(&Faults::of([fault])));
        let mut client = RawClient::connect(server.address()).await;
        client.send("USER me\r\nPASS secret\r\nUIDL\r\nQUIT\r\n").await;
        client.rest().await
    };
    assert_eq!(connect(Fault::Bye("[SYS/TEMP] full".to_owned())).await, "-ERR [SYS/TEMP] full\r\n");
    assert!(connect(Fault::RefuseLogin("[LOGIN-DELAY] wait".to_owned())).await.contains("-ERR [LOGIN-DELAY] wait"));
    assert!(connect(Fault::Refuse("UIDL", "what?".to_owned())).await.contains("-ERR what?"));
    assert!(connect(Fault::OneByteSegments).await.ends_with("+OK 0 deleted\r\n"));
    assert_eq!(connect(Fault::DisconnectEvery(2)).await.lines().last(), Some("+OK welcome"));
    let no_uidl = Pop3Options::default().without("UIDL");
    let server = Pop3Server::start(&three_messages(), no_uidl);
    assert!(logged_in(&server).await.pop3("UIDL").await.starts_with("-ERR"));
}

#[tokio::test]
async fn one_mailbox_is_served_both_ways() {
    let mailbox = three_messages();
    let pop3 = Pop3Server::start(&mailbox, Pop3Options::default());
    let imap = ImapServer::start(&mailbox, ImapOptions::default());
    let mut reader = RawClient::connect(imap.address()).await;
    reader.imap("a", "LOGIN me secret").await;
    reader.imap("b", "SELECT INBOX").await;
    let mut deleter = logged_in(&pop3).await;
    deleter.pop3("DELE 1").await;
    deleter.pop3("QUIT").await;
    assert_eq!(reader.imap("c", "NOOP").await, "* 1 EXPUNGE|c OK done");
}
