//! Is the IMAP server right when it should be, and wrong exactly as told?

use super::faults::{Fault, Faults, MessageFault};
use super::imap_server::{ImapOptions, ImapServer};
use super::mailbox::{Incoming, Mailbox};
use super::raw_client::RawClient;
use super::tls::Certificate;
use super::wire::Security;
use std::time::{Duration, Instant};

fn three_messages() -> Mailbox {
    let mailbox = Mailbox::new("me", "secret \"word\"");
    mailbox.add_message("INBOX", Incoming::new("Subject: one\n\nfirst\n").arrived(0));
    mailbox.add("INBOX", "Subject: two\n\nsecond\n");
    mailbox.add("INBOX", "Subject: three\n\nthird\n");
    mailbox
}

async fn logged_in(server: &ImapServer) -> RawClient {
    let mut client = RawClient::connect(server.address()).await;
    assert_eq!(client.line().await, "* OK ready");
    let reply = client.imap("a", "LOGIN me \"secret \\\"word\\\"\"").await;
    assert!(reply.starts_with("a OK"), "{reply}");
    client
}

async fn selected(server: &ImapServer) -> RawClient {
    let mut client = logged_in(server).await;
    client.imap("b", "SELECT INBOX").await;
    client
}

#[tokio::test]
async fn every_way_to_log_in() {
    let server = ImapServer::start(&Mailbox::new("me", "pw"), ImapOptions::default());
    let blob = super::base64::encode(b"\0me\0pw");
    for dialog in [
        "a LOGIN me pw\r\n".to_owned(),
        "a LOGIN \"me\" {2}\r\npw\r\n".to_owned(),
        "a LOGIN {2+}\r\nme {2+}\r\npw\r\n".to_owned(),
        format!("a AUTHENTICATE PLAIN {blob}\r\n"),
        format!("a AUTHENTICATE PLAIN\r\n{blob}\r\n"),
    ] {
        let mut client = RawClient::connect(server.address()).await;
        client.send(&dialog).await;
        client.read_until("a OK welcome\r\n").await;
        assert!(client.imap("b", "LOGIN me pw").await.contains("b BAD"), "only once: {dialog}");
    }
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    assert!(client.imap("a", "LOGIN me wrong").await.contains("a NO [AUTHENTICATIONFAILED]"));
    assert!(client.imap("b", "SELECT INBOX").await.contains("b BAD"));
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn a_synchronising_literal_is_waited_for() {
    let server = ImapServer::start(&Mailbox::new("me", "pw"), ImapOptions::default());
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    client.send("a LOGIN {2}\r\n").await;
    assert_eq!(client.line().await, "+ go on");
    client.send("me {2}\r\n").await;
    assert_eq!(client.line().await, "+ go on");
    client.send("pw\r\n").await;
    assert_eq!(client.line().await, "a OK welcome");
}

#[tokio::test]
async fn folders_are_listed_and_selected() {
    let mailbox = three_messages();
    mailbox.add_folder("Lists/rust", &["\\Subscribed"]);
    mailbox.add_folder("Entw&APw-rfe", &[]);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut client = logged_in(&server).await;
    assert_eq!(
        client.imap("a", "LIST \"\" \"%\"").await,
        "* LIST () \"/\" \"INBOX\"|* LIST () \"/\" \"Entw&APw-rfe\"|\
         * LIST (\\Noselect) \"/\" \"Lists\"|a OK that is all"
    );
    assert!(client.imap("b", "LIST Lists/ *").await.starts_with("* LIST (\\Subscribed) \"/\" \"Lists/rust\"|b OK"));
    assert_eq!(client.imap("c", "LIST \"\" \"\"").await, "* LIST (\\Noselect) \"/\" \"\"|c OK that is all");
    assert!(client.imap("d", "SELECT Lists").await.starts_with("d NO [NONEXISTENT]"));
    let reply = client.imap("e", "SELECT inbox").await;
    for part in ["* 3 EXISTS", "[UIDVALIDITY 1]", "[UIDNEXT 4]", "\\Seen \\Draft \\*)]", "e OK [READ-WRITE]"] {
        assert!(reply.contains(part), "{part} is not in {reply}");
    }
    let reply = client.imap("f", "EXAMINE INBOX").await;
    assert!(reply.contains("[PERMANENTFLAGS ()]") && reply.contains("f OK [READ-ONLY]"), "{reply}");
    assert!(client.imap("g", "UID STORE 1 +FLAGS (\\Seen)").await.starts_with("g NO"));
    let status = client.imap("h", "STATUS INBOX (MESSAGES UIDVALIDITY UNSEEN)").await;
    assert_eq!(status, "* STATUS \"INBOX\" (MESSAGES 3 UIDVALIDITY 1 UNSEEN 3)|h OK that is all");
}

#[tokio::test]
async fn a_message_is_fetched_whole_and_unseen() {
    let mailbox = three_messages();
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut client = selected(&server).await;
    assert_eq!(
        client.imap("c", "UID FETCH 1 (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])").await,
        "* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 23 INTERNALDATE \" 1-Jan-1970 00:00:00 +0000\" BODY[] {23}|\
         Subject: one||first|)|c OK fetched"
    );
    assert_eq!(mailbox.flags("INBOX", 1), Some(vec![]));
    assert_eq!(client.imap("d", "UID FETCH 2:* BODY.PEEK[]<9.4>").await.matches("BODY[]<9> {4}").count(), 2);
    assert_eq!(client.imap("e", "UID FETCH 9 FLAGS").await, "e OK fetched");
    client.imap("f", "FETCH 3 BODY[HEADER]").await;
    assert_eq!(mailbox.flags("INBOX", 3), Some(vec!["\\Seen".to_owned()]), "BODY without PEEK marks");
    assert!(client.imap("g", "UID FETCH 1 ENVELOPE").await.starts_with("g BAD"));
}

#[tokio::test]
async fn commands_may_come_in_one_segment() {
    let server = ImapServer::start(&three_messages(), ImapOptions::default());
    let mut client = selected(&server).await;
    client.send("c NOOP\r\nd UID SEARCH UID 2:*\r\ne UID FETCH 1 FLAGS\r\nf LOGOUT\r\n").await;
    assert_eq!(
        client.rest().await,
        "c OK done\r\n* SEARCH 2 3\r\nd OK that is all\r\n* 1 FETCH (UID 1 FLAGS ())\r\ne OK fetched\r\n\
         * BYE see you\r\nf OK done\r\n"
    );
}

#[tokio::test]
async fn messages_are_marked_moved_copied_and_expunged() {
    let mailbox = three_messages();
    mailbox.add_folder("Archive", &[]);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut client = selected(&server).await;
    assert_eq!(
        client.imap("c", "UID STORE 1:2 +FLAGS (\\deleted)").await,
        "* 1 FETCH (UID 1 FLAGS (\\Deleted))|* 2 FETCH (UID 2 FLAGS (\\Deleted))|c OK stored"
    );
    assert_eq!(client.imap("d", "UID STORE 3 +FLAGS.SILENT \\Seen").await, "d OK stored");
    assert_eq!(client.imap("e", "UID EXPUNGE 1").await, "* 1 EXPUNGE|e OK expunged");
    assert_eq!(mailbox.uids("INBOX"), [2, 3], "UID EXPUNGE takes only what it names");
    assert_eq!(client.imap("f", "EXPUNGE").await, "* 1 EXPUNGE|f OK expunged");
    assert_eq!(client.imap("g", "UID COPY 3 Archive").await, "g OK [COPYUID 2 3 1] copied");
    assert_eq!(client.imap("h", "UID MOVE 3 Archive").await, "* OK [COPYUID 2 3 2] moved|* 1 EXPUNGE|h OK moved");
    assert_eq!(mailbox.flags("Archive", 2), Some(vec!["\\Seen".to_owned()]));
    assert_eq!((mailbox.count("INBOX"), mailbox.count("Archive")), (0, 2));
    assert!(client.imap("i", "UID MOVE 3 Nowhere").await.starts_with("i NO [TRYCREATE]"));
}

#[tokio::test]
async fn append_keeps_bytes_flags_and_date() {
    let mailbox = three_messages();
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut client = logged_in(&server).await;
    client.send("c APPEND INBOX (\\Seen) \"02-Jan-2026 00:00:00 +0000\" {5+}\r\na\r\nb\n\r\n").await;
    assert_eq!(client.line().await, "c OK [APPENDUID 1 4] appended");
    assert_eq!(&*mailbox.bytes("INBOX", 4).unwrap(), b"a\r\nb\n");
    assert_eq!(mailbox.flags("INBOX", 4), Some(vec!["\\Seen".to_owned()]));
    let mut client = selected(&server).await;
    assert_eq!(client.imap("d", "UID SEARCH SINCE 2-Jan-2026 BEFORE 3-Jan-2026").await, "* SEARCH 4|d OK that is all");
}

#[tokio::test]
async fn idle_tells_what_others_do() {
    let mailbox = three_messages();
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let mut client = selected(&server).await;
    client.send("c IDLE\r\n").await;
    assert_eq!(client.line().await, "+ idling");
    mailbox.add("INBOX", "new\n");
    assert_eq!(client.line().await, "* 4 EXISTS");
    mailbox.remove("INBOX", 2);
    assert_eq!(client.line().await, "* 2 EXPUNGE");
    client.send("DONE\r\n").await;
    assert_eq!(client.line().await, "c OK done idling");
}

#[tokio::test]
async fn a_capability_left_out_is_an_unknown_command() {
    let options = ImapOptions::default().without("UIDPLUS").without("MOVE").without("IDLE");
    let server = ImapServer::start(&three_messages(), options);
    let mut client = selected(&server).await;
    for command in ["UID EXPUNGE 1", "UID MOVE 1 INBOX", "IDLE"] {
        assert!(client.imap("c", command).await.starts_with("c BAD"), "{command}");
    }
    let capabilities = client.imap("d", "CAPABILITY").await;
    assert!(!capabilities.contains("IDLE") && capabilities.contains("IMAP4rev1"), "{capabilities}");
}

#[tokio::test]
async fn tls_from_the_start_and_by_starttls() {
    let mailbox = three_messages();
    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::Implicit(Certificate::Valid)));
    let mut client = RawClient::connect(server.address()).await.start_tls().await;
    assert_eq!(client.line().await, "* OK ready");
    assert!(!client.imap("a", "CAPABILITY").await.contains("STARTTLS"));

    let server = ImapServer::start(&mailbox, ImapOptions::with_security(Security::StartTls(Certificate::Valid)));
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    assert!(client.imap("a", "CAPABILITY").await.contains("STARTTLS LOGINDISABLED"));
    assert!(client.imap("b", "LOGIN me pw").await.starts_with("b NO [PRIVACYREQUIRED]"));
    assert!(client.imap("c", "STARTTLS").await.starts_with("c OK"));
    let mut client = client.start_tls().await;
    assert!(client.imap("d", "LOGIN me \"secret \\\"word\\\"\"").await.starts_with("d OK"));
}

