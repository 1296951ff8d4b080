//! The mailsluice that stays: sessions that are kept, orders, pauses, a config that changes, and what is said of all that.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Account, filled, mailbox, message};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::maildir::{Found, Maildirs};
use crate::support::sandbox::{Running, Sandbox};

/// Where the sandbox has its config.
const CONFIG: &str = ".config/mailsluice/config.yaml";
/// How long something that has to happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server without any push, an account, and what the server hears.
struct Scene {
    mailbox: Mailbox,
    faults: Faults,
    sandbox: Sandbox,
    _server: ImapServer,
}

impl Scene {
    fn new(keys: &str) -> Self {
        let (mailbox, faults) = (mailbox(), Faults::none());
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults).without("IDLE"));
        let sandbox = Account::imap(server.port()).with(keys).sandbox();
        Self { mailbox, faults, sandbox, _server: server }
    }

    fn heard(&self, command: &str) -> usize {
        self.faults.commands().iter().filter(|heard| heard.contains(command)).count()
    }

    fn delivered(&self) -> usize {
        Maildirs::at(self.sandbox.maildir()).delivered().len()
    }

    /// Without notices.
    fn delivered_mail(&self) -> usize {
        let is_mail = |found: &&Found| !String::from_utf8_lossy(&found.bytes).contains("\nX-Mailsluice-Notice:");
        Maildirs::at(self.sandbox.maildir()).delivered().iter().filter(is_mail).count()
    }

    fn run(&self) -> Running {
        let running = self.sandbox.spawn(&["run"]);
        until("it hears orders", || UnixStream::connect(self.socket()).is_ok());
        running
    }

    fn state(&self) -> std::path::PathBuf {
        self.sandbox.home().join("state")
    }

    fn socket(&self) -> std::path::PathBuf {
        self.state().join("socket")
    }

    fn status(&self) -> Value {
        let output = self.sandbox.run(&["status", "--json"]);
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
    }

    /// What the daemon answers to this line.
    fn tell(&self, line: &str) -> Vec<Value> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // What is too long is answered before all of it is written.
        stream.write_all(format!("{line}\n").as_bytes()).ok();
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
    }
}

#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn stop(running: Running) -> crate::support::sandbox::Output {
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!(output.code, 0, "{output}");
    output
}

#[test]
fn one_session_serves_all_passes() {
    let scene = Scene::new("poll: 1s");
    let running = scene.run();
    for number in 1..=3 {
        scene.mailbox.add("INBOX", message(number));
        until("it is filed", || scene.delivered() == number);
    }
    stop(running);
    assert_eq!((scene.heard("LOGIN") + scene.heard("AUTHENTICATE"), scene.heard("LOGOUT")), (1, 1));
}

#[test]
fn a_connection_that_went_is_made_again_and_nothing_comes_twice() {
    let scene = Scene::new("poll: 1s");
    let running = scene.run();
    let mut all = Vec::new();
    for number in 1..=4 {
        scene.mailbox.add("INBOX", message(number));
        all.push(message(number));
        until("it is filed", || scene.delivered() == number);
        let seen = scene.faults.commands_seen();
        scene.faults.set(Fault::CutBefore(seen + number));
    }
    stop(running);
    Maildirs::at(scene.sandbox.maildir()).assert_holds(&all);
}

/// E of the benchmark: nothing is new among many.
#[test]
fn a_folder_of_which_the_server_says_the_same_is_not_listed_again() {
    let scene = Scene::new("first: all");
    (1..=5).for_each(|number| _ = scene.mailbox.add("INBOX", message(number)));
    // The second one lists, too: after the first the account was never left in order.
    (0..2).for_each(|_| assert_eq!(scene.sandbox.run(&["fetch"]).code, 0));
    let listed = scene.heard("UID SEARCH");
    (0..3).for_each(|_| assert_eq!(scene.sandbox.run(&["fetch"]).code, 0));
    assert_eq!(scene.heard("UID SEARCH"), listed, "{:#?}", scene.faults.commands());

    // One goes and one comes: the count is the same.
    scene.mailbox.remove("INBOX", 2);
    scene.mailbox.add("INBOX", message(6));
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
    assert_eq!(scene.delivered(), 6);
    // The folder is another one with the same numbers.
    let listed = scene.heard("UID SEARCH");
    scene.mailbox.set_uidvalidity("INBOX", 4711, false);
    scene.sandbox.run(&["fetch"]);
    assert!(scene.heard("UID SEARCH") > listed);
    assert_eq!(scene.delivered_mail(), 6);
}

#[test]
fn what_the_account_asks_for_may_change_although_the_server_says_the_same() {
    let scene = Scene::new("max_size: 200");
    let large = format!("Subject: large\n\n{}", "x".repeat(1000));
    scene.mailbox.add("INBOX", &large);
    (0..3).for_each(|_| assert_eq!(scene.sandbox.run(&["fetch"]).code, 0));
    assert_eq!(scene.delivered(), 0);
    let config = scene.sandbox.read(CONFIG).replace("max_size: 200", "max_size: 20000");
    scene.sandbox.config(&config);
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
    assert_eq!(scene.delivered(), 1);
}

