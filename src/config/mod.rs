//! The config as it is meant: validated, complete, with every default filled in.
//!
//! What the user wrote is a tree of [`yaml::Node`]s, each with its place in the file. [`Config::load`] turns
//! it into these types, or into a list of [`problem::Problem`]s, all of them at once. The rest of the program
//! sees only the meaning. Rule files are kept as [`yaml::Node`]s here; `filter` compiles them.

pub mod address_books;
pub mod entries;
pub mod filters;
pub mod inbox;
pub mod library;
pub mod lists;
pub mod mailbox;
pub mod oauth;
pub mod outside;
pub mod parameters;
pub mod problem;
pub mod providers;
pub mod reader;
pub mod schema;
pub mod secret;
pub mod shape;
pub mod template;
pub mod text;
pub mod units;
pub mod wildcard;
pub mod yaml;

mod accounts;
mod alike;
mod auth;
mod clients;
mod composer;
mod limits;
mod load;
mod maildir;
mod maintenance;
mod pin;
mod places;
mod provided;
mod relays;
mod retention;
mod server;
mod settings;
mod suggest;
mod trust;

pub use self::accounts::is_account_name;
pub use self::auth::{Mechanism, Needs};
pub use self::filters::{FilterSource, LuaFilter, RuleFile};
pub use self::limits::Limits;
pub use self::load::Examined;
pub use self::maildir::{Encoding, Layout, MailRoot};
pub use self::maintenance::Maintenance;
pub use self::pin::Pin;
pub use self::relays::{LmtpPlace, Login, Relay, RelayKind};
pub(crate) use self::relays::{check_is_lmtp, check_is_no_lmtp};
pub use self::server::is_host_name;
pub use self::settings::Settings;
pub use self::trust::{ClientCertificate, Trust};

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use self::lists::ConfigList;
use self::outside::Reference;
use self::reader::Shape;
use self::secret::Password;
use self::template::Template;
use self::yaml::Document;

/// The sections of the config with their keys, for the reference in the docs.
pub fn sections() -> [&'static Shape; 16] {
    [
        &load::SHAPE,
        &maildir::SHAPE,
        &accounts::SHAPE,
        &server::SHAPE,
        &secret::SHAPE,
        &oauth::SHAPE,
        &clients::SHAPE,
        &accounts::FIRST,
        &retention::SHAPE,
        &relays::SHAPE,
        &limits::SHAPE,
        &maintenance::SHAPE,
        &filters::USES,
        &filters::HEAD,
        &lists::SHAPE,
        &parameters::SHAPE,
    ]
}

/// The size of the originals that are kept when nobody says: 1 GiB.
pub const ORIGINALS: u64 = 1 << 30;

/// Everything the program was told.
#[derive(Debug)]
pub struct Config {
    /// The config file itself.
    pub path: PathBuf,
    /// Where mail is filed.
    pub maildir: MailRoot,
    /// The folder of the state database, locks and spool; 0700.
    pub state: PathBuf,
    /// How many bytes of originals are kept for `undo`.
    pub originals: u64,
    /// The accounts, in the order of the file.
    pub accounts: Vec<Account>,
    /// The rules for every account that names none of its own.
    pub filters: Vec<FilterSource>,
    /// The ways out, in the order of the file.
    pub relays: Vec<Relay>,
    /// What is done again and again with mail that is here.
    pub maintenance: Vec<Maintenance>,
    /// What rules need to know of it.
    pub settings: Settings,
    /// The programs that the config file names.
    pub programs: Vec<Reference>,
    /// Where it names the mail root.
    pub maildir_named: Option<Reference>,
    /// The `tests` of the config, and nothing else of it.
    pub tests: Document,
}

impl Config {
    /// The sign-ins of accounts and relays, as they are written.
    pub fn sign_ins(&self) -> impl Iterator<Item = &oauth::SignIn> {
        let accounts = self.accounts.iter().map(|account| &account.password);
        accounts.chain(self.relays.iter().filter_map(Relay::secret)).filter_map(Password::sign_in)
    }

    /// The folder in which the tokens of all sign-ins are kept.
    pub fn sign_in_folder(&self) -> PathBuf {
        oauth::folder_in(&self.state)
    }

    /// The accounts that mail can be appended to.
    pub fn imap_accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter().filter(|account| account.protocol == Protocol::Imap)
    }
}

/// One mailbox on one server.
#[derive(Clone, Debug)]
pub struct Account {
    /// The name the user gave it; unique.
    pub name: String,
    /// IMAP or POP3.
    pub protocol: Protocol,
    /// The server and how to reach it.
    pub server: Server,
    /// The login name.
    pub user: String,
    /// The address that it is for, where the config says it.
    pub address: Option<String>,
    /// Where the password comes from. It is asked for when a connection needs it, never before.
    pub password: Password,
    /// Whether that is an OAuth2 access token.
    pub token: bool,
    /// The only mechanism to log in by; `None`: the strongest that the server offers.
    pub auth: Option<Mechanism>,
    /// IMAP: whether Gmail's labels are taken for keywords.
    pub labels: bool,
    /// IMAP: which folders. POP3 has only INBOX.
    pub folders: FetchedFolders,
    /// IMAP: patterns of folders to leave out, even when `folders` names them.
    pub except: Vec<String>,
    /// Where `keep` files; may use `${folder}` and `${account}`.
    pub into: Template,
    /// What the first run does with the mail that is already there.
    pub first: First,
    /// Which messages are fetched at all.
    pub select: Select,
    /// What happens on the server to a message that is safe here.
    pub retention: Retention,
    /// The time between two passes of `mailsluice run`.
    pub poll: Duration,
    /// IMAP: of which folders news is waited for between them.
    pub push: PushFolders,
    /// POP3: how messages are told apart when the server has no UIDL.
    pub identity: Pop3Identity,
    /// POP3: whether to log in by APOP; where nothing is said, if nothing else hides the password.
    pub apop: Option<bool>,
    /// The relay that carries what rules tell about its mail, unless they name one.
    pub relay: Option<String>,
    /// The account's own rules instead of [`Config::filters`].
    pub filters: Option<Vec<FilterSource>>,
    /// Whether another account of the config is the same user on the same host, behind another port: tunnels.
    pub port_counts: bool,
}

