//! Servers that mean harm: the P, L and E rows. No crash, no memory without bounds, no file outside the mail root,
//! no byte on a terminal that moves its cursor.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::stage::{Account, Client, complaints, filled, mailbox, message, play};
use crate::support::faults::{Fault, Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::scripted_server::ScriptedServer;

const IMAP_LOGIN: &str = "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN * **\n\
                          S: <tag> OK [CAPABILITY IMAP4rev1] in\n";
const IMAP_LISTED: &str = "C: <tag> EXAMINE *\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 1] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK open\n\
                           C: <tag> UID SEARCH **\nS: * SEARCH 1\nS: <tag> OK\nC: <tag> UID FETCH **\n\
                           S: * 1 FETCH (UID 1 FLAGS () RFC822.SIZE 18)\nS: <tag> OK\nC: <tag> UID FETCH **\n";
const POP3_LOGIN: &str = "S: +OK\nC: CAPA\nS: -ERR\nC: USER *\nS: +OK\nC: PASS **\nS: +OK\n";
const POP3_LISTED: &str = "C: LIST\nS: +OK\nS: 1 18\nS: .\nC: UIDL\nS: +OK\nS: 1 one\nS: .\nC: RETR 1\n";

/// What the program may have, in kilobytes, whatever a server does.
const MEMORY: u32 = 128 * 1024;

/// Runs the binary with so little memory that a bomb which goes off ends it by a signal.
fn run_in_little_memory(sandbox: &Sandbox) -> Output {
    let program = env!("CARGO_BIN_EXE_mailsluice");
    let mut command = sandbox.command(&["fetch"]);
    let shell = format!("ulimit -d {MEMORY} && exec {program} fetch");
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(|v| v.to_owned()))).collect();
    command = std::process::Command::new("/bin/sh");
    command.args(["-c", &shell]).env_clear();
    command.envs(environment.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// A bomb thrown at the binary: it must end by itself, with a reason, and without mail.
#[track_caller]
fn survive(protocol: &str, script: &str) -> Output {
    let server = ScriptedServer::start(script);
    let account = if protocol == "imap" { Account::imap(server.port()) } else { Account::pop3(server.port()) };
    let sandbox = account.sandbox();
    let output = run_in_little_memory(&sandbox);
    assert!([75, 76].contains(&output.code), "{}: {output}", &script[script.len().saturating_sub(200)..]);
    assert!(output.stderr.contains("me: "), "{output}");
    let mail = crate::support::maildir::Maildirs::at(sandbox.maildir()).messages();
    assert!(mail.is_empty(), "{mail:?}");
    output
}

#[test]
fn p1_literals_beyond_all_bounds_are_refused_before_they_are_believed() {
    for size in ["2147483648", "4294967295", "18446744073709551615", "99999999999999999999", "500000000", "-1", "1e9"] {
        survive("imap", &format!("{IMAP_LOGIN}{IMAP_LISTED}S: * 1 FETCH (UID 1 BODY[] {{{size}}}\nflood x\n"));
    }
}

#[test]
fn p1_many_literals_in_one_reply() {
    let literal = format!("S~  BODY[] {{1000000}}\\r\\n\nS~ {}\n", "\\{repeat 1000000 x}");
    let script = format!("{IMAP_LOGIN}{IMAP_LISTED}S~ * 1 FETCH (UID 1\n{}ignore\n", literal.repeat(300));
    survive("imap", &script);
}

#[test]
fn p1_a_literal_with_leading_zeros_is_read_as_its_number() {
    let body = "Subject: a\\r\\n\\r\\na.\\r\\n";
    let script = format!(
        "{IMAP_LOGIN}{IMAP_LISTED}S~ * 1 FETCH (UID 1 BODY[] {{00018}}\\r\\n{body})\\r\\n\nS: <tag> OK\nC: <tag> LOGOUT\n"
    );
    let server = ScriptedServer::start(&script);
    let client = Account::imap(server.port()).client();
    client.fetch_well();
    client.mail().assert_holds(&["Subject: a\n\na.\n"]);
}

/// A server that counts what it does not have is not asked 858,993 times.
#[test]
fn a_count_of_messages_is_no_bound_of_a_loop() {
    let opened = "C: <tag> EXAMINE *\nS: * 4294967295 EXISTS\nS: * OK [UIDVALIDITY 1] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK open\n";
    let ends = "C: <tag> UID FETCH 1:* (UID)\nS: <tag> OK\nC: <tag> LOGOUT\nS: * BYE\nS: <tag> OK\n";
    let output = survive("imap", &format!("{IMAP_LOGIN}{opened}{ends}"));
    assert!(output.stderr.contains("counts 4294967295 messages and lists 0"), "{output}");
}

/// What nobody asked for is not kept: UIDs beyond the question, and descriptions of other messages.
#[test]
fn answers_to_no_question_are_not_kept() {
    let opened =
        "C: <tag> EXAMINE *\nS: * 20 EXISTS\nS: * OK [UIDVALIDITY 1] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK open\n";
    let many: String = (1..100_000).map(|uid| format!(" {}", uid * 7)).collect();
    let output = survive("imap", &format!("{IMAP_LOGIN}{opened}C: <tag> UID SEARCH **\nS: * SEARCH{many}\nignore\n"));
    assert!(output.stderr.contains("more messages than it was asked for"), "{output}");

    let listed = IMAP_LISTED.split_once("S: * 1 FETCH").unwrap().0;
    let other = "* 1 FETCH (UID 9999999 FLAGS (\\\\Seen $a $b $c $d $e $f) RFC822.SIZE 18)\\r\\n";
    survive("imap", &format!("{IMAP_LOGIN}{listed}flood {other}\n"));
}

/// Names that would lead out of the mail root if they were taken for paths.
#[test]
fn p3_folder_names_are_never_paths() {
    let mailbox = mailbox();
    let names = [
        "../../.ssh/authorized_keys",
        "/etc/x",
        "a/../b",
        ".",
        "..",
        "./new",
        "cur",
        "tmp/new",
        "~root",
        "a//b",
        "b/",
        "%2e%2e/x",
        "&AC8-etc",
        "&broken",
        "new\\cur",
        ".INBOX..",
        "lists.rust",
        "with \"quotes\"",
    ];
    for (number, name) in (1..).zip(names) {
        mailbox.add(name, message(number));
    }
    mailbox.add(&"x".repeat(4000), message(100));
    mailbox.add("INBOX", message(0));
    for delimiter in [Some('/'), Some('.'), None] {
        for layout in ["fs", "maildir++"] {
            let server = ImapServer::start(&mailbox, ImapOptions { delimiter, ..ImapOptions::default() });
            let client = Account::imap(server.port()).with("folders: all").with("into: \"${folder}\"").client();
            let root = client.path("Mail");
            let account =
                client.account.clone().top(&format!("maildir: {{path: {}, layout: {layout}}}", root.display()));
            let client = Client { account, ..client };
            let report = client.fetch();
            assert!(client.subjects().contains(&"number 0".to_owned()), "{report:#?}");
            assert!(client.subjects().len() >= 6, "{delimiter:?} {layout}: {:?}\n{report:#?}", client.subjects());
            assert_only_here(client.home.path(), &root, client.subjects().len() + client.notices().len());
        }
    }
}

/// All mail files of the home stand below the mail root, in Maildirs.
fn assert_only_here(home: &Path, root: &Path, count: usize) {
    let mut files = Vec::new();
    walk(home, &mut files);
    files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with(".mailsluice"));
    let mail = files.iter().filter(|path| path.starts_with(root));
    for path in mail.clone() {
        let sub = path.parent().unwrap().file_name().unwrap();
        assert!(sub == "new" || sub == "cur", "{}", path.display());
        assert!(!path.components().any(|part| part.as_os_str() == ".."));
    }
    assert_eq!(mail.count(), count);
    let others: Vec<_> = files.iter().filter(|path| !path.starts_with(root)).collect();
    let is_ours = |path: &&std::path::PathBuf| path.starts_with(home.join("state")) || path.ends_with("config.yaml");
    assert!(others.iter().all(is_ours), "{others:?}");
}

