//! What leaves: lines that are too long, and bytes beyond ASCII for a relay that has no 8BITMIME (RFC 5321 4.5.3.1.6, 6152).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use mailsluice::message::{Bytes, Fitted, LONGEST_LINE, Message, to_lf};
use mailsluice::outbox::relay::{Mail, RecipientVerdict};
use mailsluice::outbox::smtp::SmtpRelay;

use crate::outbox::User;
use crate::smtp::smtp;
use crate::support::postfix::Postfix;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

const HEAD: &str = "Return-Path: <ann@far.example>\nFrom: Ann <ann@far.example>\nTo: me@home.example\n\
                    Message-ID: <1@far.example>\nSubject: hello\n";

fn strict() -> SmtpOptions {
    SmtpOptions { refuses_long_lines: true, ..SmtpOptions::default() }
}

fn parsed(message: &[u8]) -> Message {
    Message::new(Bytes::Memory(message.to_vec()))
}

fn forward(mode: &str) -> String {
    format!("  - {{name: f, do: {{redirect: {{to: a@x.example, mode: {mode}, copy: true}}}}}}")
}

/// What a relay got of a message that was forwarded.
fn forwarded(options: SmtpOptions, mode: &str, message: impl AsRef<[u8]>) -> (User, Vec<u8>) {
    let server = SmtpServer::start(options);
    let user = User::with_relay(&forward(mode), &server);
    user.deliver(message);
    user.until("it is sent", |rows| rows.len() == 1 && rows.iter().all(|row| row["state"] == "sent"));
    let taken = server.last().message();
    (user, taken)
}

fn longest_line(message: &[u8]) -> usize {
    message.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap()
}

/// The decoded bodies of all parts that have no parts.
fn leaves(message: &Message) -> Vec<(String, Vec<u8>)> {
    let parts = message.parts().iter().enumerate().filter(|(_, part)| !part.is_container());
    parts.map(|(index, part)| (part.content_type().to_owned(), message.part_bytes(index, 100_000_000))).collect()
}

#[test]
fn a_long_line_leaves_encoded_in_every_mode() {
    let line = "a long line, ".repeat(100);
    for mode in ["redirect", "attach", "resend"] {
        let (user, taken) = forwarded(strict(), mode, format!("{HEAD}\nbefore\n{line}\nbehind\n"));
        assert!(longest_line(&taken) <= 998, "{mode}");
        let taken = parsed(&taken);
        let (kind, body) = leaves(&taken).pop().unwrap();
        assert_eq!(
            (kind.as_str(), String::from_utf8(body).unwrap()),
            ("text/plain", format!("before\n{line}\nbehind\n"))
        );
        assert!(
            user.inbox()[0].contains(&format!("\nbefore\n{line}\nbehind\n")),
            "{mode}: what is filed is as it came"
        );
        assert_eq!(user.inbox().len(), 1, "{mode}: there is no notice");
    }
}

#[test]
fn mail_beyond_ascii_leaves_encoded_for_a_relay_without_8bitmime() {
    for (mode, options) in [
        ("redirect", SmtpOptions::default().without("8BITMIME")),
        ("attach", SmtpOptions::default().without("8BITMIME")),
        ("resend", SmtpOptions { only_helo: true, ..SmtpOptions::default() }),
    ] {
        let message = format!("{HEAD}Comments: Grüße aus =?utf-8?Q?K=C3=B6ln?=\n\nGrüße\n");
        let (_, taken) = forwarded(options, mode, message);
        assert!(taken.is_ascii(), "{mode}: {}", String::from_utf8_lossy(&taken));
        assert!(!taken.windows(4).any(|four| four.eq_ignore_ascii_case(b"8bit")), "{mode}: nothing says 8bit");
        let taken = parsed(&taken);
        let last = taken.parts().last().unwrap();
        assert_eq!(last.first("Comments"), Some("Grüße aus Köln"), "{mode}");
        assert_eq!(last.parameter("charset"), Some("utf-8"), "{mode}");
        assert_eq!(without_cr(&leaves(&taken).pop().unwrap().1), "Grüße\n".as_bytes(), "{mode}");
    }
}

#[test]
fn what_sendmail_takes_leaves_encoded_too() {
    let server = SmtpServer::start(strict().without("8BITMIME"));
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let page = format!("<p>Grüße</p>{}", "<br>".repeat(300));
    let message = format!(
        "To: a@x.example\nSubject: Grüße\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\
         Content-Transfer-Encoding: 8bit\n\n{page}\n"
    );
    let output = user.sandbox.run_with_stdin(&["--allow-root", "sendmail", "-t"], message);
    assert_eq!(output.code, 0, "{output}");
    user.until("it is sent", |rows| rows.len() == 1 && rows.iter().all(|row| row["state"] == "sent"));
    let taken = server.last().message();
    assert!(taken.is_ascii() && longest_line(&taken) <= 998);
    let taken = parsed(&taken);
    assert_eq!(taken.first("Subject"), Some("Grüße"));
    assert_eq!(leaves(&taken), [("text/html".to_owned(), format!("{page}\n").into_bytes())]);
}