impl Account {
    /// Whether it is fetched as another one is: all but its rules.
    pub fn is_fetched_like(&self, other: &Self) -> bool {
        // As it is shown it has every field, and of a password where it comes from.
        let shown = |account: &Self| format!("{:?}", Self { filters: None, ..account.clone() });
        self.password == other.password && shown(self) == shown(other)
    }

    /// The user's own address there: what the config says, or a login name that is one.
    pub fn own_address(&self) -> Option<&str> {
        self.address.as_deref().or_else(|| Some(self.user.as_str()).filter(|user| user.contains('@')))
    }

    /// By what the mailbox is the same one whatever it is called: `imap:me@example.com@imap.example.com`.
    pub fn mailbox(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Imap => "imap",
            Protocol::Pop3 => "pop3",
        };
        let host = self.server.host.trim_end_matches('.').to_ascii_lowercase();
        let port = if self.port_counts { format!(":{}", self.server.port) } else { String::new() };
        format!("{protocol}:{}@{host}{port}", self.user)
    }
}

/// A server and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// How the two ends prove who they are.
    pub trust: Trust,
}

impl Server {
    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        server::is_loopback(&self.host)
    }
}

/// The protocol of a source on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 1939.
    Pop3,
}

impl Protocol {
    /// Its key in the config.
    pub fn key(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// How a connection is protected. There is no "if the server offers it".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314); the default.
    Implicit,
    /// STARTTLS or STLS, required.
    StartTls,
    /// No protection: only to a loopback address, or with `allow_plaintext: true`.
    None,
}

/// Which folders of an IMAP account are fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchedFolders {
    /// Every folder that can be selected.
    All,
    /// Names and patterns (`*` any text, `%` any text without the separator), matched at each run.
    Patterns(Vec<String>),
}

/// The folders whose news `mailsluice run` has from the server at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushFolders {
    /// All that are fetched.
    All,
    /// None: the clock alone decides.
    Off,
    /// Names and patterns, like those of [`Folders`]; the first one is the most important.
    Patterns(Vec<String>),
}

impl PushFolders {
    /// Which of the folders that are fetched, the most important first.
    pub fn of(&self, folders: &[String]) -> Vec<String> {
        let inbox = |folder: &&String| folder.as_str() != inbox::INBOX;
        match self {
            Self::Off => Vec::new(),
            Self::All => {
                let mut all: Vec<&String> = folders.iter().collect();
                all.sort_by_key(inbox);
                all.into_iter().cloned().collect()
            }
            Self::Patterns(patterns) => {
                let mut found: Vec<String> = Vec::new();
                for pattern in patterns {
                    let fits = folders.iter().filter(|folder| wildcard::matches(pattern, folder));
                    let new: Vec<String> = fits.filter(|folder| !found.contains(folder)).cloned().collect();
                    found.extend(new);
                }
                found
            }
        }
    }
}

/// What the first run does with the mail that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Fetch it all.
    All,
    /// Remember it as seen and fetch nothing.
    New,
    /// Fetch what arrived after this moment, remember the rest as seen.
    Since(PointInTime),
}

/// A moment given as a date or as an age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointInTime {
    /// Midnight, local time, of a date.
    Date(Timestamp),
    /// This long before now.
    Ago(Duration),
}

impl PointInTime {
    /// The moment, seen from `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Date(at) => at,
            Self::Ago(age) => now.checked_sub(age).unwrap_or(Timestamp::MIN),
        }
    }
}

/// Which messages are fetched at all; the rest stays on the server, unseen and undeleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Only mail that arrived after this.
    pub since: Option<PointInTime>,
    /// Only messages up to this many bytes on the server.
    pub max_size: Option<u64>,
    /// IMAP SEARCH text, for example `UNSEEN FROM "boss"` (RFC 3501 6.4.4).
    pub search: Option<String>,
    /// At most so many messages per run.
    pub limit: Option<u32>,
}

/// What happens on the server to a message that is safe here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Nothing; the default.
    Keep,
    /// It is deleted at once.
    Delete,
    /// It is deleted so long after it was fetched.
    DeleteAfter(Duration),
    /// IMAP: it is moved to this folder.
    MoveTo(String),
    /// IMAP: it gets `\Seen`.
    MarkSeen,
}

/// How POP3 messages are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pop3Identity {
    /// By the server's UIDL; the default. A server without it is an error that says so.
    #[default]
    Uidl,
    /// By a hash of the header, for servers without UIDL. Costs a TOP per message and run.
    Content,
}
