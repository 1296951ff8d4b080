//! Ticket numbers: none is given twice, and none is wasted by a crash or by looking.

use std::collections::HashMap;
use std::time::Duration;

use mailsluice::decision::{AnsweredQuestion, Decision, Fact, Way, Write};
use mailsluice::filter::Engine;
use mailsluice::filter::trial::ToldFacts;
use mailsluice::state::{Entry, JournalEntries, Lock, Recording, RuleFacts};

use crate::engine::{body, decided, envelope, failure, message, settings, shown, yaml, yaml_with};
use crate::outbox::User;
use crate::stage::Account;
use crate::state::{entry, now, record};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::Maildirs;

const ASKED: &str =
    "Return-Path: <ann@far.example>\nTo: me@example.com\nSubject: broken\nMessage-ID: <1@far.example>\n\n";
const YAML: &str = "
rules:
  - do:
      - number: {counter: support, set: ticket, width: 4}
      - setheader: {Subject: '[#${ticket}] ${subject}'}
      - reply: {subject: 'Your ticket #${ticket}', text: 'It is ${ticket}.'}
";
const LUA: &str = "local ticket = act.number{counter = 'support', width = 4}
    act.setheader('Subject', '[#' .. ticket .. '] ' .. m.subject)
    act.reply('It is ' .. ticket .. '.', {subject = 'Your ticket #' .. ticket})";

/// What is decided where the counter gave 41 last.
fn after_41(engine: &Engine) -> Decision {
    let told = ToldFacts { numbers: HashMap::from([("support".to_owned(), 41)]), ..ToldFacts::default() };
    engine.decide(&message(ASKED), &envelope(), &told).unwrap()
}

fn number(number: u64) -> Write {
    Write::Number { counter: "support".into(), number }
}

fn is_not_given(number: u64) -> AnsweredQuestion {
    AnsweredQuestion { fact: Fact::Numbered { counter: "support".into(), number }, answer: false }
}

#[test]
fn rules_and_scripts_take_the_next_number() {
    for engine in [yaml(YAML), body(LUA)] {
        let decision = after_41(&engine);
        assert!(decision.writes.contains(&number(42)) && decision.reads.contains(&is_not_given(42)), "{decision:?}");
        assert_eq!(decision.edited.last().unwrap().first("Subject"), Some("[#0042] broken"));
        let Some(Way::Reply(reply)) = decision.tellings().next().map(|telling| telling.way.clone()) else {
            panic!("{decision:?}")
        };
        assert_eq!((reply.text.as_str(), reply.subject.as_deref()), ("It is 0042.", Some("Your ticket #0042")));
    }
}

/// The subject that a rule or script makes of numbers.
#[track_caller]
fn subject(engine: &Engine) -> String {
    let decision = after_41(engine);
    assert!(decision.failures.is_empty(), "{decision:?}");
    decision.edited.last().unwrap().first("Subject").unwrap().to_owned()
}

#[test]
fn one_message_may_take_several_and_each_counter_counts_for_itself() {
    let rule = |rest: &str| yaml(&format!("rules:\n  - do: [{rest}, {{setheader: {{Subject: '${{a}} ${{b}}'}}}}]"));
    let two = rule("{number: {counter: support, set: a}}, {number: {counter: support, set: b}}");
    assert_eq!(subject(&two), "42 43");
    let other = rule("{number: {counter: other, set: a, first: 1000}}, {number: {counter: support, set: b, first: 7}}");
    assert_eq!(subject(&other), "1000 42");
    let raised = rule("{number: {counter: support, set: a, first: 5000}}, {set: {b: x}}");
    assert_eq!(subject(&raised), "5000 x");
    let script = body(
        "local a, b = act.number('support'), act.number('other', {width = 3}) \
         assert(type(a) == 'string') act.setheader('Subject', a .. ' ' .. b)",
    );
    assert_eq!(subject(&script), "42 001");
    let set = yaml(
        "rules:\n  - {do: [{set: {n: ''}}, {lua: 'act.number{counter = \"support\", set = \"n\"}'}, {setheader: {Subject: '${n}'}}]}",
    );
    assert_eq!(subject(&set), "42");
}

