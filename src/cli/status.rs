//! `status`: what each account does, why mail does not come, and what to do about it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::advice::helps;
use super::output::Output;
use super::setup::Setup;
use super::width;
use crate::clean;
use crate::config::Config;
use crate::config::oauth::SignIn;
use crate::daemon::order::{Answer, Order, give};
use crate::daemon::status::{AccountStatus, AccountTrouble, Doing, OutboxStatus, Status, remembered};
use crate::error::Result;
use crate::net::oauth::{self, SignInStanding};
use crate::pass::World;

/// The time between two looks of `--watch`.
const REDRAW: Duration = Duration::from_secs(1);
/// How much of an error is shown, in characters.
const SHOWN_ERROR_CHARS: usize = 300;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show it again every second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    loop {
        let status = ask(config, output)?;
        if output.json {
            output.json(json!(status));
        } else {
            let text = page(&status, Timestamp::now(), width::of_standard_output());
            if arguments.watch && std::io::stdout().is_terminal() {
                // Home, and clear to the end.
                write!(std::io::stdout(), "\x1b[H\x1b[J").ok();
            }
            output.data(text.trim_end());
        }
        if !arguments.watch || Output::is_cut() {
            return Ok(code(&status));
        }
        std::io::stdout().flush().ok();
        std::thread::sleep(REDRAW);
    }
}

/// The daemon knows best; without one, the state.
fn ask(config: &Path, output: &Output) -> Result<Status> {
    // A config that is broken just now is one of the reasons why mail does not come.
    let examined = Config::examine(config);
    let sign_ins: Vec<_> = examined.config.iter().flat_map(Config::sign_ins).cloned().collect();
    let state = examined.state;
    if let Some(answers) = state.map(|state| give(&state, Order::Status)).transpose()?.flatten() {
        for answer in answers {
            if let Answer::Status(status) = answer? {
                return Ok(with_sign_ins(*status, &sign_ins));
            }
        }
    }
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let accounts: Vec<_> = setup.jobs.iter().map(|job| &*job.account).collect();
    Ok(with_sign_ins(remembered(&World::look(&setup.config)?, &accounts)?, &sign_ins))
}

/// A sign-in may be over of an account that is paused, or that nobody has looked at since.
fn with_sign_ins(mut status: Status, sign_ins: &[SignIn]) -> Status {
    for account in status.accounts.iter_mut().filter(|account| account.trouble.is_none()) {
        let standing = sign_ins.iter().find(|it| it.name == account.name).map(oauth::standing);
        if let Some(SignInStanding::Over { why, since }) = standing {
            account.trouble = Some(AccountTrouble { text: why, since, times: 1, is_refused: true });
        }
    }
    status
}

/// Whether somebody has to do something: 75 where it may pass, 77 where a login is refused, 78 where the config is not in force.
fn code(status: &Status) -> u8 {
    let troubles = || status.accounts.iter().filter_map(|account| account.trouble.as_ref());
    match () {
        () if status.config.is_some() => 78,
        () if troubles().any(|trouble| trouble.is_refused) => 77,
        () if troubles().next().is_some() || !status.outbox.resting.is_empty() => 75,
        () => 0,
    }
}

fn page(status: &Status, now: Timestamp, columns: usize) -> String {
    let mut page = String::new();
    let whole = |text: &str| width::wrapped("", 0, text, columns);
    if let Some(since) = status.paused {
        let since = when(since, now);
        page += &whole(&format!("Everything has been paused since {since}. `mailsluice resume` lets it go on."));
    }
    if let Some(why) = &status.config {
        writeln!(page, "The config as it is written now is not in force; the one before is:\n{}", why.trim_end()).ok();
    }
    match (status.process, status.since) {
        (Some(process), Some(since)) => {
            writeln!(page, "mailsluice has been running since {} (process {process}).", when(since, now)).ok();
        }
        _ => page += &whole(nobody_runs(status).trim_end()),
    }
    let width = status.accounts.iter().map(|account| account.name.chars().count()).max().unwrap_or(0).max(6);
    for account in &status.accounts {
        page.push('\n');
        let mut line = |first: &str, text: &str| page.push_str(&width::wrapped(first, width + 2, text, columns));
        line(&account.name, &doing(account, status.paused.is_some(), now));
        details(account, now, status.process.is_some()).iter().for_each(|detail| line("", detail));
    }
    page.push('\n');
    let mut line = |first: &str, text: &str| page.push_str(&width::wrapped(first, width + 2, text, columns));
    line("outbox", &outbox(&status.outbox));
    for rest in &status.outbox.resting {
        let cause = clean::short(&rest.cause, SHOWN_ERROR_CHARS);
        line("", &format!("the relay {} rests until {}: {cause}", rest.relay, when(rest.until, now)));
    }
    page
}

