//! What the program tells: the outbox from a rule to a server, with the real binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Output, Sandbox};
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
const PATIENCE: Duration = Duration::from_secs(30);

/// One user with rules.
pub struct User {
    pub sandbox: Sandbox,
    own: String,
    pub rules: String,
}

impl User {
    fn new(own: &str, rules: &str) -> Self {
        let user = Self { sandbox: Sandbox::new(PROGRAM), own: own.to_owned(), rules: rules.to_owned() };
        user.config("");
        user
    }

    pub fn without_relay(rules: &str) -> Self {
        Self::new("me@home.example", rules)
    }

    pub fn with_relay(rules: &str, server: &SmtpServer) -> Self {
        let user = Self::new("me@home.example", rules);
        user.relay(server.port());
        user
    }

    pub fn config(&self, more: &str) {
        self.sandbox
            .config(&format!("maildir: ~/Mail\nstate: ~/state\nme: [{}]\n{more}rules:\n{}\n", self.own, self.rules));
    }

    pub fn relay(&self, port: u16) {
        self.config(&format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}}}}}\n"));
    }

    pub fn deliver(&self, message: impl AsRef<[u8]>) {
        let output = self.sandbox.run_with_stdin(&["--allow-root", "deliver"], message);
        assert_eq!(output.code, 0, "{output}");
    }

    pub fn queue(&self, arguments: &[&str]) -> Output {
        self.sandbox.run(&[&["--allow-root", "queue"], arguments].concat())
    }

    pub fn rows(&self) -> Vec<Value> {
        let output = self.queue(&["list", "--all", "--json"]);
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn states(&self) -> Vec<String> {
        self.rows().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for what runs beside us.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let rows = self.rows();
            if is_so(&rows) {
                return rows;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {rows:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Until every row is sent, given up, or has been tried.
    #[track_caller]
    pub fn settled(&self) -> Vec<Value> {
        // What is given up is noted before its message is filed.
        let is_at_hand = |row: &Value| row["state"] == "given up, not filed yet";
        let is_done =
            |row: &Value| row["state"] == "sent" || row["state"] == "failed" || row["said"] != "" && !is_at_hand(row);
        self.until("every row is tried", |rows| rows.iter().all(is_done))
    }

    /// Tries again until every row is in this state.
    #[track_caller]
    pub fn retried(&self, state: &str) {
        let start = Instant::now();
        while self.states().iter().any(|now| now != state) {
            assert!(start.elapsed() < PATIENCE, "{:#?}", self.rows());
            self.queue(&["retry"]);
        }
    }

    pub fn the_time_is_known(&self) {
        the_time_is_known(&self.sandbox);
    }

    /// Changes what is noted of the rows, behind the program's back.
    pub fn change_rows(&self, what: &str) {
        let db = rusqlite::Connection::open(self.sandbox.home().join("state/state.db")).unwrap();
        db.execute(&format!("UPDATE outbox SET {what}"), []).unwrap();
    }

    pub fn inbox(&self) -> Vec<String> {
        let found = Maildirs::at(self.sandbox.maildir()).in_folder("INBOX");
        found.iter().map(|found| String::from_utf8_lossy(&found.bytes).into_owned()).collect()
    }
}

/// The state has known the time for long.
pub fn the_time_is_known(sandbox: &Sandbox) {
    let db = rusqlite::Connection::open(sandbox.home().join("state/state.db")).unwrap();
    db.execute("UPDATE fact SET value = strftime('%s') WHERE name = 'seen'", []).unwrap();
}

pub fn mail(number: usize, subject: &str) -> String {
    format!(
        "Return-Path: <ann@far.example>\nFrom: Ann <ann@far.example>\nTo: me@home.example\n\
         Message-ID: <{number}@far.example>\nSubject: {subject}\n\nhello\n.dot\n"
    )
}

pub fn text(taken: &Taken) -> String {
    String::from_utf8_lossy(&taken.message()).replace("\r\n", "\n")
}

/// The reverse-path.
pub fn from(taken: &Taken) -> &str {
    taken.mail.split(['<', '>']).nth(1).unwrap()
}

/// Without the Received field, which says when it was sent.
fn original(taken: &Taken) -> String {
    text(taken).split_once('\n').unwrap().1.to_owned()
}

const FORWARD: &str = "  - {name: forward, do: {redirect: {to: [a@x.example, b@x.example], copy: true}}}";
const VACATION: &str = "  - {name: away, do: {vacation: I am away}}";

#[test]
fn a_forward_is_the_message_with_a_trace_in_front() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay(FORWARD, &server);
    user.deliver(mail(1, "hi"));
    user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(server.count(), 1);
    let taken = server.last();
    assert_eq!(taken.to, ["a@x.example", "b@x.example"]);
    assert_eq!(from(&taken), "me@home.example", "SPF of the sender's domain would not hold");
    let text = text(&taken);
    let original = mail(1, "hi").split_once('\n').unwrap().1.to_owned();
    assert!(text.ends_with(&original), "{text}");
    assert!(text.contains("X-Mailsluice-Redirected-From:"), "{text}");
    assert!(!text.contains("Return-Path"), "{text}");
    assert_eq!(user.inbox(), [mail(1, "hi")]);
}

#[test]
fn one_recipient_refused_is_not_all_refused() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<b@x", "550 5.1.1 nobody here"));
    let user = User::with_relay("  - {name: forward, do: {redirect: [a@x.example, b@x.example]}}", &server);
    user.deliver(mail(1, "hi"));
    user.settled();
    assert_eq!((server.count(), user.states()), (1, vec!["sent".to_owned()]));
    assert_eq!(server.last().to, ["a@x.example"]);
    let inbox = user.inbox();
    assert_eq!(inbox.len(), 2, "the message and a notice: {inbox:#?}");
    assert!(inbox.contains(&mail(1, "hi")), "{inbox:#?}");
    let notice = inbox.iter().find(|text| text.contains("could not be sent")).unwrap();
    assert!(notice.contains("b@x.example") && notice.contains("nobody here"), "{notice}");
    assert!(!notice.contains("a@x.example"), "{notice}");
    user.queue(&["retry"]);
    assert_eq!(server.count(), 1);
}

#[test]
fn what_is_refused_for_good_goes_to_the_inbox_once() {
    let server = SmtpServer::start(SmtpOptions::default().reply("DATA", "554 5.7.1 spam"));
    let user = User::with_relay("  - {name: forward, do: {redirect: a@x.example}}", &server);
    user.deliver(mail(1, "hi"));
    user.until("it is given up", |rows| rows.iter().all(|row| row["state"] == "failed"));
    for _ in 0..2 {
        user.queue(&["retry"]);
        assert_eq!(user.inbox().len(), 2);
    }
    assert!(user.inbox().contains(&mail(1, "hi")));
    assert_eq!(server.commands().iter().filter(|command| command.starts_with("MAIL")).count(), 1);
}

#[test]
fn what_is_refused_for_now_is_tried_again() {
    let server = SmtpServer::start(SmtpOptions::default().reply("RCPT TO:<b@x", "450 4.2.1 greylisted"));
    let user = User::with_relay(FORWARD, &server);
    user.deliver(mail(1, "hi"));
    let rows = user.settled();
    assert_eq!(rows[0]["state"], "waiting");
    assert!(rows[0]["said"].as_str().unwrap().contains("greylisted"), "{rows:#?}");
    let willing = SmtpServer::start(SmtpOptions::default());
    user.relay(willing.port());
    user.retried("sent");
    assert_eq!((server.last().to, willing.last().to), (vec!["a@x.example".into()], vec!["b@x.example".into()]));
    assert_eq!((server.count(), willing.count(), user.inbox().len()), (1, 1, 1));
    assert_eq!(
        original(&server.last()),
        original(&willing.last()),
        "a retry is the same message, also in its Message-ID"
    );
}

#[test]
fn a_relay_that_is_not_there_rests_and_nothing_is_lost() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let user = User::new("me@home.example", "  - {name: forward, do: {redirect: a@x.example}}");
    user.relay(closed);
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    let rests = |user: &User| user.queue(&["list"]).stderr.contains("the relay default rests until");
    let start = Instant::now();
    while !rests(&user) {
        assert!(start.elapsed() < PATIENCE, "{}", user.queue(&["list"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    let server = SmtpServer::start(SmtpOptions::default());
    user.relay(server.port());
    assert_eq!(user.queue(&["run"]).code, 75);
    assert_eq!(server.count(), 0, "it is left in peace");
    user.retried("sent");
    assert_eq!(server.count(), 3);
    assert!(user.inbox().is_empty());
}

#[test]
fn without_a_relay_it_waits_and_says_what_to_do() {
    let user = User::new("me@home.example", FORWARD);
    user.deliver(mail(1, "hi"));
    let rows = user.settled();
    assert!(rows[0]["said"].as_str().unwrap().contains("add `relays:` to the config"), "{rows:#?}");
    assert_eq!(user.inbox().len(), 1);
}

#[test]
fn held_dropped_and_tried_again() {
    let user = User::new("me@home.example", "  - {name: forward, do: {redirect: a@x.example}}");
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    let rows = user.settled();
    let id = |n: usize| rows[n]["id"].to_string();
    assert_eq!(user.queue(&["hold", &id(0), &id(1)]).code, 0);
    assert_eq!(user.queue(&["drop", &id(1)]).code, 0);
    assert_eq!(user.inbox().len(), 2, "a dropped forward goes to the inbox, with a notice");
    let server = SmtpServer::start(SmtpOptions::default());
    user.relay(server.port());
    let start = Instant::now();
    while server.count() < 1 {
        assert!(start.elapsed() < PATIENCE);
        user.queue(&["retry"]);
    }
    assert_eq!(user.states(), ["held", "failed", "sent"]);
    assert!(text(&server.last()).contains("<3@far.example>"));
    assert_eq!(user.queue(&["retry", &id(1)]).code, 64, "what was given up is not revived");
    assert_eq!(user.queue(&["retry", &id(0)]).code, 0);
    assert_eq!((user.states(), server.count()), (["sent", "failed", "sent"].map(str::to_owned).to_vec(), 2));
}

/// `retry` wrote back what it had read as waiting, and another process had sent it meanwhile.
#[test]
fn a_retry_beside_a_pass_revives_nothing() {
    let user = User::new("me@home.example", "  - {name: forward, do: {redirect: a@x.example}}");
    (1..=20).for_each(|n| user.deliver(mail(n, "hi")));
    user.settled();
    let server = SmtpServer::start(SmtpOptions { delay: Duration::from_millis(1), ..SmtpOptions::default() });
    user.relay(server.port());
    let passes: Vec<_> = (0..4).map(|_| user.sandbox.spawn(&["--allow-root", "queue", "retry"])).collect();
    passes.into_iter().for_each(|pass| drop(pass.wait()));
    user.retried("sent");
    assert_eq!(server.count(), 20);
}

#[test]
fn an_answer_goes_to_the_sender_alone_and_asks_for_none() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay(VACATION, &server);
    user.deliver(mail(1, "question"));
    user.deliver(mail(2, "again"));
    user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(server.count(), 1, "once in seven days");
    let taken = server.last();
    assert_eq!((from(&taken), taken.to.as_slice()), ("", &["ann@far.example".to_owned()][..]));
    let text = text(&taken);
    for line in [
        "Auto-Submitted: auto-replied",
        "In-Reply-To: <1@far.example>",
        "Subject: Auto: question",
        "To: ann@far.example",
        "From: me@home.example",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    assert!(server.commands().iter().any(|command| command.contains("NOTIFY=NEVER")), "{:#?}", server.commands());
    assert_eq!(user.inbox().len(), 2);
}

/// Both are away and write to each other through their answers: there is an end.
#[test]
fn two_that_are_away_do_not_answer_each_other() {
    let server = SmtpServer::start(SmtpOptions::default());
    let users: Vec<User> = ["me@home.example", "ann@far.example"].map(|own| User::new(own, VACATION)).into();
    users.iter().for_each(|user| user.relay(server.port()));
    users[0].deliver(mail(1, "hi"));
    let mut handed = 0;
    for _ in 0..10 {
        users.iter().for_each(|user| drop(user.settled()));
        for taken in server.mails().into_iter().skip(handed) {
            handed += 1;
            let user = users.iter().find(|user| taken.to.contains(&user.own)).unwrap();
            user.deliver(format!("Return-Path: <{}>\n{}", from(&taken), text(&taken)));
        }
    }
    assert_eq!(server.count(), 1);
}

/// Killed whenever a command has come to the server: a forward goes out at least once, with one Message-ID, and an
/// answer at most once.
#[test]
fn killed_at_any_command_nothing_is_lost_and_nobody_answered_twice() {
    let rules = format!("{VACATION}\n  - {{name: forward, do: {{redirect: {{to: a@x.example, copy: true}}}}}}");
    let mut doubled = 0;
    for (verb, nth) in ["EHLO", "MAIL", "RCPT", "DATA", "."].iter().flat_map(|verb| [(verb, 1), (verb, 2)]) {
        let server = SmtpServer::start(SmtpOptions::default().without("PIPELINING"));
        let user = User::new("me@home.example", &rules);
        user.deliver(mail(1, "hi"));
        user.settled();
        user.relay(server.port());
        let (victim, seen) = (Arc::new(AtomicI32::new(0)), Mutex::new(0));
        let target = Arc::clone(&victim);
        let verb = *verb;
        server.at_command(move |command| {
            let is_it = command.starts_with(verb);
            let mut seen = seen.lock().unwrap();
            *seen += i32::from(is_it);
            if is_it && *seen == nth {
                while target.load(Ordering::SeqCst) == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
                kill_process(Pid::from_raw(target.load(Ordering::SeqCst)).unwrap(), Signal::KILL).unwrap();
            }
        });
        let running = user.sandbox.spawn(&["--allow-root", "queue", "retry"]);
        victim.store(i32::try_from(running.pid()).unwrap(), Ordering::SeqCst);
        let output = running.wait();
        // Both go over one connection.
        assert_eq!(output.code == -9, (verb, nth) != ("EHLO", 2), "{verb} {nth}: {output}");
        let start = Instant::now();
        while user.states().iter().any(|state| state == "waiting" || state == "sending") {
            assert!(start.elapsed() < PATIENCE, "{verb} {nth}: {:#?}", user.rows());
            user.queue(&["retry"]);
        }
        let mails = server.mails();
        let answers = mails.iter().filter(|taken| taken.to == ["ann@far.example"]).count();
        let forwards: Vec<String> = mails.iter().filter(|taken| taken.to == ["a@x.example"]).map(original).collect();
        assert!(answers <= 1, "{verb} {nth}: {answers} answers");
        assert!(!forwards.is_empty(), "{verb} {nth}: no forward");
        assert!(forwards.iter().all(|text| *text == forwards[0]), "{verb} {nth}: {forwards:#?}");
        doubled += usize::from(forwards.len() > 1);
        assert_eq!(user.inbox().len(), 1, "{verb} {nth}");
    }
    assert!(doubled > 0, "no kill came between the dot and the note of it: this test proves nothing");
}

#[test]
fn sendmail_takes_what_mutt_gives() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let message = "To: a@x.example\nCc: b@x.example\nBcc: secret@x.example\nSubject: hello\n\n.\nx\n";
    let output =
        user.sandbox.run_with_stdin(&["--allow-root", "sendmail", "-oi", "-t", "-f", "me@home.example"], message);
    assert_eq!(output.code, 0, "{output}");
    user.until("it is sent", |rows| rows.len() == 1 && rows.iter().all(|row| row["state"] == "sent"));
    let taken = server.last();
    assert_eq!(taken.to, ["a@x.example", "b@x.example", "secret@x.example"]);
    let text = text(&taken);
    assert!(!text.contains("secret") && text.ends_with("\n\n.\nx\n") && text.contains("\nFrom: "), "{text}");
    assert_eq!(
        user.sandbox.run_with_stdin(&["--allow-root", "sendmail"], "Subject: x\n\nx\n").code,
        64,
        "nobody to send it to"
    );
}

/// Debian's cron names `root`; others have it in the header.
#[test]
fn what_cron_has_for_root_comes_to_the_user() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let message = "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@box> backup\n\nfailed\n";
    for options in
        [&["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"][..], &["-FCronDaemon", "-i", "-t", "-f", "root"]]
    {
        let output = user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], options].concat(), message);
        assert_eq!(output.code, 0, "{output}");
    }
    user.until("they are sent", |rows| rows.len() == 2 && rows.iter().all(|row| row["state"] == "sent"));
    for taken in server.mails() {
        assert_eq!((taken.to.as_slice(), from(&taken)), (&["me@home.example".to_owned()][..], "me@home.example"));
        let text = text(&taken);
        assert!(text.contains("\nFrom: \"CronDaemon\" <me@home.example>\n") && !text.contains("From: root"), "{text}");
    }
}