fn walk(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// The same as a raw LIST reply, with what no decent server sends in a name.
#[test]
fn p3_control_bytes_in_folder_names() {
    for name in ["\"a\\x01b\\x1b[2J\"", "\"\\xff\\xfe\"", "\"\"", "{5}\\r\\na\\r\\nb", "NIL", "\"a\\0b\""] {
        let script = format!(
            "{IMAP_LOGIN}C: <tag> LIST \"\" \"\\x2a\"\nS~ * LIST () \"/\" {name}\\r\\n\nS: * LIST () \"/\" Good\nS: <tag> OK\nignore\n"
        );
        let server = ScriptedServer::start(&script.replace("\nignore\n", "\nC: *\n"));
        let (output, sandbox) = Account::imap(server.port()).with("folders: all").with("into: \"${folder}\"").run();
        assert!(output.code >= 0, "{name}: {output}");
        let text = output.stderr.clone() + &output.stdout;
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{name}: {text:?}");
        let mail = crate::support::maildir::Maildirs::at(sandbox.maildir()).messages();
        assert!(
            mail.iter().all(|mail| String::from_utf8_lossy(&mail.bytes).contains("\nX-Mailsluice-Notice:")),
            "{name}"
        );
    }
}

#[test]
fn p4_nested_parentheses_do_not_reach_the_stack() {
    for text in ["(", "(\"x\" ", "(NIL "] {
        survive("imap", &format!("{IMAP_LOGIN}{IMAP_LISTED}S~ * 1 FETCH (UID 1 BODYSTRUCTURE \nflood {text}\n"));
    }
}

#[test]
fn p4_nested_parentheses_behind_what_only_looks_like_a_literal() {
    let script = std::fs::read_to_string("tests/dialogs/nesting-behind-a-false-literal.dialog").unwrap();
    survive("imap", &script);
    for line in [
        "* OK {1000000}",
        "* NO \"{1000000}",
        "* BAD x{1000000}",
        "+ {1000000}",
        "* BYEBYE {1000000}",
        "x7 OK {1000000}",
    ] {
        let nest = "S~ * 1 FETCH (BODYSTRUCTURE \\{repeat 100000 (}\n";
        survive("imap", &format!("{IMAP_LOGIN}C: <tag> EXAMINE *\nS: {line}\n{nest}pause 30ms\nS: )\nignore\n"));
    }
}

#[test]
fn e1_a_message_without_end() {
    let line = "x".repeat(64);
    let output = survive("pop3", &format!("{POP3_LOGIN}{POP3_LISTED}S: +OK\nflood {line}\\r\\n\n"));
    assert!(output.stderr.contains("far larger than the server announced"), "{output}");
}

/// One that was announced as big goes to the disk, and has an end there too.
#[test]
fn e1_a_big_message_without_end() {
    let listed = POP3_LISTED.replace("1 18", "1 8400000");
    let line = "x".repeat(2000);
    let output = survive("pop3", &format!("{POP3_LOGIN}{listed}S: +OK\nflood {line}\\r\\n\n"));
    assert!(output.stderr.contains("far larger than the server announced"), "{output}");

    let mailbox = mailbox();
    mailbox.add("INBOX", format!("Subject: big\n\n{}", format!("{line}\n").repeat(30_000)));
    let faults = Faults::of([Fault::Message(1, MessageFault::Size(8_400_000))]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let report = Account::imap(server.port()).client().fetch();
    assert!(
        (report.new, report.failed) == (0, 1) && complaints(&report).contains("the message does not end"),
        "{report:#?}"
    );
}

/// 40 messages of 4 MB that were announced with 10 bytes each: one batch, if the server is believed.
#[test]
fn e1_messages_far_larger_than_announced_do_not_fill_the_memory() {
    let mailbox = mailbox();
    let big = format!("Subject: big\n\n{}", format!("{}\n", "x".repeat(98)).repeat(40_000));
    (0..40).for_each(|_| _ = mailbox.add("INBOX", &big));
    let faults = Faults::of((1..=40).map(|uid| Fault::Message(uid, MessageFault::Size(10))));
    let imap = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let pop3 = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
    for account in [Account::imap(imap.port()), Account::pop3(pop3.port())] {
        let sandbox = account.sandbox();
        let output = run_in_little_memory(&sandbox);
        assert_eq!(output.code, 0, "{output}");
        let mail = crate::support::maildir::Maildirs::at(sandbox.maildir());
        assert_eq!(mail.by_content().into_values().collect::<Vec<_>>(), [40]);
    }
}

#[test]
fn e2_listings_without_end() {
    survive(
        "imap",
        "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN * **\nflood \\{repeat 500 * OK still thinking\\r\\n}\n",
    );
    survive("pop3", "S: +OK\nC: CAPA\nS: +OK\nflood \\{repeat 500 X-SOMETHING\\r\\n}\n");
}

#[test]
fn e3_lines_without_end() {
    survive("imap", "flood xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n");
    survive("imap", &format!("{IMAP_LOGIN}C: <tag> EXAMINE *\nS~ * OK \nflood \\{{repeat 1000 xxxxxxxx}}\n"));
    survive("pop3", "S~ +OK \nflood \\{repeat 1000 xxxxxxxx}\n");
    survive("pop3", &format!("{POP3_LOGIN}C: LIST\nS: +OK\nflood \\{{repeat 1000 12345678}}\n"));
}

/// Escape sequences, line ends, C1, a right-to-left mark and broken UTF-8 in whatever a server can say.
#[test]
fn l1_what_a_server_says_cannot_move_the_cursor() {
    let nasty = "\\x1b[2J\\x1b]52;c;ZXZpbA==\\x07 \\x9b31m \\xe2\\x80\\xae \\xff\\xfe \\x7f end";
    let imap = format!("S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN * **\nS: <tag> NO {nasty}\nignore\n");
    let pop3 = format!("S: +OK\nC: CAPA\nS: -ERR\nC: USER *\nS: -ERR {nasty}\nignore\n");
    for (protocol, script) in [("imap", imap), ("pop3", pop3)] {
        for flags in [&["fetch"][..], &["fetch", "-vv"], &["fetch", "--json"]] {
            let server = ScriptedServer::start(&script);
            let account = if protocol == "imap" { Account::imap(server.port()) } else { Account::pop3(server.port()) };
            let output = account.sandbox().run(flags);
            assert_eq!(output.code, 69, "{output}");
            let text = output.stdout.clone() + &output.stderr;
            assert!(text.contains("end"), "the server's words are not shown: {text}");
            assert!(is_harmless(&text), "{text:?}");
            if flags.contains(&"--json") {
                output.stdout.lines().for_each(|line| _ = serde_json::from_str::<serde_json::Value>(line).unwrap());
            }
        }
    }
}

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || (!c.is_control() && !('\u{202a}'..='\u{202e}').contains(&c)))
}

