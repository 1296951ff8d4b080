//! What commands print, at 80 and at 120 columns on a terminal, and on a pipe, where lines are whole:
//! `tests/outputs/COMMAND.{80,120,pipe}.txt`. After a deliberate change of an output, run with `UPDATE_EXPECTED=1` and read the
//! difference in version control.

use std::fs;
use std::process::Command;

use regex::Regex;

use crate::stage::{Account, mailbox};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::sandbox::Sandbox;
use crate::support::terminal::Terminal;

const RULES: &str = concat!(
    "rules:\n",
    "  - {name: lists, if: {list_id: rust.example.com}, do: {fileinto: lists/rust}}\n",
    "  - {name: the boss, if: {from: {is: boss@company.example}}, do: {fileinto: boss}}",
);
const MESSAGES: [&str; 4] = [
    "From: Ann <ann@example.com>\r\nSubject: short\r\nMessage-ID: <1@example.com>\r\n\r\none\r\n",
    "From: boss@company.example\r\nSubject: The figures of the third quarter, which have to be in the report by Friday noon at the latest\r\n\
     Message-ID: <2@example.com>\r\n\r\ntwo\r\n",
    "From: =?utf-8?B?546L?= <wang@example.cn>\r\nSubject: =?utf-8?B?5oql5Lu35Y2V77yI6K+35Zyo5pys5ZGo5LqU5LmL5YmN5Zue5aSN77yJ?=\r\n\
     Message-ID: <3@example.com>\r\n\r\nthree\r\n",
    "From: Rust users <users@rust.example.com>\r\nSubject: [rust] a question\r\nList-Id: <rust.example.com>\r\n\
     Message-ID: <4@example.com>\r\n\r\nfour\r\n",
];

/// What differs from run to run, as it is on one day on one machine. The lengths stay, so that columns do.
fn fixed(text: &str, sandbox: &Sandbox) -> String {
    // Root is warned, and nobody else.
    let text =
        text.replace("\r\n", "\n").replace("mailsluice: running as root; mail and state will belong to root\n", "");
    let text = text.replace(&sandbox.home().display().to_string(), "/home/me");
    let rules = [
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-12-01T12:00:00Z"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-12-01 12:00:00"),
        (r"\d\d-\d\d \d\d:\d\d", "12-01 12:00"),
        (r"\d\d:\d\d:\d\d", "12:00:00"),
        (r#"[a-z2-7]{26}-[a-z2-7]{7}\.v0,O=[^ \n\"]+"#, "FILE"),
        (r#"\d{10}\.[^ \n/\"]+"#, "FILE"),
        (r"port \d+", "port 993"),
        (r"in \d+\.\d s", "in 0.1 s"),
        (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
        (r" +\n", "\n"),
    ];
    rules.iter().fold(text, |text, (pattern, with)| Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned())
}

fn on_terminal(sandbox: &Sandbox, arguments: &[&str], columns: u32) -> String {
    let command = sandbox.command(arguments);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("stty cols {columns}; exec {}", words.join(" "))]);
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(command.get_current_dir().unwrap());
    let mut terminal = Terminal::start(shell);
    terminal.end();
    terminal.shown().to_owned()
}

fn compare(name: &str, text: &str, wrong: &mut Vec<String>) {
    let path = format!("tests/outputs/{name}.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all("tests/outputs").unwrap();
        fs::write(&path, text).unwrap();
    }
    if fs::read_to_string(&path).unwrap_or_default() != text {
        wrong.push(format!("{path}:\n{text}"));
    }
}

#[test]
fn each_command_prints_what_is_expected() {
    let mailbox = mailbox();
    MESSAGES.iter().for_each(|message| _ = mailbox.add("INBOX", message));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).top(RULES.trim_end()).sandbox();
    let mut wrong = Vec::new();
    let mut check = |name: &str, arguments: &[&str]| {
        let output = sandbox.run(arguments);
        let output = if name == "status" { String::new() } else { format!("{}{}", output.stdout, output.stderr) };
        if !output.is_empty() {
            compare(&format!("{name}.pipe"), &fixed(&output, &sandbox), &mut wrong);
        }
        for columns in [80, 120] {
            let shown = fixed(&on_terminal(&sandbox, arguments, columns), &sandbox);
            let too_wide = shown.lines().filter(|line| unicode_width::UnicodeWidthStr::width(*line) > columns as usize);
            // Examples in pages stay as they are.
            let too_wide: Vec<&str> =
                too_wide.filter(|line| line.trim().contains(" ") && !line.starts_with("    ")).collect();
            assert!(name == "log-number" || too_wide.is_empty(), "{name} {columns}: {too_wide:?}");
            // Where it is wrapped hangs on the length of the path of the home.
            if name == "status" {
                continue;
            }
            compare(&format!("{name}.{columns}"), &shown, &mut wrong);
        }
    };
    assert_eq!(sandbox.run(&["fetch"]).code, 0);
    check("fetch-nothing", &["fetch"]);
    check("log", &["log"]);
    check("log-find", &["log", "--subject", "figures"]);
    check("log-nothing", &["log", "--from", "nobody"]);
    check("log-number", &["log", "2"]);
    check("queue-list", &["queue", "list"]);
    check("status", &["status"]);
    check("help", &["--help"]);
    check("help-log", &["help", "log"]);
    check("help-vacation", &["help", "vacation"]);
    assert!(wrong.is_empty(), "not as expected; UPDATE_EXPECTED=1 writes them anew:\n{}", wrong.join("\n"));
}
