//! The message as it is sent: unchanged, or encoded where this server would not accept it.

use std::io::{self, Read};

use super::data::Survey;
use super::wire::Capabilities;
use crate::message::{Fitted, LONGEST_LINE, Message};
use crate::outbox::relay::{RecipientVerdict, RelayTrouble};
use crate::state::HowItLeft;

/// A message that is about to be sent.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    message: &'a Message,
    fitted: Option<Fitted>,
    /// About the bytes that are sent.
    pub(super) survey: Survey,
}

impl<'a> Outgoing<'a> {
    /// Reads the message once. Only one that this server would not accept is read again and encoded.
    pub(super) fn of(message: &'a Message, can: &Capabilities) -> io::Result<Self> {
        let survey = Survey::of(&mut message.reader()?)?;
        let is_long = survey.longest_line > LONGEST_LINE as u64;
        let is_mistaken = survey.has_hidden_dot || survey.has_lone_cr;
        if !is_long && (can.eight_bit || !survey.has_8_bit) && !is_mistaken {
            return Ok(Self { message, fitted: None, survey });
        }
        let fitted = message.fitted(can.eight_bit)?;
        let survey = Survey::of(&mut fitted.reader(message)?)?;
        Ok(Self { message, fitted: Some(fitted), survey })
    }

    /// The bytes that are sent.
    pub(super) fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &self.fitted {
            Some(fitted) => fitted.reader(self.message),
            None => self.message.reader(),
        }
    }

    /// Adds to the verdicts how the message was changed. It is said once, with the first recipient that was accepted.
    pub(super) fn with_changes(&self, mut verdicts: Vec<RecipientVerdict>) -> Vec<RecipientVerdict> {
        let Some(fitted) = &self.fitted else { return verdicts };
        let how = HowItLeft { changes: fitted.changes(), left: self.left() };
        let sent = verdicts.iter_mut().find_map(|verdict| match verdict {
            RecipientVerdict::Sent(words) => Some(words),
            _ => None,
        });
        if let Some(words) = sent {
            *words = how.before(words);
        }
        verdicts.into_iter().map(|verdict| self.helped(verdict)).collect()
    }

    /// The same for a server that refused the message before it was sent completely.
    pub(super) fn explained(&self, trouble: RelayTrouble) -> RelayTrouble {
        match trouble {
            RelayTrouble::Mail(verdict) => RelayTrouble::Mail(self.helped(verdict)),
            trouble => trouble,
        }
    }

    /// Adds why the server may have refused the message.
    fn helped(&self, verdict: RecipientVerdict) -> RecipientVerdict {
        match (verdict, self.left()) {
            (RecipientVerdict::Never(error), Some(left)) => {
                RecipientVerdict::Never(error.helped_by(format!("the message was sent as it is, because {left}")))
            }
            (verdict, _) => verdict,
        }
    }

    fn left(&self) -> Option<String> {
        self.fitted.as_ref()?.left().map(|left| left.to_string())
    }
}