#[test]
fn fetch_beside_it_asks_it_and_says_what_came() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    scene.mailbox.add("INBOX", message(1));
    let output = scene.sandbox.run(&["fetch"]);
    assert!(output.code == 0 && output.stdout.contains("me: 1 new (1 INBOX)"), "{output}");
    assert_eq!((scene.delivered(), scene.heard("LOGIN") + scene.heard("AUTHENTICATE")), (1, 1));
    stop(running);
}

#[test]
fn poll_looks_at_once() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    scene.mailbox.add("INBOX", message(1));
    assert_eq!(scene.sandbox.run(&["poll", "me"]).code, 0);
    until("it is filed", || scene.delivered() == 1);
    stop(running);
    let output = scene.sandbox.run(&["poll"]);
    assert!(output.code == 64 && output.stderr.contains("no `mailsluice run` works with this state"), "{output}");
}

/// With the longest interval between two looks.
#[test]
fn mail_is_filed_as_soon_as_the_server_says_so() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).with("poll: 1h").sandbox();
    let running = sandbox.spawn(&["run"]);
    let waits = || faults.commands().iter().filter(|command| command.contains("IDLE")).count();
    let delivered = || Maildirs::at(sandbox.maildir()).delivered().len();
    for number in 1..=5 {
        until("it waits for news", || waits() >= number);
        mailbox.add("INBOX", message(number));
        until("it is filed", || delivered() == number);
    }
    until("status says how", || sandbox.run(&["status"]).stdout.contains("waits for news (IDLE on INBOX)"));
    stop(running);
    let logins = faults.commands().iter().filter(|command| command.contains("AUTHENTICATE")).count();
    assert_eq!(logins, 1);
}

/// Where the server tells of one folder for each connection.
#[test]
fn folders_that_push_names_have_connections_of_their_own() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    ["Work", "Lists"].iter().for_each(|folder| mailbox.add_folder(folder, &[]));
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let account = Account::imap(server.port()).with("poll: 1h").with("folders: all").with("push: [INBOX, Work]");
    let sandbox = account.sandbox();
    let running = sandbox.spawn(&["run"]);
    until("both are waited for", || sandbox.run(&["status"]).stdout.contains("IDLE on INBOX, Work"));
    for (number, folder) in [(1, "Work"), (2, "INBOX"), (3, "Work")] {
        mailbox.add(folder, message(number));
        until("it is filed", || Maildirs::at(sandbox.maildir()).delivered().len() == number);
    }
    stop(running);
    assert_eq!(faults.commands().iter().filter(|command| command.contains("AUTHENTICATE")).count(), 2);
}

/// A line to a server that can be cut while nobody says anything. Returns its port.
fn line_to(server: u16) -> (u16, Arc<Mutex<Vec<TcpStream>>>) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, ends) = (socket.local_addr().unwrap().port(), Arc::default());
    let all: Arc<Mutex<Vec<TcpStream>>> = Arc::clone(&ends);
    std::thread::spawn(move || {
        for client in socket.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            all.lock().unwrap().extend([client, server]);
        }
    });
    (port, ends)
}

/// Found by the soak: each wait for news of a busy account is short, and a third line that broke ended its push for minutes.
#[test]
fn lines_that_break_between_news_do_not_end_push() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let (port, ends) = line_to(server.port());
    let sandbox = Account::imap(port).with("poll: 1h").sandbox();
    let running = sandbox.spawn(&["run"]);
    let waits = || faults.commands().iter().filter(|command| command.contains("IDLE")).count();
    for number in 1..=5 {
        until("it waits for news", || waits() >= 2 * number - 1);
        mailbox.add("INBOX", message(number));
        until("it is filed, and it waits again", || {
            Maildirs::at(sandbox.maildir()).delivered().len() == number && waits() == 2 * number
        });
        ends.lock().unwrap().drain(..).for_each(|end| _ = end.shutdown(Shutdown::Both));
    }
    stop(running);
}

#[test]
fn a_pause_holds_over_a_restart_and_for_fetch() {
    let scene = Scene::new("poll: 1s");
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    assert_eq!(scene.sandbox.run(&["pause", "me"]).code, 0);
    stop(running);
    scene.mailbox.add("INBOX", message(1));
    let running = scene.run();
    until("it is said", || scene.status()["accounts"][0]["doing"] == "paused");
    let page = scene.sandbox.run(&["status"]);
    assert!(page.stdout.contains("`mailsluice resume me` lets it go on"), "{page}");
    let output = scene.sandbox.run(&["fetch", "--json"]);
    assert!(output.code == 0 && output.stdout.contains("\"paused\":true"), "{output}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(scene.delivered(), 0);
    assert_eq!(scene.sandbox.run(&["resume"]).code, 0);
    until("it is filed", || scene.delivered() == 1);
    stop(running);
    // Without it, too.
    assert_eq!(scene.sandbox.run(&["pause"]).code, 0);
    let output = scene.sandbox.run(&["-q", "fetch"]);
    assert!(output.code == 0 && output.stdout.is_empty() && output.stderr.is_empty(), "cron hears nothing: {output}");
    let output = scene.sandbox.run(&["fetch"]);
    assert!(output.code == 0 && output.stderr.contains("`mailsluice resume` lets it go on"), "{output}");
    let output = scene.sandbox.run(&["fetch", "--json"]);
    assert!(output.code == 0 && output.stdout.contains("\"paused\":true"), "{output}");
    assert_eq!(scene.sandbox.run(&["resume"]).code, 0);
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
}

/// A password that is refused again and again gets accounts locked.
#[test]
fn cron_does_not_hammer_a_refused_password() {
    let scene = Scene::new("first: all");
    scene.mailbox.set_password("another one");
    let codes: Vec<u8> = (0..6).map(|_| u8::try_from(scene.sandbox.run(&["fetch"]).code).unwrap()).collect();
    assert_eq!(codes, [77; 6]);
    let tried = scene.heard("LOGIN") + scene.heard("AUTHENTICATE");
    assert!((1..=3).contains(&tried), "{tried} logins");
    let last = scene.sandbox.run(&["fetch"]);
    assert!(!last.stderr.contains("refuse"), "it was said before: {last}");
    let page = scene.sandbox.run(&["status"]);
    assert!(page.code == 77 && page.stdout.contains("what helps"), "{page}");
    // Another password in the config is tried at once.
    let config = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&config.replace("password: open sesame", "password: another one"));
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
    assert_eq!(scene.sandbox.run(&["status"]).code, 0);
}

