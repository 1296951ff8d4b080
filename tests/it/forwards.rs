//! Forwards and what bounds them: one test for each row of our checklist (RFC 5228 4.2 and 10).

use mailsluice::config::{Limits, Settings};
use mailsluice::decision::{Decision, Way};

use crate::engine::{decided, settings, shown, yaml_with};
use crate::outbox::{User, mail, text};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const RECEIVED: &str = "Return-Path: <ann@far.example>\nTo: me@example.com\nMessage-ID: <1@far.example>\n";

/// The addresses that a message is forwarded to.
fn forwarded(decision: &Decision) -> Vec<String> {
    let to = decision.tellings().filter_map(|telling| match &telling.way {
        Way::Redirect(redirect) => Some(redirect.to.clone()),
        _ => None,
    });
    to.flatten().collect()
}

fn limited(limits: Limits) -> Settings {
    Settings { limits, ..settings() }
}

#[test]
fn f7_one_message_is_forwarded_so_often_and_no_more() {
    let each = |n| format!("{{do: {{redirect: {{to: a{n}@x.example, copy: true}}}}}}");
    let rules = format!("rules: [{}]", (1..=6).map(each).collect::<Vec<_>>().join(", "));
    for (most, limits) in [(4, Limits::default()), (1, Limits { forwards_per_message: 1, ..Limits::default() })] {
        let engine = yaml_with(&rules, &limited(limits)).unwrap();
        let decision = decided(&engine, format!("{RECEIVED}\nx\n"));
        assert_eq!(forwarded(&decision), (1..=most).map(|n| format!("a{n}@x.example")).collect::<Vec<_>>());
        let why = format!("not forwarded: it would go to more addresses than `forwards_per_message` allows ({most})");
        assert_eq!(decision.notes, vec![why; 6 - most]);
        assert_eq!(decision.filings().count(), 1, "what is not forwarded is kept");
    }
}

/// An open relay by mail: whoever writes chooses who gets it, among those that the user named.
#[test]
fn r9_an_address_of_the_message_must_be_one_that_is_named() {
    let rule = "rules: [{do: {redirect: {to: '${header.x-for}', only: [ann@x.example, '@team.example']}}}]";
    let engine = yaml_with(rule, &settings()).unwrap();
    let to = |value: &str| decided(&engine, format!("{RECEIVED}X-For: {value}\n\nx\n"));
    for value in ["ann@x.example", "Ann@X.example", "bob@team.example"] {
        assert_eq!(forwarded(&to(value)), [value]);
    }
    for value in [
        "",
        "bob@x.example",
        "ann@x.example.evil.example",
        "bob@not-team.example",
        "bob@sub.team.example",
        "ann@x.example, eve@evil.example",
        "eve@evil.example\r\n RCPT TO:<eve@evil.example>",
        "<ann@x.example>",
        "@team.example",
        "\"eve@evil.example\"@team.example",
        "-oQ@team.example",
    ] {
        let decision = to(value);
        assert_eq!(forwarded(&decision), Vec::<String>::new(), "{value}");
        assert_eq!(decision.filings().count(), 1, "it is kept: {value}");
        assert!(decision.notes[0].contains("is none of `only`"), "{value}: {:?}", decision.notes);
    }
}

/// Each action named each address once, and two actions that named one sent it twice.
#[test]
fn whoever_is_named_by_two_actions_is_told_once() {
    let rules = "rules:\n  - {do: {redirect: {to: [a@x.example, b@x.example], copy: true}}}\n  \
                 - {do: {redirect: {to: [B@x.example, c@x.example, d@x.example], copy: true}}}\n  \
                 - {do: {redirect: d@x.example}}";
    let decision = decided(&yaml_with(rules, &settings()).unwrap(), format!("{RECEIVED}\nx\n"));
    assert_eq!(forwarded(&decision), ["a@x.example", "b@x.example", "c@x.example", "d@x.example"]);
    assert_eq!(decision.tellings().count(), 2);
    assert_eq!(decision.filings().count(), 0, "the last one delivers, though it sends nothing");
    assert_eq!(decision.notes[0], "redirect once: an earlier action named B@x.example already");
    // What is another message, or goes another way, is told besides.
    let rules = "rules:\n  - {do: {redirect: {to: a@x.example, copy: true}}}\n  \
                 - {do: {redirect: {to: a@x.example, mode: attach, copy: true}}}\n  \
                 - {do: [{addheader: {X-A: b}}, {redirect: {to: a@x.example, copy: true}}]}";
    let decision = decided(&yaml_with(rules, &settings()).unwrap(), format!("{RECEIVED}\nx\n"));
    assert_eq!(forwarded(&decision), ["a@x.example"; 3]);
}

