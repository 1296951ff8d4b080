//! Rules, end to end: from a message on a server to files in Maildirs and a row in the journal.

use crate::stage::{Account, Client, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::{Found, Sub};

/// Fetches these messages with these rules.
fn filed(rules: &str, messages: &[&str]) -> (Client, Vec<Found>) {
    let mailbox = mailbox();
    messages.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::imap(server.port()).top(&format!("rules:\n{rules}")).client();
    client.fetch_well();
    assert_eq!(client.fetch_well().new, 0);
    let found = client.mail().delivered();
    (client, found)
}

fn places(found: &[Found]) -> Vec<String> {
    found
        .iter()
        .map(|found| {
            format!(
                "{}{}",
                found.folder,
                if found.flags.is_empty() { String::new() } else { format!(" {}", found.flags) }
            )
        })
        .collect()
}

#[test]
fn a_capture_names_the_folder() {
    let rules = r"  - {if: {list_id: {regex: '^(?<list>[^.]+)\.'}}, do: {fileinto: 'lists/${list}'}}";
    let (_, found) = filed(rules, &["List-Id: Rust <rust.example.com>\nSubject: a\n\nx\n", "Subject: b\n\nx\n"]);
    assert_eq!(places(&found), ["INBOX", "lists/rust"]);
}

#[test]
fn one_message_in_two_folders_with_flags() {
    let rules = "  - {if: {header: {Subject: {contains: both}}}, do: [{fileinto: {folder: [One, Two], flags: [flagged], copy: true}}, {addflag: seen}]}";
    let (client, found) = filed(rules, &["Subject: both\n\nx\n"]);
    assert_eq!(places(&found), ["INBOX S", "One FS", "Two FS"]);
    assert!(found.iter().all(|found| found.sub == Sub::Cur));
    let row = &client.open().0.store.journal(None, 1).unwrap()[0];
    assert_eq!(row.files.len(), 3);
    assert!(row.done && row.files.iter().all(|file| file.exists()), "{row:?}");
}

#[test]
fn discarded_mail_is_in_no_folder_and_can_be_found() {
    let rules = "  - {name: away, if: {header: {Subject: {contains: spam}}}, do: discard}";
    let (client, found) = filed(rules, &["Subject: spam\n\nbuy\n", "Subject: ham\n\nx\n"]);
    assert_eq!(places(&found), ["INBOX"]);
    let kept: Vec<_> =
        std::fs::read_dir(client.path("state/spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(std::fs::read(&kept[0]).unwrap(), b"Subject: spam\n\nbuy\n");
    let rows = client.open().0.store.journal(None, 10).unwrap();
    assert!(rows.iter().any(|row| row.rule == "away" && row.outcome == "discard"), "{rows:?}");
}

#[test]
fn a_hostile_header_cannot_leave_the_mail_root() {
    let rules = "  - {if: {header: {X-Folder: {regex: '(?s)^(?<f>.*)$'}}}, do: {fileinto: 'by/${f}'}}";
    let hostile = ["../../../etc", "/etc/passwd", "..", ".", "cur", "new/../tmp", "a\u{0}b", "~root", ".INBOX.."];
    let messages: Vec<String> = hostile.iter().map(|name| format!("X-Folder: {name}\nSubject: x\n\nx\n")).collect();
    let (client, found) = filed(rules, &messages.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found.len(), hostile.len());
    assert!(
        found.iter().all(|found| found.folder.starts_with("by/") && found.folder.matches('/').count() == 1),
        "{:?}",
        places(&found)
    );
    let top: Vec<_> = std::fs::read_dir(client.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(top.len(), 3, "Mail, state and the config: {top:?}");
}

#[test]
fn the_account_and_the_folder_can_be_asked_for() {
    let mailbox = mailbox();
    mailbox.add("INBOX", "Subject: a\n\nx\n");
    mailbox.add("Work", "Subject: b\n\nx\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let rules = "rules:\n  - {if: {account: me, folder: Work}, do: {fileinto: 'from/${account}/${folder}'}}";
    let client = Account::imap(server.port()).with("folders: all").top(rules).client();
    client.fetch_well();
    assert_eq!(places(&client.mail().delivered()), ["INBOX", "from/me/Work"]);
}

#[test]
fn an_account_can_have_rules_of_its_own() {
    let mailbox = mailbox();
    mailbox.add("INBOX", "Subject: a\n\nx\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let account = Account::imap(server.port()).with("filters: [own.yaml]").top("rules:\n  - {do: {fileinto: Global}}");
    let sandbox = account.sandbox();
    sandbox.write(".config/mailsluice/own.yaml", "rules:\n  - {do: {fileinto: Own}}\n");
    assert_eq!(sandbox.run(&["fetch"]).code, 0);
    let found = crate::support::maildir::Maildirs::at(sandbox.maildir()).delivered();
    assert_eq!(places(&found), ["Own"]);
}

#[test]
fn a_wrong_rule_touches_no_mail() {
    let mailbox = mailbox();
    mailbox.add("INBOX", "Subject: a\n\nx\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let (output, sandbox) =
        Account::imap(server.port()).top("rules:\n  - {if: {header: {Subject: {regex: '('}}}, do: discard}").run();
    assert_eq!(output.code, 78, "{output}");
    assert!(output.stderr.contains("config.yaml:3:") && output.stderr.contains("no mail was touched"), "{output}");
    assert_eq!(server.connections(), 0);
    assert!(!sandbox.maildir().exists());
}