#[test]
fn a_body_alone_is_taken() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::with_relay("  - {name: none, do: keep}", &server);
    let send =
        |to: &[&str], text: &str| user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], to].concat(), text);
    for (text, body) in
        [("it failed\nat last", "\n\nit failed\nat last\n"), ("\nx\n", "\n\nx\n"), ("Subject: x", ": x\n")]
    {
        assert_eq!(send(&["a@x.example", "B <b@x.example>"], text).code, 0);
        user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
        let taken = server.last();
        assert_eq!(taken.to, ["a@x.example", "b@x.example"]);
        let got = self::text(&taken);
        assert!(got.contains(body) && got.contains("From: me@home.example\n"), "{got}");
    }
    assert!(send(&["a@x.example"], "").stderr.contains("there is no message"));
}

#[test]
fn without_an_address_of_ones_own_nothing_is_sent_from_nobody() {
    let user = User::without_relay("  - {name: none, do: keep}");
    let relay = "relays: {default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}}";
    user.sandbox.config(&format!("maildir: ~/Mail\nstate: ~/state\n{relay}\n"));
    for to in ["a@x.example", "root"] {
        let output = user.sandbox.run_with_stdin(&["--allow-root", "sendmail", to], "Subject: x\n\nx\n");
        assert!(output.code == 64 && output.stderr.contains("add `me:` to the config"), "{output}");
    }
}