#[tokio::test]
async fn cuts_come_before_or_after_the_deed() {
    for (fault, flags) in [(Fault::CutBefore(3), vec![]), (Fault::CutAfter(3), vec!["\\Seen".to_owned()])] {
        let mailbox = three_messages();
        let faults = Faults::of([fault.clone()]);
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let mut client = selected(&server).await;
        client.send("c UID STORE 1 +FLAGS (\\Seen)\r\n").await;
        assert_eq!(client.rest().await, "");
        assert_eq!(mailbox.flags("INBOX", 1), Some(flags), "{fault:?}");
        assert_eq!(faults.commands_seen(), 3);
        // Counted over all connections: it does not happen again.
        let mut client = selected(&server).await;
        assert_eq!(client.imap("c", "NOOP").await, "c OK done");
    }
}

#[tokio::test]
async fn a_session_can_be_cut_at_any_byte() {
    let whole = {
        let server = ImapServer::start(&three_messages(), ImapOptions::default());
        session_until_cut(&server).await
    };
    for byte in (0..whole.len()).step_by(7) {
        let faults = Faults::of([Fault::CutAtByte(byte as u64)]);
        let server = ImapServer::start(&three_messages(), ImapOptions::with_faults(&faults));
        assert_eq!(session_until_cut(&server).await, whole[..byte], "cut at {byte}");
        assert!(session_until_cut(&server).await.ends_with("OK done\r\n"), "the cut happens once");
    }
}