fn nobody_runs(status: &Status) -> String {
    let state = status.state.display();
    match status.unused {
        // What runs would not be found.
        true => format!(
            "No mailsluice works with the state in {state}, and nothing was ever fetched with it: `mailsluice run` or `fetch` begins. \
             If `state` was changed in the config, a mailsluice that runs works with the old one until it is started again.\n"
        ),
        false => format!(
            "No mailsluice runs; this is what the state in {state} remembers. `mailsluice run` or `fetch` fetches mail.\n"
        ),
    }
}

fn doing(account: &AccountStatus, everything: bool, now: Timestamp) -> String {
    if let (Some(since), false) = (account.paused, account.doing == Doing::Fetching) {
        let resume = if everything { "" } else { &format!("; `mailsluice resume {}` lets it go on", account.name) };
        return format!("has been paused since {}{resume}", when(since, now));
    }
    let next = account.next_look.map(|at| when(at, now));
    match (account.doing, next) {
        (Doing::Nothing, _) => "is not fetched from now".to_owned(),
        (Doing::Queued, _) => "waits for its turn".to_owned(),
        (Doing::Fetching, _) => "is being fetched from".to_owned(),
        (Doing::Waiting, Some(next)) => match &account.push {
            Some(push) => format!("waits for news ({push}), looks at {next}"),
            None => format!("looks again at {next}"),
        },
        (Doing::Resting, Some(next)) => format!("rests after failures, tries again at {next}"),
        (Doing::Waiting | Doing::Resting, None) => "waits".to_owned(),
        (Doing::Paused, _) => "is paused".to_owned(),
    }
}

fn details(account: &AccountStatus, now: Timestamp, runs: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mail = account.last_mail.map_or_else(|| "no mail yet".to_owned(), |at| format!("last mail {}", when(at, now)));
    let success = account.last_success.map(|at| format!(", last look without errors {}", when(at, now)));
    lines.push(mail + &success.unwrap_or_default());
    if account.left > 0 {
        lines.push(format!("{} messages are left for the next pass", account.left));
    }
    if let Some(trouble @ AccountTrouble { text, since, times, .. }) = &account.trouble {
        let often = if *times == 1 { "once".to_owned() } else { format!("{times} times") };
        lines.push(format!("failed {often} since {}: {}", when(*since, now), clean::short(text, SHOWN_ERROR_CHARS)));
        lines.extend(helps(&account.name, trouble, runs).map(|helps| format!("what helps: {helps}")));
    }
    lines
}

fn outbox(outbox: &OutboxStatus) -> String {
    let held =
        if outbox.held > 0 { format!(", {} put aside (`mailsluice queue list`)", outbox.held) } else { String::new() };
    match outbox.waiting {
        0 if outbox.held == 0 => "is empty".to_owned(),
        1 => format!("1 waits{held}"),
        waiting => format!("{waiting} wait{held}"),
    }
}

/// The time of day; with the date where it is not within a day.
fn when(at: Timestamp, now: Timestamp) -> String {
    let is_near = at.duration_since(now).abs() < SignedDuration::from_hours(20);
    let local = at.to_zoned(TimeZone::system());
    local.strftime(if is_near { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" }).to_string()
}
