//! Messages that mail readers read in different ways: what any of them shows is seen, said to be in doubt, and put aside
//! by the guards.

use std::path::PathBuf;

use mailsluice::filter::Engine;
use mailsluice::message::{Message, Part, Violation};

use crate::engine::{corpus, decided, folders, lua, message, name_of, yaml};

fn rows() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string("tests/doubts/table.tsv").unwrap();
    let row = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn mail(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/doubts/{name}.eml")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn label(part: &Part) -> String {
    part.file_name().map_or(part.content_type().to_owned(), |name| format!("{}:{name}", part.content_type()))
}

fn doubtful(message: &Message) -> Vec<&Part> {
    message.parts().iter().filter(|part| part.is_doubtful()).collect()
}

#[test]
fn what_another_reader_would_show_follows_and_is_doubtful() {
    for [name, word, parts] in rows() {
        let message = message(mail(&name));
        let labels: Vec<String> = doubtful(&message).into_iter().map(label).collect();
        assert_eq!(labels.join(" "), parts, "{name}: {:?}", message.violations());
        let first = message.parts().iter().position(Part::is_doubtful).unwrap_or(message.parts().len());
        assert!(message.parts()[first..].iter().all(Part::is_doubtful), "{name}");
        assert!(
            message.parts().iter().enumerate().skip(1).all(|(i, part)| part.parent.is_none_or(|parent| parent < i)),
            "{name}"
        );
        let rule = format!("rules:\n  - {{if: {{malformed: {word}}}, do: {{fileinto: odd}}}}\n");
        assert_eq!(folders(&decided(&yaml(&rule), mail(&name))), ["odd"], "{name}: {:?}", message.violations());
    }
}

fn guard(name: &str) -> Engine {
    yaml(&std::fs::read_to_string(format!("filters/{name}.yaml")).unwrap())
}

#[test]
fn the_guards_catch_what_only_another_reader_shows() {
    let (executables, unparsable) = (guard("guards/executables"), guard("guards/unparsable"));
    for [name, _, parts] in rows() {
        let caught = folders(&decided(&executables, mail(&name)));
        let is_attached = String::from_utf8(mail(&name)).unwrap().contains("run.exe");
        assert_eq!(!caught.is_empty(), is_attached, "{name}: {parts}");
        assert_eq!(folders(&decided(&unparsable, mail(&name))), ["Unparsable"], "{name}");
    }
}

#[test]
fn text_that_only_another_reader_shows_is_searched() {
    let rules = "rules:\n  - {if: {body: {contains: click unsubscribe here}}, do: {fileinto: text}}\n  - {if: {part: {text: \
                 {contains: click unsubscribe here}}}, do: {fileinto: part}}\n";
    let rules = rules.replace("fileinto: text}", "fileinto: {folder: text, copy: true}}");
    for name in ["text-behind-an-end", "two-encodings", "no-boundary-line"] {
        assert_eq!(folders(&decided(&yaml(&rules), mail(name))), ["text", "part"], "{name}");
    }
}

/// Each of these parts has two types behind an end that goes on, so that each is read twice.
#[test]
fn the_text_of_the_last_of_many_doubtful_parts_is_searched() {
    let twice =
        |number: usize| format!("--b\nContent-Type: text/plain\nContent-Type: text/html\n\nnumber {number}<b>.</b>\n");
    let parts: String = (1..=40).map(twice).collect();
    let mail = format!(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--more\n{parts}--b\nContent-Type: text/plain\n\n\
         click unsubscribe here\n--b--\n"
    );
    let rules = "rules:\n  - {if: {body: {contains: 'number 40<b>'}}, do: {fileinto: {folder: text, copy: true}}}\n  - {if: \
                 {part: {text: {contains: 'number 40.'}}}, do: {fileinto: {folder: part, copy: true}}}\n  - {if: {part: \
                 {text: {contains: click unsubscribe here}}}, do: {fileinto: last}}\n";
    assert_eq!(folders(&decided(&yaml(rules), &mail)), ["text", "part", "last"]);
    let message = message(&mail);
    assert!(!message.text().is_empty());
    assert!(!message.violations().contains(&Violation::TextTooLong), "{:?}", message.violations());
}

#[test]
fn a_script_sees_that_a_part_is_doubtful() {
    let script = lua(
        "return function(m, act) for _, p in ipairs(m:attachments()) do if p.doubtful then act.fileinto(p.filename .. #m:part_bytes(p.number)) end end end",
    );
    assert_eq!(folders(&decided(&script, mail("end-that-goes-on"))), ["run.exe4"]);
}

/// Readers agree about ordinary mail, though much of the corpus was collected because it is broken.
#[test]
fn little_real_mail_is_in_doubt() {
    let Some(paths) = corpus() else { return };
    let in_doubt = |path: &&PathBuf| !doubtful(&message(std::fs::read(path).unwrap())).is_empty();
    let found: Vec<String> = paths.iter().filter(in_doubt).map(|path| name_of(path)).collect();
    assert!(found.len() * 50 < paths.len(), "{} of {}:\n{}", found.len(), paths.len(), found.join("\n"));
}