#[test]
fn l1_what_a_sender_writes_cannot_move_the_cursor_of_the_log() {
    let mailbox = mailbox();
    mailbox.add_raw("INBOX", b"From: \x1b]0;pwned\x07 <a@b>\r\nSubject: =?utf-8?Q?a=1B[2J=0D=0Ab=E2=80=AE?=\r\nMessage-ID: <\x9b\xff>\r\n\r\nx\r\n");
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port())
        .top("rules:\n  - {if: {header: {Subject: {regex: '(?s)(?<all>.+)'}}}, do: {fileinto: \"by/${all}\"}}")
        .sandbox();
    let fetched = sandbox.run(&["fetch", "-v"]);
    assert_eq!(fetched.code, 0, "{fetched}");
    let log = sandbox.run(&["log", "-v"]);
    assert!(log.stdout.contains("me/INBOX") && is_harmless(&log.stdout), "{log:?}");
    assert!(is_harmless(&(fetched.stdout + &fetched.stderr)));
    let json = sandbox.run(&["log", "--json"]);
    // Programs get file names as they are; that one event stays one line is for them too.
    assert!(json.stdout.lines().count() == 1 && !json.stdout.trim_end().contains(char::is_control), "{json:?}");
}

#[test]
fn l2_an_endless_error_text_is_cut() {
    let imap = format!(
        "S: * OK [CAPABILITY IMAP4rev1] ready\nC: <tag> LOGIN * **\nS~ <tag> NO {}\\r\\n\nignore\n",
        "\\{repeat 1000000 x}"
    );
    let server = ScriptedServer::start(&imap);
    let (output, _) = Account::imap(server.port()).run();
    assert_eq!(output.code, 69);
    assert!(output.stderr.len() < 4096, "{} bytes", output.stderr.len());
    let server = ScriptedServer::start("S~ -ERR \nflood \\{repeat 1000 xxxxxxxx}\n");
    let (output, _) = Account::pop3(server.port()).run();
    assert!(output.code != 0 && output.stderr.len() < 4096, "{} bytes", output.stderr.len());
}

