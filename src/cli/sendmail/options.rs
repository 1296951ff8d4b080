//! The options of sendmail, as the programs that call it use them: those that Postfix's, Exim's and msmtp's `sendmail` agree on,
//! with the long ones of msmtp. `docs/sending.md` has them in a table.

use std::path::PathBuf;

use crate::clean;
use crate::error::{Error, Kind, Result};

/// What the command line says. What means nothing here is taken and ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SendmailOptions {
    /// `-t`: recipients stand in To, Cc and Bcc.
    pub(super) from_header: bool,
    /// `-f`, `-r`: the envelope sender.
    pub(super) sender: Option<String>,
    /// `--read-envelope-from`: it stands in From, whoever that is.
    pub(super) sender_from_header: bool,
    /// `-F`: the display name, for a message without From.
    pub(super) name: Option<String>,
    /// A line with a single dot does not end the message: `-i`, `-oi`.
    pub(super) ignore_dots: bool,
    /// `-oem`: who calls does not read what is said, and errors are told by mail.
    pub(super) tells_by_mail: bool,
    /// `-a`: the relay.
    pub(super) relay: Option<String>,
    /// `-C`: the config file.
    pub(super) config: Option<PathBuf>,
    pub(super) recipients: Vec<String>,
    pub(super) mode: Mode,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// A message is on standard input.
    #[default]
    Take,
    /// `-bp`, as `mailq` calls it.
    ListQueue,
    /// `-q`.
    SendQueue,
    /// `-bv`: whether recipients can be written to, and by which relay.
    Verify,
    /// `--help`.
    Help,
    /// `--version`.
    Version,
}

/// Reads the command line.
pub(super) fn parse(arguments: &[String]) -> Result<SendmailOptions> {
    let mut options = SendmailOptions::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix('-') {
            Some("-") => options.recipients.extend(arguments.by_ref().cloned()),
            Some(long) if long.starts_with('-') => of_msmtp(&long[1..], &mut options)?,
            Some(letters) if !letters.is_empty() => cluster(letters, &mut arguments, &mut options)?,
            _ => options.recipients.push(argument.to_owned()),
        }
    }
    Ok(options)
}

/// Whether errors are to be told by mail, also that of a command line which cannot be read.
pub(super) fn asks_for_mail(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| matches!(argument.as_str(), "-oem" | "-oee" | "-em" | "-ee"))
}

/// `--from=me@example.com`.
fn of_msmtp(option: &str, options: &mut SendmailOptions) -> Result<()> {
    let (name, value) = option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
    match (name, value) {
        ("read-recipients", None) => options.from_header = true,
        ("read-envelope-from", None) => options.sender_from_header = true,
        ("help", None) => options.mode = Mode::Help,
        ("version", None) => options.mode = Mode::Version,
        ("from", Some(address)) => options.sender = Some(address.to_owned()),
        ("account", Some(relay)) => options.relay = Some(relay.to_owned()),
        ("file", Some(path)) => options.config = Some(PathBuf::from(path)),
        _ => {
            let shown = clean::short(option, 40);
            return Err(wrong(&format!("the option --{shown} is not known; what a relay needs stands in the config")));
        }
    }
    Ok(())
}

/// Letters behind one hyphen, as getopt takes them: `-ti` is `-t -i`.
fn cluster<'a>(
    letters: &str,
    more: &mut impl Iterator<Item = &'a String>,
    options: &mut SendmailOptions,
) -> Result<()> {
    for (at, letter) in letters.char_indices() {
        let rest = &letters[at + letter.len_utf8()..];
        match letter {
            't' => options.from_header = true,
            'i' => options.ignore_dots = true,
            // Aliases, a submission by a gateway or a user, talk: nothing of it changes what is sent here.
            'm' | 'n' | 'v' | 'U' | 'G' => {}
            // It would be taken for no option, and the file behind it for a recipient.
            'c' => {
                return Err(wrong(
                    "the config is given by -C FILE, or before the command: mailsluice -c FILE sendmail",
                ));
            }
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
    options: &mut SendmailOptions,
) -> Result<()> {
    let mut value = || match rest {
        "" => more.next().cloned().ok_or_else(|| wrong(&format!("-{letter} needs a value"))),
        rest => Ok(rest.to_owned()),
    };
    match letter {
        'f' | 'r' => options.sender = Some(value()?),
        'F' => options.name = Some(value()?),
        'a' => options.relay = Some(value()?),
        'C' => options.config = Some(PathBuf::from(value()?)),
        'o' => match value()?.as_str() {
            "i" => options.ignore_dots = true,
            "em" | "ee" => options.tells_by_mail = true,
            _ => {}
        },
        'b' => options.mode = mode(&value()?)?,
        // The value of these, if any, stands always behind the letter: how often, and how errors are reported.
        'q' => options.mode = Mode::SendQueue,
        'e' => options.tells_by_mail |= matches!(rest, "m" | "e"),
        // Delivery reports, body type, queue ids, protocol, what is logged: nothing of it changes what is sent here.
        'N' | 'B' | 'R' | 'V' | 'O' | 'L' | 'h' | 'X' | 'A' | 'p' => drop(value()?),
        _ => {
            let shown = clean::short(&format!("{letter}{rest}"), 40);
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
        "v" => Ok(Mode::Verify),
        other => Err(wrong(&format!(
            "-b{} is not known here; mail is taken, -bp lists what waits, and -bv looks at recipients",
            clean::short(other, 40)
        ))),
    }
}

fn wrong(text: &str) -> Error {
    Error::permanent(Kind::Usage, format!("sendmail: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> SendmailOptions {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    fn refused(line: &str) -> bool {
        parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).is_err()
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
        assert!(["-bs", "-Z", "-f", "--tls", "--from", "-c file a@b.example"].into_iter().all(refused));
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
            [parsed("-bp").mode, parsed("-q30m").mode, parsed("-bm").mode, parsed("-bv a@b.example").mode],
            [Mode::ListQueue, Mode::SendQueue, Mode::Take, Mode::Verify]
        );
    }

    #[test]
    fn what_msmtp_is_called_with() {
        let options = parsed("--account=work --file=/etc/c.yaml --from=me@x.example --read-recipients -- a@y.example");
        assert_eq!((options.relay.as_deref(), options.config), (Some("work"), Some("/etc/c.yaml".into())));
        assert_eq!((options.sender.as_deref(), options.from_header), (Some("me@x.example"), true));
        let options = parsed("-a work -C /etc/c.yaml --read-envelope-from a@y.example");
        assert_eq!((options.relay.as_deref(), options.config), (Some("work"), Some("/etc/c.yaml".into())));
        assert!(options.sender_from_header && options.recipients == ["a@y.example"]);
    }
}