#[test]
fn a_rule_that_fails_takes_none() {
    let rule = yaml("rules:\n  - do: [{number: {counter: support, set: a}}, {execute: [fails]}]");
    let told = ToldFacts {
        programs: [("fails".to_owned(), mailsluice::filter::FactAnswer::Ended { code: 1, out: Vec::new() })].into(),
        ..ToldFacts::default()
    };
    let broken = rule.decide(&message(ASKED), &envelope(), &told).unwrap();
    for decision in [broken, decided(&body("act.number('support') error('x')"), ASKED)] {
        assert!(failure(&decision).contains('x') || failure(&decision).contains("ended with 1"));
        assert!(decision.writes.is_empty() && decision.reads.is_empty(), "{decision:?}");
    }
}

#[test]
fn a_message_makes_no_counter_and_a_condition_takes_no_number() {
    let refused = |script: &str, says: &str| {
        let decision = decided(&body(script), ASKED);
        assert!(failure(&decision).contains(says) && decision.writes.is_empty(), "{decision:?}");
    };
    refused("act.number(m.subject)", "the counter broken does not stand in this script");
    refused("act.number{counter = 'x', first = 0}", "expected a whole number");
    refused("act.number('x', {frst = 2})", "did you mean `first`?");
    let condition = yaml("rules:\n  - {if: {lua: 'act.number(\"x\") == \"1\"'}, do: discard}");
    let decision = decided(&condition, ASKED);
    assert!(failure(&decision).contains("a condition cannot act") && decision.writes.is_empty(), "{decision:?}");
    let variable =
        yaml_with("rules: [{do: {number: {counter: '${subject}', per: '${list_id}', set: x}}}]", &settings());
    assert!(shown(&variable.unwrap_err()).contains("has values in its name"));
}

#[test]
fn of_two_who_want_one_number_the_later_is_decided_anew() {
    let store = crate::state::store();
    let take = |n: u64, id| Entry { reads: vec![is_not_given(n)], writes: vec![number(n)], ..entry(id) };
    assert_eq!(store.last_number("support").unwrap(), None);
    assert!(matches!(record(&store, vec![take(1, 1), take(2, 2)]), Recording::Recorded(_)), "one after the other");
    assert!(matches!(record(&store, vec![take(2, 3)]), Recording::Changed(_)));
    assert!(matches!(record(&store, vec![take(3, 4), take(3, 5)]), Recording::Changed(_)));
    assert_eq!((store.last_number("support").unwrap(), store.last_number("other").unwrap()), (Some(2), None));
    store.prune(&crate::state::owned(), now() + jiff::SignedDuration::from_hours(20 * 365 * 24), 1 << 30).unwrap();
    assert_eq!(store.last_number("support").unwrap(), Some(2), "it is never forgotten");
}

