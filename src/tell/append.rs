//! `imap`: appends a message to a folder of an account.
//!
//! Before each attempt, the folder's UIDVALIDITY and UIDNEXT are recorded, durably, and a missing folder is made first.
//! After an unknown outcome, the message is searched for among those that came since, and appended again only if it is
//! not there.

use jiff::Timestamp;

use super::{ItemToSend, Pass};
use crate::clean;
use crate::decision::{Append, Way};
use crate::error::{Kind, Result};
use crate::message::Flags;
use crate::outbox::outcome::AttemptResult;
use crate::outbox::relay::RecipientVerdict;
use crate::source::imap::append::{AppendMark, Appender, NotAppended};
use crate::state::{OutboxRow, OutboxState};
use crate::stop::{stopped, unless_stopped};

/// The result of an attempt.
enum Appended {
    Now(String),
    Before,
    /// The user has held or dropped the item meanwhile.
    Aside,
    /// The program had to stop before anything was sent to the server.
    Stopped,
}

type AppendAttempt = std::result::Result<Appended, NotAppended>;

impl Pass {
    /// Handles an item for an IMAP account. Returns whether anything about it changed.
    pub(super) async fn append_to_account(&mut self, row: OutboxRow) -> Result<bool> {
        let Way::Imap(append) = row.telling.way.clone() else { return Ok(false) };
        let Some(account) = self.relays.imap(&append.account).cloned() else {
            let cause = format!("there is no IMAP account `{}` in the config", clean::short(&append.account, 40));
            return self.wait_for_config(row, cause);
        };
        if comes_back(&append, &row.account, &row.folder) {
            let cause = "it comes from this very folder and would be fetched again";
            return self.conclude(row, None, AttemptResult::Stopped(cause.to_owned()));
        }
        // The name under which the account rests. It is no relay's name, because those contain no colon.
        let name = format!("imap:{}", account.name);
        if self.rests(&name, "") {
            return Ok(false);
        }
        // The outcomes of other servers must not wait for this one.
        self.write_outcomes()?;
        let appender = match self.appenders.remove(&name) {
            Some(appender) => appender,
            None => match unless_stopped(&self.stop, Appender::connect(&account)).await {
                Some(Ok(appender)) => appender,
                Some(Err(error)) => return self.put_off(row, &name, "", &error),
                None => return Ok(false),
            },
        };
        match self.with_message(row)? {
            Some(item) => self.append_and_conclude(item, &name, append, appender).await,
            None => {
                self.appenders.insert(name, appender);
                Ok(true)
            }
        }
    }

    /// Appends over the open connection, and keeps the connection if it can be used again.
    async fn append_and_conclude(
        &mut self,
        mut item: ItemToSend,
        name: &str,
        append: Append,
        mut appender: Appender,
    ) -> Result<bool> {
        let attempt = self.append(&mut appender, &mut item, append).await?;
        if !matches!(attempt, Ok(Appended::Stopped) | Err(NotAppended::Broken(_) | NotAppended::Unknown(_))) {
            self.appenders.insert(name.to_owned(), appender);
        }
        let verdict = match attempt {
            Ok(Appended::Now(words)) => RecipientVerdict::Sent(words),
            Ok(Appended::Before) => RecipientVerdict::Sent("it had come before the connection broke".to_owned()),
            Ok(Appended::Aside) => return Ok(true),
            Ok(Appended::Stopped) => return Ok(false),
            Err(NotAppended::Refused(error) | NotAppended::NoFolder(error)) if error.is_transient() => {
                RecipientVerdict::Later(error)
            }
            Err(NotAppended::Refused(error) | NotAppended::NoFolder(error)) => RecipientVerdict::Never(error),
            Err(NotAppended::Broken(error)) => return self.put_off(item.row, name, "", &error),
            Err(NotAppended::Unknown(error)) => {
                let cause = clean::line(error.to_string().as_bytes());
                return self.conclude(item.row, Some(item.original), AttemptResult::Unknown(cause));
            }
        };
        self.conclude(item.row, Some(item.original), AttemptResult::Verdicts(vec![verdict]))?;
        self.end_rest(name, "")?;
        Ok(true)
    }

    /// Searches for the message if an attempt was made before, and appends it if it is not there.
    async fn append(
        &mut self,
        appender: &mut Appender,
        item: &mut ItemToSend,
        append: Append,
    ) -> Result<AppendAttempt> {
        if let Some((generation, next)) = append.noted {
            let mark = AppendMark { generation, next };
            match unless_stopped(&self.stop, appender.has_come(&append.folder, mark, &item.original)).await {
                Some(Ok(true)) => return Ok(Ok(Appended::Before)),
                Some(Ok(false)) => {}
                Some(Err(error)) => return Ok(Err(NotAppended::Broken(error))),
                None => return Ok(Ok(Appended::Stopped)),
            }
        }
        match self.attempt(appender, item, append.clone(), false).await? {
            // The folder was there a moment ago.
            Err(NotAppended::NoFolder(_)) => self.attempt(appender, item, append, true).await,
            appended => Ok(appended),
        }
    }

    /// Records the state of the folder, and appends. The item may be claimed already.
    async fn attempt(
        &mut self,
        appender: &mut Appender,
        item: &mut ItemToSend,
        mut append: Append,
        is_claimed: bool,
    ) -> Result<AppendAttempt> {
        let not_made = match unless_stopped(&self.stop, appender.prepare(&append.folder)).await {
            Some(Ok((mark, not_made))) => {
                append.noted = Some((mark.generation, mark.next));
                not_made
            }
            Some(Err(error)) if error.kind() == Kind::Refused => return Ok(Err(NotAppended::Refused(error))),
            Some(Err(error)) => return Ok(Err(NotAppended::Broken(error))),
            None if is_claimed => return Ok(Err(NotAppended::Unknown(stopped()))),
            None => return Ok(Ok(Appended::Stopped)),
        };
        if !is_claimed && !self.claim(&item.row)? {
            return Ok(Ok(Appended::Aside));
        }
        item.row.telling.way = Way::Imap(append.clone());
        item.row.state = OutboxState::Sending;
        self.world.store.resolve(&self.owned, std::slice::from_ref(&item.row))?;
        let mut flags = Flags::default();
        for word in &append.flags {
            // A word that is no flag was refused when the rule was read.
            flags.parse_word(word).ok();
        }
        let arrived = Timestamp::from_second(append.arrived).unwrap_or_else(|_| self.world.now());
        let appended = unless_stopped(&self.stop, appender.append(&append.folder, &flags, arrived, &item.original));
        Ok(match appended.await.unwrap_or_else(|| Err(NotAppended::Unknown(stopped()))) {
            // The reason why the folder could not be made says more.
            Err(NotAppended::NoFolder(error)) => match not_made {
                Some(refused) => Err(NotAppended::Refused(refused)),
                None => Err(NotAppended::NoFolder(error)),
            },
            appended => appended.map(Appended::Now),
        })
    }
}

/// Whether the message would be fetched again from the folder that it came from.
fn comes_back(append: &Append, account: &str, folder: &str) -> bool {
    let is_inbox = |name: &str| name.eq_ignore_ascii_case("INBOX");
    append.account == account && (append.folder == folder || is_inbox(&append.folder) && is_inbox(folder))
}
