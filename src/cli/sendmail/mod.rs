//! `sendmail`: the seat of msmtp and of the system's sendmail. Takes a message of mutt's or cron's, puts it durably into
//! the outbox, and is done: sending happens afterwards, also when there is no network now.

mod dead_letter;
mod options;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::options::{Mode, SendmailOptions, asks_for_mail, parse};
use super::output::Output;
use super::queue::Queue;
use super::setup::Setup;
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::{Bytes, Message, submitted};
use crate::ourselves::is_a_relay;
use crate::outbox::Relays;
use crate::pass::World;
use crate::pipeline;
use crate::submit::{self, SubmittedMessage};

/// The largest message that is taken, in bytes.
const MAX_MESSAGE_BYTES: u64 = 100 * 1024 * 1024;

pub(super) fn run(config: &Path, arguments: &[String], allow_root: bool, output: &Output) -> Result<u8> {
    let options = match parse(arguments) {
        Err(error) if asks_for_mail(arguments) => return Err(dead_letter(&given().0, error)),
        options => options?,
    };
    let config = options.config.as_deref().unwrap_or(config);
    match options.mode {
        Mode::Take => take(config, options.clone(), allow_root, output),
        Mode::ListQueue => super::queue::run(config, &Queue::List { all: false }, allow_root, output),
        Mode::SendQueue => super::queue::run(config, &Queue::Run, allow_root, output),
        Mode::Verify => verify(config, options.clone(), output),
        Mode::Help => {
            output.data(HELP);
            Ok(0)
        }
        Mode::Version => {
            output.data(concat!("mailsluice ", env!("CARGO_PKG_VERSION")));
            Ok(0)
        }
    }
}

const HELP: &str = "\
Takes a message on standard input and sends it, as sendmail does.

  mailsluice sendmail [OPTIONS] [RECIPIENT…]

  -t                    recipients stand in To, Cc and Bcc; Bcc is taken out
  -i, -oi               a line with a single dot does not end the message
  -f ADDRESS            the envelope sender; it chooses the relay
  -F NAME               the name for a message without From
  -a RELAY              by that relay
  -C FILE               with that config
  -oem                  what cannot be sent is filed in the inbox, with a notice
  -bp, -q, -bv          list what waits, send it, or look whether RECIPIENT can be written to

The others are in docs/sending.md.";

fn take(config: &Path, options: SendmailOptions, allow_root: bool, output: &Output) -> Result<u8> {
    let tells_by_mail = options.tells_by_mail;
    let (bytes, read) = given();
    match read.map_err(|error| (error, false)).and_then(|()| queue(config, options, &bytes, output)) {
        Ok(()) => {
            send_behind_our_back(config, allow_root);
            Ok(0)
        }
        Err((error, is_filed)) if tells_by_mail && !is_filed => Err(dead_letter(&bytes, error)),
        Err((error, _)) => Err(error),
    }
}

/// Whoever calls throws the exit code away, and the message with it.
fn dead_letter(message: &[u8], error: Error) -> Error {
    if message.is_empty() {
        return error;
    }
    match dead_letter::append(message) {
        Ok(file) => error.helped_by(format!("the message is at the end of {}", file.display())),
        Err(e) => {
            tracing::error!("writing a dead letter: {e}");
            error
        }
    }
}

/// Puts a message into the outbox; with an error, whether it is in the inbox now.
fn queue(config: &Path, options: SendmailOptions, given: &[u8], output: &Output) -> Result<(), (Error, bool)> {
    let lost = |error: Error| (error, false);
    if is_a_relay() {
        let text = "the program of the relay is mailsluice again, through a link or a script: it would send to itself \
                    for ever. Name the system's own sendmail in `relays:`, or a server";
        return Err(lost(Error::permanent(Kind::Config, text)));
    }
    let message = Message::new(Bytes::Memory(submitted(given, options.ignore_dots)));
    let setup = Setup::load(config, &Output { quiet: true, ..*output }).map_err(lost)?;
    let world = World::open(&setup.config).map_err(lost)?;
    let relays = Relays::of(&setup.config);
    let tells_by_mail = options.tells_by_mail;
    let outgoing = outgoing(options, message);
    match submit::submit(&world, &relays, &outgoing) {
        Ok(entry) if output.json => output.data(serde_json::json!({"entry": entry})),
        Ok(_) => {}
        Err(error) if tells_by_mail && matches!(error.kind(), Kind::Usage | Kind::Data | Kind::Config) => {
            return Err(told_by_mail(&world, &outgoing.message, error));
        }
        Err(error) => return Err(lost(error)),
    }
    Ok(())
}

fn outgoing(options: SendmailOptions, message: Message) -> SubmittedMessage {
    let SendmailOptions { from_header, sender, sender_from_header, name, relay, recipients, .. } = options;
    SubmittedMessage { message, from_header, sender, sender_from_header, name, relay, recipients }
}

/// Nothing is asked of any server: whether a mailbox is there is known when mail is sent.
fn verify(config: &Path, options: SendmailOptions, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let nothing = Message::new(Bytes::Memory(Vec::new()));
    let (recipients, relay) = submit::verify(&Relays::of(&setup.config), &outgoing(options, nothing))?;
    recipients.iter().for_each(|to| output.data(format!("{to}: by the relay `{relay}`")));
    Ok(0)
}

/// A message that cannot be sent as it is, filed in the inbox with a notice: what a daemon wanted to say must not vanish.
fn told_by_mail(world: &World, message: &Message, error: Error) -> (Error, bool) {
    if message.size() == 0 {
        return (error, false);
    }
    let notice = submit::notice_of_refusal(world, message, &error);
    match [message, &notice].into_iter().try_for_each(|mail| file(world, mail)) {
        Ok(()) => (error.helped_by("it is in the inbox, and nobody got it"), true),
        Err(e) => {
            tracing::error!("filing what cannot be sent: {e}");
            (error, false)
        }
    }
}

/// Delivers it without rules.
fn file(world: &World, mail: &Message) -> Result<()> {
    let bytes = mail.bytes().clone();
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes.beginning()));
    pipeline::deliver(world.clone(), Arc::new(Engine::default()), bytes, &digest).map(drop)
}

/// What the caller writes, as far as it was read, and whether that is all of it.
fn given() -> (Vec<u8>, Result<()>) {
    let mut bytes = Vec::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), MAX_MESSAGE_BYTES + 1);
    let read = std::io::Read::read_to_end(&mut input, &mut bytes)
        .map_err(|e| Error::transient(Kind::Disk, "reading the message from standard input").because(e));
    let is_too_large = bytes.len() as u64 > MAX_MESSAGE_BYTES;
    let too_large = || Err(Error::permanent(Kind::Usage, "the message is larger than 100 MiB"));
    (bytes, read.and_then(|_| if is_too_large { too_large() } else { Ok(()) }))
}

/// Sending goes on in a process of its own: whoever called does not wait for the network. When it cannot be started, the
/// next `fetch`, `run` or `queue run` sends.
pub(super) fn send_behind_our_back(config: &Path, allow_root: bool) {
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    // A copy of it may be called `sendmail`, and would take these for that program's options.
    std::os::unix::process::CommandExt::arg0(&mut command, "mailsluice");
    command.arg("-c").arg(config).args(["-q", "queue", "run"]);
    command.args(allow_root.then_some("--allow-root"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: it outlives the terminal of the caller.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    if let Err(e) = command.spawn() {
        tracing::warn!("sending is left to the next run: {e}");
    }
}
