//! IMAP servers that bend the rules in what they answer, and what they are asked.

use crate::stage::{Account, Client, complaints, filled, mailbox, message, play, play_to};
use crate::support::dovecot::Dovecot;
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::scripted_server::ScriptedServer;

fn deleting(mailbox: &Mailbox, options: ImapOptions) -> (ImapServer, Client) {
    let server = ImapServer::start(mailbox, options);
    let client = Account::imap(server.port()).with("retention: delete").client();
    (server, client)
}

/// A folder of two messages, opened by a server that says this of its UIDVALIDITY.
fn with_validity(said: &str, first: bool) -> String {
    let describe = "(UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[HEADER])";
    let fetch = "C: <tag> UID FETCH 1:2 (UID FLAGS RFC822.SIZE INTERNALDATE)\n\
                 S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 18)\nS: * 2 FETCH (UID 2 FLAGS () RFC822.SIZE 18)\nS: <tag> OK\n\
                 C: <tag> UID FETCH 1:2 (UID BODY.PEEK[])\n\
                 S~ * 1 FETCH (UID 1 BODY[] {18}\\r\\nSubject: a\\r\\n\\r\\na.\\r\\n)\\r\\n\n\
                 S~ * 2 FETCH (UID 2 BODY[] {18}\\r\\nSubject: b\\r\\n\\r\\nb.\\r\\n)\\r\\n\nS: <tag> OK\n";
    format!(
        "S: * OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\nC: <tag> LOGIN **\nS: <tag> OK [CAPABILITY IMAP4rev1 UIDPLUS] in\n\
         C: <tag> SELECT *\nS: * 2 EXISTS\n{said}S: <tag> OK open\n\
         C: <tag> UID SEARCH ALL\nS: * SEARCH 1 2\nS: <tag> OK\nC: <tag> UID FETCH 1:2 {describe}\n\
         S~ * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 18 BODY[HEADER] {{14}}\\r\\nSubject: a\\r\\n\\r\\n)\\r\\n\n\
         S~ * 2 FETCH (UID 2 FLAGS () RFC822.SIZE 18 BODY[HEADER] {{14}}\\r\\nSubject: b\\r\\n\\r\\n)\\r\\n\nS: <tag> OK\n\
         {}C: <tag> LOGOUT\nS: * BYE\nS: <tag> OK\n",
        if first { fetch } else { "" }
    )
}

/// No number, one that is none, and one that the parser cannot take.
#[test]
fn interop_f18_without_a_uidvalidity_messages_are_known_by_their_content() {
    for said in
        ["", "S: * OK [UIDVALIDITY 0] x\n", "S: * OK [UIDVALIDITY 99999999999] x\n", "S: * OK [UIDVALIDITY 77 ] x\n"]
    {
        let script = format!("{}--- connection\n{}", with_validity(said, true), with_validity(said, false));
        let server = ScriptedServer::start(&script);
        let client = Account::imap(server.port()).with("retention: delete").client();
        let first = client.fetch();
        assert_eq!((first.new, first.exit_code()), (2, 0), "{said}: {first:#?}");
        let told = "INBOX: the server gives no UIDVALIDITY, so its messages are identified by their headers; nothing was deleted";
        assert!(complaints(&first).contains(told), "{first:#?}");
        let second = client.fetch();
        assert_eq!((second.new, second.exit_code()), (0, 0), "{said}: {second:#?}");
        server.finish().unwrap();
        client.mail().assert_holds(&["Subject: a\n\na.\n", "Subject: b\n\nb.\n"]);
    }
}

/// UIDs that end with the session (RFC 4315 3) are none either.
#[test]
fn uids_that_are_not_sticky_are_not_believed() {
    let said = "S: * OK [UIDVALIDITY 7] x\nS: * OK [UIDNEXT 3] x\nS: * NO [UIDNOTSTICKY] x\n";
    let script = format!("{}--- connection\n{}", with_validity(said, true), with_validity(said, false));
    let server = ScriptedServer::start(&script);
    let client = Account::imap(server.port()).with("retention: delete").client();
    assert_eq!((client.fetch().new, client.fetch().new), (2, 0));
    server.finish().unwrap();
}

