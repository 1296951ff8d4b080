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
    let script = lua("return function(m, act) act.fileinto(table.concat(m:attachments()[1].names, '+')) end");
    let mail = with_part("Content-Disposition: attachment; filename=a.txt; filename=evil.exe.", "MZ");
    assert_eq!(folders(&decided(&script, &mail)), ["a.txt+evil.exe.+evil.exe"]);
}

/// Nor are names of its files.
#[test]
fn hardly_a_file_of_real_mail_has_a_doubtful_name() {
    let Some(paths) = corpus() else { return };
    let kinds = [Violation::DoubtfulName, Violation::TooManyNames, Violation::EncodedMessage];
    let is_odd = |path: &&PathBuf| {
        let found = message(std::fs::read(path).unwrap()).violations();
        kinds.iter().any(|kind| found.contains(kind))
    };
    let found: Vec<String> = paths.iter().filter(is_odd).map(|path| name_of(path)).collect();
    assert!(found.len() * 1_000 < paths.len(), "{} of {}:\n{}", found.len(), paths.len(), found.join("\n"));
}

/// Readers agree about ordinary mail, though much of the corpus was collected because it is broken.
#[test]
fn little_real_mail_is_in_doubt() {
    let Some(paths) = corpus() else { return };
    let in_doubt = |path: &&PathBuf| !doubtful(&message(std::fs::read(path).unwrap())).is_empty();
    let found: Vec<String> = paths.iter().filter(in_doubt).map(|path| name_of(path)).collect();
    assert!(found.len() * 50 < paths.len(), "{} of {}:\n{}", found.len(), paths.len(), found.join("\n"));
}

/// Headers of a part that a reader shows as `evil.exe`, and the word of malformed where readers disagree.
const NAMED_EVIL: &[(&str, &str)] = &[
    ("Content-Type: text/plain; name=evil.exe\nContent-Disposition: attachment; filename=a.txt", "doubtful_name"),
    ("Content-Type: application/pdf; name=\nContent-Disposition: attachment; filename=\"\"; name=evil.exe", ""),
    ("Content-Disposition: attachment; filename=evil.exe; filename*=utf-8''a.txt", "doubtful_name"),
    ("Content-Disposition: attachment; filename=a.txt; filename=evil.exe", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.e\\xe\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename=evil.e\\xe", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.exe.\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.exe. . \"", "doubtful_name"),
    ("Content-Disposition: attachment; filename*=utf-8''evil.exe%E3%80%80.", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.e\0xe\"", ""),
    ("Content-Disposition: attachment; filename=\"evil.e\u{1}xe\"", ""),
    ("Content-Disposition: attachment; filename=\"evil.exe\0.txt\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename*=utf-8''evil.exe%00.txt", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.e\u{202e}xe\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.exe\u{200b}\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"txt.\u{202e}evil.exe\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename=evil.exe (1).txt", "doubtful_name"),
    ("Content-Disposition: attachment; filename=(a comment) \"evil.exe\"", "doubtful_name"),
    ("Content-Disposition: attachment; filename (a comment)=evil.exe", ""),
    ("Content-Disposition: attachment; filename=\"a.txt\".exe; x=evil.exe", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.exe\\\"; x=.txt", "doubtful_name"),
    ("Content-Disposition: attachment; filename=\"evil.exe; x=.txt", "doubtful_name"),
    ("Content-Disposition: attachment; x=\"; filename=evil.exe", ""),
    ("Content-Disposition: attachment; (; filename=evil.exe", ""),
    ("Content-Disposition: attachment; filename=a.txt; (\\(; filename=evil.exe; )", "doubtful_name"),
    ("Content-Disposition: attachment; filename*0=evil.exe; filename*2=.txt", "doubtful_name"),
    ("Content-Disposition: attachment; filename*0=evil.; filename*1=txt; filename*1=exe", "doubtful_name"),
    ("Content-Disposition: attachment; filename*=utf-8''=?utf-8?Q?evil=2Eexe?=", "doubtful_name"),
    (
        "Content-Disposition: attachment; filename=a.txt\nContent-Disposition: attachment; filename=evil.exe\n\
         Content-Disposition: attachment; filename=b.txt",
        "doubled_field",
    ),
    ("Content-Type: text/plain\nContent-Disposition: inline; name=evil.exe", ""),
];

