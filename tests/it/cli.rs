//! The binary as cron, a script or a person sees it: exit codes, JSON, silence, notices, signals.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Account, filled, mailbox, message};
use crate::support::faults::{Fault, Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Sandbox};

fn serve(count: usize, faults: &Faults) -> (ImapServer, Sandbox) {
    let (mailbox, _) = filled(count);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(faults));
    let sandbox = Account::imap(server.port()).sandbox();
    (server, sandbox)
}

/// What is not about running as root.
fn talk(output: &Output) -> String {
    output.stderr.lines().filter(|line| !line.contains("running as root")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn no_mail_is_zero_and_silence() {
    let (_server, sandbox) = serve(0, &Faults::none());
    for _ in 0..2 {
        let output = sandbox.run(&["fetch"]);
        assert_eq!((output.code, output.stdout.as_str(), talk(&output).as_str()), (0, "", ""));
    }
}

#[test]
fn mail_is_zero_and_a_line() {
    let (_server, sandbox) = serve(3, &Faults::none());
    let output = sandbox.run(&["fetch"]);
    assert_eq!((output.code, talk(&output).as_str()), (0, ""));
    assert!(output.stdout.starts_with("me: 3 new (3 INBOX), "), "{output}");
    let (_server, sandbox) = serve(3, &Faults::none());
    let output = sandbox.run(&["fetch", "--quiet"]);
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (0, "", ""));
}

#[test]
fn exit_75_when_trying_again_helps() {
    let (_server, sandbox) = serve(2, &Faults::of([Fault::CutBefore(4)]));
    let output = sandbox.run(&["fetch"]);
    assert_eq!(output.code, 75, "{output}");
    assert!(output.stderr.contains("(temporary)"), "{output}");
    assert_eq!(sandbox.run(&["fetch"]).code, 0);
    let (_server, sandbox) = serve(2, &Faults::of([Fault::Message(1, MessageFault::Refused)]));
    let output = sandbox.run(&["fetch"]);
    assert!(output.code == 75 && output.stdout.contains("1 could not be fetched this time"), "{output}");
}

/// An MTA that is told anything but 0 and 75 sends the message back to whoever wrote it.
#[test]
fn deliver_says_75_whatever_is_wrong() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    for (config, arguments) in [
        ("rules: [", &["deliver"][..]),
        ("maildir: ~/Mail\n", &["deliver", "-d", "me"]),
        ("maildir: ~/Mail\n", &["-c", "gone", "deliver"]),
    ] {
        sandbox.config(config);
        let output = sandbox.run_with_stdin(arguments, "Subject: hi\n\nbody\n");
        assert_eq!(output.code, 75, "{arguments:?}: {output}");
    }
}

#[test]
fn exit_77_for_a_refused_password() {
    let (_server, sandbox) = serve(1, &Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]));
    let output = sandbox.run(&["fetch"]);
    assert_eq!(output.code, 77, "{output}");
    assert!(!output.stderr.contains("tried again"), "{output}");
}

#[test]
fn exit_78_for_a_wrong_config() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let output = sandbox.run(&["fetch"]);
    assert!(output.code == 78 && output.stderr.contains("config.yaml"), "{output}");
    sandbox.config("maildir: ~/Mail\nacounts: {}\n");
    let output = sandbox.run(&["fetch"]);
    assert!(output.code == 78 && output.stderr.contains("did you mean `accounts`?"), "{output}");
    assert_eq!(sandbox.run(&["check"]).code, 78);
    assert!(!sandbox.home().join(".local").exists(), "nothing was written");
}

#[test]
fn exit_64_for_wrong_use() {
    let (_server, sandbox) = serve(1, &Faults::none());
    for arguments in [&["fetch", "--nonsense"][..], &["nonsense"], &[]] {
        assert_eq!(sandbox.run(arguments).code, 64, "{arguments:?}");
    }
    let output = sandbox.run(&["fetch", "em"]);
    assert!(output.code == 64 && output.stderr.contains("did you mean `me`?"), "{output}");
    for arguments in [&["--help"][..], &["--version"], &["fetch", "--help"]] {
        let output = sandbox.run(arguments);
        assert!(output.code == 0 && output.stdout.contains("mailsluice"), "{output}");
    }
}

