//! What every command needs: the log, the config, the compiled rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Zoned;
use rustix::process::Signal;
use tokio::signal::unix::SignalKind;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::journal::{self, Journal};
use super::output::{Output, count};
use crate::config::Settings;
use crate::config::problem::{Problem, Problems, Severity};
use crate::config::reader::suggest;
use crate::config::{Config, Examined, FilterSource, Maintenance};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::net::oauth;
use crate::pipeline::Job;
use crate::upkeep::Upkeep;
use crate::user;

/// How long to wait for such a thread.
const LEFT_ALONE: Duration = Duration::from_millis(500);
/// How long to wait, when the program stops, for a provider that was asked for new tokens.
const LAST_TOKENS: Duration = Duration::from_secs(2);

/// Sends the log to standard error: warnings, with `-v` what happens, with `-vv` the dialogue. Only our own events
/// are ever shown: what libraries trace may hold passwords.
pub(super) fn logging(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let ours = Targets::new().with_target("mailsluice", level);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_timer(LocalTime);
    let log = tracing_subscriber::registry().with(ours);
    match journal::is_standard_error() {
        true => log.with(lines.without_time().with_level(false).with_writer(Journal)).try_init().ok(),
        false => log.with(lines.with_timer(LocalTime).with_writer(std::io::stderr)).try_init().ok(),
    };
}

/// The time of day by the clock of the user.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{}", Zoned::now().strftime("%H:%M:%S"))
    }
}

/// The config file to use.
pub(super) fn config_path(given: Option<PathBuf>) -> Result<PathBuf> {
    given.map_or_else(Config::default_path, Ok)
}

/// The config with every account's rules compiled.
pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) jobs: Vec<Job>,
    /// What is done again and again with mail that is here.
    pub(super) upkeeps: Vec<Upkeep>,
    /// The rules for mail that belongs to no account.
    pub(super) rules: Arc<Engine>,
    /// The files that all of this was read from.
    pub(super) files: BTreeSet<PathBuf>,
    /// The rules of each account, by its name.
    engines: BTreeMap<String, Arc<Engine>>,
}

impl Setup {
    /// Loads and compiles, or returns every problem. Second: the warnings.
    pub(super) fn check(path: &Path) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::examine(path, false)
    }

    /// The same, and calls each script once with an ordinary letter.
    pub(super) fn try_out(path: &Path) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        Self::examine(path, true)
    }

    fn examine(path: &Path, tries_scripts: bool) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let Examined { config, rules, maintenance, mut settings, mut files, mut problems, .. } = Config::examine(path);
        settings.tries_scripts = tries_scripts;
        settings.today = Some(Zoned::now().date());
        files.insert(std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        let upkeeps = maintenance.into_iter().map(|item| upkeep(item, &settings, &mut problems)).collect();
        let Some(config) = config else {
            problems.extend(Engine::examine(&rules, &settings));
            drop_repeated(&mut problems);
            return Err(problems);
        };
        let rules = Arc::new(compile(&config.filters, &settings, &mut problems));
        let (mut jobs, mut engines) = (Vec::new(), BTreeMap::new());
        for account in &config.accounts {
            let engine = match &account.filters {
                None => Arc::clone(&rules),
                Some(own) => Arc::new(compile(own, &settings, &mut problems)),
            };
            engines.insert(account.name.clone(), Arc::clone(&engine));
            jobs.push(Job { account: Arc::new(account.clone()), engine });
        }
        drop_repeated(&mut problems);
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        Ok((Self { config, jobs, upkeeps, rules, files, engines }, problems))
    }

    /// The rules of an account, or those for mail that belongs to none.
    pub(super) fn engine(&self, account: Option<&str>) -> Result<Arc<Engine>> {
        let Some(account) = account else { return Ok(Arc::clone(&self.rules)) };
        self.engines.get(account).cloned().ok_or_else(|| unknown_account(account, &self.jobs))
    }

    /// The same for a name that may be nobody's.
    pub(super) fn engine_of(&self, account: &str) -> &Engine {
        self.engines.get(account).unwrap_or(&self.rules)
    }

    /// Loads and compiles for a command that works with mail: it refuses to start on any error.
    pub(super) fn load(path: &Path, output: &Output) -> Result<Self> {
        match Self::check(path) {
            Ok((setup, warnings)) => {
                if !output.quiet {
                    output.problems(&warnings, false);
                }
                Ok(setup)
            }
            Err(problems) => {
                output.problems(&problems, false);
                let message = format!("{} in the config; no mail was touched", count(&problems));
                Err(Error::permanent(Kind::Config, message))
            }
        }
    }
}