/// The password is right again, and `poll` says so.
#[test]
fn poll_tries_a_refused_password_at_once() {
    let scene = Scene::new("poll: 1s");
    scene.mailbox.set_password("another one");
    let running = scene.run();
    until("three tries", || scene.status()["accounts"][0]["trouble"]["times"].as_u64() == Some(3));
    scene.mailbox.set_password("open sesame");
    scene.mailbox.add("INBOX", message(1));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(scene.delivered_mail(), 0, "it rests for an hour");
    assert_eq!(scene.sandbox.run(&["poll", "me"]).code, 0);
    until("it is filed", || scene.delivered_mail() == 1);
    stop(running);
}

#[test]
fn a_config_that_changes_is_taken_over_and_a_broken_one_is_not() {
    let scene = Scene::new("poll: 1s");
    let (other, faults) = (mailbox(), Faults::none());
    let server = ImapServer::start(&other, ImapOptions::with_faults(&faults).without("IDLE"));
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    let config = scene.sandbox.read(CONFIG);
    scene.sandbox.config(&config.replace("accounts:", "acounts:"));
    until("it is said", || {
        scene.status()["config"].as_str().is_some_and(|why| why.contains("did you mean `accounts`"))
    });
    assert_eq!(scene.sandbox.run(&["reload"]).code, 78);
    scene.mailbox.add("INBOX", message(1));
    until("the old one goes on", || scene.delivered_mail() == 1);

    let port = server.port();
    let more = format!(
        "{config}\n  other:\n    imap: {{host: localhost, port: {port}, tls: none}}\n    user: {}\n    password: {}\n    poll: 1s\n",
        other.user(),
        other.password()
    );
    other.add("INBOX", "Subject: other\n\nx\n");
    scene.sandbox.config(&more);
    until("the new account is fetched from", || scene.delivered_mail() == 2);
    assert!(scene.status()["config"].is_null());
    scene.sandbox.config(&config);
    until("it is gone", || scene.status()["accounts"].as_array().unwrap().len() == 1);
    until("it hung up", || faults.commands().iter().any(|command| command.contains("LOGOUT")));
    assert_eq!(scene.heard("LOGIN") + scene.heard("AUTHENTICATE"), 1, "the other connection was not touched");
    let output = stop(running);
    assert!(output.stderr.contains("the config was not taken over"), "{output}");
}

#[test]
fn sighup_reads_rules_again() {
    let scene = Scene::new("poll: 1s");
    let config = scene.sandbox.read(CONFIG);
    let running = scene.run();
    scene.mailbox.add("INBOX", message(1));
    until("it is filed", || scene.delivered() == 1);
    scene.sandbox.config(&format!(
        "{config}\nrules:\n  - {{name: all, if: {{subject: {{contains: number}}}}, do: [{{fileinto: novel}}]}}\n"
    ));
    running.signal(Signal::HUP);
    let output = scene.sandbox.run(&["reload"]);
    assert_eq!(output.code, 0, "{output}");
    scene.mailbox.add("INBOX", message(2));
    until("the new rule files", || Maildirs::at(scene.sandbox.maildir()).in_folder("novel").len() == 1);
    stop(running);
    assert_eq!(scene.heard("LOGIN") + scene.heard("AUTHENTICATE"), 1);
}

#[test]
fn there_is_one_for_a_state() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    let second = scene.sandbox.run(&["run"]);
    assert!(second.code == 75 && second.stderr.contains("being worked on"), "{second}");
    // One that was killed leaves its socket, which harms nobody.
    running.kill();
    assert!(scene.socket().exists());
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
    stop(scene.run());
    assert!(!scene.socket().exists());
}

/// What stands under the name of the socket and is none is not ours to remove.
#[test]
fn only_a_socket_is_taken_for_the_one_of_a_dead_daemon() {
    let scene = Scene::new("poll: 1h");
    stop(scene.run());
    std::fs::write(scene.socket(), "somebody's").unwrap();
    let output = scene.sandbox.run(&["run"]);
    assert!(output.code == 74 && output.stderr.contains("another file is in its place"), "{output}");
    assert_eq!(std::fs::read_to_string(scene.socket()).unwrap(), "somebody's");
}