#[test]
fn the_worst_account_decides_the_exit_code() {
    let (mailbox, _) = filled(1);
    let good = ImapServer::start(&mailbox, ImapOptions::default());
    let refused = ImapServer::start(
        &mailbox,
        ImapOptions::with_faults(&Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())])),
    );
    let busy = ImapServer::start(
        &mailbox,
        ImapOptions::with_faults(&Faults::of([Fault::RefuseLogin("[UNAVAILABLE] no".into())])),
    );
    let sandbox = Account::imap(good.port()).sandbox();
    let accounts = [("good", &good), ("refused", &refused), ("busy", &busy)];
    let entries: String = accounts.iter().map(|(name, server)| Account::imap(server.port()).entry(name)).collect();
    sandbox.config(&format!("maildir: ~/Mail\naccounts:\n{entries}"));
    for (names, code) in [(&["good"][..], 0), (&["good", "busy"], 75), (&[], 77)] {
        let output = sandbox.run(&[&["fetch"], names].concat());
        assert_eq!(output.code, code, "{names:?}: {output}");
    }
    let subjects = Maildirs::at(sandbox.maildir()).delivered();
    assert_eq!(subjects.iter().filter(|found| found.bytes.starts_with(b"From: a@")).count(), 1);
}

#[test]
fn json_is_one_object_a_line_with_these_keys() {
    let (_server, sandbox) = serve(3, &Faults::of([Fault::Message(1, MessageFault::Refused)]));
    let output = sandbox.run(&["fetch", "--json"]);
    assert_eq!(output.code, 75, "{output}");
    let lines: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [report] = lines.as_slice() else { panic!("{output}") };
    let keys: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "account",
        "bytes",
        "code",
        "deferred",
        "discarded",
        "errors",
        "failed",
        "folders",
        "left",
        "new",
        "paused",
        "remarks",
        "seconds",
        "settled",
        "version",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&report["account"], &report["new"], &report["failed"]), (&"me".into(), &2.into(), &1.into()));
    assert_eq!(report["folders"]["INBOX"], 2);
    assert!(report["remarks"][0].as_str().unwrap().contains("attempt 1 of 5"), "{report}");

    let log = sandbox.run(&["log", "--json"]);
    let rows: Vec<Value> = log.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[1]["subject"], &rows[1]["done"]), (&"number 3".into(), &true.into()), "{log}");
}

#[test]
fn json_errors_are_json_too() {
    let (_server, sandbox) = serve(1, &Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]));
    let report: Value = serde_json::from_str(sandbox.run(&["fetch", "--json"]).stdout.trim()).unwrap();
    assert_eq!(report["errors"][0]["transient"], false);
    let output = sandbox.run(&["fetch", "--json", "nobody"]);
    let error: Value = serde_json::from_str(output.stdout.trim()).unwrap();
    assert!(error["error"].as_str().unwrap().contains("nobody"), "{output}");
    sandbox.config("nonsense: 1\n");
    let output = sandbox.run(&["check", "--json"]);
    output
        .stdout
        .lines()
        .for_each(|line| assert_eq!(serde_json::from_str::<Value>(line).unwrap()["severity"], "error"));
    assert!(output.stdout.lines().count() > 0);
}

#[test]
fn a_notice_comes_once_for_each_cause_and_day() {
    let faults = Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]);
    let (_server, sandbox) = serve(1, &faults);
    (0..2).for_each(|_| assert_eq!(sandbox.run(&["fetch"]).code, 77));
    let notices = Maildirs::at(sandbox.maildir()).delivered();
    assert_eq!(notices.len(), 1);
    let text = String::from_utf8_lossy(&notices[0].bytes).into_owned();
    for part in [
        "Subject: [mailsluice] me: the server refuses the password",
        "Auto-Submitted: auto-generated",
        "[AUTHENTICATIONFAILED]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    faults.clear();
    faults.message(1, MessageFault::Refused);
    (0..6).for_each(|_| _ = sandbox.run(&["fetch"]));
    assert_eq!(Maildirs::at(sandbox.maildir()).delivered().len(), 2, "another cause is another notice");
}

#[test]
fn run_fetches_until_sigterm() {
    let mailbox = mailbox();
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).with("poll: 1s").sandbox();
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = sandbox.spawn(&["run"]);
        for _ in 0..2 {
            let number = mailbox.count("INBOX") + 1;
            mailbox.add("INBOX", message(number));
            while Maildirs::at(sandbox.maildir()).delivered().len() < number {
                assert!(running.is_running(), "it ended by itself");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        running.signal(signal);
        let output = running.wait();
        assert_eq!(output.code, 0, "{output}");
        assert!(output.stdout.contains("me: 1 new"), "{output}");
    }
    let messages: Vec<String> = (1..=4).map(message).collect();
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
}

/// The first signal ends a fetch at the next safe place, with what is fetched so far.
#[test]
fn sigterm_during_a_fetch_loses_nothing() {
    let (mailbox, messages) = filled(1200);
    let faults = Faults::none();
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).with("retention: delete").sandbox();
    faults.set(Fault::Delay(Duration::from_millis(30)));
    let running = sandbox.spawn(&["fetch"]);
    while !faults.commands().iter().any(|command| command.contains("BODY.PEEK[]")) {
        std::thread::sleep(Duration::from_millis(2));
    }
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!(output.code, 75, "{output}");
    Maildirs::at(sandbox.maildir()).assert_nothing_wrong_yet(&messages);
    faults.clear();
    (0..2).for_each(|_| assert_eq!(sandbox.run(&["fetch"]).code, 0));
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
    assert_eq!(mailbox.count("INBOX"), 0);
}