/// Courier's UIDs may end with the session where SELECT, too, only may read: no UIDNEXT is said then.
#[test]
fn uids_of_a_folder_that_may_only_be_read_are_not_believed_without_a_uidnext() {
    let said = "S: * OK [UIDVALIDITY 7] x\n";
    let script = format!("{}--- connection\n{}", with_validity(said, true), with_validity(said, false));
    let server = ScriptedServer::start(&script.replace("<tag> OK open", "<tag> OK [READ-ONLY] open"));
    let client = Account::imap(server.port()).with("retention: delete").client();
    assert_eq!((client.fetch().new, client.fetch().new), (2, 0));
    server.finish().unwrap();
}

/// Servers add fields, Status and others: it was another mail then, each time.
#[test]
fn without_a_uidvalidity_a_mail_in_another_dress_is_the_same() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::of([Fault::NoUidvalidity]);
    let (_server, client) = deleting(&mailbox, ImapOptions::with_faults(&faults));
    assert_eq!(client.fetch().new, 3);
    for field in ["Status: O", "X-Spam: no"] {
        mailbox.change_folder("INBOX", |folder| {
            folder.messages.iter_mut().for_each(|stored| {
                let with = [field.as_bytes(), b"\r\n", &stored.bytes].concat();
                stored.bytes = with.into();
            });
        });
        assert_eq!(client.fetch().new, 0, "{field}");
    }
    let all: Vec<String> = messages.into_iter().chain(client.notices()).collect();
    client.mail().assert_holds(&all);
}

/// It comes and goes.
#[test]
fn interop_f18_a_uidvalidity_that_comes_and_goes_doubles_nothing() {
    let (mailbox, messages) = filled(3);
    let faults = Faults::none();
    let (_server, client) = deleting(&mailbox, ImapOptions::with_faults(&faults));
    let client = Client { account: client.account.clone().with("retention: keep"), ..client };
    for pass in 0..6 {
        match pass % 2 {
            0 => faults.set(Fault::NoUidvalidity),
            _ => faults.clear(),
        }
        assert_eq!(client.fetch().new, if pass == 0 { 3 } else { 0 }, "pass {pass}");
    }
    mailbox.add("INBOX", message(4));
    client.fetch();
    faults.set(Fault::NoUidvalidity);
    assert_eq!(client.fetch().new, 0);
    let all: Vec<String> = messages.into_iter().chain([message(4)]).chain(client.notices()).collect();
    client.mail().assert_holds(&all);
}

#[test]
fn reliability_f18_a_uidvalidity_that_changes_while_we_fetch_deletes_nothing() {
    let (report, client) = play_to("uidvalidity-while-fetching", |account| account.with("retention: delete"));
    assert_eq!(report.new, 0, "{report:#?}");
    assert_eq!(client.subjects(), ["a"]);
}

