//! When a message is answered, and when never: the cases of Pigeonhole's own tests, what it says of 2,545 real
//! messages, what the field names of automatic mail are, and the rows of our checklist.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mailsluice::config::FilterSource;
use mailsluice::config::Settings;
use mailsluice::config::problem::{Problems, SourceFile};
use mailsluice::config::reader::Base;
use mailsluice::config::yaml::Document;
use mailsluice::decision::{Fact, Way};
use mailsluice::filter::trial::ToldFacts;
use mailsluice::filter::{Ask, Engine, FactAnswer, Facts, Unanswered, trial};
use mailsluice::message::{Address, Message, to_lf};
use serde_json::Value;

use crate::engine::{beside, corpus, decide, envelope, message, name_of, settings, shown, yaml_with};

/// A service answers whoever writes; a person only what was sent to him.
const SERVICE: &str = "rules: [{do: {reply: I am gone}}]";

fn engine(rule: &str, me: &[&str]) -> Engine {
    let settings = Settings { me: me.iter().map(|me| (*me).to_owned()).collect(), ..settings() };
    yaml_with(rule, &settings).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// Why the message is not answered, or nothing where it is.
#[track_caller]
fn refusal(engine: &Engine, message: &Arc<Message>) -> Option<String> {
    let decision = decide(engine, message);
    assert!(decision.failures.is_empty(), "{:?}", decision.failures);
    assert!(decision.filings().next().is_some() || decision.tellings().next().is_some(), "it vanished");
    let note = decision.notes.iter().find_map(|note| note.strip_prefix("no reply: ")).map(str::to_owned);
    assert_eq!(note.is_none(), decision.tellings().count() == 1, "{decision:?}");
    note
}

/// The message as a server delivers it: with the envelope in its header.
fn delivered(from: &str, to: &str, text: &[u8]) -> Arc<Message> {
    message([format!("Return-Path: <{from}>\nDelivered-To: {to}\n").as_bytes(), text].concat())
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().map(|text| text.trim_start_matches('<').trim_end_matches('>'))
}

fn first_of<'m>(message: &'m Message, field: &'static str) -> &'m str {
    message.addresses(field).next().map_or("", |address| address.address.as_str())
}

#[test]
fn the_cases_of_pigeonhole() {
    let Some(_) = corpus() else { return };
    let cases = std::fs::read_to_string(beside("corpus/vacation-cases/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let Some(expected) = case["expect_reply"].as_bool() else { continue };
        let file = case["message_file"].as_str().unwrap();
        let bytes = to_lf(&std::fs::read(beside(&format!("corpus/vacation-cases/{file}"))).unwrap());
        let plain = message(&bytes);
        let option = |name: &str| case["config"][name].as_str();
        let original = option("sieve_vacation_use_original_recipient").and_then(|_| text(case, "orig_to"));
        let from = text(case, "envelope_from").unwrap_or_else(|| first_of(&plain, "From"));
        let to = original.or_else(|| text(case, "envelope_to")).unwrap_or_else(|| first_of(&plain, "To"));
        let came = refusal(&engine_of(case), &delivered(from, to, &bytes));
        if came.is_none() != expected {
            wrong.push(format!("{}: {came:?}", case["id"]));
        }
    }
    assert_eq!(cases.len(), 48);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The rule of a case: `reject`, a service that does not ask for whom the message was, or a vacation answer.
fn engine_of(case: &Value) -> Engine {
    let me: Vec<&str> = case["config"]["sieve_user_email"].as_str().into_iter().collect();
    if case["id"].as_str().unwrap().starts_with("reject/") {
        return engine("rules: [{do: {reject: I am gone}}]", &me);
    }
    if case["config"]["sieve_vacation_check_recipient"] == "no" {
        return engine(SERVICE, &me);
    }
    let arguments = case["vacation_args"].as_str().unwrap();
    let own = arguments.strip_prefix(":addresses ").and_then(|rest| rest.split('"').nth(1)).unwrap_or_default();
    let own = if own.is_empty() { String::new() } else { format!(", addresses: [{own}]") };
    engine(&format!("rules: [{{do: {{vacation: {{text: I am gone{own}}}}}}}]"), &me)
}

#[test]
fn fields_and_senders_that_say_automatic() {
    let Some(_) = corpus() else { return };
    let matrix = std::fs::read_to_string(beside("corpus/vacation-cases/header-matrix.json")).unwrap();
    let matrix: Value = serde_json::from_str(&matrix).unwrap();
    let service = engine(SERVICE, &["me@example.com"]);
    let answered = |from: &str, head: &str| {
        let text = format!("{head}From: ann@x.example\nTo: me@example.com\nSubject: x\n\nx\n");
        refusal(&service, &delivered(from, "me@example.com", text.as_bytes())).is_none()
    };
    for field in matrix["headers"].as_array().unwrap() {
        let (name, value) = (field[0].as_str().unwrap(), field[1].as_str().unwrap());
        assert_eq!(answered("ann@x.example", &format!("{name}: {value}\n")), field[2] == 1, "{name}: {value}");
    }
    for local in matrix["senders_no_reply"].as_array().unwrap() {
        assert!(!answered(&format!("{}@x.example", local.as_str().unwrap()), ""), "{local}");
    }
    assert!(!answered("", ""), "the null sender");
    assert!(answered("ann@x.example", ""));
}

/// What Pigeonhole says, with its recipient check off, of the whole corpus.
#[test]
fn oracle_real_mail_is_answered_as_pigeonhole_answers_but_for_the_listed_differences() {
    let Some(paths) = corpus() else { return };
    let told = std::fs::read_to_string(beside("corpus/oracle-vacation.tsv")).unwrap();
    let told: BTreeMap<&str, Vec<&str>> = told
        .lines()
        .skip(1)
        .map(|line| line.split_once('\t').unwrap())
        .map(|(f, rest)| (f, rest.split('\t').collect()))
        .collect();
    let service = engine(SERVICE, &[]);
    let (mut differences, mut answers, mut agreed) = (String::from("file\tours\treason\n"), 0, 0);
    for path in &paths {
        let name = name_of(path);
        let bytes = to_lf(&std::fs::read(path).unwrap());
        let [from, theirs, reason] = told[name.as_str()][..] else { panic!("{name}") };
        // Pigeonhole's recipient is the first of To, and so its only own address.
        let to = message(&bytes).addresses("To").next().map_or(String::new(), |a: &Address| a.address.clone());
        let ours = refusal(&service, &delivered(from, &to, &bytes));
        answers += usize::from(theirs == "reply");
        agreed += usize::from(theirs == "reply" && ours.is_none());
        match (theirs, ours) {
            ("reply", Some(row)) => differences += &format!("{name}\tno reply\t{row}\n"),
            ("no-reply", None) => panic!("{name} would be answered, but: {reason}"),
            _ => {}
        }
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write("tests/oracle/vacation-differences.tsv", &differences).unwrap();
    }
    println!("{agreed} of {answers} that Pigeonhole answers are answered");
    assert_eq!(std::fs::read_to_string("tests/oracle/vacation-differences.tsv").unwrap_or_default(), differences);
}

/// A world in which one sender was answered under one handle.
struct Answered {
    told: ToldFacts,
    handle: &'static str,
}

impl Facts for Answered {
    fn now(&self) -> jiff::Zoned {
        self.told.now()
    }

    fn holds(&self, fact: &Fact) -> Result<bool, Unanswered> {
        Ok(matches!(fact, Fact::Answered { handle, sender, .. } if handle == self.handle && sender == "ann@x.example"))
    }

    fn counted(&self, of: &mailsluice::decision::Counted) -> Result<u64, Unanswered> {
        self.told.counted(of)
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>, Unanswered> {
        self.told.last_number(counter)
    }

    fn list(&self, origin: &mailsluice::config::lists::EntriesOrigin) -> mailsluice::filter::KnownList {
        self.told.list(origin)
    }

    fn ask(&self, question: &Ask<'_>) -> FactAnswer {
        self.told.ask(question)
    }
}

#[test]
fn a23_the_same_sender_is_answered_under_another_handle() {
    let rule = "rules: [{do: {vacation: {handle: xmas, text: I am gone}}}]";
    let text = "From: ann@x.example\nTo: me@example.com\nSubject: x\n\nx\n";
    let message = delivered("Ann@X.example", "me@example.com", text.as_bytes());
    for (handle, answers) in [("xmas", 0), ("easter", 1)] {
        let world = Answered { told: ToldFacts::default(), handle };
        let decision = engine(rule, &["me@example.com"]).decide(&message, &envelope(), &world).unwrap();
        assert_eq!(decision.tellings().count(), answers, "{handle}: {decision:?}");
    }
}

#[test]
fn a20_days_out_of_bounds_are_an_error_of_the_config() {
    for (days, is_valid) in [(0, false), (1, true), (365, true), (366, false)] {
        let rule = format!("rules: [{{do: {{vacation: {{text: I am gone, days: {days}}}}}}}]");
        assert_eq!(yaml_with(&rule, &settings()).is_ok(), is_valid, "{days}");
    }
}

/// The handle of the one answer that a rule gives.
fn handle(action: &str, subject: &str) -> String {
    let text = format!("From: ann@x.example\nTo: me@example.com\nSubject: {subject}\n\nx\n");
    let message = delivered("ann@x.example", "me@example.com", text.as_bytes());
    let decision =
        decide(&engine(&format!("rules: [{{do: {{vacation: {{{action}}}}}}}]"), &["me@example.com"]), &message);
    match decision.tellings().next().map(|telling| &telling.way) {
        Some(Way::Vacation(vacation)) => vacation.handle.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a21_a22_without_a_handle_an_answer_is_known_by_its_texts_before_values_are_put_in() {
    let plain = handle("text: I am gone, subject: 'Re: ${subject}'", "one");
    assert_eq!(plain, handle("text: I am gone, subject: 'Re: ${subject}'", "two"));
    for other in [
        "text: I am away, subject: 'Re: ${subject}'",
        "text: I am gone",
        "text: I am gone, subject: 'Re: ${subject}', from: me@example.com",
    ] {
        assert_ne!(plain, handle(other, "one"), "{other}");
    }
    assert_eq!(handle("text: I am gone, handle: xmas", "one"), "xmas");
}

#[test]
fn a12_a13_whom_the_user_knows_is_answered_whatever_he_is_called() {
    let rule = "rules: [{do: {vacation: {even: [Root@host.example, owner-x@host.example], text: I am gone}}}]";
    let from = |sender: &str, more: &str| {
        let text = format!("From: {sender}\nTo: me@example.com\nSubject: x\n{more}\nx\n");
        let message = delivered(sender, "me@example.com", text.as_bytes());
        engine(rule, &["me@example.com"]).decide(&message, &envelope(), &ToldFacts::default()).unwrap()
    };
    assert_eq!(from("root@host.example", "").tellings().count(), 1);
    for (sender, more, row) in [
        ("root@other.example", "", "A12"),
        ("postmaster@host.example", "", "A13"),
        ("owner-x@host.example", "", "A11"),
        ("root@host.example", "List-Id: <x.y>\n", "A7"),
        ("root@host.example", "Auto-Submitted: auto-generated\n", "A3"),
    ] {
        let decision = from(sender, more);
        assert_eq!(decision.tellings().count(), 0, "{sender} {more}");
        assert!(decision.notes[0].contains(row), "{sender} {more}: {:?}", decision.notes);
    }
}

#[test]
fn a35_a_service_says_little_to_whoever_asks() {
    let rule = "rules: [{do: {reply: '${subject}'}}]";
    let decision = |subject: &str| {
        let text = format!("From: ann@x.example\nSubject: {subject}\n\nx\n");
        let message = delivered("ann@x.example", "me@example.com", text.as_bytes());
        engine(rule, &["me@example.com"]).decide(&message, &envelope(), &ToldFacts::default()).unwrap()
    };
    assert_eq!(decision("a").tellings().count(), 1);
    let long = decision(&"a ".repeat(10_000));
    assert_eq!((long.tellings().count(), long.filings().count()), (0, 1));
    assert!(long.notes[0].contains("A35, the answer would have"), "{:?}", long.notes);
}

/// Each row of the checklist that is about deciding, as a test of a rule file.
#[test]
fn the_rows_of_the_checklist() {
    let path = "tests/rules-guard/a-rows.yaml";
    let source = Arc::new(SourceFile::new(path, std::fs::read_to_string(path).unwrap()));
    let mut problems = Problems::new(&source);
    let document = Document::parse(&source, &mut problems).unwrap();
    let file = mailsluice::config::filters::with_parameters(&document, None, &Base::new("/", None), &mut problems);
    assert!(!problems.has_errors(), "{}", shown(&problems.into_vec()));
    let refuse = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let verdicts = trial::run(&FilterSource::Yaml(file), &settings(), &refuse)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    let failed: Vec<String> = verdicts
        .iter()
        .filter(|verdict| !verdict.passed())
        .map(|verdict| format!("{}: {}", verdict.name, verdict.difference.join("; ")))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for row in (1..=32).filter(|row| ![10, 19, 20, 21, 22, 23, 24, 31].contains(row)) {
        assert!(verdicts.iter().any(|verdict| verdict.name.starts_with(&format!("A{row} "))), "no test for A{row}");
    }
    println!("{} tests", verdicts.len());
}
