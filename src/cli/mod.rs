//! The command tree and dispatch, nothing else: each command is a file.

mod advice;
mod called;
mod check;
mod deliver;
mod discover;
mod docs;
mod doctor;
mod explain;
mod fetch;
mod filters;
mod help;

mod init;
mod journal;
mod list;
mod log;
mod login;
mod maintain;
mod orders;
mod output;
mod outside;
mod progress;
mod queue;
mod rebuild;
mod refilter;
mod run;
mod sendmail;
mod setup;
mod signals;
mod status;
mod table;
mod test;
mod undo;
mod width;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::error::Result;
use called::for_sendmail;
use help::complete;
use output::{Color, Output};

const GLOBAL: &str = "Global options";

/// Fetches, filters and files a person's mail.
#[derive(Debug, Parser)]
#[command(name = "mailsluice", version, max_term_width = 100)]
#[command(after_help = "Exit codes are those of sysexits.h: `mailsluice help exit-codes`. Topics: `mailsluice help`.")]
struct Cli {
    /// The config file [default: ~/.config/mailsluice/config.yaml, else /etc/mailsluice/config.yaml]
    #[arg(short, long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Print JSON, one object a line, for programs
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    quiet: bool,
    /// Say more; twice: the dialogue with the servers, without passwords
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto", hide_possible_values = true, value_name = "auto|always|never", help_heading = GLOBAL)]
    color: Color,
    /// Deliver mail and start the programs of rules even when running as root
    #[arg(long, global = true, help_heading = GLOBAL)]
    allow_root: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch new mail from all accounts, or from those named
    Fetch {
        /// The names of accounts in the config
        #[arg(add = ArgValueCompleter::new(complete::accounts))]
        accounts: Vec<String>,
    },
    /// Fetch from every account again and again, each at its `poll` interval, until SIGTERM
    Run,
    /// Show what each account does, why mail does not come and what helps, whether `run` is at work or not
    Status(status::Arguments),
    /// Have the mailsluice that runs look at accounts now, also at one whose password was refused
    Poll(orders::Accounts),
    /// Fetch nothing from accounts until `resume`, also after a restart
    Pause(orders::Accounts),
    /// Let paused accounts go on
    Resume(orders::Accounts),
    /// Have the mailsluice that runs read its config again; it does so by itself when a file changes
    Reload,
    /// Print what happens in the mailsluice that runs, one JSON object a line, until Ctrl-C
    Events,
    /// Take one message on standard input and file it by the rules: `|mailsluice deliver` in .forward
    Deliver,
    /// Read the config and the rules and report every problem in them
    Check,
    /// Make a config: asks for the address, finds its servers, tries them, and writes it down
    Init(init::Arguments),
    /// Find out why mail does not come or does not go: step by step, with what helps; nothing is fetched and nothing sent
    Doctor(doctor::Arguments),
    /// Look for the servers of an address, and print what is wanted there and the lines for the config; no password is asked for
    Discover(discover::Arguments),
    /// Show what the rules would decide about a message, step by step, and why; nothing is done
    Explain(explain::Arguments),
    /// What waits in the outbox: list, show, run, retry, hold, drop
    #[command(subcommand)]
    Queue(queue::Queue),
    /// Take a message on standard input and send it, as sendmail does: -t, -i, -f ADDRESS, RECIPIENT…
    #[command(disable_help_flag = true)]
    Sendmail {
        /// The options of sendmail, and recipients
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the rules over mail in local folders; shows what would move, and moves it with --yes
    Refilter(refilter::Arguments),
    /// Run the items of `maintenance` in the config over mail that is here, now
    Maintain(maintain::Arguments),
    /// Bring messages back as they were before a rule filed, changed or discarded them
    Undo(undo::Arguments),
    /// Take a mail root that moved or was emptied on purpose as it is now, and set a damaged state aside; asks first
    Rebuild {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
    /// Run the tests that config and rule files carry
    Test {
        /// Rule files, and folders with rule files; without any, those of the config
        files: Vec<PathBuf>,
        /// A file without tests is no failure
        #[arg(long)]
        allow_none: bool,
    },
    /// The filters that come with the program
    #[command(subcommand)]
    Filters(filters::Filters),
    /// Print what is generated from the program
    #[command(subcommand)]
    Docs(docs::Docs),
    /// Show the entries of a list, or change one that rules add to: NAME, NAME add ENTRY, NAME remove ENTRY
    List(list::Arguments),
    /// Sign in at the provider of an account or relay with `oauth2`, once, by a browser
    Login(login::Arguments),
    /// Forget the sign-in of an account or relay, and have the provider do so where it can be told
    Logout {
        /// The account or relay of the config
        #[arg(add = ArgValueCompleter::new(complete::sign_ins))]
        name: String,
    },
    /// Show a page of the manual: a command, or a topic such as rules or vacation
    Help {
        /// The command or the topic; without one, what there is
        #[arg(value_name = "PAGE", add = ArgValueCompleter::new(complete::pages))]
        names: Vec<String>,
    },
    /// Print what a shell needs to complete commands, options, accounts and folders
    Completions {
        /// The shell
        shell: complete::Shell,
    },
    /// Show what came and was sent: when, from whom, which rule decided and what happened; with a number or -v also why
    Log(log::Arguments),
}

/// EX_IOERR: what was to be shown is not shown as a whole.
const CUT: u8 = 74;

/// Runs the command line. The result is the exit code.
pub fn run() -> ExitCode {
    complete::answer();
    let cli = match help::parse(for_sendmail(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are answers, anything else is wrong use (EX_USAGE).
            e.print().ok();
            return if e.use_stderr() { ExitCode::from(of_command(is_delivery(), 64)) } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { json: cli.json, quiet: cli.quiet, verbose: cli.verbose, color: cli.color };
    setup::logging(cli.verbose);
    // Whatever the caller's umask: mail and state are the user's own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    crate::descriptors::raise();
    let is_delivery = matches!(cli.command, Command::Deliver);
    setup::outlive_a_file_limit();
    match dispatch(cli, &output) {
        Ok(0) if Output::is_cut() => ExitCode::from(CUT),
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            output.error(&e);
            ExitCode::from(of_command(is_delivery, e.exit_code()))
        }
    }
}

/// Whether the program reads this command line, the name of the program first. Nothing is done; the tests of the documents ask.
pub fn is_command_line(words: &[String]) -> bool {
    let read = help::parse(for_sendmail(words.iter().map(Into::into).collect()));
    // The version and the help are answers.
    read.map_or_else(|error| !error.use_stderr(), |_| true)
}

fn of_command(is_delivery: bool, code: u8) -> u8 {
    if is_delivery { deliver::exit_code(code) } else { code }
}

/// Whether a command line that cannot be read was meant for `deliver`.
fn is_delivery() -> bool {
    std::env::args_os().skip(1).any(|argument| argument == "deliver")
}

/// The commands that are about the mailsluice that runs, each with what it does, for `docs/reference.md`.
pub fn commands_of_daemon() -> Vec<(String, String)> {
    const NAMES: [&str; 7] = ["run", "status", "poll", "pause", "resume", "reload", "events"];
    let cli = <Cli as clap::CommandFactory>::command();
    let commands = cli.get_subcommands().filter(|command| NAMES.contains(&command.get_name()));
    let about = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    commands.map(|command| (command.get_name().to_owned(), about(command))).collect()
}

fn dispatch(cli: Cli, output: &Output) -> Result<u8> {
    let config = setup::config_path(cli.config)?;
    if !cli.allow_root {
        setup::warn_of_owner(&config, output);
    }
    match cli.command {
        Command::Fetch { accounts } => fetch::run(&config, &accounts, cli.allow_root, output),
        Command::Run => run::run(&config, cli.allow_root, output),
        Command::Status(arguments) => status::run(&config, &arguments, output),
        Command::Poll(accounts) => orders::poll(&config, &accounts, output),
        Command::Pause(accounts) => orders::pause(&config, &accounts, true, output),
        Command::Resume(accounts) => orders::pause(&config, &accounts, false, output),
        Command::Reload => orders::reload(&config, output),
        Command::Events => orders::events(&config, output),
        Command::Deliver => deliver::run(&config, cli.allow_root, output),
        Command::Check => check::run(&config, output),
        Command::Init(arguments) => init::run(&config, &arguments, output),
        Command::Doctor(arguments) => doctor::run(&config, &arguments, output),
        Command::Discover(arguments) => discover::run(&arguments, output),
        Command::Explain(arguments) => explain::run(&config, &arguments, cli.allow_root, output),
        Command::Refilter(arguments) => refilter::run(&config, &arguments, cli.allow_root, output),
        Command::Maintain(arguments) => maintain::run(&config, &arguments, cli.allow_root, output),
        Command::Queue(queue) => queue::run(&config, &queue, cli.allow_root, output),
        Command::Sendmail { arguments } => sendmail::run(&config, &arguments, cli.allow_root, output),
        Command::Undo(arguments) => undo::run(&config, &arguments, output),
        Command::Rebuild { yes } => rebuild::run(&config, yes, output),
        Command::Test { files, allow_none } => test::run(&config, &files, allow_none, output),
        Command::Filters(filters) => filters::run(&filters, output),
        Command::Docs(docs) => docs::run(&docs, output),
        Command::List(arguments) => list::run(&config, &arguments, cli.allow_root, output),
        Command::Login(arguments) => login::run(&config, &arguments, output),
        Command::Logout { name } => login::forget(&config, &name, output),
        Command::Help { names } => help::run(&names, output),
        Command::Completions { shell } => complete::run(shell, output),
        Command::Log(arguments) => log::run(&config, &arguments, output),
    }
}
