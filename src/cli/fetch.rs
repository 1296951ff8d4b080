//! `fetch`: one pass over all accounts, or over those named.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use super::maintain;
use super::output::Output;
use super::progress::Bars;
use super::queue;
use super::setup::{self, Setup};
use super::signals;
use crate::daemon::order::{Answer, Order, give};
use crate::error::{Error, Kind, Result};
use crate::net::oauth;
use crate::outbox::Relays;
use crate::pass::{self, Passed, Report, World, on_own_thread};
use crate::pipeline::{self, Job};
use crate::tell;
use crate::upkeep::{self, Upkeep};

/// How many accounts are fetched at the same time.
const AT_ONCE: usize = 8;
/// How long `fetch` sends at its end. What is left waits for the next run.
const SENDING: Duration = Duration::from_secs(120);

pub(super) fn run(config: &Path, accounts: &[String], allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    let jobs = choose(setup.jobs, accounts)?;
    setup::warn_of_root(output);
    let typed = !accounts.is_empty() && std::io::stdin().is_terminal();
    let (jobs, asked) = ask_who_runs(&setup.config.state, jobs, typed, output)?;
    let world = World { allow_root, ..World::open(&setup.config)? };
    let (jobs, held_up) = hold_back(&world, jobs, typed, output)?;
    pipeline::enrol(&world, &jobs);
    let relays = Relays::of(&setup.config);
    let sign_ins: Vec<_> = setup.config.sign_ins().cloned().collect();
    let code = setup::block_on(async {
        let code = fetch_all(&world, jobs, &relays, setup.upkeeps, output).await?;
        oauth::keep_alive(&sign_ins).await;
        Ok(code)
    })?;
    let code = worse(worse(code, asked), held_up);
    Ok(worse(code, said(upkeep::prune(&world).map(|()| 0), output)))
}

/// A mailsluice that runs owns its accounts: it looks at them, and what it says is said here. The others are returned.
fn ask_who_runs(state: &Path, jobs: Vec<Job>, typed: bool, output: &Output) -> Result<(Vec<Job>, u8)> {
    let accounts = jobs.iter().map(|job| job.account.name.clone()).collect();
    let Some(answers) = give(state, Order::Fetch { accounts, typed })? else { return Ok((jobs, 0)) };
    let (mut unknown, mut paused, mut code) = (Vec::new(), Vec::new(), 0);
    for answer in answers {
        match answer? {
            Answer::Passed(passed) => {
                output.passed(&passed);
                code = worse(code, passed.code);
                paused.extend(Some(passed.account).filter(|_| passed.paused));
            }
            Answer::Unknown(name) => unknown.push(name),
            _ => {}
        }
    }
    say_paused(&paused, output);
    Ok((jobs.into_iter().filter(|job| unknown.contains(&job.account.name)).collect(), code))
}

/// Without those that are paused, and those whose server refused their login not long ago, unless somebody typed it: cron would
/// have the account locked. That was said when it happened.
fn hold_back(world: &World, jobs: Vec<Job>, typed: bool, output: &Output) -> Result<(Vec<Job>, u8)> {
    let paused = world.store.paused()?;
    let (mut go, mut rest, mut code) = (Vec::new(), Vec::new(), 0);
    for job in jobs {
        let name = &job.account.name;
        if paused.iter().any(|(paused, _)| paused.is_empty() || paused == name) {
            output.passed(&Passed::paused(name));
            rest.push(name.clone());
        } else if pass::held_up(world, &job.account)?.is_some_and(|pace| pace.is_refused && !typed) {
            tracing::info!("{name}: its login was refused; it is tried again later, or with `mailsluice fetch {name}`");
            code = worse(code, 77);
        } else {
            // A host that is dead is tried once in each run, by the first of its accounts.
            pass::try_host_now(world, &job.account)?;
            go.push(job);
        }
    }
    say_paused(&rest, output);
    Ok((go, code))
}

/// What does not happen is said, but for cron's `-q`: whoever paused accounts may have forgotten it.
fn say_paused(names: &[String], output: &Output) {
    if !names.is_empty() && !output.json && !output.quiet {
        let (is, it) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
        output.talk(format_args!("{} {is} paused; `mailsluice resume` lets {it} go on", names.join(", ")));
    }
}

/// The exit code of one part of the run. An error of it is said here, and hides nothing of what the others came to.
fn said(part: Result<u8>, output: &Output) -> u8 {
    part.unwrap_or_else(|error| {
        output.error(&error);
        error.exit_code()
    })
}

fn choose(jobs: Vec<Job>, names: &[String]) -> Result<Vec<Job>> {
    if let Some(unknown) = names.iter().find(|name| !jobs.iter().any(|job| job.account.name == **name)) {
        return Err(setup::unknown_account(unknown, &jobs));
    }
    Ok(jobs.into_iter().filter(|job| names.is_empty() || names.contains(&job.account.name)).collect())
}

async fn fetch_all(
    world: &World,
    jobs: Vec<Job>,
    relays: &Relays,
    upkeeps: Vec<Upkeep>,
    output: &Output,
) -> Result<u8> {
    let stop = signals::stop_token(output)?;
    let bars = Bars::new(output.shows_progress());
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for job in jobs {
        let (world, stop, watch, room) = (world.clone(), stop.clone(), bars.account(), Arc::clone(&room));
        running.spawn(async move {
            let _place = room.acquire_owned().await;
            let name = job.account.name.clone();
            let pass = on_own_thread(async move {
                let mut report = pipeline::fetch_among_others(&world, &job, &watch, &stop).await;
                if let Err(error) = pass::keep_pace(&world, &job.account, &report) {
                    report.errors.push(error);
                }
                report
            });
            pass.await.unwrap_or_else(|e| broken_off(&name, e))
        });
    }
    let mut code = 0;
    while let Some(ended) = running.join_next().await {
        let report = ended.unwrap_or_else(|e| broken_off("(an account)", e));
        bars.without(|| output.passed(&Passed::from(&report)));
        code = worse(code, report.exit_code());
    }
    if !stop.is_cancelled() {
        let told = tell::tell(world, relays, SENDING, &stop).await.and_then(|told| {
            queue::report(&told, output);
            queue::code_of(&told, world, relays, output)
        });
        code = worse(code, said(told, output));
        code = worse(code, said(maintain::due(world, upkeeps, &stop, output).await, output));
    }
    Ok(if stop.is_cancelled() { worse(code, 75) } else { code })
}

/// A parser that panicked on a server's reply took its account down with it and no other.
fn broken_off(account: &str, e: JoinError) -> Report {
    let error = Error::transient(Kind::Protocol, "the pass broke off").because(e);
    Report { errors: vec![error], ..Report::of(account) }
}

/// "Try again" gives way to a failure that somebody has to look at.
pub(super) fn worse(a: u8, b: u8) -> u8 {
    match (a, b) {
        (0, code) | (code, 0) => code,
        (75, code) => code,
        (code, _) => code,
    }
}
