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
use crate::config::problem::{Problem, Problems, Source};
use crate::config::reader::Base;
use crate::config::{Config, FilterSource};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::filter::trial::{self, Verdict};

/// A test failed. Not a code of sysexits: nothing is wrong with program or input, and scripts ask for yes or no.
const FAILED: u8 = 1;
/// The largest message that a test may name, in bytes.
const MOST: u64 = 100 * 1024 * 1024;

pub(super) fn run(config: &Path, files: &[PathBuf], output: &Output) -> Result<u8> {
    let verdicts = if files.is_empty() { of_config(config, output)? } else { of_files(config, files, output)? };
    verdicts.iter().for_each(|verdict| show(verdict, output));
    let failed = verdicts.iter().filter(|verdict| !verdict.passed()).count();
    if !output.json && !output.quiet {
        output.talk(format_args!("{} passed, {failed} failed", verdicts.len() - failed));
    }
    Ok(if failed > 0 { FAILED } else { 0 })
}

/// The tests of the config, and of every rule file of the user's own that it names.
fn of_config(path: &Path, output: &Output) -> Result<Vec<Verdict>> {
    let setup = Setup::load(path, output)?;
    let settings = &setup.config.settings;
    let engine = |account: &str| -> Option<&Engine> { Some(setup.engine_of(account)) };
    let mut verdicts = told(trial::run_config(&setup.config, &open, &engine), output)?;
    let own = setup.config.accounts.iter().filter_map(|account| account.filters.as_ref()).flatten();
    let mut seen = HashSet::new();
    for filter in own.chain(&setup.config.filters) {
        let is_config = filter.source().name == setup.config.path;
        if !is_config && seen.insert(filter.source().name.clone()) {
            verdicts.extend(of_filter(filter, settings, output)?);
        }
    }
    Ok(verdicts)
}

/// The tests of these files, with the lists and addresses of the config where there is one.
fn of_files(config: &Path, files: &[PathBuf], output: &Output) -> Result<Vec<Verdict>> {
    let settings = Config::examine(config).settings;
    let mut verdicts = Vec::new();
    for file in files {
        let filter = told(load(file), output)?;
        verdicts.extend(of_filter(&filter, &settings, output)?);
    }
    Ok(verdicts)
}

/// A filter as a file of its own, its parameters at their defaults.
fn load(file: &Path) -> Result<FilterSource, Vec<Problem>> {
    let place = Arc::new(Source::new(file, ""));
    let mut problems = Problems::new(&place);
    let base = Base::of_file(file).unwrap_or_else(|_| Base::new("/", None));
    let filter = FilterFiles::new(file, &base).one_file(file, &mut problems);
    match filter {
        Some(filter) if !problems.has_errors() => Ok(filter),
        _ => Err(problems.into_vec()),
    }
}

fn of_filter(filter: &FilterSource, settings: &Settings, output: &Output) -> Result<Vec<Verdict>> {
    match filter {
        FilterSource::Yaml(_) => told(trial::run(filter, settings, &open), output),
        FilterSource::Lua(script) => {
            let beside = script.source.name.with_extension("tests.yaml");
            match beside.exists() {
                true => {
                    let tests = told(load(&beside), output)?;
                    told(trial::run_script(filter, &tests, settings, &open), output)
                }
                false => Ok(Vec::new()),
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
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MOST), &mut bytes)?;
    Ok(bytes)
}

fn show(verdict: &Verdict, output: &Output) {
    let place = format!("{}:{}", clean::line(verdict.source.name.as_os_str().as_encoded_bytes()), verdict.line);
    if output.json {
        output.data(json!({
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