/// PHP and scripts write such.
#[test]
fn a_long_list_of_recipients_is_folded() {
    for between in [", ", ","] {
        let server = SmtpServer::start(strict());
        let user = User::with_relay("  - {name: none, do: keep}", &server);
        let to: Vec<String> = (0..60).map(|number| format!("person-{number:02}@x.example")).collect();
        let message = format!("To: {}\nSubject: x\n\nx\n", to.join(between));
        let output = user.sandbox.run_with_stdin(&["--allow-root", "sendmail", "-t"], message);
        assert_eq!(output.code, 0, "{output}");
        user.until("it is sent", |rows| rows.len() == 1 && rows.iter().all(|row| row["state"] == "sent"));
        let taken = parsed(&server.last().message());
        let named: Vec<&str> = taken.addresses("To").map(|address| address.address.as_str()).collect();
        assert_eq!(named, to, "{between:?}");
    }
}

#[test]
fn signed_mail_leaves_as_it_is() {
    let signed = format!(
        "{HEAD}MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pgp-signature\"\n\n\
         --s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße {}\n--s\n\
         Content-Type: application/pgp-signature\n\nsignature\n--s--\n",
        "x".repeat(1000)
    );
    let body = signed.split_once("\n\n").unwrap().1;
    let (user, taken) = forwarded(SmtpOptions::default().without("8BITMIME"), "redirect", &signed);
    assert!(taken.ends_with(format!("\n\n{body}").as_bytes()));
    let said = user.rows()[0]["said"].to_string();
    assert!(said.contains("sent as it is (a part of it is signed or encrypted)"), "{said}");

    let server = SmtpServer::start(strict());
    let user = User::with_relay(&forward("redirect"), &server);
    user.deliver(&signed);
    let rows = user.until("it is given up", |rows| rows.len() == 1 && rows[0]["state"] == "failed");
    let said = rows[0]["said"].to_string();
    assert!(said.contains("line too long") && said.contains("signed"), "{said}");
}

#[test]
fn an_lmtp_server_gets_what_it_takes() {
    let server = SmtpServer::start(SmtpOptions { refuses_long_lines: true, ..SmtpOptions::lmtp() }.without("8BITMIME"));
    let user = User::without_relay("  - {name: l, do: {lmtp: {to: me, relay: box}}}");
    user.config(&format!("relays: {{box: {{lmtp: {{host: 127.0.0.1, port: {}, tls: none}}}}}}\n", server.port()));
    user.deliver(format!("{HEAD}\nGrüße{}\n", " x".repeat(600)));
    user.until("it is sent", |rows| rows.len() == 1 && rows.iter().all(|row| row["state"] == "sent"));
    let taken = parsed(&server.last().message());
    assert_eq!(leaves(&taken)[0].1, format!("Grüße{}\n", " x".repeat(600)).into_bytes());
}

#[test]
fn log_and_queue_say_which_mail_was_encoded() {
    let line = "a long line, ".repeat(100);
    let (user, _) = forwarded(strict(), "redirect", format!("{HEAD}\n{line}\n"));
    let shown = user.queue(&["show", "1"]).stdout;
    assert!(shown.contains("encoded for its relay (quoted-printable): 250 2.0.0 taken"), "{shown}");
    let log = user.sandbox.run(&["--allow-root", "log", "-v"]).stdout;
    assert!(log.contains("a@x.example; encoded for its relay (quoted-printable)"), "{log}");
    let json = user.sandbox.run(&["--allow-root", "log", "--json"]).stdout;
    assert!(json.contains("\"sent_as\":\"encoded for its relay (quoted-printable)\""), "{json}");

    let (user, taken) = forwarded(strict(), "redirect", format!("{HEAD}\nhello\n"));
    assert!(taken.ends_with(b"\nhello\n"));
    let log = user.sandbox.run(&["--allow-root", "log", "-v"]).stdout;
    assert!(!log.contains("encoded"), "{log}");
}