const TICKETS: &str = "  - name: ticket
    if: {subject: {is: broken}}
    do: [{number: {counter: support, set: ticket}}, {setheader: {Subject: \"[#${ticket}] ${subject}\"}}]";

fn mail(n: usize) -> String {
    format!("From: Ann <ann@far.example>\nSubject: broken\nMessage-ID: <{n}@far.example>\n\nhelp {n}\n")
}

/// The numbers in the subjects of what is in a folder, sorted.
fn numbers(mail: &Maildirs, folder: &str) -> Vec<u64> {
    let found = mail.in_folder(folder);
    let texts = found.iter().map(|found| String::from_utf8_lossy(&found.bytes).into_owned());
    let number = |text: String| text.split_once("[#")?.1.split_once(']')?.0.parse().ok();
    let mut numbers: Vec<u64> = texts.filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

fn inbox(user: &User) -> Vec<u64> {
    numbers(&Maildirs::at(user.sandbox.maildir()), "INBOX")
}

#[test]
fn the_messages_of_one_batch_have_numbers_in_their_order() {
    let mailbox = crate::stage::mailbox();
    (1..=5).for_each(|n| _ = mailbox.add("INBOX", mail(n)));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let client = Account::imap(server.port()).top(&format!("rules:\n{TICKETS}")).client();
    client.fetch_well();
    let subjects: Vec<String> = client.subjects();
    assert_eq!(subjects, (1..=5).map(|n| format!("[#{n}] broken")).collect::<Vec<_>>());
    for found in client.mail().delivered() {
        let text = String::from_utf8_lossy(&found.bytes).into_owned();
        let n: usize = text.split_once("\n\nhelp ").unwrap().1.trim().parse().unwrap();
        assert!(text.contains(&format!("[#{n}] broken")), "{text}");
    }
}

#[test]
fn many_deliveries_at_once_have_numbers_without_gaps() {
    const MANY: usize = 24;
    let user = User::without_relay(TICKETS);
    let running: Vec<_> =
        (1..=MANY).map(|n| user.sandbox.spawn_with_stdin(&["--allow-root", "deliver"], mail(n))).collect();
    for running in running {
        let output = running.wait();
        assert_eq!(output.code, 0, "{output}");
    }
    assert_eq!(inbox(&user), (1..=MANY as u64).collect::<Vec<_>>());
}

/// The first look of one does not overtake those who were disturbed and look again: with many at once they would be
/// worn out, and end by 75. What has read nothing waits for nobody.
#[test]
fn whoever_has_read_a_counter_records_in_turn() {
    let user = User::without_relay(TICKETS);
    let locks = user.sandbox.home().join("state/locks");
    let plain = mail(1).replace("broken", "whole");
    assert_eq!(user.sandbox.run_with_stdin(&["--allow-root", "deliver"], &plain).code, 0);
    assert!(locks.is_dir(), "the state is elsewhere");
    let turn = Lock::take(&locks, "(what rules read)", Duration::from_secs(5)).unwrap();
    let mut waiting = user.sandbox.spawn_with_stdin(&["--allow-root", "deliver"], mail(2));
    assert_eq!(user.sandbox.run_with_stdin(&["--allow-root", "deliver"], plain.replace("<1@", "<3@")).code, 0);
    std::thread::sleep(Duration::from_millis(500));
    assert!(waiting.is_running());
    assert!(inbox(&user).is_empty());
    drop(turn);
    let output = waiting.wait();
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(inbox(&user), [1]);
}

/// The same message is given until it is taken, as an MTA does.
#[test]
fn a_delivery_that_is_killed_wastes_no_number() {
    let user = User::without_relay(TICKETS);
    let (mut kills, mut messages) = (0_u64, 0_u64);
    while kills < 25 && messages < 50 {
        messages += 1;
        for wait in (0..).map(|tries| Duration::from_micros(200 + 1100 * tries + 97 * messages)) {
            let running = user.sandbox.spawn_with_stdin(&["--allow-root", "deliver"], mail(messages as usize));
            std::thread::sleep(wait);
            let output = running.kill();
            if output.code == 0 {
                break;
            }
            kills += 1;
        }
    }
    println!("{kills} kills");
    assert!(kills >= 5, "hardly anybody was killed");
    // One that was killed after it had acknowledged and before it answered is given again, and is another message then
    // (docs/durability.md): there may be more copies than messages, but no number without one, and none twice.
    let numbers = inbox(&user);
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert!((messages..=messages + kills).contains(&(numbers.len() as u64)), "{numbers:?} for {messages} messages");
}

#[test]
fn who_only_looks_takes_none() {
    let mut user = User::without_relay(TICKETS);
    let file = user.sandbox.write("one.eml", mail(1));
    for _ in 0..2 {
        let explained = user.sandbox.run(&["--allow-root", "explain", file.to_str().unwrap()]);
        assert!(explained.stdout.contains("number support: 1"), "{explained}");
    }
    user.deliver(mail(1).replace("Subject: broken", "Subject: later"));
    user.deliver(mail(2).replace("Subject: broken", "Subject: later"));
    user.deliver(mail(3));
    user.rules = "  - {do: {fileinto: old}}".to_owned();
    user.relay(1);
    user.deliver(mail(5));
    user.rules = TICKETS.to_owned();
    let rules = user.rules.replace("subject: {is: broken}", "subject: {is: [broken, later]}");
    user.rules = rules;
    user.relay(1);
    for _ in 0..2 {
        let looked = user.sandbox.run(&["--allow-root", "refilter", "INBOX"]);
        assert!(looked.stderr.contains("2 would move"), "{looked}");
    }
    assert_eq!(inbox(&user), [1]);
    let moved = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX", "old"]);
    assert_eq!(moved.code, 0, "{moved}");
    assert_eq!(inbox(&user), [1, 2, 3], "{moved}");
    assert_eq!(numbers(&Maildirs::at(user.sandbox.maildir()), "old"), [4]);
    user.deliver(mail(4));
    assert_eq!(inbox(&user), [1, 2, 3, 5]);
}
