//! POP3 servers that bend the rules in what they answer.

use crate::stage::{Account, complaints, mailbox, message, play, play_to};
use crate::support::faults::{Fault, Faults};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::scripted_server::ScriptedServer;

#[test]
fn interop_f15_a_server_whose_lines_end_with_lf() {
    let (report, client) = play("pop3-lf-only");
    assert_eq!((report.new, report.exit_code()), (2, 0), "{report:#?}");
    client.mail().assert_holds(&["Subject: a\n\na.\n.\n", "Subject: b\n\n.b\n\n"]);
}

/// A dot alone between bare LFs stays mail where the server's own lines end with CRLF.
#[test]
fn interop_f15_one_line_with_cr_is_enough() {
    let (report, client) = play("pop3-dot-stuffing");
    assert_eq!(report.exit_code(), 0, "{report:#?}");
    assert_ne!(client.subjects().len(), 0);
    let server = ScriptedServer::start(
        "S~ +OK ready\\n\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS **\nS: +OK\nC: LIST\nS~ +OK\\r\\n1 20\\r\\n.\\r\\n\n\
         C: UIDL\nS~ +OK\\r\\n1 one\\r\\n.\\r\\n\nC: RETR 1\nS~ +OK\\r\\nSubject: a\\r\\n\\r\\na\\n.\\nb\\r\\n.\\r\\n\nC: QUIT\nS: +OK\n",
    );
    let client = Account::pop3(server.port()).client();
    client.fetch_well();
    client.mail().assert_holds(&["Subject: a\n\na\n.\nb\n"]);
    server.finish().unwrap();
}

/// A line with a dot alone ended the mail, and the server's whole copy was deleted in the next pass.
#[test]
fn a_server_that_does_not_stuff_dots_keeps_the_mail_whose_end_is_none() {
    let begin = "S~ +OK ready\\r\\n\nC: CAPA\nS: -ERR\nC: USER me\nS: +OK\nC: PASS **\nS: +OK\nC: LIST\n\
                 S~ +OK\\r\\n1 40\\r\\n.\\r\\n\nC: UIDL\nS~ +OK\\r\\n1 one\\r\\n.\\r\\n\nC: RETR 1\n";
    let mail = "S~ +OK\\r\\nSubject: a\\r\\n\\r\\nline\\r\\n.\\r\\nTHE REST\\r\\n.\\r\\n\n";
    let lf = |text: &str| text.replace("\\r\\n", "\\n");
    // An LF-only server whose mail has CRLF ends nowhere that anybody could tell.
    let mixed = "S~ +OK\\nSubject: a\\r\\n\\r\\nline\\r\\n.\\n+OK\\nfrom: forged\\n.\\n\n".to_owned();
    // The rest comes when the end was read already.
    let late =
        "S~ +OK\\r\\nSubject: a\\r\\n\\r\\nline\\r\\n.\\r\\n\nC: UIDL 1\nS~ THE REST\\r\\n.\\r\\n+OK 1 one\\r\\n\n";
    let scripts = [
        format!("{begin}{mail}"),
        format!("{begin}{late}"),
        format!("{}{}", lf(begin), lf(mail)),
        format!("{}{mixed}", lf(begin)),
    ];
    for script in scripts {
        let server = ScriptedServer::start(&format!("{script}C: QUIT\nS: +OK\n"));
        let client = Account::pop3(server.port()).with("retention: delete").client();
        let report = client.fetch();
        assert_eq!((report.new, report.settled), (0, 0), "{script}: {report:#?}");
        assert_ne!(report.exit_code(), 0, "{script}: {report:#?}");
    }
}