#[test]
fn orders_are_for_their_user_alone_and_nonsense_is_refused() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    assert_eq!(std::fs::metadata(scene.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    for nonsense in ["", "{", "[]", r#"{"version":1}"#, r#"{"version":1,"order":"explode"}"#, &"x".repeat(100_000)] {
        let answers = scene.tell(nonsense);
        assert!(answers[0]["error"]["code"] == 64, "{nonsense:.40}: {answers:?}");
    }
    let newer = scene.tell(r#"{"version":2,"order":"status"}"#);
    assert!(newer[0]["error"]["text"].as_str().unwrap().contains("version 2"), "{newer:?}");
    let unknown = scene.tell(r#"{"version":1,"order":"poll","accounts":["nobody"]}"#);
    assert_eq!((&unknown[0]["unknown"], &unknown[1]["done"]), (&Value::from("nobody"), &Value::from(true)));
    // Whoever says nothing keeps nobody from being heard.
    let silent: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(scene.socket()).unwrap()).collect();
    assert!(scene.tell(r#"{"version":1,"order":"status"}"#)[0]["status"]["process"].is_number());
    drop(silent);
    stop(running);
}

#[test]
fn events_are_told_as_they_happen() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    let mut events = UnixStream::connect(scene.socket()).unwrap();
    events.set_read_timeout(Some(PATIENCE)).unwrap();
    events.write_all(b"{\"version\":1,\"order\":\"events\"}\n").unwrap();
    let mut lines = BufReader::new(events).lines();
    scene.mailbox.add("INBOX", message(1));
    std::thread::sleep(Duration::from_millis(200));
    scene.tell(r#"{"version":1,"order":"poll"}"#);
    let event = loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if line["event"]["event"] == "passed" && line["event"]["pass"]["new"] == 1 {
            break line;
        }
    };
    assert_eq!(event["event"]["pass"]["account"], "me");
    stop(running);
}

/// The page that a person opens when mail does not come.
#[test]
fn status_says_why_mail_does_not_come() {
    let (mailbox, _) = filled(2);
    let faults = Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).sandbox();
    let page = sandbox.run(&["status"]);
    assert!(page.code == 0 && page.stdout.contains("nothing was ever fetched"), "{page}");
    let running = sandbox.spawn(&["run"]);
    until("it is said", || sandbox.run(&["status"]).code == 77);
    let page = sandbox.run(&["status"]);
    for part in ["[AUTHENTICATIONFAILED] no", "what helps", "mailsluice poll me", "outbox"] {
        assert!(page.stdout.contains(part), "{part}: {page}");
    }
    stop(running);
}

/// Without a daemon as well: what a `fetch` of cron saw last stands in the state.
#[test]
fn status_says_without_a_daemon_that_a_host_is_dead() {
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sandbox = Account::imap(port).sandbox();
    assert_eq!(sandbox.run(&["fetch"]).code, 75);
    let page = sandbox.run(&["status"]);
    assert!(page.code == 75 && page.stdout.contains("refused"), "{page}");
}

/// A pass that reached its end without one folder is no failure of the account, and no success either.
#[test]
fn status_says_without_a_daemon_that_a_folder_is_refused() {
    let (mailbox, _) = filled(1);
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let sandbox = Account::imap(server.port()).with("folders: [INBOX, Nowhere]").sandbox();
    for times in ["once", "2 times"] {
        let fetched = sandbox.run(&["fetch"]);
        assert!(fetched.code != 0 && fetched.stderr.contains("Nowhere"), "{fetched}");
        let page = sandbox.run(&["status"]);
        assert!(page.code == 75 && page.stdout.contains("Nowhere"), "{page}");
        assert!(page.stdout.contains(&format!("failed {times}")), "{page}");
    }
    mailbox.add("Nowhere", message(9));
    assert_eq!(sandbox.run(&["fetch"]).code, 0);
    let page = sandbox.run(&["status"]);
    assert!(page.code == 0 && !page.stdout.contains("failed"), "{page}");
}

/// Config and rules are edited again and again, half of the time into something broken, while mail comes: no message is decided
/// by half a config, and the connection is not touched.
#[test]
fn a_config_that_is_edited_all_the_time_decides_each_message_as_a_whole() {
    let edits: usize = std::env::var("MAILSLUICE_EDITS").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    let mut scene = Scene::new("poll: 1s");
    scene.sandbox.deadline(Duration::from_secs(120 + edits as u64));
    let config = scene.sandbox.read(CONFIG);
    let version = |n: usize| {
        let copy = |part: &str| {
            format!(
                "  - {{name: {part}, if: {{subject: {{contains: number}}}}, do: [{{fileinto: {{folder: {part}-{n}, copy: true}}}}]}}\n"
            )
        };
        format!("{config}filters: [more.yaml]\nrules:\n{}", copy("one"))
    };
    let more = |n: usize| {
        format!(
            "rules:\n  - {{name: two, if: {{subject: {{contains: number}}}}, do: [{{fileinto: {{folder: two-{n}, copy: true}}}}]}}\n"
        )
    };
    let write = |name: &str, text: &str| scene.sandbox.write(format!(".config/mailsluice/{name}"), text);
    write("more.yaml", &more(0));
    scene.sandbox.config(&version(0));
    let mut running = scene.run();
    let mut sent = 0;
    for n in 1..=edits {
        match n % 4 {
            0 => _ = scene.sandbox.config("maildir: [\n"),
            1 => _ = scene.sandbox.config(&version(n)),
            2 => _ = write("more.yaml", &version(n).replace("rules:", "ruls:")),
            _ => {
                // As editors do it.
                let new = write("more.yaml.new", &more(n));
                std::fs::rename(&new, new.with_extension("")).unwrap();
            }
        }
        sent += 1;
        scene.mailbox.add("INBOX", message(sent));
        if n % 8 == 3 {
            scene.sandbox.run(&["reload"]);
        }
        std::thread::sleep(Duration::from_millis(100));
        assert!(running.is_running(), "it ended by itself");
    }
    write("more.yaml", &more(0));
    scene.sandbox.config(&version(0));
    until("all of it is filed", || {
        let mail = Maildirs::at(scene.sandbox.maildir());
        (1..=sent).all(|n| mail.by_message_id().get(&format!("<{n}@example.com>")).is_some_and(|count| *count == 3))
    });
    stop(running);
    assert_eq!(scene.heard("LOGIN") + scene.heard("AUTHENTICATE"), 1);
}

/// A session that is kept for days knows when its first pass is over.
#[test]
fn mail_in_a_folder_that_appears_later_is_forwarded() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let top = "me: [me@home.example]\nrelays:\n  default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}\n\
               rules:\n  - {name: on, do: [{redirect: {to: boss@example.net, copy: true}}]}";
    let sandbox = Account::imap(server.port()).with("poll: 1s").with("folders: ['*']").top(top).sandbox();
    let running = sandbox.spawn(&["run"]);
    until("it waits for news", || faults.commands().iter().any(|command| command.contains("IDLE")));
    mailbox.add_folder("New", &[]);
    mailbox.add("New", message(1));
    until("it is filed", || Maildirs::at(sandbox.maildir()).delivered().len() == 1);
    let queue = sandbox.run(&["queue", "list"]);
    assert!(queue.stdout.contains("boss@example.net"), "{queue}{}", sandbox.run(&["log", "-v"]));
    stop(running);
}

#[test]
fn a_folder_that_is_not_there_does_not_keep_the_others_from_being_pushed() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).with("poll: 1h").with("folders: [INBOX, Missing]").sandbox();
    let running = sandbox.spawn(&["run"]);
    until("it waits for news", || faults.commands().iter().any(|command| command.contains("IDLE")));
    mailbox.add("INBOX", message(1));
    until("it is filed", || {
        Maildirs::at(sandbox.maildir())
            .in_folder("INBOX")
            .iter()
            .any(|it| it.message_id().is_some_and(|id| id.contains("1@example.com")))
    });
    let page = sandbox.run(&["status"]);
    assert!(page.stdout.contains("Missing"), "what is missing is said: {page}");
    stop(running);
}

