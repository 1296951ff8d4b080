//! Sending through a program, and through a real Postfix where there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mailsluice::config::{Relay, RelayKind};
use mailsluice::error::Kind;
use mailsluice::message::{Bytes, Message};
use mailsluice::outbox::relay::{Connection, Mail, RecipientVerdict, RelayTrouble};

use crate::smtp::{FROM, addresses, message, outcome, relay, words};

const TEXT: &str = "Subject: x\n\n.\n.dot\nend";

/// Writes its arguments and its input into the folder, and ends as it is told.
fn program(folder: &Path, end: &str) -> Relay {
    let path = folder.join("sendmail");
    let place = folder.display();
    let script = format!("#!/bin/sh\necho \"$@\" >>'{place}/arguments'\ncat >'{place}/input'\n{end}\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    relay(RelayKind::Sendmail(vec![path.display().to_string(), "-oQ".to_owned()]))
}

async fn send(
    relay: &Relay,
    from: &str,
    to: &[&str],
    message: &Message,
) -> Result<Vec<RecipientVerdict>, RelayTrouble> {
    let mut connection = Connection::connect(relay).await.map_err(RelayTrouble::Relay)?;
    let to = addresses(to);
    let outcome = connection.send(&Mail { from, to: &to, message, no_reports: false }).await;
    connection.quit().await;
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_the_mail() {
    let folder = crate::stage::folder();
    let relay = program(folder.path(), "exit 0");
    let verdicts = send(&relay, FROM, &["a@x", "b@x"], &message(TEXT)).await.unwrap();
    assert_eq!(words(&verdicts), "sent sent");
    let arguments = fs::read_to_string(folder.path().join("arguments")).unwrap();
    assert_eq!(arguments, format!("-oQ -i -f {FROM} -- a@x\n-oQ -i -f {FROM} -- b@x\n"));
    assert_eq!(fs::read_to_string(folder.path().join("input")).unwrap(), TEXT);
    send(&relay, "", &["c@x"], &message(TEXT)).await.unwrap();
    assert!(fs::read_to_string(folder.path().join("arguments")).unwrap().ends_with("-f <> -- c@x\n"));
}

#[tokio::test]
async fn d6_exit_codes() {
    let folder = crate::stage::folder();
    for (code, expected) in [
        (0, "sent"),
        (64, "never"),
        (65, "never"),
        (67, "never"),
        (77, "relay"),
        (78, "relay"),
        (1, "later"),
        (68, "later"),
        (69, "later"),
        (70, "later"),
        (75, "later"),
        (76, "later"),
        (126, "later"),
    ] {
        let relay = program(folder.path(), &format!("printf 'no\\033[2J' >&2; exit {code}"));
        let got = send(&relay, FROM, &["a@x"], &message(TEXT)).await;
        assert_eq!(outcome(&got), expected, "{code}: {got:?}");
        assert!(code == 0 || format!("{got:?}").contains("no\\\\u{1b}[2J"), "{got:?}");
    }
    let by_recipient = "case \"$*\" in *no@x*) exit 67;; *rest@x*) exit 78;; esac";
    let relay = program(folder.path(), by_recipient);
    let verdicts = send(&relay, FROM, &["a@x", "no@x", "b@x", "rest@x", "c@x"], &message(TEXT)).await.unwrap();
    assert_eq!(words(&verdicts), "sent never sent later later", "what was sent is not forgotten");
}

#[tokio::test]
async fn i4_no_address_is_an_option_or_a_command() {
    let folder = crate::stage::folder();
    let relay = program(folder.path(), "exit 0");
    let bad = [
        "-OQueueDirectory=/tmp@x",
        "-X/tmp/x@x",
        "-be@x",
        "--",
        "|prog@x",
        "/etc/passwd@x",
        ":include:/etc/passwd@x",
        "\"|prog\"@x",
    ];
    let verdicts = send(&relay, FROM, &bad, &message(TEXT)).await.unwrap();
    assert!(verdicts.iter().all(|verdict| matches!(verdict, RecipientVerdict::Never(_))), "{verdicts:?}");
    assert_eq!(outcome(&send(&relay, "-X/tmp/x@x", &["a@x"], &message(TEXT)).await), "mail never");
    assert!(!folder.path().join("arguments").exists(), "it was never run");
}

#[tokio::test]
async fn a_program_that_is_missing_or_dies() {
    let missing = relay(RelayKind::Sendmail(vec!["/nonexistent/sendmail".to_owned()]));
    let Err(RelayTrouble::Relay(error)) = send(&missing, FROM, &["a@x"], &message(TEXT)).await else { panic!() };
    assert_eq!(error.kind(), Kind::Config, "{error}");
    let folder = crate::stage::folder();
    let dies = program(folder.path(), "kill -9 $$");
    assert_eq!(outcome(&send(&dies, FROM, &["a@x"], &message(TEXT)).await), "unknown");
}

/// A program cannot tell a message that ends early from one that ends.
#[tokio::test]
async fn a_message_that_cannot_be_read_is_not_begun() {
    let folder = crate::stage::folder();
    let relay = program(folder.path(), "exit 0");
    let bytes = Bytes::Spooled { head: TEXT.into(), path: "/nonexistent".into(), length: 10_000 };
    let message = Message::with_opener(bytes, std::sync::Arc::new(|_: &Path| Err(std::io::ErrorKind::NotFound.into())));
    assert_eq!(outcome(&send(&relay, FROM, &["a@x"], &message).await), "mail later");
    assert!(!folder.path().join("input").exists());
}