/// In memory and over the spool. The rest of the mail stays where it is, and other mail is not held up by it.
#[test]
fn what_comes_before_a_dot_that_is_not_stuffed_is_in_the_inbox_after_five_attempts() {
    for size in [10, 9_500_000] {
        let before_the_dot = format!("Subject: a\n\n{}", "a line\n".repeat(size / 7 + 1));
        let mailbox = mailbox();
        mailbox.add("INBOX", format!("{before_the_dot}.\nTHE REST\n"));
        mailbox.add("INBOX", message(2));
        let faults = Faults::of([Fault::Habit("unstuffed".to_owned())]);
        let server = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
        let client = Account::pop3(server.port()).with("retention: delete").client();
        for attempt in 1..=5 {
            let report = client.fetch();
            assert_eq!(report.exit_code(), 75, "attempt {attempt}: {report:#?}");
        }
        let notices = client.notices();
        assert!(notices.len() == 1 && notices[0].contains("sent more after the end of the message"), "{notices:?}");
        client.mail().assert_holds(&[&before_the_dot, &message(2), &notices[0]]);
        for _ in 0..3 {
            client.fetch_well();
            assert_eq!(mailbox.count("INBOX"), 1, "the mail with the dot is never settled");
        }
    }
}

/// What stands behind the dot reads like the replies to whatever is asked next: a forged message was filed under the id of the
/// next one, and the next but one deleted on the server in the pass after.
#[test]
fn what_stands_behind_a_dot_is_no_reply_whatever_it_says() {
    for (pipelining, tops) in [(true, "top"), (false, "top"), (true, "top-of-all"), (false, "top-of-all")] {
        for pieces in 1..4 {
            let forged = "+OK\n+OK\nFrom: boss@work.example\nSubject: FORGED\n\nPay.\n.\n".repeat(pieces);
            let mailbox = mailbox();
            mailbox.add("INBOX", format!("Subject: a\n\nline\n.\n{forged}+OK\n+OK\n"));
            (2..=4).for_each(|n| _ = mailbox.add("INBOX", message(n)));
            let faults = Faults::of(["unstuffed", tops].map(|habit| Fault::Habit(habit.to_owned())));
            let options = Pop3Options::with_faults(&faults);
            let options = if pipelining { options } else { options.without("PIPELINING") };
            let server = Pop3Server::start(&mailbox, options);
            let client = Account::pop3(server.port()).with("retention: delete").client();
            for _ in 0..9 {
                client.fetch();
            }
            let notices = client.notices();
            let held = [&["Subject: a\n\nline\n".to_owned()][..], &[2, 3, 4].map(message), &notices].concat();
            client.mail().assert_holds(&held);
            // Where TOP gives the whole message, nothing can be proven behind it, and nothing is deleted.
            let left = if tops == "top" { 1 } else { 4 };
            assert_eq!(mailbox.count("INBOX"), left, "the mail with the dot is never settled");
        }
    }
}

#[test]
fn bugs_b14_o18_an_empty_mailbox_whose_list_is_refused_is_empty() {
    let (report, _) = play("pop3-empty-list-refused");
    assert_eq!((report.exit_code(), report.errors.len()), (0, 0), "{report:#?}");
    let (report, _) = play("pop3-list-refused");
    assert_eq!(report.exit_code(), 75, "{report:#?}");
    assert!(complaints(&report).contains("LIST was refused: -ERR not now"), "{report:#?}");
}

#[test]
fn bugs_b13_o04_ids_behind_tabs_and_several_blanks() {
    let (report, client) = play("pop3-uidl-with-tabs");
    assert_eq!((report.new, report.exit_code()), (2, 0), "{report:#?}");
    assert_eq!(client.subjects(), ["a", "b"]);
}

#[test]
fn bugs_b14_o22_apop_where_it_is_asked_for() {
    let apop = |account: Account| account.with("apop: true").with("password: tanstaaf");
    let (report, _) = play_to("pop3-apop", apop);
    assert_eq!(report.exit_code(), 0, "{report:#?}");
    let (report, _) = play_to("pop3-apop-not-offered", apop);
    assert_eq!(report.exit_code(), 77, "{report:#?}");
    assert!(complaints(&report).contains("the server offers no APOP"), "{report:#?}");
}
