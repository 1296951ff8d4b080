//! The result of a discovery.

use std::fmt;

use crate::clean;
use crate::config::{Server, Tls, Trust};
use crate::providers::{MailProtocol, Provider, Security};

/// Everything that was found for an address.
#[derive(Clone, Debug)]
pub struct Found {
    /// The address as it was given.
    pub address: String,
    /// The provider of the servers, if it is known. It determines which secret is needed and what must be turned on.
    pub provider: Option<&'static Provider>,
    /// The servers, the best of each kind first. All use TLS. Their names are valid host names, without characters that could
    /// harm a terminal.
    pub offers: Vec<Offer>,
    /// The sources that had no result, and why.
    pub tried: Vec<Tried>,
}

impl Found {
    /// The best server for this kind of mail.
    pub fn best(&self, mail: MailProtocol) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.mail == mail)
    }

    /// The best server to fetch from: IMAP before POP3.
    pub fn incoming(&self) -> Option<&Offer> {
        self.best(MailProtocol::Imap).or_else(|| self.best(MailProtocol::Pop3))
    }

    /// The chosen hosts that are not confirmed. A person must look at them before a password is sent there.
    pub fn unconfirmed(&self) -> Vec<&str> {
        let taken = [self.incoming(), self.best(MailProtocol::Smtp)].into_iter().flatten();
        let mut hosts: Vec<&str> =
            taken.filter(|offer| !offer.is_confirmed()).map(|offer| offer.host.as_str()).collect();
        hosts.dedup();
        hosts
    }
}

/// A server that a source named.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Its protocol.
    pub mail: MailProtocol,
    /// Its name.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The login name.
    pub user: String,
    /// Whether it is known to accept only OAuth2 and no password.
    pub is_token_only: bool,
    /// The source.
    pub origin: OfferOrigin,
    /// Whether it is only believed after a connection has succeeded.
    pub(super) is_in_doubt: bool,
    /// Its provider, if it is known.
    pub(super) provider: Option<&'static Provider>,
}

impl Offer {
    /// Whether its source cannot have been forged. If it can, a person must look at the host before a password is sent there.
    pub fn is_confirmed(&self) -> bool {
        self.origin.is_confirmed()
    }

    /// The server as a setting of the config.
    pub fn server(&self) -> Server {
        let tls = match self.security {
            Security::Implicit => Tls::Implicit,
            Security::StartTls => Tls::StartTls,
        };
        Server { host: self.host.clone(), port: self.port, tls, trust: Trust::default() }
    }
}

/// The source of a server. They are listed in order of trust, within the confirmed and within the unconfirmed ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferOrigin {
    /// The table of providers, by the address's domain.
    Table,
    /// The table of providers, by this mail exchanger.
    Exchanger(String),
    /// The domain itself, by PACC (draft-ietf-mailmaint-pacc).
    Pacc,
    /// The domain itself, by autoconfig at this https address.
    Autoconfig(String),
    /// Mozilla's database, by the domain.
    Database,
    /// Mozilla's database, by this mail exchanger.
    DatabaseByExchanger(String),
    /// The domain itself, by autoconfig at this http address.
    AutoconfigInTheClear(String),
    /// The SRV record with this name.
    Service(String),
    /// A common host name that answers.
    Guess,
}

impl OfferOrigin {
    /// Whether nobody on the way could have forged it.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Table | Self::Pacc | Self::Autoconfig(_) | Self::Database)
    }

    /// A single word, for programs.
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

impl fmt::Display for OfferOrigin {
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
            Self::AutoconfigInTheClear(address) => write!(f, "{}, unencrypted", clean::short(address, 120)),
            Self::Service(name) => write!(f, "the SRV record {}", clean::short(name, 80)),
            Self::Guess => f.write_str("its common name"),
        }
    }
}

/// A source that had no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its name.
    pub source: String,
    /// The reason, in one line that can be shown.
    pub why: String,
}

impl Tried {
    pub(super) fn new(source: &str, why: impl fmt::Display) -> Self {
        Self { source: source.to_owned(), why: clean::short(&why.to_string(), 200) }
    }
}