async fn session_until_cut(server: &ImapServer) -> String {
    let mut client = RawClient::connect(server.address()).await;
    let login = "a LOGIN me \"secret \\\"word\\\"\"\r\n";
    client.send(format!("{login}b SELECT INBOX\r\nc UID FETCH 1:* BODY.PEEK[]\r\nd LOGOUT\r\n")).await;
    client.rest().await
}

#[tokio::test]
async fn messages_break_as_told() {
    let faults = Faults::none();
    let server = ImapServer::start(&three_messages(), ImapOptions::with_faults(&faults));
    let fetch = async |fault: MessageFault| {
        faults.clear();
        faults.message(2, fault);
        let mut client = selected(&server).await;
        client.send("c UID FETCH 1:3 (UID RFC822.SIZE INTERNALDATE BODY.PEEK[TEXT])\r\nd LOGOUT\r\n").await;
        client.rest().await
    };
    let refused = fetch(MessageFault::Refused).await;
    assert!(refused.contains("third") && !refused.contains("second") && refused.contains("c NO"), "{refused}");
    let not_given = fetch(MessageFault::NotGiven).await;
    assert!(not_given.contains("third") && !not_given.contains("second") && not_given.contains("c OK"), "{not_given}");
    assert!(fetch(MessageFault::Nil).await.contains("BODY[TEXT] NIL)\r\n"));
    assert!(fetch(MessageFault::CutAt(3)).await.ends_with("BODY[TEXT] {8}\r\nsec"));
    assert!(fetch(MessageFault::AnnouncedLonger(5)).await.contains("BODY[TEXT] {13}\r\nsecond\r\n)\r\n"));
    assert!(fetch(MessageFault::Size(7)).await.contains("UID 2 RFC822.SIZE 7"));
    assert!(fetch(MessageFault::Uid(9)).await.contains("* 2 FETCH (UID 9 "));
    assert_eq!(fetch(MessageFault::NoInternaldate).await.matches("INTERNALDATE").count(), 2);
}

