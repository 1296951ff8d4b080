//! Looks at folders without opening them: STATUS (RFC 3501 6.3.10), or one LIST that returns the status of all folders
//! (RFC 5819).

use std::collections::{HashMap, HashSet};

use imap_proto::{MailboxDatum, Response, StatusAttribute};

use super::ImapSource;
use super::asked::AskedFolders;
use super::folders::{MAX_FOLDERS, is_folder, name_of};
use crate::error::Result;
use crate::source::Glance;

/// How many STATUS commands are sent before the first answer is read.
const STATUS_IN_FLIGHT: usize = 32;
/// Up to this number, each folder gets its own STATUS: a LIST would report all folders of the server.
const FEW_FOLDERS: usize = 4;

impl ImapSource {
    /// The status of these folders, as far as the server reports it. An open folder stays open.
    pub(in crate::source) async fn glance(&mut self, folders: &[String]) -> Result<HashMap<String, Glance>> {
        let seen = self.query_status(folders).await?;
        seen.iter().for_each(|(folder, glance)| self.known.record_seen(folder, *glance));
        Ok(seen)
    }

    /// The same, but without recording it as seen.
    pub(super) async fn query_status(&mut self, folders: &[String]) -> Result<HashMap<String, Glance>> {
        let asked = self.asked(folders);
        let mut seen = HashMap::new();
        let mut left: Vec<&str> = folders.iter().map(String::as_str).collect();
        if left.len() > FEW_FOLDERS && self.session.can("LIST-STATUS") && !self.refuses_list_status {
            let none = self.status_of_all(&asked, &mut seen).await?;
            left.retain(|folder| !seen.contains_key(*folder) && !none.contains(folder));
        }
        for batch in left.chunks(STATUS_IN_FLIGHT) {
            self.status_of_each(batch, &asked, &mut seen).await?;
        }
        Ok(seen)
    }

    /// Asks with one command for all folders. Returns the listed names that cannot be opened, which have no status.
    async fn status_of_all<'f>(
        &mut self,
        asked: &AskedFolders<'f>,
        seen: &mut HashMap<String, Glance>,
    ) -> Result<HashSet<&'f str>> {
        let (mut none, mut new) = (HashSet::new(), Vec::new());
        let changed = self.session.told.folders_changed;
        let command = format!("LIST \"\" \"*\" RETURN (STATUS {})", self.status_items());
        let tag = self.session.send(&command).await?;
        let each = |reply: &Response<'_>| {
            match reply {
                Response::MailboxData(MailboxDatum::List(list)) if !is_folder(&list.name_attributes) => {
                    none.extend(asked.folder(&list.name));
                }
                Response::MailboxData(MailboxDatum::List(list)) => {
                    let name = name_of(&list.name, self.delimiter).ok();
                    let is_new =
                        |name: &String| self.has_listed && new.len() < MAX_FOLDERS && !self.spelled.contains_key(name);
                    new.extend(name.filter(is_new).map(|name| (name, list.name.to_string())));
                }
                reply => {
                    if let Some((wire, glance)) = status_in(reply)
                        && let Some(folder) = asked.folder(wire)
                    {
                        seen.insert(folder.to_owned(), glance);
                    }
                }
            }
            Ok(())
        };
        let answer = self.session.finish(&tag, each).await?;
        self.refuses_list_status = answer.is_err();
        // Folders were created since the last full LIST. The LIST lines themselves are answers, not notifications.
        self.known.news_anywhere |= !new.is_empty();
        self.spelled.extend(new);
        self.session.told.folders_changed = changed;
        Ok(none)
    }

    /// Asks with one command for each folder, all in flight at once. Refused folders are missing from the result.
    async fn status_of_each(
        &mut self,
        folders: &[&str],
        asked: &AskedFolders<'_>,
        seen: &mut HashMap<String, Glance>,
    ) -> Result<()> {
        let mut sent = Vec::new();
        for folder in folders {
            // A name that cannot be sent is not a folder of this server.
            let Ok(name) = self.on_server(folder) else { continue };
            let command = format!("STATUS {name} {}", self.status_items());
            sent.push((*folder, self.session.send(&command).await?));
        }
        for (folder, tag) in sent {
            let mut unnamed = None;
            let each = |reply: &Response<'_>| {
                if let Some((wire, glance)) = status_in(reply) {
                    match asked.folder(wire) {
                        Some(folder) => drop(seen.insert(folder.to_owned(), glance)),
                        None => unnamed = Some(glance),
                    }
                }
                Ok(())
            };
            let is_answered = self.session.finish(&tag, each).await?.is_ok();
            // Some servers answer with a different name. It is ignored if it may be a notification about another folder.
            if is_answered && !self.session.expects_notifications() && !seen.contains_key(folder) {
                seen.extend(unnamed.map(|glance| (folder.to_owned(), glance)));
            }
        }
        Ok(())
    }

    /// The STATUS items to request.
    fn status_items(&self) -> &'static str {
        match self.session.can("CONDSTORE") || self.session.can("QRESYNC") {
            true => "(MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ)",
            false => "(MESSAGES UIDNEXT UIDVALIDITY)",
        }
    }
}

/// The status in a reply, with the folder's name on the server. 163.com sends an empty list, which counts as no status.
pub(super) fn status_in<'r>(reply: &'r Response<'_>) -> Option<(&'r str, Glance)> {
    let Response::MailboxData(MailboxDatum::Status { mailbox, status }) = reply else { return None };
    let mut glance = Glance::default();
    for attribute in status {
        match *attribute {
            StatusAttribute::Messages(n) => glance.exists = Some(n),
            StatusAttribute::UidNext(n) => glance.uid_next = Some(n).filter(|n| *n != 0),
            StatusAttribute::UidValidity(n) => glance.generation = Some(n).filter(|n| *n != 0),
            StatusAttribute::HighestModSeq(n) => glance.modseq = Some(n).filter(|n| *n != 0),
            _ => {}
        }
    }
    (glance != Glance::default()).then_some((mailbox, glance))
}
