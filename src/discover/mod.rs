//! Where the servers of an address are: [`discover`] asks everybody who may know, all at once and for at most [`Options::deadline`].
//!
//! | source | how | confirmed |
//! |---|---|---|
//! | the table of providers, by the domain | nothing is asked | yes |
//! | the table, by the mail exchanger | DNS | no: DNS is not signed |
//! | PACC, draft-ietf-mailmaint-pacc | https, and a TXT record with its hash | yes |
//! | autoconfig of the domain, draft-ietf-mailmaint-autoconfig | https | yes |
//! | Mozilla's database of providers, by the domain | what is built in, else https | yes |
//! | the same, by the mail exchanger | https and DNS | no |
//! | autoconfig | http | no |
//! | SRV records (RFC 6186, RFC 8314) | DNS | no |
//! | names that are usual: `imap.`, `mail.`, `smtp.` | a TLS handshake, by STARTTLS too, and a greeting | no |
//!
//! What is confirmed goes before what is not, and then the order is that of the table above. Servers without TLS are taken from
//! nobody. Where something is not confirmed, its hosts are shown to a person before a password goes there: that is the caller's duty.

mod autoconfig;
mod choose;
mod dns;
mod found;
mod guess;
mod pacc;
mod paste;
mod service;
mod web;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::dns::Dns;
use self::web::Web;
use crate::clean;
use crate::config::mailbox;
use crate::error::{Error, Kind, Result};
use crate::providers;

pub use self::found::{Found, Offer, Origin, Tried};
pub use self::paste::{lines as config_lines, server as config_place};

/// How to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name server to ask in the place of the system's.
    pub resolver: Option<SocketAddr>,
    /// A PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// So long at most.
    pub deadline: Duration,
    /// Where the servers are asked. Tests have others.
    pub ports: Ports,
    /// Where Mozilla's database is: the domain is appended. `None`: it is not asked.
    pub database: Option<String>,
}

impl Default for Options {
    /// The system's name servers and authorities, eight seconds, and Mozilla's database.
    fn default() -> Self {
        Self {
            resolver: None,
            ca_file: None,
            deadline: Duration::from_secs(8),
            ports: Ports::default(),
            database: Some("https://autoconfig.thunderbird.net/v1.1/".to_owned()),
        }
    }
}

impl Options {
    /// So long for one document, or one host: whoever asks several still has time for what the others say.
    fn for_one(&self) -> Duration {
        self.deadline * 5 / 8
    }

    /// So long for all sources: there must be time to connect to what is in doubt.
    fn for_sources(&self) -> Duration {
        self.deadline * 3 / 4
    }
}

/// The TCP ports at which discovery itself connects.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// 443.
    pub https: u16,
    /// 80.
    pub http: u16,
    /// 993.
    pub imap: u16,
    /// 995.
    pub pop3: u16,
    /// 465.
    pub smtp: u16,
    /// 587.
    pub submission: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { https: 443, http: 80, imap: 993, pop3: 995, smtp: 465, submission: 587 }
    }
}

/// An address, taken apart.
#[derive(Clone, Debug)]
struct Subject {
    /// As it was given.
    address: String,
    local: String,
    /// In lower case, and as `xn--…` where it is in another script.
    domain: String,
}

impl Subject {
    fn parse(address: &str) -> Result<Self> {
        let refuse = |flaw: &str| {
            let shown = clean::short(address, 80);
            Error::permanent(Kind::Usage, format!("`{shown}` is no address: {flaw}"))
        };
        if let Some(flaw) = mailbox::flaw(address) {
            return Err(refuse(flaw));
        }
        let (local, domain) = address.rsplit_once('@').ok_or_else(|| refuse("it is not like `name@example.com`"))?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| refuse("no domain has such a name"))?;
        if !crate::config::is_host_name(&domain) || domain.starts_with('[') {
            return Err(refuse("its part behind the @ is not a domain"));
        }
        Ok(Self { address: address.to_owned(), local: local.to_owned(), domain: domain.to_lowercase() })
    }
}

/// Looks for the servers of an address.
///
/// What does not answer, or answers nonsense, is told in [`Found::tried`] and is no error: there may be other sources. A provider of
/// the table is known without asking anybody.
///
/// # Errors
///
/// [`Kind::Usage`] where the text is no address, [`Kind::Tls`] where [`Options::ca_file`] cannot be read.
pub async fn discover(address: &str, options: &Options) -> Result<Found> {
    let subject = Subject::parse(address)?;
    let begun = Instant::now();
    if let Some(provider) = providers::of_domain(&subject.domain) {
        let offers = choose::of_provider(provider, &subject, &Origin::Table);
        let offers = guess::without_doubt(offers, options, &Dns::new(options), begun + options.deadline).await;
        let (offers, tried) = offers;
        return Ok(choose::found(&subject, Some(provider), offers, tried));
    }
    let dns = Dns::new(options);
    let web = Web::new(options, &dns, begun + options.for_one())?;
    let until = begun + options.for_sources();
    let of = async |what: &str, asking: Asking<'_>| match timeout_at(until, asking).await {
        Ok(Ok(offers)) => (offers, None),
        Ok(Err(why)) => (Vec::new(), Some(Tried::new(what, &why))),
        Err(_) => (Vec::new(), Some(Tried::new(what, "it did not answer in time"))),
    };
    let domain = subject.domain.as_str();
    let asked = tokio::join!(
        of("mail exchangers", Box::pin(by_exchanger(&subject, &dns, &web, options))),
        of("PACC", Box::pin(pacc::ask(&subject, &dns, &web))),
        of("autoconfig", Box::pin(autoconfig::ask(&subject, &web))),
        of("Mozilla's database", Box::pin(autoconfig::ask_database(&subject, domain, Origin::Database, &web, options))),
        of("autoconfig over http", Box::pin(autoconfig::ask_unprotected(&subject, &web))),
        of("SRV records", Box::pin(service::ask(&subject, &dns))),
        of("usual names", Box::pin(guess::ask(&subject, &dns, options))),
    );
    let (a, b, c, d, e, f, g) = asked;
    let (offers, tried): (Vec<_>, Vec<_>) = [a, b, c, d, e, f, g].into_iter().unzip();
    let (offers, doubts) = guess::without_doubt(offers.concat(), options, &dns, begun + options.deadline).await;
    let provider = offers.iter().find_map(|offer| offer.provider);
    Ok(choose::found(&subject, provider, offers, tried.into_iter().flatten().chain(doubts).collect()))
}

/// One source at work: what it offers, or why it offers nothing.
type Asking<'a> = std::pin::Pin<Box<dyn Future<Output = std::result::Result<Vec<Offer>, web::Why>> + 'a>>;

/// Who takes the mail of a domain may be a provider that is known: to the table, or to Mozilla's database.
async fn by_exchanger(
    subject: &Subject,
    dns: &Dns,
    web: &Web<'_>,
    options: &Options,
) -> std::result::Result<Vec<Offer>, web::Why> {
    let exchangers = dns.exchangers(&subject.domain).await?;
    for name in &exchangers {
        if let Some(provider) = providers::of_exchanger(name) {
            return Ok(choose::of_provider(provider, subject, &Origin::Exchanger(name.clone())));
        }
    }
    let Some(name) = exchangers.first() else { return Err("the domain has none".into()) };
    // One step and no further: an exchanger that leads back to the domain would be asked for ever.
    let base = choose::base_of(name).filter(|base| *base != subject.domain);
    let Some(base) = base else { return Err("they are of no provider that is known".into()) };
    autoconfig::ask_database(subject, base, Origin::DatabaseByExchanger(name.clone()), web, options).await
}