/// `tests/leaving`: a message, what it is for a server without (`.7bit`) and with (`.8bit`) 8BITMIME unless it is the same, and
/// in `told` what is said of it.
#[test]
fn what_becomes_of_each_kind_of_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leaving");
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut told = String::new();
    for path in cases() {
        let bytes = std::fs::read(&path).unwrap();
        for (eight_bit, extension) in [(false, "7bit"), (true, "8bit")] {
            let (message, place) = (parsed(&bytes), path.with_extension(extension));
            let (new, fitted) = fit(&message, eight_bit);
            let name = path.file_stem().unwrap().to_string_lossy();
            let (changes, left) = (fitted.changes().unwrap_or_default(), fitted.left());
            let left = left.map(|left| left.to_string()).unwrap_or_default();
            told += &format!("{name} {extension}: {changes}; {left}\n");
            let expected = std::fs::read(&place).unwrap_or_else(|_| bytes.clone());
            if update && new != bytes {
                std::fs::write(&place, &new).unwrap();
            } else if update {
                std::fs::remove_file(&place).ok();
            } else {
                assert!(new == expected, "{name} {extension}:\n{}", String::from_utf8_lossy(&new));
            }
            same_content(&path, &message, &parsed(&new));
            assert_eq!(fit(&parsed(&new), eight_bit).0, new, "{name} {extension}: once is enough");
        }
    }
    let place = folder.join("told");
    if update {
        std::fs::write(&place, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(place).unwrap());
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/leaving");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    paths
}

fn fit(message: &Message, eight_bit: bool) -> (Vec<u8>, Fitted) {
    let fitted = message.fitted(eight_bit).unwrap();
    let mut new = Vec::new();
    fitted.reader(message).unwrap().read_to_end(&mut new).unwrap();
    (new, fitted)
}

/// A server that others wrote, and that decodes nothing on its way.
#[tokio::test]
async fn a_real_postfix_without_8bitmime_files_the_same_content() {
    let Some(postfix) = Postfix::start_with("smtpd_discard_ehlo_keywords = 8bitmime, smtputf8, silent-discard") else {
        return;
    };
    let mut connection = SmtpRelay::connect(&smtp(postfix.port)).await.unwrap();
    let to = ["a@x.example".to_owned()];
    let mut sent = BTreeMap::new();
    for path in cases() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // A comma in an encoded word stands between two addresses for Postfix, which writes the field anew.
        if name == "encoded-words" {
            continue;
        }
        let message = [format!("X-Case: {name}\n").as_bytes(), &std::fs::read(&path).unwrap()].concat();
        let message = parsed(&message);
        if message.fitted(false).unwrap().left().is_none() {
            let mail = Mail { from: "me@home.example", to: &to, message: &message, no_reports: false };
            let verdicts = connection.send(&mail).await.unwrap();
            let RecipientVerdict::Sent(words) = &verdicts[0] else { panic!("{name}: {verdicts:?}") };
            assert!(words.starts_with("encoded for its relay ("), "{name}: {words}");
            sent.insert(name, message);
        }
    }
    assert!(sent.len() > 8);
    for came in postfix.mails("a", sent.len()) {
        let came = parsed(&came);
        let name = came.first("X-Case").unwrap();
        assert!(came.head().is_ascii() && came.raw_body(1_000_000).is_ascii(), "{name}");
        same_content(Path::new(name), &sent[name], &came);
    }
}

/// Real mail: whatever the relay takes, it fits, or what stays has its reason; and the content is what it was.
#[test]
fn real_mail_fits_and_its_content_is_what_it_was() {
    let Some(corpus) = corpus() else { return };
    let (mut changed, mut left) = (0, Vec::new());
    for (path, bytes) in &corpus {
        let message = parsed(bytes);
        for eight_bit in [true, false] {
            let needs = longest_line(bytes) > LONGEST_LINE || !eight_bit && !bytes.is_ascii();
            let (new, fitted) = fit(&message, eight_bit);
            if !needs {
                assert!(new == *bytes && fitted.left().is_none(), "{}: it fits already", path.display());
                continue;
            }
            changed += 1;
            let fits = longest_line(&new) <= LONGEST_LINE && (eight_bit || new.is_ascii());
            assert_eq!(fits, fitted.left().is_none(), "{}: {:?}", path.display(), fitted.left());
            if let Some(why) = fitted.left() {
                left.push(format!("{} {eight_bit}: {why}", path.file_name().unwrap().display()));
            }
            same_content(path, &message, &parsed(&new));
        }
    }
    println!("{changed} changed, {} with something left:\n{}", left.len(), left.join("\n"));
    assert!(changed > 100 && left.len() * 5 < changed, "{changed} {}", left.len());
}

