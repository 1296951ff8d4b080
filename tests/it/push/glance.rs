//! Folders that are looked at without opening them.

use mailsluice::source::Glance;

use super::{connect, glance, names, play};
use crate::stage::{Account, message};
use crate::support::dovecot::Dovecot;

#[tokio::test]
async fn one_command_tells_of_all_folders_and_those_that_it_leaves_out_are_asked_for() {
    let (mut kept, server) = play("glance-list-status", "all").await;
    let chosen = kept.source.folders().await.unwrap();
    let mut folders = chosen.folders;
    folders.extend(names(&["Lists", "Old", "Hidden", "Nowhere"]));
    let seen = kept.source.glance(&folders).await.unwrap();
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen["INBOX"], Glance { modseq: Some(77), ..glance(1, 10, 9) });
    assert_eq!(seen["Entwürfe"], glance(2, 4, 3));
    assert_eq!(seen["Lists/rust"], Glance { generation: Some(3), uid_next: None, exists: Some(0), modseq: None });
    assert_eq!(seen["Hidden"], glance(5, 2, 1));
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn where_it_is_refused_each_folder_is_asked_for() {
    let (mut kept, server) = play("glance-list-status-refused", "[INBOX, a, b, c, d]").await;
    let folders = kept.source.folders().await.unwrap().folders;
    for _ in 0..2 {
        let seen = kept.source.glance(&folders).await.unwrap();
        assert_eq!(seen.len(), 5, "{seen:?}");
        assert_eq!(seen["d"], glance(5, 6, 5));
    }
    drop(kept);
    server.finish().unwrap();
}

/// `b` is refused, `c` says nothing (163.com), and `Ö` is answered for by a name that nobody knows.
#[tokio::test]
async fn folders_of_which_nothing_is_told_are_missing() {
    let (mut kept, server) = play("glance-status", "[INBOX, b, c, Ö]").await;
    let folders = kept.source.folders().await.unwrap().folders;
    kept.source.open("INBOX").await.unwrap();
    let seen = kept.source.glance(&folders).await.unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!((seen["INBOX"], seen["Ö"]), (glance(1, 2, 1), glance(4, 4, 4)));
    // The folder that was open still is.
    let described = kept.source.describe(&[b"1".to_vec()], Default::default()).await.unwrap();
    assert_eq!(described[0].announced, Some(18));
    drop(kept);
    server.finish().unwrap();
}

#[tokio::test]
async fn three_hundred_folders_of_dovecot_are_told_of() {
    let Some(dovecot) = Dovecot::start() else { return };
    dovecot.add("me", "INBOX", message(1));
    for number in 0..300 {
        dovecot.add("me", &format!("box{number}"), message(number));
    }
    // Entwürfe
    dovecot.add("me", "Entw&APw-rfe/x", message(1));
    let mut kept = connect(Account::imap(dovecot.ports.imap).with("password: pass").with("folders: all")).await;
    let folders = kept.source.folders().await.unwrap().folders;
    let before = kept.source.glance(&folders).await.unwrap();
    assert_eq!(before.len(), folders.len());
    assert!(before.values().all(|glance| glance.generation.is_some() && glance.modseq.is_some()));
    assert_eq!((before["Entwürfe/x"].exists, before["box7"].uid_next), (Some(1), Some(2)));
    // Moved in by another program, which nobody announces.
    dovecot.add("me", "box7", message(2));
    dovecot.add("me", "Entw&APw-rfe/x", message(2));
    let after = kept.source.glance(&folders).await.unwrap();
    let mut changed: Vec<&str> = folders.iter().filter(|f| before[*f] != after[*f]).map(String::as_str).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["Entwürfe/x", "box7"]);
    assert_eq!((after["box7"].exists, after["box7"].uid_next), (Some(2), Some(3)));
    assert_eq!(kept.source.glance(&names(&["box7"])).await.unwrap()["box7"], after["box7"]);
}
