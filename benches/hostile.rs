//! What hostile messages cost: `cargo bench --bench hostile`, or with `-- dashes` those with that word in their name. Each is
//! decided by rules that ask everything there is to ask, in YAML and in Lua. Peak memory is what the process had at most
//! meanwhile (VmHWM, reset before each), so it holds the program itself too. Only on Linux.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, dead_code, missing_docs)]

#[path = "../tests/it/bombs.rs"]
mod bombs;
#[path = "../tests/it/engine.rs"]
mod engine;

use std::time::{Duration, Instant};

use mailsluice::filter::Engine;

fn main() {
    let read = |name: &str| std::fs::read_to_string(format!("tests/rules-guard/{name}")).unwrap();
    let yaml = engine::yaml(&read("everything.yaml"));
    let lua = engine::lua(&read("everything.lua"));
    let folder = tempfile::tempdir().unwrap();
    println!("{:<52} {:>10} {:>7} {:>10} {:>7}", "", "YAML ms", "MB", "Lua ms", "MB");
    let words: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    for bomb in bombs::BOMBS.iter().filter(|bomb| is_wanted(bomb.name)) {
        let measure = |engine: &Engine| {
            let message = bomb.message(folder.path());
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let start = Instant::now();
            let decision = engine::decide(engine, &message);
            (start.elapsed(), peak(), decision)
        };
        let (of_yaml, yaml_peak, _) = measure(&yaml);
        let (of_lua, lua_peak, decision) = measure(&lua);
        let failed = decision.failures.first().map(|failure| failure.cause.as_str()).unwrap_or_default();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{:<52} {:>10.1} {yaml_peak:>7} {:>10.1} {lua_peak:>7} {failed}", bomb.name, ms(of_yaml), ms(of_lua));
    }
}

/// The most memory since the last reset, in megabytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