#[test]
fn sending_r_7_a_relay_that_is_this_program_is_refused_and_a_loop_through_a_script_ends() {
    let user = User::without_relay("  - {name: forward, do: {redirect: you@far.example}}");
    let home = user.sandbox.home().to_owned();
    let link = home.join("sendmail");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mailsluice"), &link).unwrap();
    let relay = |program: &std::path::Path| {
        user.config(&format!("relays: {{default: {{sendmail: [{}]}}}}\n", program.display()));
    };
    user.deliver(mail(1, "hi"));
    user.settled();
    relay(&link);
    let output = user.sandbox.run(&["check"]);
    assert!(output.code == 78 && output.stdout.contains("mailsluice itself"), "{output}");
    let script = format!("#!/bin/sh\nexec {} --allow-root sendmail \"$@\"\n", env!("CARGO_BIN_EXE_mailsluice"));
    relay(&user.sandbox.script("relay", &script));
    let output = user.queue(&["retry"]);
    assert!(output.stderr.contains("mailsluice again"), "{output}");
    assert_eq!(user.states(), ["waiting"], "{output}");
}

/// The options of a link named `sendmail` are that program's, not ours: `-q` means the queue.
#[test]
fn links_named_sendmail_and_mailq_are_those_programs() {
    let server = SmtpServer::start(SmtpOptions::default());
    let user = User::without_relay("  - {name: none, do: keep}");
    let later = user.sandbox.script("later", "#!/bin/sh\nexit 75\n");
    user.config(&format!("relays: {{default: {{sendmail: [{}]}}}}\n", later.display()));
    let run = |name: &str, arguments: &[&str], message: &str| {
        let link = user.sandbox.home().join(name);
        std::os::unix::fs::symlink(PROGRAM, &link).ok();
        let mut command = std::process::Command::new(link);
        command.args(arguments).env_clear().env("HOME", user.sandbox.home());
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run("sendmail", &["-ti"], "To: a@x.example\nSubject: x\n\n.\nend\n").0, 0);
    user.settled();
    for (name, arguments) in [("mailq", &[][..]), ("sendmail", &["-bp"])] {
        let (code, out) = run(name, arguments, "");
        assert!(code == 0 && out.lines().count() == 2 && out.contains("a@x.example"), "{name} {out}");
    }
    user.relay(server.port());
    user.change_rows("due = 0");
    assert_eq!(run("sendmail", &["-q"], "").0, 0);
    assert!(text(&server.last()).ends_with("\n.\nend\n"), "the dot did not end it");
}

