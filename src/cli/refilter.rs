//! `refilter`: the rules over mail that is here already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use clap_complete::ArgValueCompleter;

use super::help::complete;
use super::output::Output;
use super::setup::{self, Setup, compile};
use crate::clean;
use crate::config::filters::FilterFiles;
use crate::config::problem::{Problems, SourceFile};
use crate::config::reader::Base;
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::REFILTERED;
use crate::pass::World;
use crate::upkeep::{Coming, Move, Refilter, RefilterLine, RefilterSummary};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Local folders: INBOX, lists/rust
    #[arg(required = true, add = ArgValueCompleter::new(complete::folders))]
    folders: Vec<String>,
    /// Move the mail; without it only what would be done is shown
    #[arg(short, long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would be done (the default)
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// With the rules of this account
    #[arg(short, long, conflicts_with = "rules", add = ArgValueCompleter::new(complete::accounts))]
    account: Option<String>,
    /// With the rules of this file alone
    #[arg(short, long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Also forward, answer, pipe and notify as the rules say; without it nobody is told anything
    #[arg(long)]
    send: bool,
    /// Start the programs that rules ask even when nothing is moved
    #[arg(long)]
    run_programs: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    let engine = match &arguments.rules {
        Some(file) => Arc::new(rules_of(file, &setup, output)?),
        None => setup.engine(arguments.account.as_deref())?,
    };
    setup::warn_of_root(output);
    let world = World { allow_root, ..World::look(&setup.config)? };
    let world = if arguments.yes { World { allow_root, ..World::open(&setup.config)? } } else { world };
    let refilter = Refilter {
        world: &world,
        engine: &engine,
        account: arguments.account.as_deref().unwrap_or(REFILTERED),
        send: arguments.send,
        run_programs: arguments.yes || arguments.run_programs,
        keep_newest: 0,
        coming: Coming::default(),
    };
    let looked = refilter.run(&arguments.folders, arguments.yes, &mut |one| show(&one, output))?;
    if !output.json {
        output.talk(summary(&looked, arguments.yes));
    }
    let all_is_done = looked.failed + looked.held + looked.left == 0;
    Ok(if all_is_done { 0 } else { 75 })
}

fn summary(looked: &RefilterSummary, is_done: bool) -> String {
    let RefilterSummary { moves, moved, stay, held, left, run, unsent, .. } = *looked;
    let unsent = match unsent {
        0 => String::new(),
        _ => format!("; {unsent} would be forwarded, answered or reported, which --send does (-v names them)"),
    };
    if !is_done {
        let hint = if moves > 0 { "; add --yes to do it" } else { "" };
        return format!("{moves} would move or change, {stay} stay{hint}{unsent}");
    }
    let gone = if moved < moves { format!(", {} were gone meanwhile", moves - moved) } else { String::new() };
    let held = if held > 0 { format!(" ({held} because of a folder)") } else { String::new() };
    let left = if left > 0 { format!(", {left} of them cannot leave their old folder yet") } else { String::new() };
    let back = run.map(|run| format!("; `mailsluice undo --run {run}` takes it back")).unwrap_or_default();
    format!("{moved} moved or changed{left}, {stay} stay{held}{gone}{back}{unsent}")
}

fn rules_of(file: &Path, setup: &Setup, output: &Output) -> Result<Engine> {
    let mut problems = Problems::new(&Arc::new(SourceFile::new(file, "")));
    let base = Base::of_file(file).unwrap_or_else(|_| Base::new("/", None));
    let filter = FilterFiles::new(file, &base).one_file(file, &mut problems);
    let mut problems = problems.into_vec();
    let engine = compile(&filter.into_iter().collect::<Vec<_>>(), &setup.config.settings, &mut problems);
    output.problems(&problems, false);
    match problems.iter().any(|problem| problem.severity == crate::config::problem::Severity::Error) {
        true => {
            Err(Error::permanent(Kind::Config, format!("{}; no mail was touched", super::output::count(&problems))))
        }
        false => Ok(engine),
    }
}

pub(super) fn show(one: &RefilterLine<'_>, output: &Output) {
    match one {
        RefilterLine::Unsent(unsent) if output.json => output.json(json!({"unsent": unsent})),
        // There may be hundreds; the last line counts them.
        RefilterLine::Unsent(unsent) if output.verbose > 0 => output.talk(unsent),
        RefilterLine::Unsent(_) => {}
        RefilterLine::Remark(remark) if output.json => output.json(json!({"remark": remark})),
        RefilterLine::Remark(remark) => output.talk(remark),
        RefilterLine::Move(one) => show_move(one, output),
    }
}

fn show_move(one: &Move, output: &Output) {
    let (from, subject) = &one.about;
    if output.json {
        output.json(json!({
            "folder": one.from, "outcome": one.outcome, "rule": one.rule, "from": from, "subject": subject,
        }));
    } else if !output.quiet {
        output.data(format_args!(
            "{:<16} {:<28} {:<32} {}",
            clean::short(&one.from, 16),
            clean::short(&one.outcome, 60),
            clean::short(from, 32),
            clean::short(subject, 60),
        ));
    }
}
