//! Names of folders: INBOX is one in any case, and what a server lists it can also open.

use crate::stage::{Account, Client, filled, mailbox, message};
use crate::support::faults::Faults;
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::scripted_server::ScriptedServer;

fn serve(mailbox: &Mailbox, folders: &str) -> (ImapServer, Client) {
    let server = ImapServer::start(mailbox, ImapOptions::with_faults(&Faults::none()));
    let client = Account::imap(server.port()).with(&format!("folders: {folders}")).client();
    (server, client)
}

#[test]
fn inbox_is_one_folder_in_any_case() {
    let (mailbox, messages) = filled(3);
    let (server, mut client) = serve(&mailbox, "[INBOX, inbox, Inbox]");
    assert_eq!(client.fetch_well().new, 3);
    for spelled in ["inbox", "Inbox", "'I*'", "'inbox*'"] {
        client.change(|_| Account::imap(server.port()).with(&format!("folders: {spelled}")).with("into: Inbox"));
        assert_eq!(client.fetch_well().new, 0, "{spelled}");
    }
    client.mail().assert_holds(&messages);
}

#[test]
fn mail_for_inbox_in_any_case_goes_into_one_folder() {
    let (mailbox, messages) = filled(2);
    let (_server, client) = serve(&mailbox, "[inbox]");
    let rules = "rules:\n  - {if: {subject: number 1}, do: {fileinto: inBox}}\n";
    let client = Client { account: client.account.clone().with("into: inbox").top(rules), ..client };
    let report = client.fetch_well();
    assert_eq!(report.folders.into_iter().collect::<Vec<_>>(), [("INBOX".to_owned(), 2)]);
    client.mail().assert_holds(&messages);
}

#[test]
fn what_is_below_inbox_is_left_out_in_any_case() {
    let mailbox = mailbox();
    mailbox.add("INBOX", message(1));
    mailbox.add("INBOX/Sub", message(2));
    let (_server, client) = serve(&mailbox, "all");
    let client = Client { account: client.account.clone().with("except: ['Inbox/*']"), ..client };
    client.fetch_well();
    client.mail().assert_holds(&[message(1)]);
}

#[test]
fn a_folder_is_opened_by_the_name_that_its_server_gives_it() {
    let mailbox = mailbox();
    let names = ["with \"quote\"", "back\\slash", "a & b", "R&-D"];
    for (number, name) in (1..).zip(names) {
        mailbox.add(name, message(number));
    }
    let (_server, client) = serve(&mailbox, "all");
    assert_eq!(client.fetch_well().new, 4);
    client.mail().assert_holds(&[message(1), message(2), message(3), message(4)]);
}

/// Names in the charset of the server's machine, and a folder that is not there (RFC 5258 3).
#[test]
fn bugs_b8_raw_names_go_back_as_they_came_and_are_shown_as_what_they_are() {
    let folder = |name: &str, number: u32| {
        format!(
            "C: <tag> EXAMINE \"{name}\"\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 7] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK\nC: <tag> UID SEARCH ALL\n\
             S: * SEARCH {number}\nS: <tag> OK\nC: <tag> UID FETCH **\nS: * 1 FETCH (UID {number} FLAGS () RFC822.SIZE 18)\n\
             S: <tag> OK\nC: <tag> UID FETCH **\n\
             S~ * 1 FETCH (UID {number} BODY[] {{18}}\\r\\nSubject: {number}\\r\\n\\r\\na.\\r\\n)\\r\\n\nS: <tag> OK\n"
        )
    };
    let names = ["Gel\\xf6scht", "\\xb2\\xdd\\xb8\\xe5\\xcf\\xe4"];
    let script = format!(
        "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN **\nS: <tag> OK [CAPABILITY IMAP4rev1] in\nC: <tag> LIST **\n\
         S: * LIST (\\\\NonExistent) \"/\" \"ghost\"\nS: * LIST (\\\\Noselect) \"/\" \"parent\"\n\
         S: * LIST () \"/\" \"{}\"\nS: * LIST () \"/\" \"{}\"\nS: <tag> OK\n{}{}C: <tag> LOGOUT\nS: * BYE\nS: <tag> OK\n",
        names[0],
        names[1],
        folder(names[0], 1),
        folder(names[1], 2)
    );
    let server = ScriptedServer::start(&script);
    let client = Account::imap(server.port()).with("folders: all").with("into: ${folder}").client();
    let report = client.fetch();
    server.finish().unwrap_or_else(|mismatch| panic!("{mismatch}\n{report:#?}"));
    assert_eq!((report.new, report.exit_code()), (2, 0), "{report:#?}");
    assert_eq!(report.folders.into_keys().collect::<Vec<_>>(), ["Gelöscht", "草稿箱"]);
}
