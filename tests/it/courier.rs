//! A real Courier, over IMAP and POP3.

use crate::stage::{Account, Client};
use crate::support::courier::Courier;

/// Mail as servers store it: plain, with bytes beyond ASCII in header and body, dots, a long line, no body, no line end.
fn mail() -> Vec<Vec<u8>> {
    let long = format!("Subject: long\n\n{}\n", "x".repeat(9_000));
    let mut mail: Vec<Vec<u8>> = [
        &b"From: Ann <ann@far.example>\nSubject: plain\nMessage-ID: <1@far.example>\n\nText.\n"[..],
        "From: J\u{fc}rgen <j@far.example>\nSubject: h\u{fc}b\n\nGr\u{fc}\u{df}e\n".as_bytes(),
        b"Subject: =?iso-8859-1?Q?h=FCb?=\nContent-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe\n",
        b"Subject: dots\n\n.\n..\n.a\n",
        b"Subject: nothing\n\n",
        b"Subject: no end\n\nlast line\n",
        long.as_bytes(),
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    mail.extend(
        (0..40).map(|n| format!("Subject: number {n}\nMessage-ID: <n{n}@far.example>\n\nThis is {n}.\n").into_bytes()),
    );
    mail
}

/// Kept first, then deleted, and nothing comes twice.
fn is_fetched_and_deleted(courier: &Courier, client: &mut Client, folders: &[&str]) {
    let mail = mail();
    for folder in folders {
        mail.iter().for_each(|message| courier.add(folder, message));
    }
    let all = mail.len() * folders.len();
    assert_eq!(client.fetch_well().new as usize, all);
    let held: Vec<_> = folders.iter().flat_map(|_| mail.iter()).collect();
    client.mail().assert_holds(&held);
    assert_eq!(client.fetch_well().new, 0);
    assert!(folders.iter().all(|folder| courier.count(folder) == mail.len()), "it was kept");
    client.change(|account| account.with("retention: delete"));
    let report = client.fetch_well();
    assert_eq!((report.new, report.settled as usize), (0, all), "{report:#?}");
    assert!(folders.iter().all(|folder| courier.count(folder) == 0), "it was deleted");
    courier.add(folders[0], b"Subject: later\n\nLater.\n");
    let report = client.fetch_well();
    assert_eq!((report.new, report.settled), (1, 1), "{report:#?}");
    assert_eq!((courier.count(folders[0]), client.mail().messages().len()), (0, all + 1));
}

#[test]
fn over_imap() {
    let Some(courier) = Courier::start() else { return };
    courier.add_folder("INBOX.Sent");
    courier.add_folder("INBOX.Entw&APw-rfe.alt");
    let mut client = Account::imap(courier.imap).with("folders: all").client();
    is_fetched_and_deleted(&courier, &mut client, &["INBOX", "INBOX.Sent", "INBOX.Entw&APw-rfe.alt"]);
}

/// Courier makes UIDs up for each session that only reads: what took a message's place on the server had its UID, and was never
/// fetched.
#[test]
fn what_takes_the_place_of_a_message_is_fetched() {
    let Some(courier) = Courier::start() else { return };
    let client = Account::imap(courier.imap).client();
    for n in 0..5 {
        courier.add("INBOX", format!("Subject: number {n}\n\nThis is {n}.\n").as_bytes());
        assert_eq!(client.fetch_well().new, 1, "{n}");
        courier.remove_all("INBOX");
    }
    assert_eq!(client.mail().messages().len(), 5);
}

#[test]
fn over_pop3() {
    let Some(courier) = Courier::start() else { return };
    let mut client = Account::pop3(courier.pop3).client();
    is_fetched_and_deleted(&courier, &mut client, &["INBOX"]);
}

#[test]
fn what_is_moved_stands_where_it_was_moved_to() {
    let Some(courier) = Courier::start() else { return };
    courier.add_folder("INBOX.Done");
    let client = Account::imap(courier.imap).with("retention: {move_to: INBOX.Done}").client();
    mail().iter().for_each(|message| courier.add("INBOX", message));
    let report = client.fetch_well();
    assert_eq!((report.new as usize, report.settled as usize), (mail().len(), mail().len()), "{report:#?}");
    assert_eq!((courier.count("INBOX"), courier.count("INBOX.Done")), (0, mail().len()));
    assert_eq!(client.fetch_well().new, 0);
}
