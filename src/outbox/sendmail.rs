//! A program that accepts mail like sendmail (`relays: {…: {sendmail: /usr/sbin/sendmail}}`).
//!
//! It is run once for each recipient, because an exit code cannot say which of several was refused:
//! `PROGRAM… -i -f SENDER -- RECIPIENT`, with the message on its standard input. With `-i` a line with a single dot is content,
//! and nothing after `--` is an option (`reliability.md` I4). It may run as root, because sendmail programs are made for that.
//!
//! | exit code (`sysexits.h`) | meaning |
//! |---|---|
//! | 0 | accepted; later failures come as a bounce to the sender |
//! | 64, 65, 67 | permanent: this mail or this recipient cannot be sent |
//! | 77, 78 | no permission, or not set up: this affects all mail, so the relay is left alone and nothing is given up |
//! | others | temporary; not every program distinguishes temporary and permanent errors by the codes 68 to 76 |
//!
//! A program that had to be killed may have accepted the mail.

use std::io;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::address::Mailbox;
use super::relay::{Mail, RecipientVerdict, RelayTrouble};
use crate::clean;
use crate::error::{Error, Kind};
use crate::ourselves::STARTED_AS_RELAY;
use crate::program::{Ended, OutputUse, Program, ProgramFailure};

/// How long the program may take for one recipient.
const DEADLINE: Duration = Duration::from_secs(120);
/// The program has nothing to say on standard output, so more is an error.
const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// A program that serves as a relay.
#[derive(Clone, Debug)]
pub struct Sendmail {
    program: Vec<String>,
}

impl Sendmail {
    /// The program and its own arguments.
    pub fn new(program: Vec<String>) -> Self {
        Self { program }
    }

    /// Passes one mail to the program, and returns the verdict on each recipient, in order.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<Vec<RecipientVerdict>, RelayTrouble> {
        // Running a program blocks, and must not block the other tasks of this thread.
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.send_to_all(mail)),
            _ => self.send_to_all(mail),
        }
    }

    fn send_to_all(&self, mail: &Mail<'_>) -> Result<Vec<RecipientVerdict>, RelayTrouble> {
        let from = &sender(mail.from).map_err(|error| RelayTrouble::Mail(RecipientVerdict::Never(error)))?;
        can_be_read(mail).map_err(|error| RelayTrouble::Mail(RecipientVerdict::Later(unreadable(error))))?;
        let mut verdicts = Vec::new();
        for to in mail.to {
            match self.send_to(mail, from, to) {
                Ok(verdict) => verdicts.push(verdict),
                Err(trouble) if verdicts.is_empty() => return Err(trouble),
                Err(trouble) => return Ok(with_the_rest(verdicts, mail.to, &trouble)),
            }
        }
        Ok(verdicts)
    }

    fn send_to(&self, mail: &Mail<'_>, from: &str, to: &str) -> Result<RecipientVerdict, RelayTrouble> {
        let to = match checked(to) {
            Ok(to) => to,
            Err(error) => return Ok(RecipientVerdict::Never(error)),
        };
        let own = ["-i", "-f", from, "--", &to].map(str::to_owned);
        let run: Vec<String> = self.program.iter().cloned().chain(own).collect();
        let program = Program {
            run: &run,
            timeout: DEADLINE,
            output: OutputUse::Read(MAX_OUTPUT_BYTES),
            environment: &[(STARTED_AS_RELAY, "1".to_owned())],
            allow_root: true,
        };
        let mut message =
            mail.message.reader().map_err(|error| RelayTrouble::Mail(RecipientVerdict::Later(unreadable(error))))?;
        match program.run(Some(&mut message)) {
            Ok(ended) => self.verdict(&ended, &to),
            Err(failure) => Err(trouble(failure)),
        }
    }

    fn verdict(&self, ended: &Ended, to: &str) -> Result<RecipientVerdict, RelayTrouble> {
        let name = clean::short(self.program.first().map_or("", String::as_str), 80);
        let doing = format!("sending to {to}: {name} ended with {}", ended.code);
        let said = |error: Error| if ended.complaint.is_empty() { error } else { error.said(&ended.complaint) };
        match ended.code {
            0 => Ok(RecipientVerdict::Sent(format!("{name} accepted it"))),
            64 | 65 | 67 => Ok(RecipientVerdict::Never(said(Error::permanent(Kind::Refused, doing)))),
            77 => Err(RelayTrouble::Relay(said(Error::permanent(Kind::Auth, doing)))),
            78 => Err(RelayTrouble::Relay(said(Error::permanent(Kind::Config, doing)))),
            _ => Ok(RecipientVerdict::Later(said(Error::transient(Kind::Refused, doing)))),
        }
    }
}

/// The argument of `-f`. The null sender is `<>`.
fn sender(from: &str) -> Result<String, Error> {
    if from.is_empty() { Ok("<>".to_owned()) } else { checked(from) }
}

fn checked(address: &str) -> Result<String, Error> {
    let mailbox = Mailbox::parse(address)?;
    if mailbox.looks_like_an_order() {
        let why = format!("{address} is not passed to a program: it begins like an option, a command or a file");
        return Err(Error::permanent(Kind::Refused, why));
    }
    Ok(mailbox.as_str().to_owned())
}

/// Checks that the message can be read to its end. Otherwise the program would take its beginning for the whole.
fn can_be_read(mail: &Mail<'_>) -> io::Result<()> {
    let length = io::copy(&mut mail.message.reader()?, &mut io::sink())?;
    if length == mail.message.size() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn unreadable(error: io::Error) -> Error {
    Error::disk("reading the message to be sent", error)
}

fn trouble(failure: ProgramFailure) -> RelayTrouble {
    match failure {
        ProgramFailure::Nothing | ProgramFailure::Root(_) | ProgramFailure::Nul(_) | ProgramFailure::Start(..) => {
            RelayTrouble::Relay(Error::permanent(Kind::Config, "the relay's program").because(failure))
        }
        ProgramFailure::TooLong(_) => RelayTrouble::Mail(RecipientVerdict::Never(
            Error::permanent(Kind::Refused, "the relay's program").because(failure),
        )),
        ProgramFailure::TooSlow(..)
        | ProgramFailure::Stopped(..)
        | ProgramFailure::TooMuch(..)
        | ProgramFailure::Killed(..)
        | ProgramFailure::Pipes(..) => {
            RelayTrouble::Unknown(Error::transient(Kind::Refused, "the relay's program").because(failure))
        }
    }
}

/// The verdicts so far, and "later" for the rest: recipients who got the mail must not be forgotten because of a later error.
fn with_the_rest(mut verdicts: Vec<RecipientVerdict>, to: &[String], trouble: &RelayTrouble) -> Vec<RecipientVerdict> {
    let why = trouble.to_string();
    let rest = to.iter().skip(verdicts.len());
    verdicts.extend(rest.map(|_| RecipientVerdict::Later(Error::transient(Kind::Refused, why.clone()))));
    verdicts
}