/// The password in every form in which it travels is in no output, no file of ours and no command line.
#[test]
fn l3_the_password_is_nowhere() {
    let (mailbox, _) = filled(3);
    let password = "hunter2-\"quoted\"-geheim";
    mailbox.set_password(password);
    let encoded = crate::support::base64::encode(format!("\0me\0{password}").as_bytes());
    let blob = crate::support::base64::encode(password.as_bytes());
    let secrets = [password, "hunter2", &encoded, &encoded[8..encoded.len() - 4], &blob[..12]];
    for protocol in ["imap", "imap-continuation", "imap-login", "pop3", "pop3-sasl"] {
        let (imap, pop3);
        let account = if protocol.starts_with("imap") {
            let options = match protocol {
                "imap" => ImapOptions::default(),
                "imap-continuation" => ImapOptions::default().without("SASL-IR"),
                _ => ImapOptions::default().without("AUTH=PLAIN"),
            };
            imap = ImapServer::start(&mailbox, options);
            Account::imap(imap.port())
        } else {
            let left_out = if protocol == "pop3" { "" } else { "USER" };
            pop3 = Pop3Server::start(&mailbox, Pop3Options::default().without(left_out));
            Account::pop3(pop3.port())
        };
        let sandbox = account.with("password: {file: secret}").sandbox();
        sandbox.write(".config/mailsluice/secret", password);
        let output = sandbox.run(&["fetch", "-vv"]);
        assert_eq!(output.code, 0, "{protocol}: {output}");
        assert!(output.stderr.len() > 100, "the trace is on: {output}");
        for secret in secrets {
            assert!(
                !output.stdout.contains(secret) && !output.stderr.contains(secret),
                "{protocol}: {secret}: {output}"
            );
            assert_not_in_files(&sandbox.home().join("state"), secret);
            assert_not_in_files(&sandbox.maildir(), secret);
        }
    }
}

