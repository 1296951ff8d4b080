//! IMAP4rev1 (RFC 3501). imap-proto parses; everything else is our own code.
//!
//! Commands are written here, and every reply is read to its tagged line (`session`). Between the socket and the parser are
//! `guard`, which limits what a server can make us do, `replies`, which assembles each reply, and `mend`, which rewrites
//! what the parser would misread.

pub mod append;
mod asked;
mod codes;
mod expunge;
mod fetch;
mod folders;
mod glance;
mod guard;
mod idle;
mod known;
mod listing;
mod literals;
mod login;
mod mend;
mod moving;
mod names;
mod notify;
mod opening;
mod raw;
mod replies;
mod roles;
mod search;
mod selected;
mod session;
mod sets;
mod settle;
mod told;
mod unlisted;
mod wait;
#[cfg(test)]
mod waiting_tests;
mod windows;

use std::collections::HashMap;
use std::sync::Arc;

use super::named::NamedMessages;
use super::{Listing, Reach, Spool, Stood};
use crate::config::{Account, FetchedFolders, Retention};
use crate::error::Result;
use crate::message::{Origin, uid_in_id};
use known::KnownNews;
use listing::Uids;
pub(super) use opening::offers;
use selected::Selected;
use session::ImapSession;

/// A logged-in connection and the folder that is open on it.
#[derive(Debug)]
pub struct ImapSource {
    session: ImapSession,
    spool: Spool,
    account: String,
    folders: FetchedFolders,
    except: Vec<String>,
    /// The server's hierarchy delimiter. The config, the rules and the journal always use `/`.
    delimiter: Option<char>,
    /// Folder names as the server spells them, if they differ or were listed.
    spelled: HashMap<String, String>,
    /// Whether all folders were listed once, so that an unknown name is a new folder.
    has_listed: bool,
    /// The target of `move_to`, as the config spells it.
    target: Option<String>,
    /// Whether the retention changes anything on the server; if not, folders are opened read-only.
    writes: bool,
    open: Arc<Origin>,
    /// The UIDs of the open folder's messages by id, if the ids are derived from the content.
    by_content: Option<HashMap<Vec<u8>, u32>>,
    /// Whether Gmail's labels become keywords.
    labels: bool,
    /// Whether the server offers LIST-STATUS but refused it.
    refuses_list_status: bool,
    known: KnownNews,
}

impl ImapSource {
    /// Connects, protects the connection and logs in.
    pub async fn connect(account: &Account, space: &str, spool: Spool) -> Result<Self> {
        let session = ImapSession::connect(account).await?;
        let target = match &account.retention {
            Retention::MoveTo(folder) => Some(folder.clone()),
            _ => None,
        };
        Ok(Self {
            folders: account.folders.clone(),
            except: account.except.clone(),
            target,
            writes: account.retention != Retention::Keep,
            labels: account.labels,
            ..Self::over(session, space, spool)
        })
    }

    /// A source that fetches all folders and keeps the messages on the server.
    fn over(session: ImapSession, space: &str, spool: Spool) -> Self {
        let origin = Origin { account: space.to_owned(), folder: String::new(), generation: 0 };
        Self {
            session,
            spool,
            account: space.to_owned(),
            folders: FetchedFolders::All,
            except: Vec::new(),
            delimiter: None,
            spelled: HashMap::new(),
            has_listed: false,
            target: None,
            writes: false,
            open: Arc::new(origin),
            by_content: None,
            labels: false,
            refuses_list_status: false,
            known: KnownNews::default(),
        }
    }

    /// Opens a folder and lists every UID in it.
    pub async fn open(&mut self, folder: &str) -> Result<Listing> {
        let selected = self.open_to_list(folder).await?;
        self.list_all(folder, &selected).await
    }

    /// Opens a folder that was in the state `before` when it was last listed. Lists only newer messages if the numbers add up,
    /// and everything otherwise.
    pub async fn open_since(&mut self, folder: &str, before: &Stood) -> Result<Listing> {
        let selected = self.open_to_list(folder).await?;
        match self.session.came_since(&selected, before).await? {
            Some(uids) => Ok(self.listing(uids, &selected, Reach::Since { older: before.exists })),
            None => self.list_all(folder, &selected).await,
        }
    }

    async fn open_to_list(&mut self, folder: &str) -> Result<Selected> {
        let name = self.on_server(folder)?;
        let mut selected = self.session.select(&name, folder, self.writes).await?;
        if !self.writes && !selected.has_lasting_uids() {
            selected = self.session.select(&name, folder, true).await?;
        }
        self.session.may_use_uids = true;
        self.known.record_opened(folder, selected.glance());
        let generation = selected.generation().unwrap_or(0);
        self.open = Arc::new(Origin { account: self.account.clone(), folder: folder.to_owned(), generation });
        self.by_content = None;
        Ok(selected)
    }

    async fn list_all(&mut self, folder: &str, selected: &Selected) -> Result<Listing> {
        let Uids { found, is_short } = self.session.list_uids(selected.exists).await?;
        if selected.generation().is_none() {
            return self.list_by_content(found, is_short).await;
        }
        let odd = is_short
            .then(|| format!("{folder}: the server counts {} messages and lists {}", selected.exists, found.len()));
        Ok(Listing { odd, is_short, ..self.listing(found, selected, Reach::Complete) })
    }

    fn listing(&self, uids: Vec<u32>, selected: &Selected, reach: Reach) -> Listing {
        Listing {
            origin: Arc::clone(&self.open),
            ids: uids.into_iter().map(|uid| uid.to_string().into_bytes()).collect(),
            doubled: Vec::new(),
            odd: None,
            is_short: false,
            uid_next: selected.uid_next,
            reach,
        }
    }

    /// Lists a folder without UIDVALIDITY, whose UIDs may belong to other messages at any time. Its messages are identified by
    /// their headers, as over POP3 with `identity: content`.
    async fn list_by_content(&mut self, uids: Vec<u32>, is_short: bool) -> Result<Listing> {
        let folder = &self.open.folder;
        let odd = format!("{folder}: the server gives no UIDVALIDITY, so its messages are identified by their headers");
        let count = uids.len();
        let NamedMessages { messages, doubled } = self.by_content(uids).await?;
        let is_short = is_short || messages.len() < count;
        let ids = messages.iter().map(|(id, _)| id.clone()).collect();
        self.by_content = Some(messages.into_iter().collect());
        let (origin, reach) = (Arc::clone(&self.open), Reach::Complete);
        Ok(Listing { origin, ids, doubled, odd: Some(odd), is_short, uid_next: None, reach })
    }

    /// The UID of a message of the open folder.
    fn uid_of(&self, id: &[u8]) -> Option<u32> {
        match &self.by_content {
            Some(uids) => uids.get(id).copied(),
            None => uid_in_id(id),
        }
    }

    /// Logs out, without waiting long for the answer, because nothing depends on it.
    pub async fn logout(mut self) -> Result<()> {
        self.session.logout().await;
        Ok(())
    }
}
