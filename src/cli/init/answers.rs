//! What is to be known, and how it is asked.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::Arguments;
use super::language::Language;
use crate::clean;
use crate::config::library;
use crate::discover::{Found, Offer, config_place};
use crate::error::{Error, Kind, Result};
use crate::program;
use crate::providers::{self, MailProtocol};
use crate::terminal;

/// The filters that are offered to begin with.
pub(super) const STARTERS: [&str; 3] = ["lists/by-list-id", "sort/newsletters", "spam/headers"];

/// Who fetches from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ServiceChoice {
    Systemd,
    Cron,
    #[default]
    Nobody,
}

/// Where a secret comes from.
#[derive(Debug)]
pub(super) enum SecretSource {
    /// It was typed, and goes into a file beside the config.
    Typed(SecretString),
    /// It stands in this file.
    File(PathBuf),
    /// This program prints it.
    Command(Vec<String>),
    /// Somebody signs in later, with this client id.
    ClientId(String),
}

/// Everything that the config is made of.
#[derive(Debug)]
pub(super) struct InitAnswers {
    pub(super) name: String,
    pub(super) address: String,
    /// Whether the config gets the servers from the address alone.
    pub(super) is_known: bool,
    pub(super) incoming: WrittenPlace,
    pub(super) outgoing: Option<WrittenPlace>,
    pub(super) secret: SecretSource,
    pub(super) is_token: bool,
    pub(super) first: String,
    pub(super) filters: Vec<String>,
    pub(super) service: ServiceChoice,
    pub(super) maildir: String,
}

/// A server as it is written in the config.
#[derive(Clone, Debug)]
pub(super) struct WrittenPlace {
    pub(super) mail: MailProtocol,
    pub(super) place: String,
    pub(super) user: String,
}

impl WrittenPlace {
    fn of(offer: &Offer) -> Self {
        Self { mail: offer.mail, place: config_place(offer), user: offer.user.clone() }
    }
}

/// Asks on the terminal, or takes what the command line says.
pub(super) struct Asker<'a> {
    arguments: &'a Arguments,
    pub(super) language: Language,
}

impl<'a> Asker<'a> {
    pub(super) fn new(arguments: &'a Arguments, language: Language) -> Result<Self> {
        if !arguments.yes && !terminal::is_there() {
            return Err(Error::permanent(Kind::Usage, "nobody is at a terminal to answer")
                .helped_by("`--yes` asks nothing: `mailsluice init me@example.com --password-file FILE --yes`"));
        }
        if let Some(unknown) = arguments.filters.iter().find(|name| *name != "none" && library::find(name).is_none()) {
            let text = format!("there is no filter {}", clean::short(unknown, 60));
            return Err(Error::permanent(Kind::Usage, text).helped_by("`mailsluice filters list` shows them"));
        }
        if arguments.first.as_deref().is_some_and(|given| first(given).is_none()) {
            return Err(Error::permanent(Kind::Usage, "`--first` is all, new, or a time like 30d"));
        }
        if let Some(file) = &arguments.password_file {
            rustix::fs::access(file, rustix::fs::Access::READ_OK)
                .map_err(|e| Error::disk(format!("reading {}", file.display()), e.into()))?;
        }
        Ok(Self { arguments, language })
    }

    pub(super) fn say(&self, text: &str) {
        // Questions and answers are talk; nothing of it is data.
        eprintln!("{text}");
    }

    /// Whether a person can be asked once more.
    pub(super) fn can_ask_again(&self) -> bool {
        let Arguments { password_file, password_command, token_command, client_id, .. } = self.arguments;
        let is_given =
            password_file.is_some() || [password_command, token_command, client_id].iter().any(|given| given.is_some());
        !self.arguments.yes && !is_given
    }

    pub(super) fn is_yes(&self, question: &str) -> Result<bool> {
        let answer = terminal::ask(question)?.to_lowercase();
        Ok(matches!(answer.as_str(), "y" | "yes" | "是"))
    }

    pub(super) fn address(&self) -> Result<String> {
        match &self.arguments.address {
            Some(address) => Ok(address.trim().to_owned()),
            None if self.arguments.yes => Err(Error::permanent(Kind::Usage, "whose mail is it? Give the address")),
            None => terminal::ask(self.language.words().address),
        }
    }