/// What says nothing about the server says nothing about the password.
#[test]
fn a_mail_root_that_is_away_does_not_make_a_refused_password_good() {
    let scene = Scene::new("first: all");
    scene.mailbox.set_password("another one");
    (0..3).for_each(|_| assert_eq!(scene.sandbox.run(&["fetch"]).code, 77));
    let tried = scene.heard("LOGIN") + scene.heard("AUTHENTICATE");
    let (root, away) = (scene.sandbox.maildir(), scene.sandbox.home().join("away"));
    std::fs::rename(&root, &away).unwrap();
    scene.sandbox.run(&["fetch"]);
    let running = scene.run();
    std::thread::sleep(Duration::from_millis(500));
    stop(running);
    std::fs::rename(&away, &root).unwrap();
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 77);
    assert_eq!(scene.heard("LOGIN") + scene.heard("AUTHENTICATE"), tried, "it rests for an hour");
}

#[test]
fn two_edits_in_a_row_are_both_seen() {
    let scene = Scene::new("poll: 1h");
    let config = scene.sandbox.read(CONFIG);
    let running = scene.run();
    for n in 0..6 {
        for (name, pause) in [("one", 330 + 15 * n), ("two", 0)] {
            scene.sandbox.config(&config.replace("  me:", &format!("  {name}{n}:")));
            std::thread::sleep(Duration::from_millis(pause));
        }
        let name = format!("two{n}");
        until("the last one counts", || {
            scene.status()["accounts"][0]["doing"] != "nothing"
                && scene.status()["accounts"][0]["name"] == name.as_str()
        });
    }
    stop(running);
}

#[test]
fn one_account_cannot_go_on_while_everything_is_paused() {
    let scene = Scene::new("poll: 1h");
    for runs in [false, true] {
        let running = runs.then(|| scene.run());
        assert_eq!(scene.sandbox.run(&["pause"]).code, 0);
        let output = scene.sandbox.run(&["resume", "me"]);
        assert!(output.code == 64 && output.stderr.contains("everything is paused"), "{output}");
        assert_eq!(scene.sandbox.run(&["resume"]).code, 0);
        running.map(stop);
    }
}

