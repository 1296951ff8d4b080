//! `init`: from an address to a config that works. It asks at most five questions, looks for the servers, tries to receive and to
//! send, and writes the config at the end; whoever stops before has nothing more than before.

mod answers;
mod compose;
mod files;
mod language;
mod trial;

use std::path::{Path, PathBuf};

use super::output::Output;
use super::setup;
use crate::config::Config;
use crate::discover::{DiscoverOptions, Found, discover};
use crate::error::{Error, Kind, Result};
use answers::{Asker, InitAnswers, SecretSource, ServiceChoice};
use language::Language;

/// How often init asks for the secret again after the server refused it: some servers lock an account after more attempts.
const ATTEMPTS: u32 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Your address, like me@example.com
    address: Option<String>,
    /// Add an account to the config that is there
    #[arg(long)]
    add: bool,
    /// What the account is called in the config
    #[arg(long)]
    name: Option<String>,
    /// The IMAP server, HOST or HOST:PORT, in the place of what is found
    #[arg(long, value_name = "SERVER")]
    imap: Option<String>,
    /// The SMTP server, HOST or HOST:PORT, in the place of what is found
    #[arg(long, value_name = "SERVER", requires = "imap")]
    smtp: Option<String>,
    /// The login name, where it is not the address
    #[arg(long, value_name = "NAME", requires = "imap")]
    user: Option<String>,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", group = "given_secret")]
    password_file: Option<PathBuf>,
    /// A program that prints the password, with its arguments: "pass show mail/work"
    #[arg(long, value_name = "COMMAND", group = "given_secret")]
    password_command: Option<String>,
    /// A program that prints access tokens (OAuth2), with its arguments
    #[arg(long, value_name = "COMMAND", group = "given_secret")]
    token_command: Option<String>,
    /// The client id by which Microsoft knows this program; you sign in afterwards
    #[arg(long, value_name = "ID", group = "given_secret")]
    client_id: Option<String>,
    /// How far back mail is fetched: all, new, or a time like 30d
    #[arg(long, value_name = "SINCE")]
    first: Option<String>,
    /// A filter that comes with the program, or none; may be given again
    #[arg(long = "filter", value_name = "NAME", conflicts_with = "add")]
    filters: Vec<String>,
    /// Who fetches: systemd, cron or nobody
    #[arg(long, value_enum)]
    service: Option<ServiceChoice>,
    /// The folder for mail
    #[arg(long, default_value = "~/Mail", value_name = "FOLDER")]
    maildir: String,
    /// Do not try to receive and to send
    #[arg(long)]
    no_test: bool,
    /// Ask nothing: what is not given here is as it is without an answer, and servers that nobody confirmed are taken
    #[arg(long)]
    yes: bool,
    /// Ask this name server (ADDRESS:PORT) for the servers of the address, in the place of the system's
    #[arg(long, value_name = "SERVER")]
    resolver: Option<std::net::SocketAddr>,
}

pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    let language = Language::of_the_user();
    files::check_place(config, arguments.add)?;
    let mut asker = Asker::new(arguments, language)?;
    let known = if arguments.add { Some(files::read(config)?) } else { None };
    // A wrong name is said before anybody types a password.
    compose::free_name("home", known.as_deref(), arguments.name.as_deref())?;
    let address = asker.address()?;
    let found = look(&address, arguments, &asker, output)?;
    let mut answers = asker.servers(&found, config)?;
    answers.name = compose::free_name(&answers.name, known.as_deref(), arguments.name.as_deref())?;
    secret(&mut asker, &mut answers, config, arguments, output)?;
    asker.rest(&mut answers, arguments.add)?;
    let text = match &known {
        Some(known) => compose::added(known, &answers)?,
        None => compose::whole(&answers, language),
    };
    let readable = compose::checked(config, &text)?;
    compose::check_is_new(&readable, &answers.name)?;
    files::write(config, &text, known.as_deref(), &answers)?;
    asker.say(&language.words().written.replace("{}", &config.display().to_string()));
    asker.say(&after(&answers, config, &readable, language, arguments.add)?);
    Ok(0)
}

fn look(address: &str, arguments: &Arguments, asker: &Asker, output: &Output) -> Result<Found> {
    if arguments.imap.is_some() {
        return Ok(Found { address: address.to_owned(), provider: None, offers: Vec::new(), tried: Vec::new() });
    }
    asker.say(asker.language.words().looking);
    let options = DiscoverOptions { resolver: arguments.resolver, ..DiscoverOptions::default() };
    let found = setup::block_on(discover(address, &options))?;
    for tried in found.tried.iter().filter(|_| found.incoming().is_none() && !output.quiet) {
        asker.say(&format!("  {}: {}", tried.source, tried.why));
    }
    Ok(found)
}

/// Asks for the secret until the server takes it.
fn secret(
    asker: &mut Asker,
    answers: &mut InitAnswers,
    config: &Path,
    arguments: &Arguments,
    output: &Output,
) -> Result<()> {
    for attempt in 1..=ATTEMPTS {
        answers.secret = asker.secret(answers)?;
        // Nobody has signed in yet.
        if arguments.no_test || matches!(answers.secret, SecretSource::ClientId(_)) {
            return Ok(());
        }
        asker.say(asker.language.words().trying);
        let outcome = trial::run(config, answers, output)?;
        match outcome {
            trial::TrialOutcome::Works => return Ok(()),
            // Another secret helps, where a person is there who can give one.
            trial::TrialOutcome::LoginRefused if attempt < ATTEMPTS && asker.can_ask_again() => {
                asker.say(asker.language.words().again);
            }
            trial::TrialOutcome::LoginRefused | trial::TrialOutcome::Fails => {
                let question = asker.language.words().all_the_same;
                if asker.can_ask_again() && asker.is_yes(question)? {
                    return Ok(());
                }
                let text = "the account does not work yet, and nothing was written";
                return Err(Error::permanent(Kind::Refused, text)
                    .helped_by("what failed stands above; `--no-test` writes the config all the same"));
            }
        }
    }
    Ok(())
}

/// What the user does next.
fn after(answers: &InitAnswers, path: &Path, config: &Config, language: Language, adds: bool) -> Result<String> {
    let words = language.words();
    let first = if matches!(answers.secret, SecretSource::ClientId(_)) { words.sign_in } else { words.fetch_now };
    let mut text =
        first.replace("{}", &answers.name).replace("mailsluice ", &format!("mailsluice{} ", files::option(path)));
    if !adds {
        text += &match answers.service {
            ServiceChoice::Systemd => {
                let unit = files::write_unit(path)?;
                words.systemd.replace("{}", &unit.display().to_string())
            }
            ServiceChoice::Cron => words.cron.replace("{}", &files::command(path)?),
            ServiceChoice::Nobody => words.nobody.to_owned(),
        };
    }
    if config.relays.is_empty() {
        text += words.no_relay;
    }
    Ok(text)
}
