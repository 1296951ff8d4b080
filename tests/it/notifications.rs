//! Notifications: one test for each row of our checklist (RFC 5436).

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailsluice::decision::Decision;
use rustix::process::Signal;

use crate::engine::{decided, settings, shown, yaml, yaml_with};
use crate::outbox::{User, mail};

const MAIL: &str = "rules: [{name: tell, do: {notify: {mail: phone@x.example}}}]";

fn told(decision: &Decision) -> usize {
    decision.tellings().count()
}

/// One's own notification, fetched where it arrived, would be told again, and again.
#[test]
fn n1_n3_nobody_is_told_by_mail_of_what_a_program_sent() {
    let engine = yaml(MAIL);
    for (field, is_told) in [
        ("Auto-Submitted: auto-notified; owner-email=\"me@example.com\"", false),
        ("Auto-Submitted: auto-replied", false),
        ("Auto-Submitted: no\nAuto-Submitted:\n auto-generated", false),
        ("Auto-Submitted: no (a person)", true),
        ("Subject: hi", true),
    ] {
        let decision = decided(&engine, format!("Return-Path: <ann@far.example>\n{field}\n\nx\n"));
        assert_eq!((told(&decision), decision.filings().count()), (usize::from(is_told), 1), "{field}");
        assert_eq!(decision.notes.len(), usize::from(!is_told), "{field}");
        assert!(decision.notes.iter().all(|note| note.starts_with("not notified by mail: Auto-Submitted is auto-")));
    }
    // What makes no mail makes no loop.
    for way in ["desktop: true", "run: [page]", "webhook: 'https://x.example/'"] {
        let engine = yaml(&format!("rules: [{{do: {{notify: {{{way}}}}}}}]"));
        assert_eq!(told(&decided(&engine, "Auto-Submitted: auto-generated\n\nx\n")), 1, "{way}");
    }
}

#[test]
fn n4_a_message_with_a_null_sender_is_told() {
    assert_eq!(told(&decided(&yaml(MAIL), "Return-Path: <>\nSubject: it bounced\n\nx\n")), 1);
}

/// The second one was told nothing, and nobody said so.
#[test]
fn a_notification_has_one_address() {
    let rule = |mail: &str| format!("rules: [{{do: {{notify: {{mail: {mail}}}}}}}]");
    let problems = yaml_with(&rule("[a@x.example, b@x.example]"), &settings()).unwrap_err();
    assert!(shown(&problems).contains("goes to one address"), "{}", shown(&problems));
    assert_eq!(told(&decided(&yaml(&rule("[a@x.example]")), "Subject: hi\n\nx\n")), 1);
}

/// A desktop that writes down by which bus it was asked.
fn desktop() -> User {
    let mut user = User::without_relay("  - {name: tell, do: {notify: {title: Mail, text: \"${subject}\"}}}");
    user.sandbox.script("bin/notify-send", "#!/bin/sh\necho \"$DBUS_SESSION_BUS_ADDRESS $*\" >> ~/shown\n");
    let path = format!("{}:/usr/bin:/bin", user.sandbox.home().join("bin").display());
    user.sandbox.env("PATH", &path);
    user
}

#[test]
fn a_b13_a_notification_reaches_the_bus_of_the_session() {
    let mut user = desktop();
    let runtime = user.sandbox.home().join("run");
    user.sandbox.env("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    fs::create_dir(&runtime).unwrap();
    let _bus = UnixListener::bind(runtime.join("bus")).unwrap();
    user.deliver(mail(1, "by the runtime folder"));
    user.until("it is shown", |rows| rows.len() == 1 && rows[0]["state"] == "sent");
    user.sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x/bus");
    user.deliver(mail(2, "by the variable"));
    user.until("it is shown", |rows| rows.len() == 2 && rows.iter().all(|row| row["state"] == "sent"));
    let shown = user.sandbox.read("shown");
    let lines: Vec<&str> = shown.lines().collect();
    let by_folder = format!("unix:path={}/bus --app-name=mailsluice", runtime.display());
    assert!(lines[0].starts_with(&by_folder) && lines[0].ends_with("Mail by the runtime folder"), "{shown}");
    assert!(lines[1].starts_with("unix:path=/x/bus --app-name=mailsluice"), "{shown}");
}

#[test]
fn a_b13_a_notification_without_a_desktop_is_a_notice_that_says_why() {
    let mut user = desktop();
    // No bus: nothing, a file, and a socket that is only linked to.
    let runtime = user.sandbox.home().join("run");
    user.sandbox.env("XDG_RUNTIME_DIR", runtime.to_str().unwrap());
    fs::create_dir(&runtime).unwrap();
    fs::write(runtime.join("bus"), "").unwrap();
    user.deliver(mail(1, "hello"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    let inbox = user.inbox();
    let notice = inbox.iter().find(|mail| mail.contains("X-Mailsluice-Notice: no-desktop")).unwrap();
    assert!(notice.contains("DBUS_SESSION_BUS_ADDRESS is not set") && notice.contains("Mail: hello"), "{notice}");
    assert_eq!(inbox.len(), 2, "the message itself is filed as ever: {inbox:#?}");
    assert!(!user.sandbox.home().join("shown").exists());
}

#[test]
fn a_notification_that_the_desktop_refuses_is_a_notice_too() {
    let mut user = desktop();
    user.sandbox.script("bin/notify-send", "#!/bin/sh\necho no server >&2\nexit 1\n");
    user.sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/x/bus");
    user.deliver(mail(1, "hello"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    assert!(user.inbox().iter().any(|mail| mail.contains("no server")), "{:#?}", user.inbox());
}

/// It may take 30 seconds, and whoever stops a service kills it before.
#[test]
fn a_program_that_is_to_stop_does_not_wait_for_a_webhook_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hanging = Arc::new(Mutex::new(Vec::new()));
    let connections = Arc::clone(&hanging);
    // The first is cut, the others get no answer.
    std::thread::spawn(move || {
        listener.incoming().skip(1).for_each(|connection| connections.lock().unwrap().push(connection))
    });
    let user =
        User::without_relay(&format!("  - {{name: tell, do: {{notify: {{webhook: 'http://127.0.0.1:{port}/'}}}}}}"));
    user.deliver(mail(1, "hi"));
    user.settled();
    let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
    user.until("it hangs", |_| !hanging.lock().unwrap().is_empty());
    running.signal(Signal::TERM);
    let asked = Instant::now();
    let output = running.wait();
    assert!(asked.elapsed() < Duration::from_secs(20), "{output}");
    assert_eq!(user.states(), ["waiting"], "it is not left as being sent");
}
