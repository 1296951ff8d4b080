//! R1 to R46: forty-six rules that people wrote for procmail, maildrop and Sieve, in this language. Each is a file in
//! `tests/rules` with tests of its own, as a user would write it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailsluice::config::FilterSource;
use mailsluice::config::Settings;
use mailsluice::config::filters::FilterFiles;
use mailsluice::config::problem::{Problem, Problems, SourceFile};
use mailsluice::config::reader::Base;
use mailsluice::filter::Engine;
use mailsluice::filter::trial::{self, TestVerdict};

use crate::engine;

const RULES: &str = "tests/rules";
const MOST: u32 = 46;

/// What the config of the person who wrote these rules says.
pub fn settings() -> Settings {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Settings {
        me: texts(&["me@example.com", "me@work.example", "support@example.com"]),
        trust: texts(&["mx.example.com"]),
        delimiters: "+".to_owned(),
        ..Settings::default()
    }
}

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// One filter in a file.
pub fn load(path: &Path) -> FilterSource {
    let source = Arc::new(SourceFile::new(path, ""));
    let mut problems = Problems::new(&source);
    let loaded = FilterFiles::new(path, &Base::of_file(path).unwrap()).one_file(path, &mut problems);
    assert!(!problems.has_errors(), "{}", shown(&problems.into_vec()));
    loaded.unwrap()
}

fn open(path: &Path) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}

/// Runs the tests of a filter; those of a script stand beside it.
pub fn run(filter: &FilterSource, settings: &Settings) -> Result<Vec<TestVerdict>, String> {
    let verdicts = match filter {
        FilterSource::Yaml(_) => trial::run(filter, settings, &open),
        FilterSource::Lua(script) => {
            trial::run_script(filter, &load(&script.source.name.with_extension("tests.yaml")), settings, &open)
        }
    };
    verdicts.map_err(|problems| shown(&problems))
}

/// What failed, for a person: the test, how the decision differs, and how it came about.
pub fn failures(verdicts: &[TestVerdict]) -> String {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed());
    let lines = failed.map(|v| {
        format!("{}:{}: {}\n  {}\n{}\n", v.source.name.display(), v.line, v.name, v.difference.join("\n  "), v.trace)
    });
    lines.collect()
}

/// The files of the rules, by name; a script's tests and the lists that rules read are no rules.
fn files() -> Vec<PathBuf> {
    let paths = fs::read_dir(RULES).unwrap().map(|entry| entry.unwrap().path());
    let is_rule = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name.ends_with(".yaml") || name.ends_with(".lua")) && !name.ends_with(".tests.yaml")
    };
    let mut files: Vec<PathBuf> = paths.filter(is_rule).collect();
    files.sort();
    files
}

/// 7 of `tests/rules/r07-by-month.yaml`.
fn number(path: &Path) -> u32 {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.strip_prefix('r').and_then(|rest| rest.split('-').next()?.parse().ok()).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn each_rule_is_there_once() {
    let numbers: Vec<u32> = files().iter().map(|path| number(path)).collect();
    assert_eq!(numbers, (1..=MOST).collect::<Vec<_>>());
}

#[test]
fn each_rule_compiles_without_a_word_and_says_what_it_is_for() {
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let comment = text.trim_start_matches("--[[\nabout: \"").trim_start_matches("# ");
        assert!(comment.starts_with(&format!("R{}: ", number(&path))), "{} has no line about it", path.display());
        match Engine::compile(&[load(&path)], &settings()) {
            Ok((engine, warnings)) => assert!(warnings.is_empty() && !engine.is_empty(), "{}", shown(&warnings)),
            Err(problems) => panic!("{}", shown(&problems)),
        }
    }
}

