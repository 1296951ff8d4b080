//! The shape of the source: who may use whom, and how long a file may be.
//!
//! ```text
//! cli > doctor > daemon > pipeline > { explain, submit, tell } > upkeep > pass > { source, filter, deliver, outbox } > state > decision > message > discover > { net, program } > config > providers > { error, clean }
//! ```

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down; those in one entry do not use each other, but for the last two, which are one floor.
const FLOORS: [&[&str]; 16] = [
    &["cli"],
    &["doctor"],
    &["daemon"],
    &["pipeline"],
    &["explain", "submit", "tell"],
    &["upkeep"],
    &["pass"],
    &["source", "filter", "deliver", "outbox"],
    &["state"],
    &["decision"],
    &["message"],
    &["discover"],
    &["net", "program"],
    &["config"],
    &["providers"],
    &["error", "clean"],
];
const GROUND: [&str; 13] = [
    "charsets",
    "error",
    "clean",
    "refusal",
    "safeguard",
    "secrets",
    "content_lines",
    "descriptors",
    "stop",
    "terminal",
    "ourselves",
    "user",
    "turn",
];
const LONGEST_FILE: usize = 500;
const LONGEST_CONTENTS: usize = 200;

struct Source {
    path: PathBuf,
    /// Without inline tests.
    text: String,
}

impl Source {
    /// `source` for `src/source/imap/mod.rs`, `stop` for `src/stop.rs`.
    fn module(&self) -> String {
        let first = self.path.components().nth(1).unwrap().as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_wire(&self) -> bool {
        self.path.ends_with("wire.rs")
    }

    /// The first words of all paths that begin with `crate::`, with their lines.
    fn uses(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            for after in code.split("crate::").skip(1) {
                found.extend(first_words(after).into_iter().map(|word| (number, word)));
            }
        }
        found
    }

    fn code_lines(&self) -> usize {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        self.text.lines().filter(is_code).count()
    }
}

/// `error` of `error::{Error, Kind}`; `clean` and `error` of `{clean, error::Error}`.
fn first_words(after: &str) -> Vec<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    match after.strip_prefix('{') {
        Some(inside) => inside.split(',').map(word).filter(|word| FLOORS.concat().contains(&word.as_str())).collect(),
        None => vec![word(after)],
    }
}

/// No part of the program.
const IN_TESTS_ALONE: [&str; 2] = ["src/fuzz.rs", "src/source/imap/waiting_tests.rs"];

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs")
                && !IN_TESTS_ALONE.iter().any(|name| path.ends_with(name))
            {
                sources.push(read(&path));
            }
        }
    }
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\n").next().unwrap_or_default().to_owned() + "\n";
    Source { path: path.to_owned(), text: code }
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Whether a file of one module may use another.
fn may_use(from: &Source, used: &str) -> bool {
    let module = from.module();
    if GROUND.contains(&used) {
        return true;
    }
    match module.as_str() {
        // The library itself and the program only name the modules.
        "lib" | "main" => true,
        _ if from.is_wire() => false,
        own if own == used => true,
        "message" => false,
        "filter" if ["state", "net", "program"].contains(&used) => false,
        own => match (floor(own), floor(used)) {
            (Some(own), Some(used)) => own < used,
            _ => false,
        },
    }
}

