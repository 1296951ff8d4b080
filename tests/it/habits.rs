//! Rules that can be read and hardly mean what they say: `check` warns, and names what would mean it.
//!
//! Each file of `tests/configs/habits` has one, and begins with what is said: the warning, and what to write instead. After a
//! deliberate change of a message, run with `UPDATE_EXPECTED=1` and read the difference in version control.

use std::fs;
use std::path::{Path, PathBuf};

use mailsluice::config::problem::{Problem, Severity};
use mailsluice::config::{Config, Examined};
use mailsluice::filter::Engine;

const HABITS: &str = "tests/configs/habits";

fn problems(path: &Path) -> Vec<Problem> {
    let Examined { rules, mut settings, mut problems, .. } = Config::examine(path);
    settings.today = Some(jiff::civil::date(2026, 11, 30));
    problems.extend(Engine::compile(&rules, &settings).map_or_else(|errors| errors, |(_, warnings)| warnings));
    // What the config lacks for sending is another matter.
    problems.retain(|problem| !problem.message.contains("relay"));
    problems
}

fn said(path: &Path) -> String {
    let line = |problem: Problem| {
        let hint = problem.hint.unwrap_or_default();
        format!("# {}: {}\n#   {hint}\n", problem.severity, problem.message)
    };
    problems(path).into_iter().map(line).collect()
}

#[test]
fn each_habit_gets_one_warning_with_what_would_mean_it() {
    let mut files: Vec<PathBuf> = fs::read_dir(HABITS).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut failures = String::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let (head, rules): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
        let head: String = head.iter().map(|line| format!("{line}\n")).collect();
        let said = said(file);
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(file, format!("{said}{}\n", rules.join("\n"))).unwrap();
        } else if head != said || said.lines().count() != 2 || !said.starts_with("# warning") {
            failures.push_str(&format!("{}\nexpected:\n{head}came:\n{said}\n", file.display()));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(files.len() >= 80, "the habits have gone missing");
    assert!(problems(&files[0]).iter().all(|problem| problem.severity == Severity::Warning));
}
