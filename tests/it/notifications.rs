//! Notifications: one test for each row of our checklist (RFC 5436).

use mailsluice::decision::Decision;

use crate::engine::{decided, settings, shown, yaml, yaml_with};

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
