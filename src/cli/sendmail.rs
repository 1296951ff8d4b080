//! `sendmail`: the seat of msmtp and of the system's sendmail. Takes a message of mutt's or cron's, puts it durably into
//! the outbox, and is done: sending happens afterwards, also when there is no network now.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::output::Output;
use super::queue::Queue;
use super::setup::{Setup, without_mbox_line};
use crate::error::{Error, Kind, Result};
use crate::filter::Engine;
use crate::message::{Bytes, Message, to_lf};
use crate::ourselves::is_a_relay;
use crate::pass::{self, Outgoing, Relays, World};
use crate::pipeline;

/// The largest message that is taken, in bytes.
const MOST: u64 = 100 * 1024 * 1024;

/// The options of sendmail that people's programs use; those that mean nothing here are taken and ignored.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// `-t`: recipients stand in To, Cc and Bcc.
    from_header: bool,
    /// `-f`, `-r`: the envelope sender.
    sender: Option<String>,
    /// `-F`: the display name, for a message without From.
    name: Option<String>,
    /// A line with a single dot does not end the message: `-i`, `-oi`.
    ignore_dots: bool,
    /// `-oem`: who calls does not read what is said, and errors are told by mail.
    tells_by_mail: bool,
    recipients: Vec<String>,
    mode: Mode,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// A message is on standard input.
    #[default]
    Take,
    /// `-bp`, as `mailq` calls it.
    ListQueue,
    /// `-q`.
    SendQueue,
}

pub(super) fn run(config: &Path, arguments: &[String], allow_root: bool, output: &Output) -> Result<u8> {
    let options = parse(arguments)?;
    match options.mode {
        Mode::Take if is_a_relay() => {
            let text = "the program of the relay is mailsluice again, through a link or a script: it would send to itself \
                        for ever. Name the system's own sendmail in `relays:`, or a server";
            return Err(Error::permanent(Kind::Config, text));
        }
        Mode::Take => {}
        Mode::ListQueue => return super::queue::run(config, &Queue::List { all: false }, allow_root, output),
        Mode::SendQueue => return super::queue::run(config, &Queue::Run, allow_root, output),
    }
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let message = message_from_stdin(options.ignore_dots)?;
    let world = World::open(&setup.config)?;
    let relays = Relays::of(&setup.config);
    let outgoing = Outgoing {
        message,
        from_header: options.from_header,
        sender: options.sender,
        name: options.name,
        recipients: options.recipients,
    };
    let queued = match pass::submit(&world, &relays, &outgoing) {
        Err(error) if options.tells_by_mail && matches!(error.kind(), Kind::Usage | Kind::Data) => {
            return Err(told_by_mail(&world, &outgoing.message, error));
        }
        queued => queued?,
    };
    if output.json {
        output.data(serde_json::json!({"entry": queued}));
    }
    drop(world);
    send_behind_our_back(config, allow_root);
    Ok(0)
}

/// A message that cannot be sent as it is, filed in the inbox with a notice: what a daemon wanted to say must not vanish.
fn told_by_mail(world: &World, message: &Message, error: Error) -> Error {
    if message.size() == 0 {
        return error;
    }
    let notice = pass::notice_of_refusal(world, message, &error);
    let filed = [message, &notice].into_iter().try_for_each(|mail| file(world, mail));
    match filed {
        Ok(()) => error.helped_by("it is in the inbox, and nobody got it"),
        Err(e) => {
            tracing::error!("filing what cannot be sent: {e}");
            error
        }
    }
}

/// Delivers it without rules.
fn file(world: &World, mail: &Message) -> Result<()> {
    let bytes = mail.bytes().clone();
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes.beginning()));
    pipeline::deliver(world.clone(), Arc::new(Engine::default()), bytes, &digest).map(drop)
}

/// What the caller writes, up to its end or to a line with a dot.
fn message_from_stdin(ignore_dots: bool) -> Result<Message> {
    let mut bytes = Vec::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), MOST + 1);
    std::io::Read::read_to_end(&mut input, &mut bytes)
        .map_err(|e| Error::transient(Kind::Disk, "reading the message from standard input").because(e))?;
    if bytes.len() as u64 > MOST {
        return Err(Error::permanent(Kind::Usage, "the message is larger than 100 MiB"));
    }
    let mut bytes = to_lf(without_mbox_line(&bytes));
    if !ignore_dots {
        cut_at_dot(&mut bytes);
    }
    if !bytes.is_empty() && !bytes.starts_with(b"\n") && Message::new(Bytes::Memory(bytes.clone())).fields().is_empty()
    {
        // A body alone, as in `echo done | sendmail me@example.com`.
        bytes.insert(0, b'\n');
    }
    Ok(Message::new(Bytes::Memory(bytes)))
}