#[test]
fn a_program_gets_the_message_and_says_whether_it_went_well() {
    let user = User::new(
        "me@home.example",
        "  - {name: tool, do: {pipe: [sh, -c, 'cat > \"$HOME/got\"; exit \"$(cat \"$HOME/code\")\"']}}",
    );
    user.sandbox.write("code", "75");
    user.deliver(mail(1, "hi"));
    assert_eq!(user.settled()[0]["state"], "waiting", "EX_TEMPFAIL");
    assert_eq!(user.sandbox.read("got"), mail(1, "hi"));
    user.sandbox.write("code", "0");
    user.retried("sent");
    assert!(user.inbox().is_empty());
    user.sandbox.write("code", "1");
    user.deliver(mail(2, "hi"));
    let rows = user.until("it is given up", |rows| rows.iter().any(|row| row["state"] == "failed"));
    assert!(user.inbox().contains(&mail(2, "hi")), "{rows:#?}");
}

/// Answers each request with this status, and keeps its body.
fn web(statuses: &[u16]) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (requests, statuses) = (Arc::new(Mutex::new(Vec::new())), statuses.to_vec());
    let kept = Arc::clone(&requests);
    std::thread::spawn(move || {
        for status in statuses {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
            }
            kept.lock().unwrap().push(String::from_utf8(request).unwrap());
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nLocation: http://x.example/\r\n\r\n").unwrap();
        }
    });
    (port, requests)
}

