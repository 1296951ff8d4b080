//! `test`: the `tests:` of the config and of rule files.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::output::Output;
use super::setup::Setup;
use crate::clean;
use crate::config::Settings;
use crate::config::filters::FilterFiles;
use crate::config::problem::{Problem, Problems, SourceFile};
use crate::config::reader::Base;
use crate::config::{Config, FilterSource};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::filter::trial::{self, TestVerdict};

/// A test failed. Not a code of sysexits: nothing is wrong with program or input, and scripts ask for yes or no.
const FAILED: u8 = 1;
/// EX_CONFIG: a file cannot be read as rules.
const EX_CONFIG: u8 = 78;
/// How many levels of folders are searched.
const MOST_LEVELS: usize = 16;
/// The largest message that a test may name, in bytes.
const MAX_MESSAGE_BYTES: u64 = 100 * 1024 * 1024;

pub(super) fn run(config: &Path, files: &[PathBuf], allow_none: bool, output: &Output) -> Result<u8> {
    let TestSummary { verdicts, without, unreadable } = match files {
        [] => TestSummary { verdicts: of_config(config, output)?, ..TestSummary::default() },
        files => of_files(config, files, output)?,
    };
    verdicts.iter().for_each(|verdict| show(verdict, output));
    let without = if allow_none { Vec::new() } else { without };
    for file in &without {
        show_without(file, output);
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    if !output.json && !output.quiet {
        let more = [(without.len(), "without a test"), (unreadable, "with errors")];
        let more = more.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!(", {number} {what}"));
        output.talk(format_args!("{} passed, {failed} failed{}", verdicts.len() - failed, more.collect::<String>()));
    }
    Ok(match (unreadable, failed + without.len()) {
        (0, 0) => 0,
        (0, _) => FAILED,
        _ => EX_CONFIG,
    })
}

/// What came of several files.
#[derive(Default)]
struct TestSummary {
    verdicts: Vec<TestVerdict>,
    /// Files that have no tests.
    without: Vec<PathBuf>,
    /// How many files cannot be read as rules; what is wrong with them was said.
    unreadable: usize,
}

/// The tests of the config, and of every rule file of the user's own that it names.
fn of_config(path: &Path, output: &Output) -> Result<Vec<TestVerdict>> {
    let setup = Setup::load(path, output)?;
    let settings = &setup.config.settings;
    let engine = |account: &str| -> Option<&Engine> { Some(setup.engine_of(account)) };
    let mut verdicts = told(trial::run_config(&setup.config, &open, &engine), output)?;
    let own = setup.config.accounts.iter().filter_map(|account| account.filters.as_ref()).flatten();
    let of_maintenance = setup.config.maintenance.iter().flat_map(|item| item.rule.included());
    let mut seen = HashSet::new();
    for filter in own.chain(&setup.config.filters).chain(of_maintenance) {
        let is_config = filter.source().name == setup.config.path;
        if !is_config && seen.insert(filter.source().name.clone()) {
            verdicts.extend(told(tests_of(filter, settings), output)?);
        }
    }
    Ok(verdicts)
}

/// The tests of these files, with the lists and addresses of the config where there is one. One file that cannot be read
/// keeps nobody from the others.
fn of_files(config: &Path, files: &[PathBuf], output: &Output) -> Result<TestSummary> {
    let settings = Settings { tries_scripts: true, ..Config::examine(config).settings };
    let mut tried = TestSummary::default();
    for file in rule_files(files)? {
        match load(&file).and_then(|filter| tests_of(&filter, &settings)) {
            Ok(verdicts) if verdicts.is_empty() => tried.without.push(file),
            Ok(verdicts) => tried.verdicts.extend(verdicts),
            Err(problems) => {
                output.problems(&problems, false);
                tried.unreadable += 1;
            }
        }
    }
    Ok(tried)
}

/// The files among these, and those in the folders among these and below, by name. Links to folders are not followed.
fn rule_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let mut found = Vec::new();
            walk(path, MOST_LEVELS, &mut found).map_err(|error| {
                let name = clean::line(path.as_os_str().as_encoded_bytes());
                Error::permanent(Kind::Config, format!("cannot read {name}: {error}"))
            })?;
            found.sort();
            files.extend(found);
        } else {
            files.push(script_of(path).unwrap_or_else(|| path.clone()));
        }
    }
    Ok(files)
}

