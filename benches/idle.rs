//! What accounts cost that wait for news and get none: `cargo bench --bench idle`, or with `-- 200` so many alone.
//!
//! The real binary as `run`. Each account has IDLE on the INBOX of a server of ours, once in the clear and once over TLS. The
//! server is in this process and not counted. Memory and CPU are those of a window that begins when all of them wait.
//!
//! `MAILSLUICE_WINDOW=SECONDS` sets the window; each account is looked at every 90 seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    unused_imports,
    missing_docs
)]

#[path = "../tests/soak/process.rs"]
mod process;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::faults::Faults;
use support::sandbox::Sandbox;
use support::tls::{self, Certificate};
use support::wire::{Conn, Listener, Protocol, Security};

/// A window has two looks at every account.
const WINDOW: u64 = 180;
/// After the first look, memory is given back and threads end.
const SETTLES: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(300);

fn main() {
    raise_limit();
    let window = std::env::var("MAILSLUICE_WINDOW").ok().and_then(|value| value.parse().ok()).unwrap_or(WINDOW);
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let counts = if asked.is_empty() { vec![200, 1000] } else { asked };
    println!(
        "{:<24} {:>10} {:>10} {:>12} {:>8} {:>12}",
        "", "memory", "at most", "of a core", "threads", "descriptors"
    );
    for accounts in counts {
        measure(accounts, Security::Plain, Duration::from_secs(window));
        measure(accounts, Security::Implicit(Certificate::Valid), Duration::from_secs(window));
    }
}

fn measure(accounts: usize, security: Security, window: Duration) {
    let server = Listener::start(Idle, security, &Faults::none());
    let mut sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.deadline(Duration::from_secs(3600));
    tls::write_ca(sandbox.home());
    let (name, tls) = match security {
        Security::Plain => ("in the clear", "tls: none"),
        _ => ("over TLS", "ca_file: ~/ca.pem"),
    };
    let mut config = "maildir: ~/Mail\nstate: ~/state\naccounts:\n".to_owned();
    for account in 0..accounts {
        let host = format!("host: localhost, port: {}, {tls}", server.port());
        writeln!(config, "  a{account}: {{imap: {{{host}}}, user: a{account}, password: pass}}").unwrap();
    }
    sandbox.config(&config);
    let running = sandbox.spawn(&["--allow-root", "run"]);
    let pid = running.pid();
    until_all_wait(&sandbox, accounts);
    sleep(SETTLES);
    let (begun, before) = (Instant::now(), processor(pid));
    sleep(window);
    let share = (processor(pid) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let taken = process::taken(pid).unwrap();
    let (memory, most) = (taken.memory / 1024, most_memory(pid) / 1024);
    let name = format!("{accounts} accounts {name}");
    let (threads, descriptors) = (taken.threads, taken.descriptors);
    println!("{name:<24} {memory:>6} MiB {most:>6} MiB {:>10.2} % {threads:>8} {descriptors:>12}", share * 100.0);
    running.kill();
}

fn until_all_wait(sandbox: &Sandbox, accounts: usize) {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = sandbox.run(&["--allow-root", "status", "--json"]).stdout;
        if status.matches("\"doing\":\"waiting\"").count() == accounts {
            return;
        }
        assert!(Instant::now() < until, "they do not wait for news: {status}");
        sleep(Duration::from_secs(1));
    }
}

/// What it had of the processor so far.
fn processor(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name; these are in hundredths of a second.
    let words: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn most_memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// As many connections as there are accounts end here.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A server where everybody has an empty INBOX.
#[derive(Clone)]
struct Idle;

impl Protocol for Idle {
    async fn serve(&self, conn: &mut Conn) -> io::Result<()> {
        conn.send_now("* OK ready\r\n").await?;
        loop {
            let line = String::from_utf8_lossy(&conn.read_line(8192).await?).into_owned();
            let mut words = line.split(' ');
            let (tag, verb) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let told = match verb {
                "CAPABILITY" => "* CAPABILITY IMAP4rev1 IDLE LITERAL+ SASL-IR AUTH=PLAIN\r\n",
                "LIST" => "* LIST () \"/\" INBOX\r\n",
                "EXAMINE" | "SELECT" => "* 0 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 1] x\r\n",
                "STATUS" => "* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 1)\r\n",
                "UID" => "* SEARCH\r\n",
                _ => "",
            };
            if verb == "IDLE" {
                conn.send_now("+ idling\r\n").await?;
                conn.read_line(1024).await?;
            }
            conn.send_now(format!("{told}{tag} OK done\r\n")).await?;
        }
    }
}