/// The same file may serve several accounts; its problems are told once.
pub(super) fn drop_repeated(problems: &mut Vec<Problem>) {
    let mut seen = std::collections::HashSet::new();
    problems.retain(|problem| seen.insert(problem.to_string()));
}

/// An item of `maintenance` with its rule.
fn upkeep(item: Maintenance, settings: &Settings, problems: &mut Vec<Problem>) -> Upkeep {
    let engine = compiled(Engine::compile_silent(&item.rule, settings), problems);
    if engine.takes_all_away() && item.keep_newest == 0 {
        let mut own = Problems::new(item.rule.source());
        let text = format!("`{}` discards every message in its folders", item.name);
        own.warn(item.at, text).hint("say which by `if`, such as {age: {over: 30d}}");
        problems.extend(own.into_vec());
    }
    Upkeep { item: Arc::new(item), engine: Arc::new(engine) }
}

/// Compiles rules; problems are added to those known.
pub(super) fn compile(filters: &[FilterSource], settings: &Settings, problems: &mut Vec<Problem>) -> Engine {
    compiled(Engine::compile(filters, settings), problems)
}

fn compiled(result: Result<(Engine, Vec<Problem>), Vec<Problem>>, problems: &mut Vec<Problem>) -> Engine {
    match result {
        Ok((engine, warnings)) => {
            problems.extend(warnings);
            engine
        }
        Err(errors) => {
            problems.extend(errors);
            Engine::default()
        }
    }
}

/// A name that no account has.
pub(super) fn unknown_account(name: &str, jobs: &[Job]) -> Error {
    let known: Vec<&str> = jobs.iter().map(|job| job.account.name.as_str()).collect();
    let hint = match suggest(name, known.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; the accounts are: {}", known.join(", ")),
    };
    let name = crate::clean::short(name, 60);
    Error::permanent(Kind::Usage, format!("there is no account `{name}` in the config{hint}"))
}

/// Does what talks to servers. A thread that still waits for the system then, as for the address of a host, is left to itself.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = built.map_err(|e| Error::transient(Kind::Busy, "starting").because(e))?;
    let done = runtime.block_on(work);
    oauth::finish(LAST_TOKENS);
    runtime.shutdown_timeout(LEFT_ALONE);
    done
}

/// A file that would pass a limit (`ulimit -f`, and Postfix's `mailbox_size_limit`) ends a program by SIGXFSZ, without a word.
/// Where somebody listens to the signal, it is an error of the write, like a disk that is full.
pub(super) fn outlive_a_file_limit() {
    outlive_signals(&[Signal::XFSZ]);
}

/// From now on these signals do not end the program: somebody listens to them, and does nothing.
pub(super) fn outlive_signals(signals: &[Signal]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let listen = |signal: &Signal| tokio::signal::unix::signal(SignalKind::from_raw(signal.as_raw())).map(drop);
    let listening = runtime.block_on(async { signals.iter().try_for_each(listen) });
    if let Err(e) = listening {
        tracing::debug!("listening to signals: {e}");
    }
}

/// Root that uses the config of a user works with another state than that user, and its files belong to root.
pub(super) fn warn_of_owner(config: &Path, output: &Output) {
    if output.quiet || !rustix::process::geteuid().is_root() {
        return;
    }
    if let Some(user) = user::other_owner(config) {
        let config = config.display();
        output.warn(format_args!(
            "mailsluice: {config} belongs to {user}, and this is root: `sudo -u {user} mailsluice …` works with the state of {user}"
        ));
    }
}

/// Running a mail program as root is seldom meant.
pub(super) fn warn_of_root(output: &Output) {
    if rustix::process::geteuid().is_root() && !output.quiet {
        output.warn("mailsluice: running as root; mail and state will belong to root");
    }
}