#[test]
fn interop_f16_a_search_with_umlauts_says_its_charset() {
    let search = r#"search: 'SUBJECT "Grüße" FROM "a \"b\"" TEXT ü'"#;
    let (report, client) = play_to("search-with-umlauts", |account| account.with(search));
    assert_eq!((report.new, report.exit_code()), (1, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["b"]);
}

/// The same with a real server, which has LITERAL+.
#[test]
fn interop_f16_a_real_server_finds_umlauts() {
    let Some(dovecot) = Dovecot::start() else { return };
    for (number, subject) in
        ["=?utf-8?Q?Gr=C3=BC=C3=9Fe?= 1", "Hello 2", "=?iso-8859-1?Q?Gr=FC=DFe?= 3"].iter().enumerate()
    {
        dovecot.add("me", "INBOX", format!("Subject: {subject}\r\nMessage-ID: <{number}@x>\r\n\r\nx\r\n"));
    }
    let account = Account::on(format!("imap: {{host: 127.0.0.1, port: {}, tls: none}}", dovecot.ports.imap));
    let client = account.with("password: pass").with(r#"search: 'SUBJECT "Grüße"'"#).client();
    assert_eq!(client.fetch_well().new, 2);
}

/// Sets of UIDs with gaps, as they are after years.
fn with_gaps(count: u32) -> Mailbox {
    let mailbox = mailbox();
    for number in 1..=count {
        mailbox.set_uidnext("INBOX", 4_000_000_000 + number * 2);
        mailbox.add("INBOX", message(number as usize));
    }
    mailbox
}

#[test]
fn interop_f17_no_command_is_longer_than_a_server_takes() {
    for (more, most) in [("", 1_000), ("CONDSTORE", 8_000)] {
        let mailbox = with_gaps(700);
        let faults = Faults::none();
        let mut options = ImapOptions::with_faults(&faults);
        options.capabilities.push(more.to_owned());
        let (_server, client) = deleting(&mailbox, options);
        client.fetch_well();
        client.fetch_well();
        assert_eq!(mailbox.count("INBOX"), 0);
        let longest = faults.commands().iter().map(|command| command.len() + "m1234 \r\n".len()).max().unwrap();
        assert!(longest <= most && longest > most / 2, "{more}: {longest}");
    }
}

/// RFC 3501 6.4.8: no sequence numbers in UID commands, where they are read in two ways.
#[test]
fn audit_b21_uid_commands_name_uids_only() {
    let (mailbox, _) = filled(5);
    let faults = Faults::none();
    let (_server, client) = deleting(&mailbox, ImapOptions::with_faults(&faults));
    client.fetch_well();
    let listing: Vec<String> = faults.commands().into_iter().filter(|c| c.contains("UID SEARCH")).collect();
    assert!(listing[0].ends_with("UID SEARCH ALL"), "{listing:?}");
    assert!(listing.iter().all(|c| c.ends_with("ALL") || c.contains("UID SEARCH UID ")), "{listing:?}");
}

#[test]
fn interop_f9_what_a_person_sees_holds_no_byte_numbers() {
    let (report, _) = play("not-a-greeting");
    let said = complaints(&report);
    assert!(!said.contains("Error(") && !said.contains("input:") && said.len() < 400, "{said}");
}

/// RFC 3501 2.2.2: a client has to bear any reply at any time. Each line of the file before the metadata, and before the bodies.
#[test]
fn bugs_b12_whatever_is_said_unasked_changes_nothing() {
    let lines = std::fs::read("tests/replies/untagged.txt").unwrap();
    let lines: Vec<&[u8]> =
        lines.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').filter(|l| !l.starts_with(b"#")).collect();
    assert!(lines.len() > 20 && lines.contains(&&b""[..]));
    for line in lines {
        let said: String = line.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        // An empty line may end with LF alone.
        let ends: &[&str] = if line.is_empty() { &["\\r\\n", "\\n"] } else { &["\\r\\n"] };
        for (place, end) in (0..2).flat_map(|place| ends.iter().map(move |end| (place, end))) {
            let here = |at: usize| if at == place { format!("S~ {said}{end}\n") } else { String::new() };
            let script = format!(
                "S: * OK [CAPABILITY IMAP4rev1 UIDPLUS] ready\nC: <tag> LOGIN **\nS: <tag> OK [CAPABILITY IMAP4rev1 UIDPLUS] in\n\
                 C: <tag> SELECT *\nS: * 2 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK\nC: <tag> UID SEARCH ALL\n\
                 S: * SEARCH 4 5\nS: <tag> OK\nC: <tag> UID FETCH 4:5 (UID FLAGS RFC822.SIZE INTERNALDATE)\n{}\
                 S: * 1 FETCH (UID 4 FLAGS () RFC822.SIZE 18)\nS: * 2 FETCH (UID 5 FLAGS () RFC822.SIZE 18)\nS: <tag> OK\n\
                 C: <tag> UID FETCH 4:5 (UID BODY.PEEK[])\n{}\
                 S~ * 1 FETCH (UID 4 BODY[] {{18}}\\r\\nSubject: a\\r\\n\\r\\na.\\r\\n)\\r\\n\n\
                 S~ * 2 FETCH (UID 5 BODY[] {{18}}\\r\\nSubject: b\\r\\n\\r\\nb.\\r\\n)\\r\\n\nS: <tag> OK\n\
                 C: <tag> UID STORE 4:5 **\nS: <tag> OK\nC: <tag> UID EXPUNGE 4:5\nS: <tag> OK\n\
                 C: <tag> LOGOUT\nS: * BYE\nS: <tag> OK\n",
                here(0),
                here(1)
            );
            let server = ScriptedServer::start(&script);
            let client = Account::imap(server.port()).with("retention: delete").client();
            let report = client.fetch();
            let shown = String::from_utf8_lossy(line);
            server.finish().unwrap_or_else(|mismatch| panic!("{shown}: {mismatch}\n{report:#?}"));
            assert_eq!((report.new, report.exit_code(), report.settled), (2, 0, 2), "{shown}: {report:#?}");
            client.mail().assert_holds(&["Subject: a\n\na.\n", "Subject: b\n\nb.\n"]);
        }
    }
}