/// The script whose tests stand in that file.
fn script_of(tests: &Path) -> Option<PathBuf> {
    let name = tests.file_name()?.to_str()?.strip_suffix(".tests.yaml")?;
    Some(tests.with_file_name(format!("{name}.lua"))).filter(|script| script.exists())
}

fn walk(folder: &Path, levels: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() && levels > 0 {
            walk(&path, levels - 1, files)?;
        } else if !kind.is_dir() && is_rule_file(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// The tests of a script stand beside it and are run with it.
fn is_rule_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    !name.ends_with(b".tests.yaml") && [&b".yaml"[..], b".yml", b".lua"].iter().any(|end| name.ends_with(end))
}

/// A filter as a file of its own, its parameters at their defaults.
fn load(file: &Path) -> Result<FilterSource, Vec<Problem>> {
    let place = Arc::new(SourceFile::new(file, ""));
    let mut problems = Problems::new(&place);
    let base = Base::of_file(file).unwrap_or_else(|_| Base::new("/", None));
    let filter = FilterFiles::new(file, &base).one_file(file, &mut problems);
    if let Some(FilterSource::Yaml(rules)) = &filter
        && rules.document.root.get("maildir").is_some()
    {
        let mut own = Problems::new(&rules.document.source);
        let name = clean::line(file.as_os_str().as_encoded_bytes());
        own.error_in_file("this is a config, and no rule file").hint(format!("run `mailsluice -c {name} test`"));
        return Err(own.into_vec());
    }
    match filter {
        Some(filter) if !problems.has_errors() => Ok(filter),
        _ => Err(problems.into_vec()),
    }
}

fn tests_of(filter: &FilterSource, settings: &Settings) -> Result<Vec<TestVerdict>, Vec<Problem>> {
    match filter {
        FilterSource::Yaml(_) => trial::run(filter, settings, &open),
        FilterSource::Lua(script) => {
            let beside = script.source.name.with_extension("tests.yaml");
            match beside.exists() {
                // Its tests call it, and may expect that it fails.
                true => {
                    let settings = Settings { tries_scripts: false, ..settings.clone() };
                    trial::run_script(filter, &load(&beside)?, &settings, &open)
                }
                false => trial::check_script(filter, settings).map(|()| Vec::new()),
            }
        }
    }
}

fn told<T>(result: Result<T, Vec<Problem>>, output: &Output) -> Result<T> {
    result.map_err(|problems| {
        output.problems(&problems, false);
        Error::permanent(Kind::Config, format!("{}; no test was run", super::output::count(&problems)))
    })
}

fn open(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_MESSAGE_BYTES), &mut bytes)?;
    Ok(bytes)
}

fn show_without(file: &Path, output: &Output) {
    match output.json {
        true => output.json(json!({"file": file.to_string_lossy(), "passed": false, "without_tests": true})),
        false => {
            let name = clean::line(file.as_os_str().as_encoded_bytes());
            output.data(format_args!("NONE    {name} has no tests; write some under `tests:`, or add --allow-none"));
        }
    }
}

fn show(verdict: &TestVerdict, output: &Output) {
    let place = format!("{}:{}", clean::line(verdict.source.name.as_os_str().as_encoded_bytes()), verdict.line);
    if output.json {
        output.json(json!({
            "file": verdict.source.name.to_string_lossy(),
            "line": verdict.line,
            "name": verdict.name,
            "passed": verdict.passed(),
            "difference": verdict.difference,
            "trace": verdict.trace.to_json(),
        }));
        return;
    }
    let name = clean::short(&verdict.name, 70);
    if verdict.passed() {
        if !output.quiet {
            output.data(format_args!("ok      {name}"));
        }
        return;
    }
    output.data(format_args!("FAILED  {name}  ({place})"));
    verdict.difference.iter().for_each(|line| output.data(format_args!("    {}", clean::line(line.as_bytes()))));
    output.data("    how it was decided:");
    verdict.trace.to_string().lines().for_each(|line| output.data(format_args!("      {line}")));
}
