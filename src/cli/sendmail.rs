//! `sendmail`: the seat of msmtp and of the system's sendmail. Takes a message of mutt's or cron's, puts it durably into
//! the outbox, and is done: sending happens afterwards, also when there is no network now.

use std::path::Path;
use std::process::{Command, Stdio};

use super::output::Output;
use super::setup::Setup;
use crate::error::{Error, Kind, Result};
use crate::message::{Bytes, Message, to_lf};
use crate::pass::{self, Outgoing, Ways, World};

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
    recipients: Vec<String>,
}

pub(super) fn run(config: &Path, arguments: &[String], allow_root: bool, output: &Output) -> Result<u8> {
    let options = parse(arguments)?;
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let mut bytes = Vec::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), MOST + 1);
    std::io::Read::read_to_end(&mut input, &mut bytes)
        .map_err(|e| Error::transient(Kind::Disk, "reading the message from standard input").because(e))?;
    if bytes.len() as u64 > MOST {
        return Err(Error::permanent(Kind::Usage, "the message is larger than 100 MiB"));
    }
    let mut bytes = to_lf(&bytes);
    if !options.ignore_dots {
        cut_at_dot(&mut bytes);
    }
    let world = World::open(&setup.config)?;
    let ways = Ways::of(&setup.config);
    let outgoing = Outgoing {
        message: Message::new(Bytes::Memory(bytes)),
        from_header: options.from_header,
        sender: options.sender,
        name: options.name,
        recipients: options.recipients,
    };
    let queued = pass::submit(&world, &ways, outgoing)?;
    if output.json {
        output.data(serde_json::json!({"entry": queued}));
    }
    drop(world);
    send_behind_our_back(config, allow_root);
    Ok(0)
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
        // Behind the letter, or the next argument.
        let mut value = |after: &str| match after {
            "" => arguments.next().cloned().ok_or_else(|| wrong(&format!("{argument} needs a value"))),
            after => Ok(after.to_owned()),
        };
        let argument = argument.as_str();
        match argument.get(..2) {
            _ if argument == "--" => {
                options.recipients.extend(arguments.by_ref().cloned());
            }
            Some("-t") => options.from_header = true,
            Some("-i") => options.ignore_dots = true,
            Some("-f" | "-r") => options.sender = Some(value(&argument[2..])?),
            Some("-F") => options.name = Some(value(&argument[2..])?),
            Some("-o") => {
                let option = value(&argument[2..])?;
                options.ignore_dots |= option == "i";
            }
            // Delivery reports, body type, queue ids, headers to add: nothing of it changes what is sent here.
            Some("-N" | "-B" | "-R" | "-V" | "-O" | "-L" | "-h" | "-X") => drop(value(&argument[2..])?),
            Some("-b") if argument == "-bm" => {}
            Some("-b") => return Err(wrong(&format!("{argument} is not known here: only mail is taken"))),
            Some("-m" | "-n" | "-v" | "-U" | "-G" | "-e" | "-q") => {}
            _ if argument.starts_with('-') && argument.len() > 1 => {
                return Err(wrong(&format!("the option {} is not known", crate::clean::short(argument, 40))));
            }
            _ => options.recipients.push(argument.to_owned()),
        }
    }
    Ok(options)
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
        assert!(
            parse(&["-bs".to_owned()]).is_err()
                && parse(&["-Z".to_owned()]).is_err()
                && parse(&["-f".to_owned()]).is_err()
        );
    }

    #[test]
    fn a_lone_dot_ends_the_message_unless_told() {
        let mut bytes = b"A: b\n\nx\n.\ny\n".to_vec();
        cut_at_dot(&mut bytes);
        assert_eq!(bytes, b"A: b\n\nx\n");
    }
}