#[test]
fn sigterm_while_a_program_is_asked_decides_nothing() {
    let (mailbox, messages) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let rules = "rules: [{do: [{filter: [~/slow]}]}]";
    let sandbox = Account::imap(server.port()).with("retention: delete").top(rules).sandbox();
    let begun = sandbox.home().join("begun");
    sandbox.script("slow", "#!/bin/sh\ntouch ~/begun\nexec sleep 50\n");
    let running = sandbox.spawn(&["--allow-root", "fetch"]);
    while !begun.exists() {
        std::thread::sleep(Duration::from_millis(2));
    }
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!((output.code, Maildirs::at(sandbox.maildir()).delivered().len()), (75, 0), "{output}");
    sandbox.script("slow", "#!/bin/sh\nexec cat\n");
    let output = sandbox.run(&["--allow-root", "fetch"]);
    assert_eq!(output.code, 0, "{output}");
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
}

#[test]
fn files_and_folders_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_server, sandbox) = serve(1, &Faults::none());
    let open =
        sandbox.script("umask.sh", &format!("#!/bin/sh\numask 000\nexec {} fetch\n", env!("CARGO_BIN_EXE_mailsluice")));
    let command = sandbox.command(&[]);
    let mut shell = std::process::Command::new(open);
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(shell.output().unwrap().status.success());
    for root in [sandbox.maildir(), sandbox.home().join("state")] {
        let mut paths = vec![root];
        while let Some(path) = paths.pop() {
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
            if path.is_dir() {
                paths.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
}

#[test]
fn check_warns_of_what_the_config_names_and_is_not_there() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let config = |maildir: &str| {
        format!(
            "maildir: {maildir}\nstate: ~/state\nme: [me@home.example]\naccounts:\n  a:\n    imap: localhost\n    \
             user: a\n    password: {{command: [no-such-keyring, show]}}\nrelays:\n  default: {{sendmail: \
             /no/such/sendmail}}\nrules:\n  - {{if: {{run: [no-such-test]}}, do: [{{filter: [no-such-filter, -x]}}]}}\n  - \
             {{if: {{subject: x}}, do: {{pipe: {{run: [no-such-pipe], copy: true}}}}}}\n  - {{do: [{{notify: {{run: \
             [no-such-pager]}}}}, {{pipe: [cat]}}]}}\n"
        )
    };
    sandbox.config(&config("~/nowhere/at/all"));
    let output = sandbox.run(&["check"]);
    assert_eq!(output.code, 0, "{output}");
    for missing in ["keyring", "test", "filter", "pipe", "pager"] {
        let text = format!("there is no program `no-such-{missing}` in PATH");
        assert!(output.stdout.contains(&text), "{missing}: {output}");
    }
    assert!(output.stdout.contains("warning: there is no program /no/such/sendmail"), "{output}");
    assert!(output.stdout.contains("neither the mail root is there nor"), "{output}");
    assert!(output.stderr.contains("7 warnings") && !output.stdout.contains("`cat`"), "{output}");
    sandbox.config(&config("~/Mail"));
    std::fs::create_dir_all(sandbox.maildir()).unwrap();
    std::fs::write(sandbox.maildir().join("INBOX"), "From somebody\n").unwrap();
    let output = sandbox.run(&["check"]);
    assert!(output.code == 0 && output.stdout.contains("Mail/INBOX is a file"), "{output}");
}

/// The tests of files and folders: one that passes, one that fails, one that has none, one that cannot be read, one whose
/// rules ask a program that has no answer.
#[test]
fn test_walks_folders_and_takes_nothing_for_passed() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let rule =
        |condition: &str, test: &str| format!("rules:\n  - {{if: {{{condition}}}, do: {{fileinto: box}}}}\n{test}");
    let test = |message: &str, folder: &str| {
        format!("tests:\n  - {{name: one, message: {{{message}}}, expect: {{folder: {folder}}}}}\n")
    };
    let good = sandbox.write("rules/good.yaml", rule("subject: a", &test("Subject: a", "box")));
    let deep = sandbox.write("rules/deep/good.yaml", rule("subject: a", &test("Subject: a", "box")));
    let run = |more: &[&str]| sandbox.run(&[&["--allow-root", "test"][..], more].concat());
    let folder = sandbox.home().join("rules");
    let folder = folder.to_str().unwrap();
    let passed = run(&[folder]);
    assert_eq!((passed.code, passed.stderr.contains("2 passed, 0 failed\n")), (0, true), "{passed}");

    let none = sandbox.write("rules/none.yaml", rule("subject: a", ""));
    let without = run(&[folder]);
    assert_eq!((without.code, without.stdout.contains("none.yaml has no tests")), (1, true), "{without}");
    assert_eq!(run(&["--allow-none", folder]).code, 0);

    let wrong = sandbox.write("rules/wrong.yaml", rule("subjekt: a", ""));
    let broken = run(&["--allow-none", folder]);
    assert_eq!((broken.code, broken.stdout.matches("ok ").count()), (78, 2), "{broken}");
    assert!(broken.stderr.contains("did you mean `subject`?"), "{broken}");

    let asks = sandbox.write("asks.yaml", rule("run: [bogofilter]", &test("Subject: a", "INBOX")));
    let asked = run(&[asks.to_str().unwrap()]);
    assert_eq!((asked.code, asked.stdout.contains("what `bogofilter` answers")), (1, true), "{asked}");

    let nothing = sandbox.write("nothing.lua", "local function filter(m, act) end\n");
    let unreturned = run(&["--allow-none", nothing.to_str().unwrap()]);
    assert_eq!(
        (unreturned.code, unreturned.stderr.contains("a filter returns a function")),
        (78, true),
        "{unreturned}"
    );
    for path in [good, deep, none, wrong] {
        assert!(path.exists());
    }
}

