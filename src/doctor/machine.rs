//! This machine: the config, the folders, the disk, the clock, and who fetches.

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

/// With less room than this, in bytes, hardly any mail can be filed.
const TOO_LITTLE: u64 = 10 * 1024 * 1024;
/// With less room than this, in bytes, somebody should look.
const LITTLE: u64 = 200 * 1024 * 1024;
/// With fewer files that can be made, somebody should look.
const FEW_FILES: u64 = 1000;

/// Examines what is here.
pub fn machine(config: &Config, tell: &mut dyn FnMut(&Finding)) {
    let mut findings = Findings::about("", tell);
    clock(&mut findings);
    folder("mail root", &config.maildir.path, &mut findings);
    folder("state", &config.state, &mut findings);
    match state(config) {
        Ok(says) => findings.well("memory", says),
        Err(error) => findings.error("memory", &error, "what it says is in the state folder"),
    }
    who_fetches(config, &mut findings);
}

fn clock(findings: &mut Findings<'_>) {
    let now = Timestamp::now();
    let says = format!("it is {}", now.strftime("%Y-%m-%d %H:%M UTC"));
    match is_possible(now) {
        true => findings.well("clock", says),
        false => {
            let next = "set the clock (`timedatectl set-ntp true`): certificates and ages of mail are judged by it";
            findings.failed("clock", format!("{says}, which cannot be"), next);
        }
    }
}

/// Its owner, and the room in it.
fn folder(step: &'static str, path: &Path, findings: &mut Findings<'_>) {
    let shown = path.display();
    let Ok(found) = stat(path) else {
        let parent = path.ancestors().skip(1).find(|parent| stat(*parent).is_ok()).unwrap_or(Path::new("/"));
        return match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => findings.well(step, format!("{shown} is made when it is needed")),
            Err(error) => {
                let says = format!("{shown} is not there, and cannot be made in {}: {error}", parent.display());
                findings.failed(step, says, "is the disk mounted that it is on? Else correct the path in the config");
            }
        };
    };
    let own = rustix::process::geteuid();
    if found.st_uid != own.as_raw() {
        let says = format!("{shown} belongs to user {}, and this is user {}", found.st_uid, own.as_raw());
        let next = "run mailsluice as the user whose mail it is, without sudo; else give it back with `chown -R`";
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
    let has_few_files = room.f_files > 0 && room.f_favail < FEW_FILES;
    let says = format!("{shown}, {} MB free", free / 1_000_000);
    match () {
        () if free < TOO_LITTLE => {
            findings.failed(step, says, "mail stays on the server until there is room: free some")
        }
        () if free < LITTLE => findings.warning(step, says, "free some room, before mail stays on the server"),
        () if has_few_files => {
            findings.warning(
                step,
                format!("{says}, room for {} files", room.f_favail),
                "a Maildir has a file for each message",
            );
        }
        () => findings.well(step, says),
    }
}

/// The database can be read, and the mail root is the one that it knows.
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

/// A daemon, or nobody.
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
                    "mailsluice runs with the config as it was before; what is written now cannot be used",
                    "`mailsluice check` says why",
                ),
                Some(status) if status.paused.is_some() => {
                    findings.warning("who fetches", "mailsluice runs, and everything is paused", "`mailsluice resume`");
                }
                Some(status) => {
                    let process = status.process.map(|process| format!(" (process {process})")).unwrap_or_default();
                    findings.well("who fetches", format!("mailsluice runs{process}"));
                }
                None => findings.warning("who fetches", "mailsluice runs, and does not answer", "start it again"),
            }
        }
        Ok(None) => findings.well("who fetches", last_fetch(config).unwrap_or_else(|| format!("nobody yet: {NEXT}"))),
        Err(error) => findings.warning_of("who fetches", &error, NEXT),
    }
}

/// When something was fetched last, if it ever was.
fn last_fetch(config: &Config) -> Option<String> {
    let world = World::look(config).ok()?;
    let accounts: Vec<_> = config.accounts.iter().collect();
    let status = remembered(&world, &accounts).ok()?;
    let last = status.accounts.iter().filter_map(|account| account.last_success).max()?;
    Some(format!("`fetch` now and then, last at {}; no `run`", last.strftime("%Y-%m-%d %H:%M UTC")))
}
