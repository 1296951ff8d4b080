//! `run`: every account again and again, until SIGTERM.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::journal;
use super::maintain;
use super::output::Output;
use super::queue;
use super::setup::{self, Setup};
use super::signals;
use crate::config::MailRoot;
use crate::config::problem::{Problem, Severity};
use crate::daemon::{self, ConfigLoader, DaemonPlan, Event};
use crate::error::{Error, Kind, Result};
use crate::outbox::Relays;
use crate::pass::World;
use crate::pipeline::{self, Job};

pub(super) fn run(config: &Path, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    setup::warn_of_root(output);
    let world = World { allow_root, ..World::open(&setup.config)? };
    pipeline::enrol(&world, &setup.jobs);
    let output = *output;
    let load = reader(config.to_owned(), setup.config.maildir.clone(), setup.config.state.clone());
    let plan = plan(setup, world, Vec::new());
    if output.shows_progress() {
        output.talk(watched(&plan));
    }
    setup::block_on(async {
        let stop = signals::stop_token(&output)?;
        let hangups = signals::hangups()?;
        daemon::run(plan, load, hangups, stop, move |event| show(&event, &output)).await?;
        Ok(0)
    })
}

fn plan(setup: Setup, world: World, warnings: Vec<String>) -> DaemonPlan {
    let relays = Relays::of(&setup.config);
    let Setup { jobs, upkeeps, files, config, .. } = setup;
    DaemonPlan { world, jobs, upkeeps, relays, files, config: Arc::new(config), warnings }
}

/// What a person at a terminal sees first: silence would look like a program that hangs.
fn watched(plan: &DaemonPlan) -> String {
    /// More are not named.
    const NAMED: usize = 6;
    let name = |job: &Job| format!("{} ({})", job.account.name, job.account.server.host);
    let mut names: Vec<String> = plan.jobs.iter().take(NAMED).map(name).collect();
    if plan.jobs.len() > NAMED {
        names.push(format!("{} more", plan.jobs.len() - NAMED));
    }
    let them = match names.is_empty() {
        true => "watching no account, for the config has none".to_owned(),
        false => format!("watching {}", names.join(", ")),
    };
    format!("{them}; `mailsluice status` shows how they are, Ctrl-C stops")
}

/// What reads the config again while the daemon runs.
fn reader(path: PathBuf, maildir: MailRoot, state: PathBuf) -> ConfigLoader {
    Arc::new(move |before| {
        let (setup, warnings) = Setup::check(&path).map_err(|problems| errors_in(&problems))?;
        if setup.config.maildir != maildir || setup.config.state != state {
            let text = "`maildir` and `state` cannot change while mailsluice runs; start it again";
            return Err(Error::permanent(Kind::Config, text));
        }
        let world = before.world.with(&setup.config);
        pipeline::enrol(&world, &setup.jobs);
        let warnings = warnings.iter().map(|problem| problem.to_string().trim_end().to_owned()).collect();
        Ok(plan(setup, world, warnings))
    })
}

/// The first error, and how many more there are.
fn errors_in(problems: &[Problem]) -> Error {
    let errors: Vec<String> = problems
        .iter()
        .filter(|p| p.severity == Severity::Error)
        .map(|p| p.to_string().trim_end().to_owned())
        .collect();
    let first = errors.first().cloned().unwrap_or_default();
    Error::permanent(
        Kind::Config,
        match errors.len() {
            0 | 1 => first,
            count => format!("{first}\n({} more; `mailsluice check` shows them)", count - 1),
        },
    )
}

fn show(event: &Event, output: &Output) {
    match event {
        Event::Passed(passed) => output.passed_by_daemon(passed),
        Event::Told(told) => queue::report(told, output),
        Event::Maintained(maintained) => maintain::report(maintained, false, output),
        Event::NotReloaded(why) => {
            let said = "the config was not taken over, the one before stays in force";
            match why.lines().next().filter(|_| journal::is_standard_error()) {
                // The drawing of the place is for a terminal.
                Some(place) => output.complain(format_args!("{said}; `mailsluice check` shows why: {place}")),
                None => output.complain(format_args!("{said}:\n{why}")),
            }
        }
        Event::Reloaded(changes) if !output.quiet => {
            changes.warnings.iter().for_each(|warning| output.warn(warning));
            output.talk(format_args!("the config was read again: {}", changes.in_words()));
        }
        Event::Paused(account, paused) if !output.quiet => {
            let what = if account.is_empty() { "everything" } else { account };
            output.talk(format_args!("{what} {}", if *paused { "is paused" } else { "goes on" }));
        }
        Event::Noted(text) => output.talk(text),
        Event::Reloaded(_) | Event::Paused(..) => {}
    }
}