#[test]
fn check_calls_each_script_once() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let check = |script: &str| {
        sandbox.write("triage.lua", script);
        sandbox.write("config.yaml", "maildir: Mail\nstate: state\nfilters: [triage.lua]\n");
        sandbox.run(&["--allow-root", "-c", sandbox.home().join("config.yaml").to_str().unwrap(), "check"])
    };
    for (script, said) in [
        ("local function f(m, act) end\n", "a filter returns a function"),
        ("return function(m, act)\n  act.fileInto(\"x\")\nend\n", "triage.lua:2:1: error: Lua:"),
        ("return function(m, act)\n  if m.subjct then act.keep() end\nend\n", "m"),
        ("return function(m, act)\n  frobnicate(m)\nend\n", "triage.lua:2:1: error: Lua:"),
        ("return function(m, act)\n  if m:in_list(\"nobody\", \"x\") then act.keep() end\nend\n", "nobody"),
    ] {
        let checked = check(script);
        assert_eq!((checked.code, checked.stdout.contains(said)), (78, true), "{script}\n{checked}");
    }
    let lacking = check("return function(m, act)\n  if m.list_id:find(\"x\") then act.keep() end\nend\n");
    assert_eq!((lacking.code, lacking.stdout.contains("fails for an ordinary letter")), (0, true), "{lacking}");
    let good = check("return function(m, act)\n  if m.subject == \"x\" then act.discard() end\nend\n");
    assert_eq!((good.code, good.stderr.contains("in order")), (0, true), "{good}");
}

#[test]
fn lists_are_shown_and_changed() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    std::fs::write(sandbox.home().join("book.csv"), "name,mail\nAnn,ann@x.example\n").unwrap();
    sandbox.config(
        "maildir: ~/Mail\nlists:\n  fixed: {entries: {ann@x.example: people/ann}}\n  book: {file: ~/book.csv, column: mail, value: name}\n  \
         muted: {database: true, keep_for: 30d}\n  told: {command: [printf, 'a@x.example\\nb@x.example\\n']}\n",
    );
    let shown = |arguments: &[&str]| {
        let output = sandbox.run(&[&["--allow-root", "list"], arguments].concat());
        assert_eq!(output.code, 0, "{output}");
        output.stdout
    };
    assert_eq!(shown(&["fixed"]), "ann@x.example -> people/ann\n");
    assert_eq!(shown(&["book", "show"]), "ann@x.example -> Ann\n");
    assert_eq!(shown(&["told"]), "a@x.example\nb@x.example\n");
    assert_eq!(shown(&["muted"]), "");
    shown(&["muted", "add", "Bob@x.example", "c@x.example", "--value", "people/b"]);
    shown(&["muted", "remove", "C@x.example"]);
    assert_eq!(shown(&["muted"]), "bob@x.example -> people/b\n");
    assert_eq!(shown(&["--json", "muted"]), "{\"entry\":\"bob@x.example\",\"value\":\"people/b\",\"version\":1}\n");
    for (arguments, says) in [
        (&["nobody"][..], "there is no list nobody; there is: fixed, book, muted, told"),
        (&["fixed", "add", "x"], "the list fixed is not in the database: change it where it is written"),
        (&["muted", "add", " "], "an entry is a text of one line"),
    ] {
        let output = sandbox.run(&[&["list"], arguments].concat());
        assert!(output.code == 64 && output.stderr.contains(says), "{output}");
    }
}