#[test]
fn a_webhook_gets_json() {
    for (status, state) in [(204, "sent"), (500, "waiting"), (404, "failed"), (302, "failed")] {
        let (port, requests) = web(&[status]);
        let rule = format!(
            "  - {{name: hook, do: {{notify: {{webhook: 'http://127.0.0.1:{port}/in?key=s3cret', text: '${{subject}}'}}}}}}"
        );
        let user = User::new("me@home.example", &rule);
        user.deliver(mail(1, "a \"quoted\" one"));
        let rows = user.settled();
        assert_eq!(rows[0]["state"], state, "{status}: {rows:#?}");
        assert!(!rows[0].to_string().contains("s3cret"), "{rows:#?}");
        let log = user.sandbox.run(&["log", "-v"]);
        assert!(log.stdout.contains("notify 127.0.0.1") && !log.stdout.contains("s3cret"), "{log}");
        let request = requests.lock().unwrap()[0].clone();
        assert!(request.starts_with("POST /in?key=s3cret HTTP/1.1\r\n"), "{request}");
        let json: Value = serde_json::from_str(request.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(json["text"], "a \"quoted\" one");
        assert_eq!(user.inbox().len(), 1);
    }
}

/// Passes everything on, and once ends both connections in place of the server's answer to an APPEND.
fn cut_after_append(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let cut = Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", server)).unwrap());
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let appending = Arc::new(AtomicBool::new(false));
            let (seen, cut) = (Arc::clone(&appending), Arc::clone(&cut));
            std::thread::spawn(move || {
                let mut piece = [0; 65536];
                while let Ok(read @ 1..) = from_client.read(&mut piece) {
                    seen.fetch_or(piece[..read].windows(6).any(|at| at == b"APPEND"), Ordering::SeqCst);
                    to_server.write_all(&piece[..read]).unwrap();
                }
            });
            std::thread::spawn(move || {
                let mut piece = [0; 65536];
                while let Ok(read @ 1..) = server.read(&mut piece) {
                    let is_answer = appending.load(Ordering::SeqCst) && !piece.starts_with(b"+");
                    if is_answer && !cut.swap(true, Ordering::SeqCst) {
                        break;
                    }
                    if client.write_all(&piece[..read]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = server.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[test]
fn a_message_is_appended_once_even_when_the_answer_is_lost() {
    let Some(dovecot) = Dovecot::start() else { return };
    let port = cut_after_append(dovecot.ports.imap);
    let user = User::new(
        "me@home.example",
        "  - {name: new, if: {subject: new}, do: {imap: {account: far, folder: New/Mail}}}\n  \
         - {name: old, do: [{addflag: [flagged, $work]}, {imap: {account: far, folder: Old/Mail}}]}",
    );
    user.config(&format!(
        "accounts:\n  far:\n    imap: {{host: 127.0.0.1, port: {port}, tls: none}}\n    user: me\n    password: {PASSWORD}\n    \
         retention: keep\n"
    ));
    dovecot.doveadm(&["mailbox", "create", "-u", "me", "Old/Mail"]);
    user.deliver(mail(1, "hi"));
    let rows = user.settled();
    assert_eq!(rows[0]["state"], "waiting", "{rows:#?}");
    let count = || dovecot.doveadm(&["search", "-u", "me", "mailbox", "Old/Mail", "all"]).lines().count();
    assert_eq!(count(), 1, "it came, and nobody said so");
    user.retried("sent");
    assert_eq!(count(), 1);
    assert!(user.rows()[0]["said"].as_str().unwrap().contains("had come before"), "{:#?}", user.rows());
    let flags = dovecot.doveadm(&["fetch", "-u", "me", "flags", "mailbox", "Old/Mail", "all"]);
    assert!(flags.contains("\\Flagged") && flags.contains("$work"), "{flags}");
    // One that looks the same and is another comes all the same.
    user.deliver(mail(1, "ho"));
    user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    assert_eq!(count(), 2);
    // A missing folder is made.
    user.deliver(mail(2, "new"));
    user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    let made = dovecot.doveadm(&["fetch", "-u", "me", "hdr.message-id", "mailbox", "New/Mail", "all"]);
    assert!(made.contains("<2@far.example>"), "{made}");
    assert!(user.inbox().is_empty());
}
