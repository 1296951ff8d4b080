//! What was found, and from where.

use std::fmt;

use crate::clean;
use crate::config::{Server, Tls, Trust};
use crate::providers::{Mail, Provider, Security};

/// All that was found about an address.
#[derive(Clone, Debug)]
pub struct Found {
    /// The address, as it was given.
    pub address: String,
    /// Whose servers they are, where that is known: it tells which secret is wanted, and what must be switched on.
    pub provider: Option<&'static Provider>,
    /// The servers, the best of each kind first. All speak TLS; names are those of hosts, and nothing is in them that a terminal
    /// must not see.
    pub offers: Vec<Offer>,
    /// Who was asked in vain, and why.
    pub tried: Vec<Tried>,
}

impl Found {
    /// The best server for this kind of mail.
    pub fn best(&self, mail: Mail) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.mail == mail)
    }

    /// The best server to fetch from: IMAP before POP3.
    pub fn incoming(&self) -> Option<&Offer> {
        self.best(Mail::Imap).or_else(|| self.best(Mail::Pop3))
    }
}

/// A server that somebody named.
#[derive(Clone, Debug)]
pub struct Offer {
    /// What it speaks.
    pub mail: Mail,
    /// Its name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The login name.
    pub user: String,
    /// Whether it is known to take no password, but OAuth2 alone.
    pub is_token_only: bool,
    /// Who named it.
    pub origin: Origin,
    /// Whether it must be connected to before it is believed.
    pub(super) is_in_doubt: bool,
    /// Whose it is, where that is known.
    pub(super) provider: Option<&'static Provider>,
}

impl Offer {
    /// Whether who named it could not be somebody else: if not, a person looks at the host before a password goes there.
    pub fn is_confirmed(&self) -> bool {
        self.origin.is_confirmed()
    }

    /// The same as a server of the config.
    pub fn server(&self) -> Server {
        let tls = match self.security {
            Security::Implicit => Tls::Implicit,
            Security::StartTls => Tls::StartTls,
        };
        Server { host: self.host.clone(), port: self.port, tls, trust: Trust::default() }
    }
}

/// Who named a server. The order is that in which they are believed, among those that are confirmed and among those that are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The table of providers, by the domain.
    Table,
    /// The table of providers, by this mail exchanger.
    Exchanger(String),
    /// The domain, by draft-ietf-mailmaint-pacc.
    Pacc,
    /// The domain, by this https address.
    Autoconfig(String),
    /// Mozilla's database, by the domain.
    Database,
    /// Mozilla's database, by this mail exchanger.
    DatabaseByExchanger(String),
    /// The domain, by this http address.
    AutoconfigInTheClear(String),
    /// A SRV record of this name.
    Service(String),
    /// It has a name that is usual, and answers.
    Guess,
}

impl Origin {
    /// Whether nobody on the way could have said it in the other's place.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Table | Self::Pacc | Self::Autoconfig(_) | Self::Database)
    }

    /// One word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Exchanger(_) => "mx",
            Self::Pacc => "pacc",
            Self::Autoconfig(_) => "autoconfig",
            Self::Database => "ispdb",
            Self::DatabaseByExchanger(_) => "ispdb-by-mx",
            Self::AutoconfigInTheClear(_) => "autoconfig-http",
            Self::Service(_) => "srv",
            Self::Guess => "guess",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("the table of providers"),
            Self::Exchanger(name) => {
                write!(f, "the table of providers, by the mail exchanger {}", clean::short(name, 80))
            }
            Self::Pacc => f.write_str("the domain itself (PACC)"),
            Self::Autoconfig(address) => write!(f, "the domain itself, {}", clean::short(address, 120)),
            Self::Database => f.write_str("Mozilla's database of providers"),
            Self::DatabaseByExchanger(name) => {
                write!(f, "Mozilla's database of providers, by the mail exchanger {}", clean::short(name, 80))
            }
            Self::AutoconfigInTheClear(address) => write!(f, "{}, unprotected", clean::short(address, 120)),
            Self::Service(name) => write!(f, "the SRV record {}", clean::short(name, 80)),
            Self::Guess => f.write_str("its name, which is usual"),
        }
    }
}

/// Somebody who was asked in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Who.
    pub source: String,
    /// Why it was in vain, in one line that can be shown.
    pub why: String,
}

impl Tried {
    pub(super) fn new(source: &str, why: impl fmt::Display) -> Self {
        Self { source: source.to_owned(), why: clean::short(&why.to_string(), 200) }
    }
}