/// A name that goes to another mailbox, while the mailbox that had it gets another name.
#[test]
fn names_that_move_bring_no_mail_twice() {
    let (first, second) = (mailbox(), mailbox());
    let servers = [&first, &second].map(|mailbox| ImapServer::start(mailbox, ImapOptions::default()));
    (1..=3).for_each(|number| _ = first.add("INBOX", message(number)));
    let entry = |name: &str, host: &str, at: usize| {
        Account::on(format!("imap: {{host: {host}, port: {}, tls: none}}", servers[at].port())).entry(name)
    };
    let sandbox = Account::imap(servers[0].port()).sandbox();
    let head = sandbox.read(CONFIG).split("accounts:").next().unwrap().to_owned();
    sandbox.config(&format!("{head}accounts:\n{}", entry("work", "127.0.0.1", 0)));
    assert_eq!(sandbox.run(&["fetch"]).code, 0);
    second.add("INBOX", message(4));
    sandbox.config(&format!("{head}accounts:\n{}{}", entry("work", "localhost", 1), entry("old", "127.0.0.1", 0)));
    for arguments in [&["fetch", "work"][..], &["fetch", "old"], &["fetch"]] {
        assert_eq!(sandbox.run(arguments).code, 0);
    }
    let messages: Vec<String> = (1..=4).map(message).collect();
    Maildirs::at(sandbox.maildir()).assert_holds(&messages);
}

/// Each exchange leaves the count as it was, and the next number is always the same high one.
#[test]
fn a_next_uid_that_is_no_promise_hides_no_mail() {
    let scene = Scene::new("first: all");
    (1..=2).for_each(|number| _ = scene.mailbox.add("INBOX", message(number)));
    scene.faults.set(Fault::Habit("uidnext-never-moves".to_owned()));
    for number in 3..=6 {
        assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
        let oldest = scene.mailbox.uids("INBOX")[0];
        scene.mailbox.remove("INBOX", oldest);
        scene.mailbox.add("INBOX", message(number));
    }
    assert_eq!(scene.sandbox.run(&["fetch"]).code, 0);
    assert_eq!(scene.delivered(), 6);
}

/// A second account for the same mailbox comes and goes: the first one stays what it is.
#[test]
fn a_second_account_for_a_mailbox_that_goes_again_brings_no_mail_twice() {
    for other in ["tls: none", "tls: starttls"] {
        let mailbox = mailbox();
        let server = ImapServer::start(&mailbox, ImapOptions::default());
        (1..=2).for_each(|number| _ = mailbox.add("INBOX", message(number)));
        let sandbox = Account::imap(server.port()).sandbox();
        let config = sandbox.read(CONFIG);
        assert_eq!(sandbox.run(&["fetch"]).code, 0);
        let second = Account::on(format!("imap: {{host: 127.0.0.1, port: {}, {other}}}", server.port()));
        sandbox.config(&format!("{config}{}", second.with("folders: [Archive]").entry("also")));
        (0..2).for_each(|_| _ = sandbox.run(&["fetch"]));
        sandbox.config(&config);
        (0..2).for_each(|_| assert_eq!(sandbox.run(&["fetch"]).code, 0));
        let mail = Maildirs::at(sandbox.maildir()).by_message_id();
        assert_eq!((mail["<1@example.com>"], mail["<2@example.com>"]), (1, 1), "{other}");
    }
}