#[test]
fn each_rule_decides_as_its_tests_say() {
    let mut failed = String::new();
    for path in files() {
        let verdicts = match run(&load(&path), &settings()) {
            Ok(verdicts) => verdicts,
            Err(problems) => {
                failed += &problems;
                continue;
            }
        };
        assert!(verdicts.len() >= 2, "{} has {} tests", path.display(), verdicts.len());
        let decided: BTreeSet<String> = verdicts.iter().map(|verdict| verdict.trace.to_string()).collect();
        assert!(decided.len() >= 2, "{}: all its tests are one and the same", path.display());
        failed += &failures(&verdicts);
    }
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn a_pass_that_is_not_believed_is_named() {
    let verdicts = run(&load(Path::new("tests/language/authentication.yaml")), &settings()).unwrap();
    let forged = verdicts.iter().find(|verdict| verdict.name.starts_with("a pass that the sender wrote")).unwrap();
    let trace = forged.trace.to_string();
    assert!(trace.contains("dkim=none; dmarc=pass spf=pass is not believed: a sender can write"), "{trace}");
}

/// The tests themselves: what is expected wrongly must be said.
#[test]
fn a_wrong_expectation_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "rules: [{name: all, do: [{addflag: seen}, {setheader: {X-A: b}}, {fileinto: a}]}]\n";
    let wrong = [
        "{folder: b}",
        "{folder: [a, b]}",
        "{discard: true}",
        "{defer: true}",
        "{mbox: a}",
        "{folder: a, flags: [flagged]}",
        "{folder: a, header: {X-A: c}}",
        "{folder: a, tells: redirect x@y.example}",
        "{folder: a, rule: other}",
        "{folder: a, log: nothing}",
        "{folder: a, adds: {book: a@b.example}}",
        "{folder: a, no_reply: A7}",
        "{folder: a, failure: oh}",
        "{}",
    ];
    let right = ["{folder: a}", "{folder: a, flags: [seen], header: {X-A: b}, tells: [], rule: all}"];
    for (index, expect) in wrong.iter().chain(&right).enumerate() {
        let path = folder.path().join(format!("{index}.yaml"));
        let tests = format!("tests: [{{name: t, message: {{Subject: x}}, expect: {expect}}}]\n");
        fs::write(&path, format!("{rules}{tests}")).unwrap();
        let verdicts = run(&load(&path), &settings()).unwrap();
        assert_eq!(verdicts[0].passed(), right.contains(expect), "{expect}: {}", failures(&verdicts));
    }
}

/// Each file in `tests/language` shows one corner of the language, by rules that set flags and tests that count them.
#[test]
fn the_language_means_what_it_says() {
    let mut failed = String::new();
    let files: Vec<PathBuf> = fs::read_dir("tests/language").unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in files.iter().filter(|path| path.is_file()) {
        match run(&load(path), &settings()) {
            Ok(verdicts) => failed += &failures(&verdicts),
            Err(problems) => failed += &problems,
        }
    }
    assert!(failed.is_empty(), "\n{failed}");
    assert!(files.len() >= 12, "the language has gone missing");
}

/// So many that anything which compares each rule with each takes minutes. Conditions that stand twice are found all the
/// same.
#[test]
fn twenty_thousand_rules_are_read_at_once() {
    let rule = |i: usize| {
        format!("  - {{name: r{i}, if: {{from: {{is: person{i}@example.org}}}}, do: {{fileinto: f/{i}}}}}\n")
    };
    let texts: Vec<String> = (0..20)
        .map(|file| format!("rules:\n{}", (0..1000).map(|i| rule(file * 1000 + i)).collect::<String>()))
        .collect();
    let start = std::time::Instant::now();
    let engine = engine::files(&texts);
    let read = start.elapsed();
    assert_eq!(engine.len(), 20_000);
    let start = std::time::Instant::now();
    let last = engine::decided(&engine, "From: person19999@example.org\n\nx\n");
    println!("read in {read:?}, decided in {:?}", start.elapsed());
    assert_eq!(engine::folders(&last), ["f/19999"]);
    assert!(read.as_secs() < 60 && start.elapsed().as_secs() < 5, "{read:?} {:?}", start.elapsed());
}