    /// Shows what was found, and asks for servers where there are none.
    pub(super) fn servers(&mut self, found: &Found, config: &Path) -> Result<InitAnswers> {
        let words = self.language.words();
        let (incoming, outgoing) = match found.incoming() {
            Some(incoming) => (WrittenPlace::of(incoming), found.best(MailProtocol::Smtp).map(WrittenPlace::of)),
            None => self.typed_servers(&found.address)?,
        };
        for written in [Some(&incoming), outgoing.as_ref()].into_iter().flatten() {
            let place = format!("{:5} {}", written.mail.name(), written.place);
            self.say(&words.servers.replacen("{}", &place, 1).replacen("{}", &written.user, 1));
        }
        if let Some(offer) = found.incoming() {
            self.say(&words.from.replace("{}", &offer.origin.to_string()));
        }
        let is_token = found.incoming().is_some_and(|offer| offer.is_token_only);
        if let Some(provider) = found.provider {
            let wants = words.wants.replacen("{}", provider.name, 1);
            self.say(&wants.replacen("{}", self.language.secret(provider.secret), 1));
            for more in [provider.switch_on, provider.note].into_iter().flatten() {
                self.say(&format!("{}.", capitalised(more)));
            }
            if let Some(page) = provider.secret_page {
                self.say(&words.made_at.replace("{}", page));
            }
        }
        let hosts = found.unconfirmed();
        if !hosts.is_empty() {
            self.say(&words.unconfirmed.replace("{}", &hosts.join(", ")));
            // Where the secret is not typed, nobody would have looked before it goes there.
            if !self.arguments.yes && !self.can_ask_again() && !self.is_yes(words.sure)? {
                return Err(Error::permanent(Kind::Stopped, "the servers are not confirmed, and nothing was written"));
            }
        }
        let domain = found.address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let is_known = !found.offers.is_empty() && providers::is_enough(domain, incoming.mail);
        Ok(InitAnswers {
            name: domain.split('.').next().unwrap_or("home").to_lowercase(),
            address: found.address.clone(),
            is_known,
            incoming,
            outgoing,
            secret: SecretSource::File(config.to_path_buf()),
            is_token,
            first: "all".to_owned(),
            filters: Vec::new(),
            service: ServiceChoice::Nobody,
            maildir: self.arguments.maildir.clone(),
        })
    }

    fn typed_servers(&self, address: &str) -> Result<(WrittenPlace, Option<WrittenPlace>)> {
        let words = self.language.words();
        let user = self.arguments.user.as_deref().unwrap_or(address);
        let written = |mail, place: String| WrittenPlace { mail, place, user: user.to_owned() };
        if let Some(imap) = &self.arguments.imap {
            let outgoing = self.arguments.smtp.clone().map(|smtp| written(MailProtocol::Smtp, smtp));
            return Ok((written(MailProtocol::Imap, imap.clone()), outgoing));
        }
        self.say(words.no_servers);
        if self.arguments.yes {
            let text = format!("no servers were found for {}", clean::short(address, 80));
            return Err(Error::permanent(Kind::Config, text)
                .helped_by("give `--imap` and `--smtp`; `mailsluice discover` says who was asked in vain"));
        }
        let imap = terminal::ask(words.imap)?;
        let smtp = terminal::ask(words.smtp)?;
        let outgoing = Some(smtp).filter(|smtp| !smtp.is_empty()).map(|smtp| written(MailProtocol::Smtp, smtp));
        Ok((written(MailProtocol::Imap, imap), outgoing))
    }

    /// The secret, and whether it is an access token. `answers.is_token`: the server takes nothing else.
    pub(super) fn secret(&self, answers: &mut InitAnswers) -> Result<SecretSource> {
        if let Some(given) = self.given_secret(answers)? {
            return Ok(given);
        }
        if self.arguments.yes {
            return Err(Error::permanent(Kind::Usage, "no password was given").helped_by(match answers.is_token {
                true => TOKEN_OPTIONS,
                false => "give `--password-file FILE` or `--password-command \"pass show mail/work\"`",
            }));
        }
        let words = self.language.words();
        if answers.is_token {
            return token(&terminal::ask(words.token)?, answers.is_known);
        }
        let typed = terminal::ask_secret(words.secret)?;
        match typed.expose_secret().strip_prefix('!') {
            // A password may begin so, too.
            Some(command) if is_program(command) => words_of(command),
            _ if typed.expose_secret().is_empty() => {
                Err(Error::permanent(Kind::Stopped, "there was no answer; nothing was written"))
            }
            _ => Ok(SecretSource::Typed(typed)),
        }
    }

    /// The secret that the command line names.
    fn given_secret(&self, answers: &mut InitAnswers) -> Result<Option<SecretSource>> {
        let Arguments { password_file, password_command, token_command, client_id, .. } = self.arguments;
        if let Some(command) = token_command {
            answers.is_token = true;
            return words_of(command).map(Some);
        }
        if let Some(id) = client_id {
            return token(id, answers.is_known && answers.is_token).map(Some);
        }
        if answers.is_token && (password_file.is_some() || password_command.is_some()) {
            let text = format!("the server of {} takes no password, only tokens (OAuth2)", answers.address);
            return Err(Error::permanent(Kind::Usage, text).helped_by(TOKEN_OPTIONS));
        }
        if let Some(file) = password_file {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            return Ok(Some(SecretSource::File(file)));
        }
        password_command.as_deref().map(words_of).transpose()
    }

