//! One relay hangs at any point of the dialogue, and three others carry on. `cargo test --test it lanes -- --nocapture` shows
//! how long a healthy relay waited at most. One that answers, whatever it says, keeps nobody waiting: what it says is tried in
//! `smtp_faults`.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::outbox::{User, mail};
use crate::support::smtp_server::{SmtpOptions, SmtpServer};

/// Where nothing comes any more.
const POINTS: [&str; 6] = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "."];
/// As much as the slowest machine may need; a relay that hangs hangs for longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn wherever_one_relay_hangs_three_others_carry_on() {
    let (left, table) = (Mutex::new(POINTS.to_vec()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(at) = { left.lock().unwrap().pop() } {
                    let waited = longest_wait_beside(at);
                    table.lock().unwrap().push((at, waited));
                }
            });
        }
    });
    let mut table = table.into_inner().unwrap();
    table.sort_by_key(|(at, _)| *at);
    table.iter().for_each(|(at, waited)| println!("{at:<10} {:>6} ms", waited.as_millis()));
    assert_eq!(table.len(), POINTS.len());
}

/// How long the slowest of three healthy relays waited for its mail, from the moment when that was delivered.
fn longest_wait_beside(at: &str) -> Duration {
    let bad = SmtpServer::start(SmtpOptions::default().reply(at, "hang"));
    let healthy: Vec<SmtpServer> = (0..3).map(|_| SmtpServer::start(SmtpOptions::default())).collect();
    let names = ["bad", "one", "two", "three"];
    let rule = |name: &&str| {
        format!(
            "  - {{if: {{subject: {name}}}, do: {{redirect: {{to: {name}@far.example, relay: {name}, copy: true}}}}}}\n"
        )
    };
    let user = User::without_relay(&names.iter().map(rule).collect::<String>());
    let relay = |(name, server): (&&str, &SmtpServer)| {
        format!("  {name}: {{smtp: {{host: 127.0.0.1, port: {}, tls: none}}}}\n", server.port())
    };
    let relays: String = names.iter().zip(std::iter::once(&bad).chain(&healthy)).map(relay).collect();
    user.config(&format!("relays:\n{relays}"));
    user.deliver(mail(0, "bad"));
    let begun = Instant::now();
    while bad.connections() == 0 {
        assert!(begun.elapsed() < PATIENCE, "{at}: the bad relay is never asked");
        std::thread::sleep(Duration::from_millis(1));
    }
    let delivered: Vec<Instant> = (1..4)
        .map(|n| {
            user.deliver(mail(n, names[n]));
            Instant::now()
        })
        .collect();
    let waits = healthy.iter().zip(delivered).map(|(server, delivered)| {
        while server.count() == 0 {
            assert!(delivered.elapsed() < PATIENCE, "{at}: a healthy relay waits for the bad one");
            std::thread::sleep(Duration::from_millis(1));
        }
        delivered.elapsed()
    });
    waits.max().unwrap()
}
