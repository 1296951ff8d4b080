//! What a person reads of the program: help, manual pages, completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::sandbox::Sandbox;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.config(
        "maildir: ~/Mail\naccounts:\n  work: {imap: imap.example.com, user: me@example.com, password: {env: X}}\n  \
         公司: {imap: imap.example.net, user: me@example.net, password: {env: X}}\n\
         relays:\n  out: {smtp: smtp.example.com, user: me@example.com, password: {env: X}}\n",
    );
    sandbox
}

/// A file of `docs` that the program writes: with `UPDATE_EXPECTED=1` it is written anew.
fn assert_is_in_docs(path: &str, text: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap_or_default() == text,
        "{path} is not what the program writes: UPDATE_EXPECTED=1"
    );
}

#[test]
fn the_manual_pages_are_those_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let output = sandbox().run(&["docs", "man", folder.path().to_str().unwrap()]);
    assert_eq!(output.code, 0, "{output}");
    let mut pages = 0;
    for line in output.stdout.lines() {
        let name = Path::new(line).file_name().unwrap().to_str().unwrap();
        assert_is_in_docs(&format!("docs/man/{name}"), &fs::read_to_string(line).unwrap());
        pages += 1;
    }
    assert_eq!(pages, 4);
}

/// groff warns of what it does not know; each page has what `man` looks for.
#[test]
fn groff_has_nothing_against_the_manual_pages() {
    for page in ["mailsluice.1", "mailsluice-config.5", "mailsluice-rules.5", "mailsluice-lua.5"] {
        let path = format!("docs/man/{page}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(".TH MAILSLUICE") && text.contains(".SH NAME"), "{page}");
        let Ok(output) = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z", &path]).output() else {
            println!("SKIPPED: there is no groff");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{page}");
    }
}

#[test]
fn the_completions_are_those_of_the_program() {
    for (shell, file) in [("bash", "mailsluice.bash"), ("zsh", "_mailsluice"), ("fish", "mailsluice.fish")] {
        let output = sandbox().run(&["completions", shell]);
        assert_eq!(output.code, 0, "{output}");
        assert_is_in_docs(&format!("docs/completions/{file}"), &output.stdout);
    }
}

/// What bash offers for a line, as the user of the sandbox.
fn offered(sandbox: &Sandbox, words: &[&str]) -> String {
    let last = words.len() - 1;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "PATH=\"$(dirname '{PROGRAM}'):$PATH\"; source docs/completions/mailsluice.bash; COMP_WORDS=({}); COMP_CWORD={last}; \
         COMP_TYPE=9; _clap_complete_mailsluice mailsluice \"${{COMP_WORDS[{last}]}}\" ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" ")
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).env("HOME", sandbox.home()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn bash_completes_commands_options_accounts_and_filters() {
    let sandbox = sandbox();
    for (words, expected) in [
        (&["mailsluice", "fet"][..], "fetch"),
        (&["mailsluice", "log", "--fr"], "--from"),
        (&["mailsluice", "fetch", "w"], "work"),
        (&["mailsluice", "fetch", "公"], "公司"),
        (&["mailsluice", "doctor", "o"], "out"),
        (&["mailsluice", "filters", "show", "lists/by"], "lists/by-list-id"),
        (&["mailsluice", "help", "vac"], "vacation"),
    ] {
        let said = offered(&sandbox, words);
        assert!(said.lines().any(|line| line.trim_end() == expected), "{words:?}: {said}");
    }
    // A config that cannot be read is no noise in the middle of a line.
    sandbox.config("maildir: [\n");
    assert_eq!(offered(&sandbox, &["mailsluice", "fetch", "w"]).trim(), "");
}

#[test]
fn help_has_pages_and_hints() {
    let sandbox = sandbox();
    let help = |words: &[&str]| sandbox.run(&[&["help"], words].concat());
    assert!(help(&[]).stdout.contains("Start here:") && help(&[]).stdout.contains("troubleshooting"));
    assert!(help(&["vacation"]).stdout.starts_with("VACATION") || help(&["vacation"]).stdout.contains("vacation"));
    assert!(help(&["queue", "retry"]).stdout.contains("Examples:"));
    assert!(help(&["exit-codes"]).stdout.contains("78"));
    let wrong = help(&["vacatoin"]);
    assert!(wrong.code == 64 && wrong.stderr.contains("mailsluice help vacation"), "{wrong}");
    let sendmail = sandbox.run(&["help", "sendmail"]);
    assert!(sendmail.code == 0 && sendmail.stdout.contains("-t"), "{sendmail}");
}

/// The names in the first column of a section of docs/json.md.
fn documented(section: &str) -> Vec<String> {
    let text = fs::read_to_string("docs/json.md").unwrap();
    let section = text.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap().to_owned();
    let table = section.split("\nEach object in").next().unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split(" | ").next());
    let mut names: Vec<String> =
        cells.flat_map(|cell| cell.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_json_has_the_fields_that_are_documented() {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.config(
        "maildir: ~/Mail\nrelays:\n  default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}\n\
         accounts:\n  work: {imap: {host: 127.0.0.1, port: 1, tls: none}, user: me@example.com, password: {env: HOME}}\n",
    );
    let message = "To: you@example.com\nSubject: x\n\nhi\n";
    assert_eq!(sandbox.run_with_stdin(&["sendmail", "-t", "-f", "me@example.com"], message).code, 0);
    for (command, section) in
        [(&["log"][..], "log"), (&["queue", "list"], "queue list, queue show"), (&["fetch"], "fetch")]
    {
        let output = sandbox.run(&[&["--json"], command].concat());
        let line: serde_json::Value = serde_json::from_str(output.stdout.lines().next().unwrap()).unwrap();
        let names: Vec<String> = line.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, documented(section), "{section}");
        assert_eq!(line["version"], 1);
    }
}

#[test]
fn log_finds_what_is_asked_for() {
    let sandbox = Sandbox::new(PROGRAM);
    sandbox.config(
        "maildir: ~/Mail\nrelays:\n  default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}\nme: [me@example.com]\n",
    );
    for (to, subject) in [("ann@example.com", "lunch"), ("bob@example.net", "报价单"), ("ann@example.com", "dinner")]
    {
        let message = format!("From: me@example.com\nTo: {to}\nSubject: {subject}\n\nhi\n");
        assert_eq!(sandbox.run_with_stdin(&["sendmail", "-t"], &message).code, 0);
    }
    let rows = |arguments: &[&str]| {
        let output = sandbox.run(&[&["log"], arguments].concat());
        (output.code, output.stdout.lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(rows(&[]).1.len(), 3);
    let (code, found) = rows(&["--to", "ANN@", "--subject", "din"]);
    assert!(code == 0 && found.len() == 1 && found[0].contains("dinner"), "{found:?}");
    assert_eq!(rows(&["--subject", "报价"]).1.len(), 1);
    assert_eq!(rows(&["--since", "1h", "--from", "me@"]).1.len(), 3);
    assert_eq!(rows(&["--until", "2020-01-01"]), (1, Vec::new()));
    assert_eq!(rows(&["-n", "1"]).1.len(), 1);
    let one = sandbox.run(&["log", "2"]);
    assert!(one.code == 0 && one.stdout.contains("报价单") && one.stdout.contains("by "), "{one}");
    for (wrong, says) in [("99", "has no entry 99"), ("nosuch", "there is no account")] {
        let output = sandbox.run(&["log", wrong]);
        assert!(output.code == 64 && output.stderr.contains(says), "{output}");
    }
    // A person who follows sees what comes, and ends it.
    let follower = sandbox.spawn(&["log", "-f", "-n", "0"]);
    std::thread::sleep(std::time::Duration::from_millis(800));
    sandbox.run_with_stdin(&["sendmail", "-t"], "From: me@example.com\nTo: c@example.com\nSubject: late\n\nhi\n");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    follower.signal(rustix::process::Signal::INT);
    let output = follower.wait();
    assert!(output.code == 0 && output.stdout.contains("late"), "{output}");
}
