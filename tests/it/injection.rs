//! Whatever a message holds, it stays a value: one component of a folder name, one field, one argument, no address.

use std::io::Read;
use std::sync::Arc;

use data_encoding::BASE64;
use mailsluice::config::template::MAX_COMPONENT;
use mailsluice::decision::{Decision, Place, Way};
use mailsluice::filter::Engine;
use mailsluice::message::Message;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::engine::{body, decide, lua_with, message, settings, yaml, yaml_with};

const RULES: &str = r#"
rules:
  - if: {header: {X-Value: {regex: '(?s)^(?<v>.*)$'}}}
    do:
      - addheader: {X-Added: "${v}"}
      - addheader: {X-Last: {value: "a ${v}", last: true}}
      - setheader: {Subject: "${v}"}
      - log: "${v}"
      - pipe: {run: [program, "x${v}", --, "${v}", "${header.X-Value}"], copy: true}
      - notify: {run: [program, --, "${subject}"], title: "${v}", text: "${v}"}
      - fileinto: {folder: ["by/${v}", "a${v}b/c"], copy: true}
      - fileinto: {mbox: "box/${v}", copy: true}
"#;

const SCRIPT: &str = r#"return function(m, act)
  local v = m:header("X-Value")
  act.addheader("X-Added", v)
  act.addheader{["X-Last"] = {value = "a " .. v, last = true}}
  act.setheader("Subject", v)
  act.log(v)
  act.pipe{run = {"program", "x" .. v, "--", v, v}, copy = true}
  act.notify{run = {"program", "--", v}, title = v, text = v}
  act.fileinto({"by/" .. path(v), "a" .. path(v) .. "b/c"}, {copy = true})
  act.fileinto{mbox = "box/" .. path(v), copy = true}
  pcall(act.redirect, v)
  pcall(act.redirect, "e@" .. "phone.example" .. v)
  pcall(act.notify, "x", {mail = v})
  pcall(act.pipe, {run = {"program", "-" .. "q" .. v}})
end"#;

/// A message with this value in a field, as an encoded word: so that it can hold anything.
fn with_value(value: &str) -> Arc<Message> {
    let word = BASE64.encode(value.as_bytes());
    message(format!("Subject: old\nFrom: a@x.example\nX-Value: =?utf-8?B?{word}?=\nTo: me@example.com\n\nThe body.\n"))
}

fn check(engine: &Engine, value: &str) {
    let message = with_value(value);
    let decision = decide(engine, &message);
    assert!(decision.failures.is_empty(), "{value:?}: {:?}", decision.failures);
    check_folders(&decision, value);
    check_headers(&decision, &message, value);
    check_tellings(&decision, value);
    assert!(decision.notes.iter().all(|note| !note.contains(['\n', '\r', '\0'])), "{value:?}: {:?}", decision.notes);
}

fn check_folders(decision: &Decision, value: &str) {
    let mut count = 0;
    for filing in decision.filings() {
        let (Place::Folder(folder) | Place::Mbox(folder)) = &filing.place else { continue };
        count += 1;
        let components = folder.components();
        assert_eq!(components.len(), 2, "{value:?}: {folder}");
        for name in components {
            let is_safe = !name.is_empty()
                && !name.starts_with('.')
                && !name.contains(['/', '\0', '\n', '\r'])
                && !["cur", "new", "tmp"].contains(&name.as_str())
                && !name.chars().any(char::is_control)
                && name.len() <= MAX_COMPONENT;
            assert!(is_safe, "{value:?}: {folder}");
        }
    }
    // Two values may become the same folder, never none.
    assert!((2..=3).contains(&count), "{value:?}: {decision}");
}

fn check_headers(decision: &Decision, message: &Arc<Message>, value: &str) {
    let edited = decision.version(message, decision.edited.len());
    let mut bytes = Vec::new();
    edited.reader().unwrap().read_to_end(&mut bytes).unwrap();
    // Read again from its bytes, as the next program will.
    let read = crate::engine::message(&bytes);
    let names: Vec<&str> = read.fields().iter().map(|field| field.name()).collect();
    assert_eq!(names, ["X-Added", "Subject", "From", "X-Value", "To", "X-Last"], "{value:?}");
    assert!(bytes.ends_with(b"\n\nThe body.\n"), "{value:?}");
    assert!(!bytes.contains(&0) && !bytes.contains(&b'\r'), "{value:?}");
    assert_eq!(read.violations(), message.violations(), "{value:?}");
}

