//! What is handed over without a relay: to programs (`pipe`, and `notify` by a program or on the desktop) and to
//! webhooks.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::desktop;
use crate::decision::{Importance, Notify, Pipe, ProgramInput, Way};
use crate::error::{Error, Kind};
use crate::message::Message;
use crate::outbox::relay::RecipientVerdict;
use crate::program::{self, OutputUse};
use crate::turn::Turn;

/// How long a notification may take.
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a part a program gets, in bytes.
const MAX_PART_BYTES: usize = 100 * 1024 * 1024;
/// The exit code EX_TEMPFAIL of `sysexits.h`.
const EX_TEMPFAIL: i32 = 75;

/// A handover without a relay.
pub(super) enum Handover {
    /// By running a program.
    Program(ProgramHandover),
    /// By a request to a webhook: its address, and what it gets.
    Webhook(String, Notify),
}

impl Handover {
    /// The handover for an action, if it needs no relay.
    pub(super) fn of(way: &Way) -> Option<Self> {
        match way {
            Way::Notify(notify) if notify.webhook.is_some() => {
                notify.webhook.clone().map(|address| Self::Webhook(address, notify.clone()))
            }
            way => program(way).map(Self::Program),
        }
    }
}

/// A program with its input.
pub(super) struct ProgramHandover {
    run: Vec<String>,
    input: HandoverKind,
    timeout: Duration,
    /// The name of the lock under which one program runs at a time.
    lock: Option<String>,
    /// Whether it shows something on the desktop, and needs the session bus.
    on_desktop: bool,
}

enum HandoverKind {
    OfMessage(Pipe),
    Text(String),
}

/// The program for an action, if it runs one.
fn program(way: &Way) -> Option<ProgramHandover> {
    match way {
        Way::Pipe(pipe) => Some(ProgramHandover {
            run: pipe.run.clone(),
            input: HandoverKind::OfMessage(pipe.clone()),
            timeout: pipe.timeout,
            lock: pipe.lock.clone(),
            on_desktop: false,
        }),
        Way::Notify(Notify { run: Some(run), text, .. }) => {
            let (run, input) = (run.clone(), HandoverKind::Text(text.clone()));
            Some(ProgramHandover { run, input, timeout: NOTIFY_TIMEOUT, lock: None, on_desktop: false })
        }
        Way::Notify(notify) if notify.desktop => Some(desktop(notify)),
        _ => None,
    }
}

/// `notify-send`, which every desktop has.
fn desktop(notify: &Notify) -> ProgramHandover {
    let urgency = match notify.importance {
        Importance::High => "critical",
        Importance::Normal => "normal",
        Importance::Low => "low",
    };
    let words = ["notify-send", "--app-name=mailsluice", "--urgency", urgency, "--", &notify.title, &notify.text];
    let run = words.iter().map(|word| word.replace('\0', "")).collect();
    ProgramHandover {
        run,
        input: HandoverKind::Text(String::new()),
        timeout: NOTIFY_TIMEOUT,
        lock: None,
        on_desktop: true,
    }
}

impl ProgramHandover {
    /// Runs the program, once for each attachment if it reads attachments. Exit code 75 asks to try again later. This
    /// blocks.
    pub(super) fn run(&self, message: &Message, locks: &Path, allow_root: bool) -> RecipientVerdict {
        let _turn = match self.lock.as_deref().map(|lock| Turn::take(locks, lock, self.timeout)).transpose() {
            Ok(turn) => turn,
            Err(no_turn) => return RecipientVerdict::Later(Error::transient(Kind::Busy, no_turn.to_string())),
        };
        let pipe = match &self.input {
            HandoverKind::Text(text) => return self.once(Ok(Box::new(text.as_bytes())), message, allow_root),
            HandoverKind::OfMessage(pipe) => pipe,
        };
        let inputs: Vec<Vec<u8>> = match pipe.input {
            ProgramInput::Message => return self.once(message.reader(), message, allow_root),
            ProgramInput::Headers => vec![message.head().to_vec()],
            ProgramInput::Body => vec![message.raw_body(MAX_PART_BYTES)],
            ProgramInput::Nothing => vec![Vec::new()],
            ProgramInput::Part(number) => match number.checked_sub(1).filter(|n| *n < message.parts().len()) {
                Some(index) => vec![message.part_bytes(index, MAX_PART_BYTES)],
                None => {
                    let text = format!("the message has no part {number}");
                    return RecipientVerdict::Never(Error::permanent(Kind::Refused, text));
                }
            },
            ProgramInput::Attachments => {
                let parts = message.parts().iter().enumerate().filter(|(_, part)| pipe.takes(part));
                parts.map(|(index, _)| message.part_bytes(index, MAX_PART_BYTES)).collect()
            }
        };
        let mut last = RecipientVerdict::Sent("there was nothing to hand over".to_owned());
        for input in inputs {
            last = self.once(Ok(Box::new(input.as_slice())), message, allow_root);
            if !matches!(last, RecipientVerdict::Sent(_)) {
                return last;
            }
        }
        last
    }

    fn once(
        &self,
        input: std::io::Result<Box<dyn Read + Send + '_>>,
        message: &Message,
        allow_root: bool,
    ) -> RecipientVerdict {
        let name = self.run.join(" ");
        let failed = |text: String| RecipientVerdict::Never(Error::permanent(Kind::Refused, text));
        let mut input = match input {
            Ok(input) => input,
            Err(e) => return RecipientVerdict::Later(Error::disk("reading the message", e)),
        };
        let value = |value: Option<&str>| value.unwrap_or_default().replace('\0', "");
        let mut environment = vec![
            ("MAILSLUICE_SENDER", value(message.envelope_sender())),
            ("MAILSLUICE_RECIPIENT", value(message.delivered_to())),
            ("MAILSLUICE_MESSAGE_ID", value(message.message_id())),
        ];
        if self.on_desktop {
            match desktop::session() {
                Ok(session) => environment.extend(session),
                Err(e) => return RecipientVerdict::Never(e),
            }
        }
        let program = program::Program {
            run: &self.run,
            timeout: self.timeout,
            output: OutputUse::Nobody,
            environment: &environment,
            allow_root,
        };
        match program.run(Some(&mut *input)) {
            Ok(ended) if ended.code == 0 => RecipientVerdict::Sent(format!("{name} took it")),
            Ok(ended) if ended.code == EX_TEMPFAIL => {
                let text = format!("{name} asks to try again later {}", ended.complaint);
                RecipientVerdict::Later(Error::transient(Kind::Refused, text.trim_end().to_owned()))
            }
            Ok(ended) => failed(format!("{name} ended with {}: {}", ended.code, ended.complaint)),
            Err(failure) if failure.is_for_want_of_room() || failure.is_by_stop() => {
                RecipientVerdict::Later(Error::transient(Kind::Busy, format!("{name}: {failure}")))
            }
            Err(failure) => failed(format!("{name}: {failure}")),
        }
    }
}
