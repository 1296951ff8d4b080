//! What mail names as charsets, and 8-bit text that names none.

use std::path::Path;

use mailsluice::message::{Bytes, Message};

use crate::engine::{decided, folders, settings, yaml, yaml_with};
use crate::support::sandbox::Sandbox;

const FOLDER: &str = "tests/charsets";

fn message(bytes: &[u8]) -> Message {
    Message::new(Bytes::Memory(bytes.to_vec()))
}

fn mail(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(FOLDER).join("mail").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn rows(table: &str) -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(Path::new(FOLDER).join(table)).unwrap();
    let row = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// The bytes as an encoded word in Q.
fn word(label: &str, hex: &str) -> String {
    let escaped: String =
        hex.as_bytes().chunks(2).map(|pair| format!("={}", std::str::from_utf8(pair).unwrap())).collect();
    format!("=?{label}?Q?{escaped}?=")
}

#[test]
fn every_label_of_mail_is_known() {
    let mut wrong = Vec::new();
    let rows = rows("labels.tsv");
    for [label, hex, text] in &rows {
        let message = message(format!("Subject: {}\n\n", word(label, hex)).as_bytes());
        let subject = message.first("Subject").unwrap();
        if subject != text {
            wrong.push(format!("{label}: {subject} for {text}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn answer(message: &Message, what: &str) -> String {
    match what {
        "subject" => message.first("Subject").unwrap().to_owned(),
        "from" => message.addresses("From").next().unwrap().name.clone().unwrap(),
        "text" => message.text().trim().to_owned(),
        "file" => message.parts().iter().find_map(|part| part.file_name()).unwrap().to_owned(),
        _ => panic!("{what}"),
    }
}

#[test]
fn text_is_read_in_the_charset_it_is_in() {
    let read = |[name, what, text]: &[String; 3]| {
        let answer = answer(&message(&mail(name)), what);
        (answer != *text).then(|| format!("{name}, {what}: {answer:?} for {text:?}"))
    };
    let wrong: Vec<String> = rows("mail.tsv").iter().filter_map(read).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn assumed_charsets_of_the_config_count() {
    let sandbox = Sandbox::in_memory(env!("CARGO_BIN_EXE_mailsluice"));
    let file = sandbox.write("short.eml", mail("raw-undeclared-short.eml"));
    let explained = |charsets: &str| {
        sandbox.config(&format!(
            "maildir: ~/Mail\nme: [me@example.org]\n{charsets}rules:\n  - if: {{subject: 报价, body: {{contains: 报价}}}}\n    \
             do: {{fileinto: offers}}\n"
        ));
        sandbox.run(&["--allow-root", "explain", file.to_str().unwrap()])
    };
    let with = explained("assume_charset: [iso-2022-jp, gb18030]\n");
    assert!(with.stdout.contains("fileinto offers"), "{with}");
    let without = explained("assume_charset: koi8-r\n");
    assert!(!without.stdout.contains("fileinto offers"), "{without}");
    assert!(without.stdout.contains("╠╗╪ш"), "{without}");
}

/// `[ＶＩＰ]` is `[VIP]` in what people write, and never in what machines compare.
#[test]
fn characters_of_two_widths_are_one_in_text_alone() {
    let mail = "From: ﾃﾞｰﾀ部 <ｂｏｓｓ@x.example>\nMessage-ID: <ａ1@x.example>\nX-Tag: ＶＩＰ\nSubject: ［ＶＩＰ］　ﾃﾞｰﾀ\nMIME-Version: \
                1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=utf-8\n\n発票：Ｎｏ．７\n\
                --b\nContent-Type: application/pdf; name=\"ＡＢＣ．ｐｄｆ\"\n\nx\n--b--\n";
    for (holds, rule) in [
        (true, "subject: {contains: vip}"),
        (true, "subject: {is: '[vip] データ'}"),
        (true, "subject: {in: ['[vip] ﾃﾞｰﾀ', x]}"),
        (true, "subject: {matches: '[*] デ?タ'}"),
        (true, "header: {Subject: {contains: ［vip］}}"),
        (true, "from: {is: データ部, part: name}"),
        (true, "body: {contains: ['no.7']}"),
        (true, "attachment: {name: {matches: '*.pdf'}}"),
        (true, "part: {text: {contains: '発票:no'}}"),
        (false, "subject: {regex: VIP}"),
        (false, "from: {contains: boss}"),
        (false, "from: {is: boss, part: localpart}"),
        (false, "header: {X-Tag: VIP}"),
        (false, "header: {From: {contains: boss}}"),
        (false, "header: {Message-ID: {contains: a1}}"),
        (false, "thread: {contains: a1}"),
        (false, "header: {Subject: {contains: VIP, raw: true}}"),
        (false, "header: {Ｓｕｂｊｅｃｔ: x}"),
    ] {
        let rules = format!("rules:\n  - if: {{{rule}}}\n    do: {{fileinto: yes}}\n");
        let engine = yaml_with(&rules, &settings());
        assert_eq!(engine.is_ok_and(|engine| !folders(&decided(&engine, mail)).is_empty()), holds, "{rule}");
    }
}

#[test]
fn a_list_takes_characters_of_two_widths_for_one_in_text_alone() {
    let mail = "From: 王ＶＩＰ <ｖｉｐ@x.example>\nSubject: vip\n\n";
    for (holds, list, rule) in [
        (true, "[王VIP, x]", "from: {in_list: known, part: name}"),
        (true, "[王ＶＩＰ]", "from: {in_list: known, part: name}"),
        (true, "[ＶＩＰ]", "subject: {in_list: known}"),
        (false, "[王]", "from: {in_list: known, part: name}"),
        (false, "[vip@x.example, '@ｘ.example']", "from: {in_list: known}"),
        (true, "[王VIP]", "from: {in: [x, 王VIP], part: name}"),
        (true, "[王VIP]", "from: {in: [x, 王ｖｉｐ], part: name}"),
    ] {
        let rules = format!("lists: {{known: {list}}}\nrules:\n  - if: {{{rule}}}\n    do: {{fileinto: yes}}\n");
        assert_eq!(!folders(&decided(&yaml(&rules), mail)).is_empty(), holds, "{rule} {list}");
    }
}

/// The field that a condition found is the one that goes.
#[test]
fn a_field_is_deleted_by_the_value_that_conditions_see() {
    let rules = "rules:\n  - if: {header: {Comments: {contains: 报价}}, subject: {contains: vip}}\n    do:\n      - deleteheader: \
                 {name: Comments, contains: 报价}\n      - deleteheader: {name: Subject, contains: VIP}\n  - {if: {not: \
                 {any: [{exists: Subject}, {header: {Comments: {contains: 报价}}}]}, exists: Comments}, do: {fileinto: gone}}\n";
    let head =
        b"Subject: \xef\xbc\xb6\xef\xbc\xa9\xef\xbc\xb0\nComments: another\nComments: \xb1\xa8\xbc\xdb\nContent-Type: \
                 text/plain; charset=gb18030\n\n\xb1\xa8\xbc\xdb\n";
    assert_eq!(folders(&decided(&yaml(rules), head)), ["gone"]);
}

#[test]
fn what_is_captured_is_as_it_was_written() {
    let rules = "rules:\n  - if: {subject: {matches: '[*]*'}}\n    do: {fileinto: '${1}'}\n";
    assert_eq!(folders(&decided(&yaml(rules), "Subject: ［ＶＩＰ］ x\n\n")), ["ＶＩＰ"]);
}
