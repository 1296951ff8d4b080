//! A program that takes mail as sendmail does (`relays: {…: {sendmail: /usr/sbin/sendmail}}`).
//!
//! It is run once for each recipient, because an exit code cannot say which of several was refused:
//! `PROGRAM… -i -f SENDER -- RECIPIENT`, with the message on its standard input. `-i` makes a lone dot content, and behind
//! `--` nothing is an option (`reliability.md` I4). It may run as root, as a sendmail is made for.
//!
//! | exit code (`sysexits.h`) | means |
//! |---|---|
//! | 0 | taken; what goes wrong later comes as a bounce to the sender |
//! | 64, 65, 67 | never: this mail or this recipient cannot be sent |
//! | 77, 78 | the program may not, or is not set up: that concerns all mail, so the relay rests and nothing is given up |
//! | others | later; 68 to 76 do not tell temporary from permanent in every program |
//!
//! A program that had to be ended may have taken the mail.

use std::io;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::address::Mailbox;
use super::relay::{Mail, Trouble, Verdict};
use crate::clean;
use crate::error::{Error, Kind};
use crate::ourselves::STARTED_AS_RELAY;
use crate::program::{Ended, Failure, Output, Program};

/// How long it may take for one recipient.
const DEADLINE: Duration = Duration::from_secs(120);
/// It has nothing to tell on standard output.
const MAX_OUTPUT: usize = 64 * 1024;

/// A program that is a relay.
#[derive(Clone, Debug)]
pub struct Sendmail {
    program: Vec<String>,
}

impl Sendmail {
    /// The program and its own arguments.
    pub fn new(program: Vec<String>) -> Self {
        Self { program }
    }

    /// Hands one mail over and says what became of it for each recipient, in order.
    pub async fn send(&self, mail: &Mail<'_>) -> Result<Vec<Verdict>, Trouble> {
        // Running a program waits; the other tasks of this thread shall not.
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(|| self.send_to_all(mail)),
            _ => self.send_to_all(mail),
        }
    }

    fn send_to_all(&self, mail: &Mail<'_>) -> Result<Vec<Verdict>, Trouble> {
        let from = &sender(mail.from).map_err(|error| Trouble::Mail(Verdict::Never(error)))?;
        can_be_read(mail).map_err(|error| Trouble::Mail(Verdict::Later(unreadable(error))))?;
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

    fn send_to(&self, mail: &Mail<'_>, from: &str, to: &str) -> Result<Verdict, Trouble> {
        let to = match checked(to) {
            Ok(to) => to,
            Err(error) => return Ok(Verdict::Never(error)),
        };
        let own = ["-i", "-f", from, "--", &to].map(str::to_owned);
        let run: Vec<String> = self.program.iter().cloned().chain(own).collect();
        let program = Program {
            run: &run,
            timeout: DEADLINE,
            output: Output::Read(MAX_OUTPUT),
            environment: &[(STARTED_AS_RELAY, "1".to_owned())],
            allow_root: true,
        };
        let mut message = mail.message.reader().map_err(|error| Trouble::Mail(Verdict::Later(unreadable(error))))?;
        match program.run(Some(&mut message)) {
            Ok(ended) => self.verdict(&ended, &to),
            Err(failure) => Err(trouble(failure)),
        }
    }

    fn verdict(&self, ended: &Ended, to: &str) -> Result<Verdict, Trouble> {
        let name = clean::short(self.program.first().map_or("", String::as_str), 80);
        let doing = format!("sending to {to}: {name} ended with {}", ended.code);
        let said = |error: Error| if ended.complaint.is_empty() { error } else { error.said(&ended.complaint) };
        match ended.code {
            0 => Ok(Verdict::Sent(format!("{name} took it"))),
            64 | 65 | 67 => Ok(Verdict::Never(said(Error::permanent(Kind::Refused, doing)))),
            77 => Err(Trouble::Relay(said(Error::permanent(Kind::Auth, doing)))),
            78 => Err(Trouble::Relay(said(Error::permanent(Kind::Config, doing)))),
            _ => Ok(Verdict::Later(said(Error::transient(Kind::Refused, doing)))),
        }
    }
}

/// `-f` takes the null sender as `<>`.
fn sender(from: &str) -> Result<String, Error> {
    if from.is_empty() { Ok("<>".to_owned()) } else { checked(from) }
}

fn checked(address: &str) -> Result<String, Error> {
    let mailbox = Mailbox::parse(address)?;
    if mailbox.looks_like_an_order() {
        let why = format!("{address} is not given to a program: it begins like an option, a command or a file");
        return Err(Error::permanent(Kind::Refused, why));
    }
    Ok(mailbox.as_str().to_owned())
}

/// A message that cannot be read to its end would end early for the program, which could not know.
fn can_be_read(mail: &Mail<'_>) -> io::Result<()> {
    let length = io::copy(&mut mail.message.reader()?, &mut io::sink())?;
    if length == mail.message.size() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn unreadable(error: io::Error) -> Error {
    Error::disk("reading the message to be sent", error)
}

fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Nothing | Failure::Root(_) | Failure::Nul(_) | Failure::Start(..) => {
            Trouble::Relay(Error::permanent(Kind::Config, "the relay's program").because(failure))
        }
        Failure::TooLong(_) => {
            Trouble::Mail(Verdict::Never(Error::permanent(Kind::Refused, "the relay's program").because(failure)))
        }
        Failure::TooSlow(..)
        | Failure::Stopped(..)
        | Failure::TooMuch(..)
        | Failure::Killed(..)
        | Failure::Pipes(..) => {
            Trouble::Unknown(Error::transient(Kind::Refused, "the relay's program").because(failure))
        }
    }
}

/// What was sent must not be forgotten because of what came after it.
fn with_the_rest(mut verdicts: Vec<Verdict>, to: &[String], trouble: &Trouble) -> Vec<Verdict> {
    let why = trouble.to_string();
    let rest = to.iter().skip(verdicts.len());
    verdicts.extend(rest.map(|_| Verdict::Later(Error::transient(Kind::Refused, why.clone()))));
    verdicts
}