fn same_content(path: &Path, old: &Message, new: &Message) {
    let kinds = |message: &Message| message.parts().iter().map(|p| p.content_type().to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds(old), kinds(new), "{}", path.display());
    for (index, (one, two)) in old.parts().iter().zip(new.parts()).enumerate() {
        if !one.is_container() {
            let (old, new) = (old.part_bytes(index, 100_000_000), new.part_bytes(index, 100_000_000));
            assert!(without_cr(&old) == without_cr(&new), "{}: part {index}", path.display());
        }
        assert_eq!(one.file_name(), two.file_name(), "{}: part {index}", path.display());
        for field in one.fields().iter().filter(|field| !field.is_named("Content-Transfer-Encoding")) {
            let squeezed = |text: &str| text.replace('"', " ").split_whitespace().collect::<Vec<_>>().join(" ");
            let others = two.fields().iter().filter(|other| other.name() == field.name());
            // Their file names may be written otherwise.
            let is_described = match field.name().to_lowercase().as_str() {
                "content-type" => ["charset", "boundary"].iter().all(|p| one.parameter(p) == two.parameter(p)),
                "content-disposition" => one.disposition() == two.disposition(),
                _ => false,
            };
            let is_address = field.addresses().iter().any(|address| address.address.contains('@'));
            let is_same = others.into_iter().any(|other| {
                squeezed(other.value()) == squeezed(field.value())
                    || is_described
                    || is_address && field.addresses() == other.addresses()
            });
            assert!(is_same, "{}: part {index}: {}: {:?}", path.display(), field.name(), field.value());
        }
    }
}

fn without_cr(bytes: &[u8]) -> Vec<u8> {
    to_lf(bytes).into_iter().filter(|byte| *byte != b'\r').collect()
}

fn corpus() -> Option<Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/messages");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(std::env::var_os("MAILSLUICE_REQUIRE_CORPUS").is_none(), "the corpus is missing");
        eprintln!("SKIPPED: the message corpus is not beside this checkout");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Some(paths.into_iter().map(|path| (path.clone(), to_lf(&std::fs::read(path).unwrap()))).collect())
}

/// Gateways that turn each LF of a CRLF into CRLF write CR CR LF.
#[test]
fn carriage_returns_before_a_line_end_belong_to_it() {
    for (transfer, kind) in [("8bit", "text/plain"), ("quoted-printable", "text/plain"), ("8bit", "text/html")] {
        let text =
            if transfer == "8bit" { "Grüße".to_owned() } else { format!("Gr=C3=BC=C3=9Fe {}", "x".repeat(1000)) };
        let head = format!("{HEAD}Content-Type: {kind}; charset=utf-8\nContent-Transfer-Encoding: {transfer}\n");
        let message = format!("{head}\n{text}\r\r\nmore\r\r\r\nend\n");
        let (user, taken) = forwarded(SmtpOptions::default().without("8BITMIME"), "redirect", &message);
        let shown = String::from_utf8_lossy(&taken).into_owned();
        assert!(!shown.contains("=0D") && !shown.contains('\r'), "{shown}");
        let (_, body) = leaves(&parsed(&taken)).pop().unwrap();
        // A line end is CRLF in base64.
        let body = String::from_utf8(body).unwrap().replace("\r\n", "\n");
        assert!(body.starts_with("Grüße") && body.ends_with("\nmore\nend\n"), "{body:?}");
        assert!(user.inbox()[0].ends_with("\r\nmore\r\r\nend\n"), "what is filed is as it came");
    }
    let (_, taken) = forwarded(SmtpOptions::default(), "redirect", format!("{HEAD}\na\r\r\n.\r\r\r\nb\n"));
    assert!(taken.ends_with(b"\na\n.\nb\n"), "{}", String::from_utf8_lossy(&taken));
}

/// The bytes stay; the label is that of the charset in which the rules have read them.
#[test]
fn a_field_in_a_charset_that_is_known_leaves_with_its_label() {
    let gbk = encoding_rs::GBK.encode("报价单及合同样本请查收并尽快回复谢谢您的支持与合作").0.into_owned();
    let with = |fields: &str, body: &[u8]| {
        [HEAD.replace("Subject: hello\n", "Subject: ").as_bytes(), &gbk, fields.as_bytes(), b"\n", body].concat()
    };
    for (fields, body) in
        [("\nMIME-Version: 1.0\nContent-Type: text/plain; charset=gb2312\n", &gbk[..]), ("\n", b"x\n")]
    {
        let message = with(fields, body);
        let (_, taken) = forwarded(SmtpOptions::default().without("8BITMIME"), "redirect", &message);
        let shown = String::from_utf8_lossy(&taken).into_owned();
        assert!(shown.contains("=?GBK?Q?=B1=A8") && !shown.contains("?unknown-8bit?"), "{shown}");
        assert_eq!(parsed(&taken).first("Subject"), parsed(&message).first("Subject"));
        let words = shown.split("=?GBK?Q?").skip(1).map(|word| word.split("?=").next().unwrap());
        assert!(words.into_iter().all(|word| word.len() % 6 == 0), "no character is cut: {shown}");
    }
    let cut = [HEAD.replace("hello\n", "Grüße Grüße").as_bytes(), b"\xc3\n\nx\n"].concat();
    let (_, taken) = forwarded(SmtpOptions::default().without("8BITMIME"), "redirect", cut);
    assert!(String::from_utf8_lossy(&taken).contains("Subject: =?unknown-8bit?Q?"), "no charset has all of its bytes");
}
