//! POP3 servers that bend the rules in what they answer.

use crate::stage::{Account, complaints, play, play_to};
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
    for script in [format!("{begin}{mail}"), format!("{}{}", lf(begin), lf(mail)), format!("{}{mixed}", lf(begin))] {
        let server = ScriptedServer::start(&format!("{script}C: QUIT\nS: +OK\n"));
        let client = Account::pop3(server.port()).with("retention: delete").client();
        let report = client.fetch();
        assert_eq!((report.new, report.settled), (0, 0), "{script}: {report:#?}");
        assert_ne!(report.exit_code(), 0, "{script}: {report:#?}");
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