fn check_tellings(decision: &Decision, value: &str) {
    let mut lengths = Vec::new();
    for telling in decision.tellings() {
        let run = match &telling.way {
            Way::Pipe(pipe) => &pipe.run,
            Way::Notify(notify) => notify.run.as_ref().unwrap_or_else(|| panic!("{value:?}: {notify:?}")),
            other => panic!("{value:?}: {other:?}"),
        };
        assert!(run.iter().all(|argument| !argument.contains('\0')), "{value:?}: {run:?}");
        assert_eq!(run[0], "program", "{value:?}");
        lengths.push(run.len());
    }
    assert_eq!(lengths, [5, 3], "{value:?}");
}

fn values() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        "${v}",
        "${x",
        "$$",
        "../",
        "..",
        "/",
        ".",
        "-x",
        "--",
        "~",
        "~root",
        "%2F",
        "%",
        " ",
        "\t",
        "Bcc: e@vil.example",
        "\r\nBcc: e@vil.example\r\n\r\n",
        "=?utf-8?Q?=0D=0ABcc:=20x?=",
        "=?utf-8?B?",
        "?=",
        "cur",
        "new",
        "tmp",
        "INBOX",
        ".lock",
        "é",
        "e\u{301}",
        "\u{202e}",
        "\u{2028}",
        "\u{85}",
        "\u{feff}",
        "日本",
        "\u{1b}[31m",
        ":2,S",
        ";",
        "|",
        "`id`",
        "$(id)",
        "<a@b.example>",
        "\"",
        "'",
        "\\",
        "a",
        "abcdefghijklmnopqrstuvwxyz",
    ]);
    let mixed = prop::collection::vec(prop_oneof![4 => pieces.prop_map(str::to_owned), 1 => any::<String>()], 0..8);
    mixed.prop_map(|pieces| pieces.concat())
}

#[test]
fn ten_thousand_values_stay_values() {
    let rules = yaml(RULES);
    let script = lua_with(SCRIPT, &settings()).unwrap();
    let mut runner = TestRunner::new(Config { cases: 10_000, failure_persistence: None, ..Config::default() });
    runner
        .run(&values(), |value| {
            check(&rules, &value);
            check(&script, &value);
            Ok(())
        })
        .unwrap();
}

#[test]
fn huge_values_stay_values() {
    let rules = yaml(RULES);
    for piece in ["x", "../", "é", "\r\nBcc: a@b\r\n", "日本語 ", "${v}", "a b "] {
        // Of nearly 200 KB a field keeps 64 KB, and a capture 1,024 characters.
        check(&rules, &piece.repeat(190_000 / piece.len()));
    }
}

#[test]
fn no_value_becomes_a_recipient() {
    for rule in [
        "redirect: \"${v}\"",
        "redirect: {to: [me@phone.example, \"${from.addr}\"]}",
        "notify: {mail: \"${v}\"}",
        "lmtp: {to: \"${envelope.to}\", relay: x}",
        "pipe: [\"${v}\"]",
        "execute: [\"${v}\", x]",
    ] {
        let text = format!("rules: [{{if: {{subject: {{regex: '(?<v>.*)'}}}}, do: {{{rule}}}}}]");
        assert!(yaml_with(&text, &settings()).is_err(), "{rule}");
    }
    for call in [
        "act.redirect(v)",
        "act.redirect{to = {v}}",
        "act.lmtp{to = v, relay = 'x'}",
        "act.pipe{run = {v}}",
        "act.notify('x', {mail = v})",
        "act.notify{webhook = 'https://' .. v}",
    ] {
        let engine = body(&format!("local v = m:header('X-Value') {call}"));
        for value in ["a@b.example", "a@b.example, me@example.com", "<a@b.example>", "a@b.example\r\nX: y", "act", "me"]
        {
            let decision = decide(&engine, &with_value(value));
            assert_eq!(decision.tellings().count(), 0, "{call} {value:?}: {decision}");
            assert_eq!(decision.to_string(), "keep");
        }
    }
}

/// A value that looks like an option fails where a program could take it for one.
#[test]
fn no_value_becomes_an_option() {
    let engine = yaml("rules: [{if: {header: {X-Value: {regex: '(?<v>.*)'}}}, do: {pipe: [program, '${v}']}}]");
    for value in ["-x", "--help", "-"] {
        assert_eq!(decide(&engine, &with_value(value)).failures.len(), 1, "{value}");
    }
    assert_eq!(decide(&engine, &with_value("x -y")).to_string(), "pipe program x -y, at most 1m");
}