/// Sending goes on in a process of its own: whoever called does not wait for the network. When it cannot be started, the
/// next `fetch`, `run` or `queue run` sends.
pub(super) fn send_behind_our_back(config: &Path, allow_root: bool) {
    let Ok(program) = std::env::current_exe() else { return };
    let mut command = Command::new(program);
    command.arg("-c").arg(config).args(["-q", "queue", "run"]);
    command.args(allow_root.then_some("--allow-root"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // A group of its own: it outlives the terminal of the caller.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    if let Err(e) = command.spawn() {
        tracing::warn!("sending is left to the next run: {e}");
    }
}

/// Without `-i` a line with nothing but a dot ends the message.
fn cut_at_dot(bytes: &mut Vec<u8>) {
    if bytes.starts_with(b".\n") {
        bytes.clear();
    } else if let Some(at) = memchr::memmem::find(bytes, b"\n.\n") {
        bytes.truncate(at + 1);
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix('-') {
            Some("-") => options.recipients.extend(arguments.by_ref().cloned()),
            Some(letters) if !letters.is_empty() => cluster(letters, &mut arguments, &mut options)?,
            _ => options.recipients.push(argument.to_owned()),
        }
    }
    Ok(options)
}

/// Letters behind one hyphen, as getopt takes them: `-ti` is `-t -i`.
fn cluster<'a>(letters: &str, more: &mut impl Iterator<Item = &'a String>, options: &mut Options) -> Result<()> {
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match letter {
            't' => options.from_header = true,
            'i' => options.ignore_dots = true,
            // Aliases, a submission by a gateway or a user, talk: nothing of it changes what is sent here.
            'm' | 'n' | 'v' | 'U' | 'G' | 'c' => {}
            _ => return with_value(letter, rest, more, options),
        }
    }
    Ok(())
}

/// The last letter of a cluster: the rest of it, or the next argument, is its value.
fn with_value<'a>(
    letter: char,
    rest: &str,
    more: &mut impl Iterator<Item = &'a String>,
    options: &mut Options,
) -> Result<()> {
    let mut value = || match rest {
        "" => more.next().cloned().ok_or_else(|| wrong(&format!("-{letter} needs a value"))),
        rest => Ok(rest.to_owned()),
    };
    match letter {
        'f' | 'r' => options.sender = Some(value()?),
        'F' => options.name = Some(value()?),
        'o' => match value()?.as_str() {
            "i" => options.ignore_dots = true,
            "em" => options.tells_by_mail = true,
            _ => {}
        },
        'b' => options.mode = mode(&value()?)?,
        // The value of these, if any, stands always behind the letter: how often, and how errors are reported.
        'q' => options.mode = Mode::SendQueue,
        'e' => options.tells_by_mail |= rest == "m",
        // Delivery reports, body type, queue ids, protocol, what is logged: nothing of it changes what is sent here.
        'N' | 'B' | 'R' | 'V' | 'O' | 'L' | 'h' | 'X' | 'A' | 'p' => drop(value()?),
        _ => {
            let shown = crate::clean::short(&format!("{letter}{rest}"), 40);
            return Err(wrong(&format!("the option -{shown} is not known")));
        }
    }
    Ok(())
}

/// `-b` names what sendmail is to be.
fn mode(letter: &str) -> Result<Mode> {
    match letter {
        "m" => Ok(Mode::Take),
        "p" => Ok(Mode::ListQueue),
        other => Err(wrong(&format!(
            "-b{} is not known here; mail is taken, and -bp lists what waits",
            crate::clean::short(other, 40)
        ))),
    }
}

fn wrong(text: &str) -> Error {
    Error::permanent(Kind::Usage, format!("sendmail: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Options {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_mutt_cron_and_git_say() {
        let mutt = parsed("-oem -oi -f me@x.example -- a@y.example b@z.example");
        assert_eq!(mutt.sender.as_deref(), Some("me@x.example"));
        assert_eq!(mutt.recipients, ["a@y.example", "b@z.example"]);
        assert!(mutt.ignore_dots);
        let cron = parsed("-FCronDaemon -i -B8BITMIME -oem root");
        assert_eq!((cron.name.as_deref(), cron.recipients.len()), (Some("CronDaemon"), 1));
        assert!(parsed("-t -N never -fme@x.example").from_header);
        let git = parsed("-i -f me@x.example -Am -h 3 -odb a@y.example");
        assert_eq!((git.sender.as_deref(), git.recipients.len()), (Some("me@x.example"), 1));
        assert!(
            parse(&["-bs".to_owned()]).is_err()
                && parse(&["-Z".to_owned()]).is_err()
                && parse(&["-f".to_owned()]).is_err()
        );
    }

    /// `-ti` cut messages at a dot, and `-tf ME` sent them to ME.
    #[test]
    fn letters_stand_together() {
        for line in ["-ti", "-it", "-tvi -oem", "-toi"] {
            let options = parsed(line);
            assert!(options.from_header && options.ignore_dots && options.recipients.is_empty(), "{line}");
        }
        let options = parsed("-tif me@x.example");
        assert!(options.sender.as_deref() == Some("me@x.example") && options.recipients.is_empty());
        assert!(!parsed("-oem a@y.example").ignore_dots);
    }

    #[test]
    fn what_waits_is_listed_and_sent() {
        assert_eq!(
            [parsed("-bp").mode, parsed("-q30m").mode, parsed("-bm").mode],
            [Mode::ListQueue, Mode::SendQueue, Mode::Take]
        );
    }

    #[test]
    fn a_lone_dot_ends_the_message_unless_told() {
        let mut bytes = b"A: b\n\nx\n.\ny\n".to_vec();
        cut_at_dot(&mut bytes);
        assert_eq!(bytes, b"A: b\n\nx\n");
    }
}
