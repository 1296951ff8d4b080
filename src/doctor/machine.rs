//! Examines this machine: the config, the folders, the disk, the clock, and who fetches.

use std::path::Path;

use jiff::Timestamp;
use rustix::fs::{Access, access, stat, statvfs};

use super::finding::{Finding, Findings};
use crate::config::Config;
use crate::daemon::order::{Answer, Order, give};
use crate::daemon::status::remembered;
use crate::error::Result;
use crate::pass::{World, mounted};
use crate::state::{ROOT, SqliteStore, is_possible};

/// With less free space, in bytes, hardly any mail can be filed.
const MIN_FREE_BYTES: u64 = 10 * 1024 * 1024;
/// With less free space, in bytes, there is a warning.
const LOW_FREE_BYTES: u64 = 200 * 1024 * 1024;
/// With fewer free inodes there is a warning.
const LOW_FREE_FILES: u64 = 1000;

/// Examines this machine.
pub fn machine(config: &Config, tell: &mut dyn FnMut(&Finding)) {
    let mut findings = Findings::about("", tell);
    clock(&mut findings);
    folder("mail root", &config.maildir.path, &mut findings);
    folder("state", &config.state, &mut findings);
    match state(config) {
        Ok(says) => findings.well("memory", says),
        Err(error) => findings.error("memory", &error, "the database is in the state folder"),
    }
    who_fetches(config, &mut findings);
}

fn clock(findings: &mut Findings<'_>) {
    let now = Timestamp::now();
    let says = format!("it is {}", now.strftime("%Y-%m-%d %H:%M UTC"));
    match is_possible(now) {
        true => findings.well("clock", says),
        false => {
            let next =
                "set the clock (`timedatectl set-ntp true`): certificates and the age of mail are checked against it";
            findings.failed("clock", format!("{says}, which is impossible"), next);
        }
    }
}

/// Checks a folder's owner and the space in it.
fn folder(step: &'static str, path: &Path, findings: &mut Findings<'_>) {
    let shown = path.display();
    let Ok(found) = stat(path) else {
        let parent = path.ancestors().skip(1).find(|parent| stat(*parent).is_ok()).unwrap_or(Path::new("/"));
        return match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => findings.well(step, format!("{shown} will be made when it is needed")),
            Err(error) => {
                let says = format!("{shown} does not exist, and cannot be made in {}: {error}", parent.display());
                findings.failed(step, says, "is its disk mounted? If it is, correct the path in the config");
            }
        };
    };
    let own = rustix::process::geteuid();
    if found.st_uid != own.as_raw() {
        let says = format!("{shown} belongs to user {}, and this is user {}", found.st_uid, own.as_raw());
        let next =
            "run mailsluice as the user whose mail it is, without sudo; or change the owner back with `chown -R`";
        return findings.failed(step, says, next);
    }
    if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        return findings.failed(
            step,
            format!("{shown}: {error}"),
            "its owner must be able to write there: `chmod u+rwx`",
        );
    }
    let Ok(room) = statvfs(path) else { return findings.well(step, shown.to_string()) };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let has_few_files = room.f_files > 0 && room.f_favail < LOW_FREE_FILES;
    let says = format!("{shown}, {} MB free", free / 1_000_000);
    match () {
        () if free < MIN_FREE_BYTES => {
            findings.failed(step, says, "mail stays on the server until there is free space: make some")
        }
        () if free < LOW_FREE_BYTES => findings.warning(step, says, "free some space, or mail will stay on the server"),
        () if has_few_files => {
            findings.warning(
                step,
                format!("{says}, but only {} more files", room.f_favail),
                "a Maildir needs a file for each message",
            );
        }
        () => findings.well(step, says),
    }
}

/// Checks that the database can be read and that the mail root is the known one.
fn state(config: &Config) -> Result<String> {
    if !SqliteStore::exists(&config.state) {
        return Ok("nothing was fetched yet".to_owned());
    }
    if let Some(damage) = SqliteStore::damage(&config.state)? {
        return Err(damage);
    }
    let world = World::look(config)?;
    let accounts = world.store.accounts()?.len();
    if world.store.fact(ROOT)?.is_some() {
        mounted(&world)?;
    }
    Ok(format!("of {accounts} account{}", if accounts == 1 { "" } else { "s" }))
}

/// Reports the daemon, or the last fetch without one.
fn who_fetches(config: &Config, findings: &mut Findings<'_>) {
    const NEXT: &str =
        "`mailsluice run` as a service, or `mailsluice fetch` from cron (examples/systemd, examples/cron)";
    match give(&config.state, Order::Status) {
        Ok(Some(answers)) => {
            let status = answers.flatten().find_map(|answer| match answer {
                Answer::Status(status) => Some(status),
                _ => None,
            });
            match status {
                Some(status) if status.config.is_some() => findings.warning(
                    "who fetches",
                    "mailsluice runs with the previous config, because the present one cannot be used",
                    "`mailsluice check` shows why",
                ),
                Some(status) if status.paused.is_some() => {
                    findings.warning("who fetches", "mailsluice runs, but everything is paused", "`mailsluice resume`");
                }
                Some(status) => {
                    let process = status.process.map(|process| format!(" (process {process})")).unwrap_or_default();
                    findings.well("who fetches", format!("mailsluice runs{process}"));
                }
                None => findings.warning("who fetches", "mailsluice runs, but does not answer", "restart it"),
            }
        }
        Ok(None) => findings.well("who fetches", last_fetch(config).unwrap_or_else(|| format!("nobody yet: {NEXT}"))),
        Err(error) => findings.warning_of("who fetches", &error, NEXT),
    }
}

/// The time of the last fetch, if there was one.
fn last_fetch(config: &Config) -> Option<String> {
    let world = World::look(config).ok()?;
    let accounts: Vec<_> = config.accounts.iter().collect();
    let status = remembered(&world, &accounts).ok()?;
    let last = status.accounts.iter().filter_map(|account| account.last_success).max()?;
    Some(format!("`fetch`, last at {}; `run` is not active", last.strftime("%Y-%m-%d %H:%M UTC")))
}
