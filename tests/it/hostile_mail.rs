//! Messages that mean harm, through rules that ask everything there is to ask: decided, never a panic, never without
//! end. What they cost is measured by `cargo bench --bench hostile`.

use std::time::{Duration, Instant};

use mailsluice::config::Settings;
use mailsluice::filter::Engine;

use crate::bombs::BOMBS;
use crate::engine::{corpus, decide, decided, lua_with, name_of, settings, shown, yaml};

/// A bound against hangs: a slow machine without optimisation, others at work beside it.
const BOUND: Duration = Duration::from_secs(60);

fn engines() -> [Engine; 2] {
    let read = |name: &str| std::fs::read_to_string(format!("tests/rules-guard/{name}")).unwrap();
    // Without optimisation two seconds are not much.
    let settings = Settings { script_time: BOUND, ..settings() };
    let script = lua_with(&read("everything.lua"), &settings).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    [yaml(&read("everything.yaml")), script]
}

#[test]
fn e_rows_are_decided_in_bounded_time() {
    let engines = engines();
    let folder = tempfile::tempdir().unwrap();
    for bomb in BOMBS {
        let start = Instant::now();
        for engine in &engines {
            let decision = decide(engine, &bomb.message(folder.path()));
            assert!(decision.failures.is_empty(), "{}: {:?}", bomb.name, decision.failures);
            assert!(decision.filings().count() >= 1, "{}: {decision:?}", bomb.name);
        }
        assert!(start.elapsed() < BOUND, "{} took {:?}", bomb.name, start.elapsed());
    }
}

#[test]
fn every_message_of_the_corpus_is_decided() {
    let Some(paths) = corpus() else { return };
    let engines = engines();
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        for engine in &engines {
            let decision = decided(engine, &bytes);
            assert!(decision.failures.is_empty(), "{}: {:?}", name_of(path), decision.failures);
            assert!(decision.filings().count() >= 1, "{}: {decision:?}", name_of(path));
        }
    }
}

/// Cut anywhere, and with bytes turned around, a message is still a message.
#[test]
fn damaged_messages_are_decided() {
    let Some(paths) = corpus() else { return };
    let engines = engines();
    for (i, path) in paths.iter().enumerate().step_by(29) {
        let bytes = std::fs::read(path).unwrap();
        for cut in [1, 7, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(3)] {
            let mut damaged = bytes[..cut.min(bytes.len())].to_vec();
            for at in (i % 13..damaged.len()).step_by(97) {
                damaged[at] ^= 0xa5;
            }
            for engine in &engines {
                let failures = decided(engine, &damaged).failures;
                assert!(failures.is_empty(), "{} cut at {cut}: {failures:?}", name_of(path));
            }
        }
    }
}