/// With limits in the config two messages reach the server, and one waits for its time.
#[test]
fn a33_the_limits_of_the_config_hold() {
    for (limit, action) in [
        ("answers_per_hour: 2", "reply: Thank you"),
        ("forwards_per_day: 2", "redirect: {to: a@x.example, copy: true}"),
    ] {
        let server = SmtpServer::start(SmtpOptions::default());
        let user = User::without_relay(&format!("  - {{name: r, do: {{{action}}}}}"));
        (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
        user.settled();
        let relay = format!("relays: {{r: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}", server.port());
        user.config(&format!("limits: {{{limit}}}\n{relay}\n"));
        // Those who sent behind the deliveries may be at it still; then they are left to it.
        let mut output = user.queue(&["retry"]);
        while !output.to_string().contains("the rest waits") && server.count() == 0 {
            output = user.queue(&["retry"]);
        }
        assert!(output.to_string().contains("the rest waits"), "{output}");
        assert_eq!((user.states(), server.count()), (["sent", "sent", "waiting"].map(str::to_owned).to_vec(), 2));
    }
}

/// Whoever made the forward would send the report after it, and nobody would see either (sending N-2).
#[test]
fn sending_n_2_a_report_about_a_forward_stays_here() {
    let user = User::without_relay("  - {name: all, do: {redirect: r@far.example}}");
    let report = |part: &str| {
        format!(
            "Return-Path: <>\nFrom: Mailer <mailer-daemon@far.example>\nTo: me@home.example\nSubject: failed\nDate: {}\n\
             MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
             --b\n\nIt did not arrive.\n--b\n{part}\n--b--\n",
            jiff::fmt::rfc2822::to_string(&jiff::Zoned::now()).unwrap()
        )
    };
    user.deliver(report(
        "Content-Type: text/rfc822-headers\n\nX-Mailsluice-Redirected-From: me@home.example\nSubject: hi\n",
    ));
    user.deliver(report(
        "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; R@far.example\nAction: failed\n",
    ));
    assert_eq!((user.rows().len(), user.inbox().len()), (0, 2));
    user.deliver(report(
        "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; other@x.example\nAction: failed\n",
    ));
    assert_eq!((user.rows().len(), user.inbox().len()), (1, 2), "about something else: forwarded like all mail");
}

/// Other programs have fields of their own for it.
#[test]
fn a_loop_through_another_program_is_known() {
    let user = User::without_relay("  - {name: all, do: {redirect: r@far.example}}");
    for field in ["X-Sieve-Redirected-From", "X-Redirected-From", "X-Loop"] {
        user.deliver(format!("{field}: me@home.example\n{}", mail(1, field)));
    }
    assert_eq!((user.rows().len(), user.inbox().len()), (0, 3));
}

#[test]
fn f16_spam_is_kept_and_not_forwarded() {
    let rule = |how: &str| format!("rules: [{{name: r, do: {{redirect: {{to: a@x.example{how}}}}}}}]");
    let spam = format!("{RECEIVED}X-Spam-Flag: YES\n\nbuy\n");
    let decision = decided(&yaml_with(&rule(""), &settings()).unwrap(), &spam);
    assert_eq!((forwarded(&decision).len(), decision.filings().count()), (0, 1));
    let note = "`even_spam: true` forwards such mail too";
    assert!(decision.notes[0].starts_with("not forwarded: ") && decision.notes[0].ends_with(note), "{decision:?}");
    let decision = decided(&yaml_with(&rule(", even_spam: true"), &settings()).unwrap(), &spam);
    assert_eq!(forwarded(&decision), ["a@x.example"]);
    let decision = decided(&yaml_with(&rule(""), &settings()).unwrap(), format!("{RECEIVED}X-Spam-Flag: NO\n\nx\n"));
    assert_eq!(forwarded(&decision), ["a@x.example"]);
}

/// That a rule asks for spam does not say what it is sent on for.
#[test]
fn f16_a_rule_that_asks_for_spam_says_so_too() {
    let rule = "rules: [{if: {spam: true}, do: {redirect: spam-trap@x.example}}]";
    let spam = format!("{RECEIVED}X-Spam-Flag: YES\n\nbuy\n");
    assert!(forwarded(&decided(&yaml_with(rule, &settings()).unwrap(), &spam)).is_empty());
}

/// What senders write is removed before a filter of one's own is asked; then its word counts, and theirs does not.
#[test]
fn f16_the_message_counts_as_the_rules_left_it() {
    let rules = "rules: [{do: {deleteheader: X-Spam-Flag}}, {do: {redirect: a@x.example}}]";
    let claimed = format!("{RECEIVED}X-Spam-Flag: YES\n\nx\n");
    assert_eq!(forwarded(&decided(&yaml_with(rules, &settings()).unwrap(), &claimed)), ["a@x.example"]);
    let rules = "rules: [{do: {addheader: {X-Spam-Flag: 'YES'}}}, {do: {redirect: a@x.example}}]";
    assert!(forwarded(&decided(&yaml_with(rules, &settings()).unwrap(), format!("{RECEIVED}\nx\n"))).is_empty());
}

/// A part in 8bit cannot stand in a whole that says 7bit by saying nothing (RFC 2045 6.4): servers refuse or break that.
#[test]
fn f13_what_holds_an_8bit_message_says_8bit() {
    for (body, encoding) in [("Grüße", "8bit"), ("hi", "7bit")] {
        let server = SmtpServer::start(SmtpOptions::default());
        let user =
            User::with_relay("  - {name: r, do: {redirect: {to: a@x.example, mode: attach, copy: true}}}", &server);
        user.deliver(format!("{}\n{body}\n", mail(1, "hi")));
        user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
        let sent = text(&server.last());
        let said = format!("Content-Transfer-Encoding: {encoding}\n");
        assert_eq!(sent.matches(&said).count(), 2, "{sent}");
        assert!(sent.split_once("\n\n").unwrap().0.contains(said.trim_end()), "{sent}");
    }
}

/// The address of the relay is in the token, and nowhere else in the config.
#[test]
fn f5_a_forward_that_comes_back_is_known_by_the_address_of_its_relay() {
    for mode in ["redirect", "attach"] {
        let server = SmtpServer::start(SmtpOptions::default());
        let user =
            User::without_relay(&format!("  - {{name: r, do: {{redirect: {{to: a@x.example, mode: {mode}}}}}}}"));
        let smtp = format!("smtp: {{host: 127.0.0.1, port: {}, tls: none}}", server.port());
        user.config(&format!("relays: {{default: {{{smtp}, from: Fwd@relay.example}}}}\n"));
        user.deliver(mail(1, "hi"));
        user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
        user.deliver(format!("Return-Path: <fwd@relay.example>\n{}", text(&server.last())));
        user.settled();
        assert_eq!((server.count(), user.inbox().len()), (1, 1), "{mode}: it is kept");
    }
}

/// What no server would be given is found by `check`, not when a message is to be forwarded.
#[test]
fn an_address_that_cannot_be_written_to_a_server_is_a_mistake_of_the_config() {
    for to in ["a@b..example", "a@-b.example", "a\u{202e}b@x.example", "@relay.example:a@x.example", "-oQ@x.example"] {
        let problems = yaml_with(&format!("rules: [{{do: {{redirect: '{to}'}}}}]"), &settings()).unwrap_err();
        assert!(shown(&problems).contains("is no mail address"), "{}", shown(&problems));
    }
    for to in ["a.b+c@x.example", "jürgen@bücher.example", "a@[192.0.2.1]", "a..b.@docomo.example"] {
        assert!(yaml_with(&format!("rules: [{{do: {{redirect: '{to}'}}}}]"), &settings()).is_ok(), "{to}");
    }
}