/// A line to a server that hangs up on whoever comes, as long as it is dead. Returns its port.
fn line_that_may_be_dead(server: u16, is_dead: &Arc<AtomicBool>, came: &Arc<AtomicUsize>) -> u16 {
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, is_dead, came) = (socket.local_addr().unwrap().port(), Arc::clone(is_dead), Arc::clone(came));
    std::thread::spawn(move || {
        for client in socket.incoming().map_while(Result::ok) {
            came.fetch_add(1, Ordering::SeqCst);
            if is_dead.load(Ordering::SeqCst) {
                continue;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    port
}

/// Twelve accounts at one host. Who waits for it hears what the first of them found.
#[test]
fn accounts_of_a_host_that_is_dead_wait_together() {
    let (mailbox, is_dead, came) = (mailbox(), Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let server = ImapServer::start(&mailbox, ImapOptions::default());
    let port = line_that_may_be_dead(server.port(), &is_dead, &came);
    mailbox.add("INBOX", message(1));
    let me = Account::imap(port).with("poll: 1h");
    let others: String = (1..12).map(|n| me.clone().with(&format!("user: u{n}")).entry(&format!("u{n}"))).collect();
    let sandbox = me.sandbox();
    sandbox.config(&format!("{}{others}", sandbox.read(CONFIG)));
    let connections = |work: &dyn Fn()| {
        let before = came.load(Ordering::SeqCst);
        work();
        // A connection that its account gave up while it waited to be accepted is counted late.
        std::thread::sleep(Duration::from_millis(300));
        came.load(Ordering::SeqCst) - before
    };
    let fetches = || {
        let output = sandbox.run(&["fetch"]);
        assert!(output.code == 75 && output.stderr.lines().count() == 12, "{output}");
    };
    assert!(connections(&fetches) <= 12, "nobody knew of it");
    assert_eq!(connections(&fetches), 1);

    let running = sandbox.spawn(&["run"]);
    let status = || serde_json::from_str::<Value>(&sandbox.run(&["status", "--json"]).stdout).unwrap();
    let all_rest = || status()["accounts"].as_array().unwrap().iter().all(|it| it["doing"] == "resting");
    let looks = || {
        until("all of them rest", || status()["process"].is_number() && all_rest());
    };
    assert!(connections(&looks) <= 2);
    // Somebody who asks is heard, and one account that gets through speaks for the host.
    is_dead.store(false, Ordering::SeqCst);
    assert_eq!(sandbox.run(&["poll", "me"]).code, 0);
    until("it is filed", || Maildirs::at(sandbox.maildir()).delivered().len() == 1);
    stop(running);
    let trouble = sandbox.run(&["status"]).stdout;
    assert!(!trouble.contains("me      failed"), "{trouble}");
}

/// Gmail counts connections that are dead as well. What it refused once is not asked for again after a restart.
#[test]
fn how_many_connections_a_server_allows_is_remembered() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    ["Work", "Lists"].iter().for_each(|folder| mailbox.add_folder(folder, &[]));
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let account = Account::imap(server.port()).with("poll: 1s").with("folders: all").with("push: [INBOX, Work, Lists]");
    let sandbox = account.sandbox();
    let logins = || faults.commands().iter().filter(|command| command.contains("AUTHENTICATE")).count();
    let running = sandbox.spawn(&["run"]);
    until("all three are waited for", || logins() == 3);
    stop(running);
    let db = rusqlite::Connection::open(sandbox.home().join("state/state.db")).unwrap();
    assert_eq!(db.query_row("SELECT count(*) FROM connections", [], |row| row.get::<_, i64>(0)), Ok(0));
    let note = |hours: i64| {
        let space: String = db.query_row("SELECT space FROM account", [], |row| row.get(0)).unwrap();
        let at = jiff::Timestamp::now().as_second() - hours * 3600;
        db.execute("INSERT OR REPLACE INTO connections VALUES (?1, 1, ?2)", rusqlite::params![space, at]).unwrap();
    };
    for (hours, allowed) in [(1, 2), (25, 3)] {
        note(hours);
        let before = logins();
        let running = sandbox.spawn(&["run"]);
        until("they are waited for", || logins() - before == allowed);
        std::thread::sleep(Duration::from_millis(1500));
        stop(running);
        assert_eq!(logins() - before, allowed, "{hours} hours ago");
    }
}

#[test]
fn a_server_that_refuses_one_more_connection_is_not_asked_again() {
    let (mailbox, faults) = (mailbox(), Faults::none());
    mailbox.add_folder("Work", &[]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let later = faults.clone();
    let full = "[LIMIT] Too many simultaneous connections.".to_owned();
    // The one that fetches is in by then.
    faults.at_command(4, move || later.set(Fault::RefuseLogin(full)));
    let sandbox =
        Account::imap(server.port()).with("poll: 1s").with("push: [INBOX, Work]").with("folders: all").sandbox();
    let refused = || faults.commands().iter().filter(|command| command.contains("AUTHENTICATE")).count();
    let running = sandbox.spawn(&["run"]);
    until("one more was asked for", || refused() == 2);
    std::thread::sleep(Duration::from_millis(2500));
    stop(running);
    assert_eq!(refused(), 2);
    let db = rusqlite::Connection::open(sandbox.home().join("state/state.db")).unwrap();
    assert_eq!(db.query_row("SELECT most FROM connections", [], |row| row.get::<_, i64>(0)), Ok(0));
}

/// Somebody cleaned up in the state folder.
#[test]
fn a_socket_that_is_gone_is_said_and_made_anew() {
    let scene = Scene::new("poll: 1h");
    let running = scene.run();
    // By then it has looked at its socket for the first time, and does so again in five seconds.
    until("it looked once", || scene.heard("EXAMINE") > 0);
    std::fs::remove_file(scene.socket()).unwrap();
    for order in [&["status"][..], &["poll"], &["pause", "me"], &["reload"], &["fetch"]] {
        let output = scene.sandbox.run(order);
        let said = format!("mailsluice (process {})", running.pid());
        assert!(output.code == 75 && output.stderr.contains(&said) && output.stderr.contains("socket"), "{output}");
    }
    until("it is there again", || scene.socket().exists());
    assert_eq!(scene.sandbox.run(&["status"]).code, 0);
    assert_eq!(std::fs::metadata(scene.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    // What is no socket is somebody's.
    std::fs::remove_file(scene.socket()).unwrap();
    std::fs::write(scene.socket(), "mine").unwrap();
    std::thread::sleep(Duration::from_secs(6));
    let output = stop(running);
    assert!(
        output.stderr.contains("was made again") && output.stderr.contains("another file is in its place"),
        "{output}"
    );
    assert_eq!(std::fs::read_to_string(scene.socket()).unwrap(), "mine");
}

/// The daemon cannot change its state folder, and is not found in the one that the config names now.
#[test]
fn a_state_that_is_edited_under_a_daemon_is_said() {
    let scene = Scene::new("poll: 1h");
    let config = scene.sandbox.read(CONFIG);
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    let (old, new) = (format!("state: {}", scene.state().display()), format!("state: {}-2", scene.state().display()));
    scene.sandbox.config(&config.replace(&old, &new));
    let page = scene.sandbox.run(&["status"]);
    assert!(page.stdout.contains("works with the old one until it is started again"), "{page}");
    until("it says why", || {
        let told = scene.tell("{\"version\":1,\"order\":\"status\"}");
        told[0]["status"]["config"].as_str().is_some_and(|why| why.contains("cannot change while mailsluice runs"))
    });
    scene.sandbox.config(&config);
    until("it is found again", || scene.status()["process"].is_number());
    stop(running);
    assert!(scene.sandbox.run(&["status"]).stdout.contains("No mailsluice runs; this is what the state in"));
}

#[test]
fn orders_reach_a_daemon_while_the_config_is_broken() {
    let scene = Scene::new("poll: 1h");
    let config = scene.sandbox.read(CONFIG);
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    // A key that is wrong, and what is no YAML at all.
    for broken in [config.replace("user:", "usr:"), format!("{config}  x: [\n")] {
        scene.sandbox.config(&broken);
        until("it is seen", || scene.status()["config"].is_string());
        for order in [&["pause", "me"][..], &["resume", "me"], &["poll", "me"], &["poll"]] {
            let output = scene.sandbox.run(order);
            assert_eq!(output.code, 0, "{output}");
        }
        let output = scene.sandbox.run(&["poll", "wrok"]);
        assert!(output.code == 64 && output.stderr.contains("does not know `wrok`"), "{output}");
        scene.sandbox.config(&config);
        until("it is right again", || scene.status()["config"].is_null());
    }
    stop(running);
    scene.sandbox.config(&config.replace("user:", "usr:"));
    assert_eq!(scene.sandbox.run(&["pause", "me"]).code, 78, "nobody knows the accounts");
}

#[test]
fn reload_says_what_changed_and_what_the_config_is_warned_of() {
    let scene = Scene::new("poll: 1h");
    let config = scene.sandbox.read(CONFIG);
    let running = scene.run();
    until("it looked once", || scene.heard("EXAMINE") > 0);
    let reload = || -> Value {
        let output = scene.sandbox.run(&["reload", "--json"]);
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output}"))
    };
    let rules = "rules:\n  - {name: all, if: {subject: {contains: number}}, do: [{fileinto: novel}]}\n";
    assert!(scene.sandbox.run(&["reload"]).stderr.contains("nothing changed"));
    assert_eq!(reload()["rules"], false);
    let (mut events, mut heard) = (UnixStream::connect(scene.socket()).unwrap(), String::new());
    events.write_all(b"{\"version\":1,\"order\":\"events\"}\n").unwrap();
    let mut lines = BufReader::new(events);
    for (text, what) in [
        (format!("{config}{rules}"), "the rules changed"),
        (format!("# Another place, the same rules.\n{config}{rules}"), "nothing changed"),
        (
            format!("{config}relays:\n  default: {{smtp: {{host: 127.0.0.1, port: 1, tls: none}}}}\n{rules}"),
            "the relays changed",
        ),
        (config.clone(), "the rules and the relays changed"),
        (config.replace("  me:", "  work:"), "accounts added: work; removed: me"),
    ] {
        scene.sandbox.config(&text);
        // It may see the change before it is asked.
        let words = loop {
            heard.clear();
            lines.read_line(&mut heard).unwrap();
            let event: Value = serde_json::from_str(&heard).unwrap();
            let event = &event["event"];
            assert!(event["at"].as_str().is_some_and(|at| at.starts_with("20")), "{heard}");
            if event["event"] == "reloaded" {
                break event["changes"].clone();
            }
        };
        let changes: mailsluice::daemon::changes::ConfigChanges = serde_json::from_value(words).unwrap();
        assert_eq!(changes.in_words(), what, "{text}");
    }
    let twin = format!("{}{}", config, Account::on("imap: {host: 127.0.0.1, port: 1, tls: none}").entry("twin"));
    scene.sandbox.config(&twin);
    let warned = reload();
    assert!(
        warned["warnings"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("same user")),
        "{warned}"
    );
    let output = stop(running);
    assert!(output.stderr.contains("the same user on the same server"), "{output}");
}

/// Mail that comes for hours is decided by the rules that there are when its turn comes.
#[test]
fn new_rules_hold_for_the_next_message_of_a_long_pass() {
    let scene = Scene::new("poll: 1h");
    let config = scene.sandbox.read(CONFIG);
    let rules = |folder: &str| {
        format!(
            "{config}rules:\n  - {{name: all, if: {{subject: {{contains: number}}}}, do: [{{fileinto: {folder}}}]}}\n"
        )
    };
    let large = |number: usize| message(number) + &format!("{}\n", "y".repeat(70)).repeat(30_000);
    (1..=12).for_each(|number| _ = scene.mailbox.add("INBOX", large(number)));
    scene.sandbox.config(&rules("old"));
    let (gate, seen) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let opened = Arc::clone(&gate);
    // From the third message on they wait for the new rules.
    scene.faults.gate(move |command| {
        if command.contains("BODY.PEEK[]") && seen.fetch_add(1, Ordering::SeqCst) >= 2 {
            until("the rules are new", || opened.load(Ordering::SeqCst));
        }
        true
    });
    let running = scene.run();
    until("the first are filed", || Maildirs::at(scene.sandbox.maildir()).in_folder("old").len() >= 2);
    scene.sandbox.config(&rules("novel"));
    assert_eq!(scene.sandbox.run(&["reload"]).code, 0);
    gate.store(true, Ordering::SeqCst);
    until("all are filed", || scene.delivered() == 12);
    let novel = Maildirs::at(scene.sandbox.maildir()).in_folder("novel").len();
    assert!((1..=10).contains(&novel), "{novel}");
    assert_eq!(scene.heard("EXAMINE"), 1, "it was one pass");
    stop(running);
}