fn with_part(header: &str, body: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n--b\n{header}\n\n{body}\n--b--\n")
}

fn is_put_aside(mail: &str) -> bool {
    folders(&decided(&guard("guards/executables"), mail)) == ["Quarantine"]
}

fn is_malformed(mail: &str, word: &str) -> bool {
    let rule = format!("rules:\n  - {{if: {{malformed: {word}}}, do: {{fileinto: odd}}}}\n");
    folders(&decided(&yaml(&rule), mail)) == ["odd"]
}

#[test]
fn a_program_is_put_aside_whichever_name_a_reader_shows() {
    let missed: Vec<_> = NAMED_EVIL.iter().filter(|(header, _)| !is_put_aside(&with_part(header, "MZ"))).collect();
    assert!(missed.is_empty(), "{missed:#?}");
    let silent = NAMED_EVIL.iter().filter(|(_, word)| !word.is_empty());
    let silent: Vec<_> = silent.filter(|(header, word)| !is_malformed(&with_part(header, "MZ"), word)).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn names_of_one_kind_are_no_doubt() {
    for header in [
        "Content-Type: application/pdf; name=\"=?utf-8?Q?=C3=BC.pdf?=\"\nContent-Disposition: attachment; filename*=utf-8''%C3%BC.pdf",
        "Content-Disposition: attachment; filename=\"U.PDF\"; filename*=utf-8''%C3%BC.pdf",
        "Content-Disposition: attachment; filename=annual report (1).pdf; size=3",
        "Content-Disposition: attachment; filename=\"C:\\dir\\a.pdf\"",
        "Content-Disposition: attachment; filename=\"To Whom It May Concern, Inc.\"",
        "Content-Disposition: attachment; filename=5.4.2024 invoice.pdf",
    ] {
        assert!(!is_malformed(&with_part(header, "x"), "true"), "{header}");
    }
}

#[test]
fn a_name_behind_a_hundred_parameters_is_seen() {
    let many = "; x=y".repeat(1_000);
    let mail = with_part(&format!("Content-Disposition: attachment{many}; filename=evil.exe"), "MZ");
    assert!(is_put_aside(&mail) && is_malformed(&mail, "too_many_names"));
    let many: String = (0..1_000).map(|i| format!("; filename=a{i}.txt")).collect();
    let mail = with_part(&format!("Content-Disposition: attachment{many}; filename=evil.exe"), "MZ");
    assert!(is_malformed(&mail, "too_many_names"));
    assert_eq!(folders(&decided(&guard("guards/unparsable"), &mail)), ["Unparsable"]);
}

/// RFC 2046 5.2.1 forbids to encode a message, and readers open it all the same.
#[test]
fn the_files_in_an_encoded_message_are_seen() {
    let inner = with_part("Content-Disposition: attachment; filename=evil.exe", "MZ");
    let base64 = |text: &str| {
        let digits = data_encoding::BASE64.encode(text.replace('\n', "\r\n").as_bytes());
        digits.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
    };
    let header = "Content-Type: message/rfc822\nContent-Transfer-Encoding: ";
    let once = with_part(&format!("{header}base64"), &base64(&inner));
    let quoted = with_part(&format!("{header}quoted-printable"), &inner.replace('=', "=3D"));
    let twice = with_part(&format!("{header}base64"), &base64(&once));
    let alone = format!("{header}base64\n\n{}\n", base64(&inner));
    for mail in [once, quoted, twice, alone] {
        assert!(is_put_aside(&mail) && is_malformed(&mail, "encoded_message"), "{mail}");
    }
    let mut deep = inner;
    for _ in 0..5 {
        deep = with_part(&format!("{header}base64"), &base64(&deep));
    }
    assert!(is_malformed(&deep, "too_deep"));
}