#[tokio::test]
async fn greetings_and_logins_can_be_refused() {
    let connect = async |fault: Fault| {
        let server = ImapServer::start(&three_messages(), ImapOptions::with_faults(&Faults::of([fault])));
        let mut client = RawClient::connect(server.address()).await;
        client.send("a LOGIN me wrong\r\nb LIST \"\" %\r\nc LOGOUT\r\n").await;
        client.rest().await
    };
    assert_eq!(connect(Fault::Bye("[ALERT] full".to_owned())).await, "* BYE [ALERT] full\r\n");
    let preauth = connect(Fault::Preauth).await;
    assert!(preauth.starts_with("* PREAUTH ") && preauth.contains("b OK"), "{preauth}");
    assert!(connect(Fault::Greeting("220 smtp".to_owned())).await.starts_with("220 smtp\r\na NO"));
    assert!(connect(Fault::RefuseLogin("[UNAVAILABLE] later".to_owned())).await.contains("a NO [UNAVAILABLE] later"));
    let refusing = ImapOptions::with_faults(&Faults::of([Fault::Refuse("NOOP", "never".to_owned())]));
    let server = ImapServer::start(&three_messages(), refusing);
    assert_eq!(logged_in(&server).await.imap("b", "NOOP").await, "b NO never");
}

#[tokio::test]
async fn an_injection_comes_in_the_segment_of_the_ok() {
    let faults = Faults::of([Fault::StarttlsInjection("* OK fake\r\n".to_owned())]);
    let options = ImapOptions { security: Security::StartTls(Certificate::Valid), ..ImapOptions::with_faults(&faults) };
    let server = ImapServer::start(&three_messages(), options);
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    client.send("a STARTTLS\r\n").await;
    assert_eq!(client.line().await, "a OK begin TLS");
    assert_eq!(client.line().await, "* OK fake");
}

#[tokio::test]
async fn slow_servers_and_those_that_hang_up() {
    let faults = Faults::of([Fault::OneByteSegments, Fault::Delay(Duration::from_millis(50))]);
    let server = ImapServer::start(&three_messages(), ImapOptions::with_faults(&faults));
    let begun = Instant::now();
    let mut client = selected(&server).await;
    assert!(begun.elapsed() >= Duration::from_millis(100));
    faults.clear();
    faults.set(Fault::DisconnectEvery(3));
    assert_eq!(client.imap("c", "NOOP").await, "c OK done");
    assert_eq!(client.rest().await, "");
    faults.clear();
    faults.set(Fault::HangAt(faults.commands_seen() + 1));
    let mut client = RawClient::connect(server.address()).await;
    client.line().await;
    client.send("a NOOP\r\n").await;
    let silent = tokio::time::timeout(Duration::from_millis(100), client.rest()).await;
    assert!(silent.is_err(), "a server that hangs neither answers nor closes");
}

#[tokio::test]
async fn the_mailbox_may_change_between_two_commands() {
    let mailbox = three_messages();
    let faults = Faults::none();
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let mut client = selected(&server).await;
    let other = mailbox.clone();
    faults.at_command(3, move || {
        other.remove("INBOX", 1);
        other.add("INBOX", "new\n");
    });
    assert_eq!(client.imap("c", "NOOP").await, "* 1 EXPUNGE|* 3 EXISTS|c OK done");
    mailbox.set_uidvalidity("INBOX", 0, true);
    assert!(client.imap("d", "SELECT INBOX").await.contains("[UIDVALIDITY 0]"));
    faults.set(Fault::NoUidvalidity);
    assert!(!client.imap("e", "SELECT INBOX").await.contains("UIDVALIDITY"));
}