#[track_caller]
fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn imports_go_down() {
    let mut problems = Vec::new();
    for source in sources() {
        for (line, used) in source.uses() {
            if !may_use(&source, &used) {
                problems.push(format!("{}:{line} uses crate::{used}", source.path.display()));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn a_contents_page_is_short() {
    let is_long = |source: &Source| source.path.ends_with("mod.rs") && source.code_lines() > LONGEST_CONTENTS;
    // Types with their docs may stand in a `mod.rs`; these are the ones that are nothing else.
    let of_types = ["src/config/mod.rs"];
    let long =
        sources().into_iter().filter(is_long).filter(|source| !of_types.iter().any(|path| source.path.ends_with(path)));
    assert_none(
        long.map(|source| format!("{}: {} lines of code", source.path.display(), source.code_lines())).collect(),
    );
}

#[test]
fn a_file_fits_in_the_head() {
    let length = |source: &Source| source.text.lines().count();
    let long = sources().into_iter().filter(|source| length(source) > LONGEST_FILE);
    assert_none(long.map(|source| format!("{}: {} lines", source.path.display(), length(&source))).collect());
}

#[test]
fn errors_are_values_and_nothing_panics() {
    let mut problems = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            let code: String =
                line.split("//").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
            let is_string = code.contains("Result<") && code.contains(", String>") && !code.contains("HashMap<");
            let panics = [".unwrap()", ".expect(\"", "panic!(", "todo!(", "unimplemented!("]
                .iter()
                .any(|word| code.contains(word));
            if is_string || panics {
                problems.push(format!("{}:{number}: {code}", source.path.display()));
            }
        }
    }
    assert_none(problems);
}

/// Where files are touched without `Disk`: the database and what stands beside it, what the user wrote, and what a command
/// is given.
const FILES: [&str; 27] = [
    "src/cli/docs.rs",
    "src/ourselves.rs",
    "src/user.rs",
    "src/cli/sendmail/dead_letter.rs",
    "src/config/places.rs",
    "src/submit/sender.rs",
    "src/state/disk.rs",
    "src/state/in_use.rs",
    "src/state/lock.rs",
    "src/state/marker.rs",
    "src/state/opening.rs",
    "src/state/reserve.rs",
    "src/state/slots.rs",
    "src/state/water.rs",
    "src/config/lists.rs",
    "src/config/oauth.rs",
    "src/net/oauth/store.rs",
    "src/config/load.rs",
    "src/config/secret/fetched.rs",
    "src/config/secret/mod.rs",
    "src/pass/lists.rs",
    "src/cli/explain.rs",
    "src/cli/init/files.rs",
    "src/cli/test.rs",
    "src/daemon/files.rs",
    "src/daemon/order.rs",
    "src/daemon/socket.rs",
];

#[test]
fn mail_files_are_touched_through_disk() {
    let others = sources().into_iter().filter(|source| !FILES.iter().any(|path| source.path.ends_with(path)));
    let mut problems = Vec::new();
    for source in others {
        for (number, line) in (1..).zip(source.text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if ["std::fs", "fs::File", "OpenOptions"].iter().any(|word| code.contains(word) && !code.contains("rustix"))
            {
                problems.push(format!("{}:{number}: {}", source.path.display(), code.trim()));
            }
        }
    }
    assert_none(problems);
}

/// What gives work to a thread of its own.
const THREADS: [&str; 2] = ["on_own_thread(", "spawn_blocking("];
/// The main thread of these commands does nothing but wait for the outbox.
const WAITS_FOR_THE_OUTBOX: [&str; 3] = ["src/cli/fetch.rs", "src/cli/queue.rs", "src/tell/mod.rs"];

/// Tasks of these wait for sockets, timers and each other; a rule of its own sees that they ask nothing of the state.
const WAITS: [&str; 3] = ["src/daemon/mod.rs", "src/daemon/reload.rs", "src/daemon/socket.rs"];

/// The daemon asks the state from threads of its own: in functions and closures that are given a `World`.
#[test]
fn the_daemon_asks_the_state_off_the_workers() {
    let daemon = sources().into_iter().filter(|source| source.module() == "daemon").collect::<Vec<_>>();
    assert!(daemon.len() > 8);
    assert_none(daemon.iter().flat_map(asked_by_workers).collect());
}

/// The lines in which an async function asks the state itself.
fn asked_by_workers(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(source.text.lines()) {
        let function = source.text[..at].rfind("fn ").unwrap_or_default();
        let before = &source.text[function..at + line.len()];
        let is_off = before.contains("|world|") || before.contains("world: &World");
        if [".store.", "world.own(", "pass::held_up(", "pass::keep_pace(", "upkeep::prune("]
            .iter()
            .any(|call| line.contains(call))
            && !is_off
        {
            problems.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
        }
        at += line.len() + 1;
    }
    problems
}

/// What may wait for a disk, a lock or the database is given to `on_own_thread` or `spawn_blocking`, never to the workers of
/// the runtime.
#[test]
fn work_that_may_block_has_a_thread_of_its_own() {
    assert_none(sources().iter().flat_map(work_for_workers).collect());
}

/// The lines that give work to the runtime's workers which may block.
fn work_for_workers(source: &Source) -> Vec<String> {
    let is = |path: &str| source.path.ends_with(path);
    let has_join_set = source.text.contains("JoinSet");
    let mut problems = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(source.text.lines()) {
        // Listening for signals is all that a task of the runtime's own does, and what the daemon waits for.
        let is_task = line.contains("tokio::spawn(") && !is("src/cli/signals.rs") && !WAITS.iter().any(|path| is(path));
        // So does trying the addresses of a host, and hosts.
        let is_set = has_join_set
            && !is("src/net/dial.rs")
            && !is("src/net/probe.rs")
            && !is("src/discover/guess.rs")
            && !WAITS.iter().any(|path| is(path))
            && line.contains(".spawn(")
            && !has_a_thread(&source.text, call_at(&source.text[at..]), 3);
        let is_outbox = ["tell::tell(", "lanes::work("].iter().any(|call| line.contains(call))
            && !THREADS.iter().any(|thread| line.contains(thread))
            && !WAITS_FOR_THE_OUTBOX.iter().any(|path| is(path));
        if is_task || is_set || is_outbox {
            problems.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
        }
        at += line.len() + 1;
    }
    problems
}

/// From the first parenthesis behind `.spawn` to the one that closes it.
fn call_at(text: &str) -> &str {
    let text = &text[text.find(".spawn(").unwrap_or_default()..];
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ')' && depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

/// Whether the code gives its work to a thread, or a function of its file that it calls does.
fn has_a_thread(file: &str, code: &str, depth: u32) -> bool {
    let calls = |name: &str| code.contains(&format!("{name}("));
    let functions = file.split("fn ").skip(1).filter_map(|text| text.split_once('(').map(|(name, _)| (name, text)));
    THREADS.iter().any(|thread| code.contains(thread))
        || depth > 0
            && functions
                .filter(|(name, _)| calls(name.split('<').next().unwrap_or(name)))
                .any(|(_, text)| has_a_thread(file, text.split("\n}\n").next().unwrap_or(text), depth - 1))
}

/// The rules themselves: each must be able to say no.
#[test]
fn the_rules_see_what_they_forbid() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    for (path, text) in [
        ("src/state/x.rs", "use crate::source::Listed;"),
        ("src/source/x.rs", "use crate::deliver::Plan;"),
        ("src/filter/x.rs", "    crate::state::Store::open();"),
        ("src/source/pop3/wire.rs", "use crate::message::Key;"),
        ("src/message/key.rs", "use crate::config::Account;"),
        ("src/net/mod.rs", "use crate::{error::Result, message::Key};"),
        ("src/pipeline/mod.rs", "use crate::cli;"),
        ("src/config/mod.rs", "pub fn x(a: crate::net::Stream) {}"),
    ] {
        let source = source(path, text);
        assert!(source.uses().iter().any(|(_, used)| !may_use(&source, used)), "{path}: {text}");
    }
    for (path, text) in [
        ("src/daemon/x.rs", "use tokio::task::JoinSet;\n    workers.spawn(work(world));\nfn work(world: World) {\n}\n"),
        ("src/daemon/x.rs", "use tokio::task::JoinSet;\n    set.spawn(async move { world.store.rows() });"),
        ("src/daemon/x.rs", "    let told = tell::tell(&world).await;"),
        ("src/pipeline/mod.rs", "    tokio::spawn(async {});"),
    ] {
        assert_eq!(work_for_workers(&source(path, text)).len(), 1, "{text}");
    }
    for text in ["async fn x() {\n    world.store.rows()", "fn x(&self) {\n    upkeep::prune(&plan.world)"] {
        assert_eq!(asked_by_workers(&source("src/daemon/x.rs", text)).len(), 1, "{text}");
    }
    let threaded = "use tokio::task::JoinSet;\n    set.spawn(work());\nfn work() {\n    deep();\n}\n\nfn deep() {\n    \
                    on_own_thread(x);\n}\n";
    assert!(work_for_workers(&source("src/daemon/x.rs", threaded)).is_empty());
    let fine = source("src/source/pop3/mod.rs", "use crate::state::Settlement; // crate::cli\n/// [`crate::cli`]");
    assert!(fine.uses().iter().all(|(_, used)| may_use(&fine, used)));
}
