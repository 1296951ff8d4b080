//! What is told without a relay: programs (`pipe`, and `notify` by a program or on the desktop) and webhooks.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::desktop;
use crate::decision::{Importance, Input, Notify, Pipe, Way};
use crate::error::{Error, Kind};
use crate::message::Message;
use crate::outbox::relay::Verdict;
use crate::program::{self, Output};
use crate::turn::Turn;

/// What a notification may take.
const NOTIFY: Duration = Duration::from_secs(30);
/// The most of a part that a program gets, in bytes.
const MOST: usize = 100 * 1024 * 1024;
/// EX_TEMPFAIL.
const TRY_AGAIN: i32 = 75;

/// What is told without a relay.
pub(super) enum Handover {
    /// By running a program.
    Program(Program),
    /// By a webhook: its address, and what it gets.
    Webhook(String, Notify),
}

impl Handover {
    /// That of a telling, if it needs no relay.
    pub(super) fn of(way: &Way) -> Option<Self> {
        match way {
            Way::Notify(notify) if notify.webhook.is_some() => {
                notify.webhook.clone().map(|address| Self::Webhook(address, notify.clone()))
            }
            way => program(way).map(Self::Program),
        }
    }
}

/// A program with what it reads.
pub(super) struct Program {
    run: Vec<String>,
    input: What,
    timeout: Duration,
    /// One at a time of this name.
    lock: Option<String>,
    /// It shows something on the desktop, and needs the bus of the session.
    on_desktop: bool,
}

enum What {
    OfMessage(Pipe),
    Text(String),
}

/// The program of a telling, if that is how it is told.
fn program(way: &Way) -> Option<Program> {
    match way {
        Way::Pipe(pipe) => Some(Program {
            run: pipe.run.clone(),
            input: What::OfMessage(pipe.clone()),
            timeout: pipe.timeout,
            lock: pipe.lock.clone(),
            on_desktop: false,
        }),
        Way::Notify(Notify { run: Some(run), text, .. }) => {
            let (run, input) = (run.clone(), What::Text(text.clone()));
            Some(Program { run, input, timeout: NOTIFY, lock: None, on_desktop: false })
        }
        Way::Notify(notify) if notify.desktop => Some(desktop(notify)),
        _ => None,
    }
}

/// `notify-send`, as every desktop has it.
fn desktop(notify: &Notify) -> Program {
    let urgency = match notify.importance {
        Importance::High => "critical",
        Importance::Normal => "normal",
        Importance::Low => "low",
    };
    let words = ["notify-send", "--app-name=mailsluice", "--urgency", urgency, "--", &notify.title, &notify.text];
    let run = words.iter().map(|word| word.replace('\0', "")).collect();
    Program { run, input: What::Text(String::new()), timeout: NOTIFY, lock: None, on_desktop: true }
}

impl Program {
    /// Runs it, once for each attachment if it reads those. Exit code 75 means: again later. It blocks.
    pub(super) fn run(&self, message: &Message, locks: &Path, allow_root: bool) -> Verdict {
        let _turn = match self.lock.as_deref().map(|lock| Turn::take(locks, lock, self.timeout)).transpose() {
            Ok(turn) => turn,
            Err(no_turn) => return Verdict::Later(Error::transient(Kind::Busy, no_turn.to_string())),
        };
        let pipe = match &self.input {
            What::Text(text) => return self.once(Ok(Box::new(text.as_bytes())), message, allow_root),
            What::OfMessage(pipe) => pipe,
        };
        let inputs: Vec<Vec<u8>> = match pipe.input {
            Input::Message => return self.once(message.reader(), message, allow_root),
            Input::Headers => vec![message.head().to_vec()],
            Input::Body => vec![message.raw_body(MOST)],
            Input::Nothing => vec![Vec::new()],
            Input::Part(number) => match number.checked_sub(1).filter(|n| *n < message.parts().len()) {
                Some(index) => vec![message.part_bytes(index, MOST)],
                None => {
                    let text = format!("the message has no part {number}");
                    return Verdict::Never(Error::permanent(Kind::Refused, text));
                }
            },
            Input::Attachments => {
                let parts = message.parts().iter().enumerate().filter(|(_, part)| pipe.takes(part));
                parts.map(|(index, _)| message.part_bytes(index, MOST)).collect()
            }
        };
        let mut last = Verdict::Sent("there was nothing to give".to_owned());
        for input in inputs {
            last = self.once(Ok(Box::new(input.as_slice())), message, allow_root);
            if !matches!(last, Verdict::Sent(_)) {
                return last;
            }
        }
        last
    }

    fn once(&self, input: std::io::Result<Box<dyn Read + Send + '_>>, message: &Message, allow_root: bool) -> Verdict {
        let name = self.run.join(" ");
        let failed = |text: String| Verdict::Never(Error::permanent(Kind::Refused, text));
        let mut input = match input {
            Ok(input) => input,
            Err(e) => return Verdict::Later(Error::disk("reading the message", e)),
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
                Err(e) => return Verdict::Never(e),
            }
        }
        let program = program::Program {
            run: &self.run,
            timeout: self.timeout,
            output: Output::Nobody,
            environment: &environment,
            allow_root,
        };
        match program.run(Some(&mut *input)) {
            Ok(ended) if ended.code == 0 => Verdict::Sent(format!("{name} took it")),
            Ok(ended) if ended.code == TRY_AGAIN => {
                let text = format!("{name} asks to try again later {}", ended.complaint);
                Verdict::Later(Error::transient(Kind::Refused, text.trim_end().to_owned()))
            }
            Ok(ended) => failed(format!("{name} ended with {}: {}", ended.code, ended.complaint)),
            Err(failure) if failure.is_for_want_of_room() || failure.is_by_stop() => {
                Verdict::Later(Error::transient(Kind::Busy, format!("{name}: {failure}")))
            }
            Err(failure) => failed(format!("{name}: {failure}")),
        }
    }
}