fn assert_not_in_files(folder: &Path, secret: &str) {
    let mut files = Vec::new();
    walk(folder, &mut files);
    assert!(!files.is_empty());
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{} holds {secret}", path.display());
    }
}

/// A refused login shows the server's words, and a server may repeat what it was sent.
#[test]
fn l3_the_command_line_and_the_environment_of_a_running_fetch() {
    let (mailbox, _) = filled(1);
    let faults = Faults::of([Fault::HangAt(3)]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).sandbox();
    let running = sandbox.spawn(&["fetch"]);
    while faults.commands_seen() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{file}", running.pid())).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.is_empty() && !text.contains(crate::stage::PASSWORD), "{file}: {text}");
    }
    running.kill();
}

#[test]
fn l4_what_people_write_is_not_in_the_log() {
    let mailbox = mailbox();
    mailbox.add("INBOX", "From: canary-from@example.com\nSubject: canary-subject\n\ncanary-body\n");
    mailbox.add("INBOX", "From: canary-from@example.com\nSubject: canary-broken\n\ncanary-body\n");
    let server =
        ImapServer::start(&mailbox, ImapOptions::with_faults(&Faults::of([Fault::Message(2, MessageFault::Refused)])));
    for flags in [&["fetch"][..], &["fetch", "-v"], &["fetch", "--json"]] {
        let output = Account::imap(server.port()).sandbox().run(flags);
        assert_eq!(output.code, 75, "{output}");
        assert!(!output.stdout.contains("canary") && !output.stderr.contains("canary"), "{output}");
    }
}