    /// What has nothing to do with the servers.
    pub(super) fn rest(&self, answers: &mut InitAnswers, adds: bool) -> Result<()> {
        let words = self.language.words();
        answers.first = self.first(words.first)?;
        if adds {
            return Ok(());
        }
        answers.filters = match (&self.arguments.filters[..], self.arguments.yes) {
            ([], true) => Vec::new(),
            ([], false) => self.until(words.filters, starters)?,
            (given, _) => given.iter().filter(|name| *name != "none").cloned().collect(),
        };
        answers.service = match (self.arguments.service, self.arguments.yes) {
            (Some(service), _) => service,
            (None, true) => ServiceChoice::Nobody,
            (None, false) => self.until(words.service, service)?,
        };
        Ok(())
    }

    fn first(&self, question: &str) -> Result<String> {
        match (&self.arguments.first, self.arguments.yes) {
            (Some(given), _) => Ok(first(given).unwrap_or_default()),
            (None, true) => Ok("all".to_owned()),
            (None, false) => self.until(question, first),
        }
    }

    /// Asks until the answer is understood.
    fn until<T>(&self, question: &str, understood: impl Fn(&str) -> Option<T>) -> Result<T> {
        loop {
            match understood(&terminal::ask(question)?) {
                Some(answer) => return Ok(answer),
                None => self.say(self.language.words().not_understood),
            }
        }
    }
}

/// The value of `first`.
fn first(answer: &str) -> Option<String> {
    match answer.to_lowercase().as_str() {
        "" | "a" | "all" => Some("all".to_owned()),
        "n" | "new" => Some("new".to_owned()),
        time => {
            let (number, unit) = time.split_at(time.len().checked_sub(1).filter(|at| time.is_char_boundary(*at))?);
            let is_time = matches!(unit, "d" | "w" | "h") && number.parse::<u32>().is_ok_and(|number| number > 0);
            is_time.then(|| format!("{{since: {time}}}"))
        }
    }
}

/// `1,3`, `1 3` or nothing.
fn starters(answer: &str) -> Option<Vec<String>> {
    let numbers = answer.split([',', ' ', '，', '、']).filter(|word| !word.is_empty());
    numbers
        .map(|word| STARTERS.get(word.parse::<usize>().ok()?.checked_sub(1)?).map(|name| (*name).to_owned()))
        .collect()
}

fn service(answer: &str) -> Option<ServiceChoice> {
    match answer.to_lowercase().as_str() {
        "s" | "systemd" => Some(ServiceChoice::Systemd),
        "c" | "cron" => Some(ServiceChoice::Cron),
        "" | "n" | "nobody" => Some(ServiceChoice::Nobody),
        _ => None,
    }
}

/// A client id, or a program that prints tokens.
fn token(answer: &str, is_microsoft: bool) -> Result<SecretSource> {
    match answer.strip_prefix('!') {
        Some(command) => words_of(command),
        None if answer.is_empty() => {
            Err(Error::permanent(Kind::Stopped, "there was no answer; nothing was written").helped_by(CLIENT_ID))
        }
        // Those of the table that take tokens alone are Microsoft's.
        None if is_microsoft => Ok(SecretSource::ClientId(answer.to_owned())),
        None => Err(Error::permanent(Kind::Usage, "where tokens are given is not known for this provider")
            .helped_by("give a program that prints them: `!oama access me@example.com`; docs/sign-in.md has the rest")),
    }
}

/// What a script gives where a server takes no password.
const TOKEN_OPTIONS: &str = "give `--client-id ID` (docs/sign-in.md says how to get one), or `--token-command COMMAND`";

/// How one gets a client id.
const CLIENT_ID: &str = "docs/sign-in.md says how to get a client id; `mailsluice login` prints it step by step for an account with \
                         `oauth2: microsoft`";

/// Whether its first word can be started.
fn is_program(command: &str) -> bool {
    command.split_whitespace().next().is_some_and(program::is_there)
}

/// A program and its arguments; no shell is involved, so quotes mean nothing.
fn words_of(command: &str) -> Result<SecretSource> {
    let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    match words.is_empty() {
        true => Err(Error::permanent(Kind::Usage, "there is no program")),
        false => Ok(SecretSource::Command(words)),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_as_they_are_meant() {
        assert_eq!(first("").as_deref(), Some("all"));
        assert_eq!(first("N").as_deref(), Some("new"));
        assert_eq!(first("30d").as_deref(), Some("{since: 30d}"));
        for wrong in ["30", "d", "0d", "-1d", "soon", "三天", "1d}"] {
            assert_eq!(first(wrong), None, "{wrong}");
        }
        assert_eq!(starters("1, 3"), Some(vec![STARTERS[0].to_owned(), STARTERS[2].to_owned()]));
        assert_eq!(starters(""), Some(Vec::new()));
        assert_eq!((starters("4"), starters("0"), starters("x")), (None, None, None));
        assert_eq!(
            (service("S"), service(""), service("x")),
            (Some(ServiceChoice::Systemd), Some(ServiceChoice::Nobody), None)
        );
        assert!(STARTERS.iter().all(|name| library::find(name).is_some()));
    }
}