#[test]
fn p5_uids_that_are_none() {
    for uids in ["0", "1 2,", "4294967296", "-1", "1:4", "99999999999999999999", "\\{repeat 100000 1 }"] {
        let script = format!(
            "{IMAP_LOGIN}C: <tag> EXAMINE *\nS: * 1 EXISTS\nS: * OK [UIDVALIDITY 1] x\nS: * OK [UIDNEXT 9999] x\nS: <tag> OK open\n\
                              C: <tag> UID SEARCH **\nS: * SEARCH {uids}\nS: <tag> OK\nC: * **\n"
        );
        let server = ScriptedServer::start(&script);
        let client = Account::imap(server.port()).client();
        let report = client.fetch();
        assert_eq!((report.new, client.mail().messages().len()), (0, 0), "{uids}: {}", complaints(&report));
    }
}

#[test]
fn a_dialog_that_is_not_followed_fails_its_test() {
    let outcome = std::panic::catch_unwind(|| play("pop3-no-uidl-is-no-dialog"));
    assert!(outcome.is_err());
    let server = ScriptedServer::start("S: * OK hi\nC: <tag> SOMETHING ELSE\n");
    Account::imap(server.port()).client().fetch();
    assert!(server.finish().unwrap_err().contains("SOMETHING ELSE"));
}

/// A server that lists many messages and gives none.
fn endless_lists(listed: usize, named: usize, id: usize) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut to = BufWriter::new(stream.try_clone().unwrap());
            let mut say = |text: &str| to.write_all(text.as_bytes()).and_then(|()| to.flush()).is_ok();
            let mut goes_on = say("+OK\r\n");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                goes_on &= match line.as_str() {
                    "LIST" => say(&list(listed, |n| format!("{n} 100"))),
                    "UIDL" => say(&list(named, |n| format!("{n} {n:0>id$}"))),
                    "CAPA" => say("-ERR\r\n"),
                    line if line.starts_with("RETR") => false,
                    _ => say("+OK\r\n"),
                };
                if !goes_on {
                    break;
                }
            }
        }
    });
    port
}

fn list(count: usize, line: impl Fn(usize) -> String) -> String {
    let lines: String = (1..=count).map(|n| line(n) + "\r\n").collect();
    format!("+OK\r\n{lines}.\r\n")
}

/// Each line is about another message, and the ids are as long as they may be.
#[test]
fn e2_pop3_listings_without_end_whose_messages_are_all_others() {
    for (listed, named, id) in [(2_000_000, 1, 8), (1, 2_000_000, 8), (1, 400_000, 250)] {
        let sandbox = Account::pop3(endless_lists(listed, named, id)).sandbox();
        let output = run_in_little_memory(&sandbox);
        assert!(output.code == 76 && output.stderr.contains("the server's list does not end"), "{named}: {output}");
    }
}
