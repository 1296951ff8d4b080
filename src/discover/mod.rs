//! Finds the mail servers for an address. [`discover`] asks all sources at once, for at most [`Options::deadline`].
//!
//! | source | how | confirmed |
//! |---|---|---|
//! | the table of providers, by the domain | built in | yes |
//! | the table, by the mail exchanger | DNS | no: DNS is not signed |
//! | PACC, draft-ietf-mailmaint-pacc | https, and a TXT record with the hash | yes |
//! | autoconfig of the domain, draft-ietf-mailmaint-autoconfig | https | yes |
//! | Mozilla's database of providers, by the domain | built in, otherwise https | yes |
//! | the same, by the mail exchanger | https and DNS | no |
//! | autoconfig | http | no |
//! | SRV records (RFC 6186, RFC 8314) | DNS | no |
//! | common names: `imap.`, `mail.`, `smtp.` | a TLS handshake (also with STARTTLS) and a greeting | no |
//!
//! Confirmed servers come before unconfirmed ones; apart from that the order is that of the table. Servers without TLS are never
//! used. Unconfirmed hosts must be shown to a person before a password is sent there; this is up to the caller.

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

pub use self::found::{Found, Offer, OfferOrigin, Tried};
pub use self::paste::{lines as config_lines, server as config_place};

/// The settings of a discovery.
#[derive(Clone, Debug)]
pub struct DiscoverOptions {
    /// The name server to use instead of the system's.
    pub resolver: Option<SocketAddr>,
    /// A PEM file with the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// How long it may take.
    pub deadline: Duration,
    /// The ports to connect to. They differ only in tests.
    pub ports: DiscoveryPorts,
    /// The address of Mozilla's database, to which the domain is appended. `None`: it is not used.
    pub database: Option<String>,
}

impl Default for DiscoverOptions {
    /// The system's name servers and authorities, eight seconds, and Mozilla's database.
    fn default() -> Self {
        Self {
            resolver: None,
            ca_file: None,
            deadline: Duration::from_secs(8),
            ports: DiscoveryPorts::default(),
            database: Some("https://autoconfig.thunderbird.net/v1.1/".to_owned()),
        }
    }
}

impl DiscoverOptions {
    /// The time for one document or host, so that the results of the others can still be used.
    fn time_for_one(&self) -> Duration {
        self.deadline * 5 / 8
    }

    /// The time for all sources. The rest is for connecting to servers that are in doubt.
    fn time_for_sources(&self) -> Duration {
        self.deadline * 3 / 4
    }
}

/// The TCP ports to which discovery connects.
#[derive(Clone, Copy, Debug)]
pub struct DiscoveryPorts {
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

impl Default for DiscoveryPorts {
    fn default() -> Self {
        Self { https: 443, http: 80, imap: 993, pop3: 995, smtp: 465, submission: 587 }
    }
}

/// A parsed address.
#[derive(Clone, Debug)]
struct Subject {
    /// The address as it was given.
    address: String,
    local: String,
    /// In lower case, and in A-labels (`xn--…`) if it is in another script.
    domain: String,
}

impl Subject {
    fn parse(address: &str) -> Result<Self> {
        let refuse = |flaw: &str| {
            let shown = clean::short(address, 80);
            Error::permanent(Kind::Usage, format!("`{shown}` is not an address: {flaw}"))
        };
        if let Some(flaw) = mailbox::flaw(address) {
            return Err(refuse(flaw));
        }
        let (local, domain) = address.rsplit_once('@').ok_or_else(|| refuse("it is not like `name@example.com`"))?;
        let domain = idna::domain_to_ascii(domain).map_err(|_| refuse("its domain is not a valid name"))?;
        if !crate::config::is_host_name(&domain) || domain.starts_with('[') {
            return Err(refuse("the part after the @ is not a domain"));
        }
        Ok(Self { address: address.to_owned(), local: local.to_owned(), domain: domain.to_lowercase() })
    }
}

/// Finds the servers for an address.
///
/// Sources that do not answer, or answer nonsense, are listed in [`Found::tried`]. That is no error, because there are others.
/// For a provider in the table nobody has to be asked.
///
/// # Errors
///
/// [`Kind::Usage`] if the text is not an address, [`Kind::Tls`] if [`Options::ca_file`] cannot be read.
pub async fn discover(address: &str, options: &DiscoverOptions) -> Result<Found> {
    let subject = Subject::parse(address)?;
    let begun = Instant::now();
    if let Some(provider) = providers::of_domain(&subject.domain) {
        let offers = choose::of_provider(provider, &subject, &OfferOrigin::Table);
        let offers = guess::without_doubt(offers, options, &Dns::new(options), begun + options.deadline).await;
        let (offers, tried) = offers;
        return Ok(choose::found(&subject, Some(provider), offers, tried));
    }
    let dns = Dns::new(options);
    let web = Web::new(options, &dns, begun + options.time_for_one())?;
    let until = begun + options.time_for_sources();
    let of = async |what: &str, asking: PendingOffers<'_>| match timeout_at(until, asking).await {
        Ok(Ok(offers)) => (offers, None),
        Ok(Err(why)) => (Vec::new(), Some(Tried::new(what, &why))),
        Err(_) => (Vec::new(), Some(Tried::new(what, "it did not answer in time"))),
    };
    let domain = subject.domain.as_str();
    let asked = tokio::join!(
        of("mail exchangers", Box::pin(by_exchanger(&subject, &dns, &web, options))),
        of("PACC", Box::pin(pacc::ask(&subject, &dns, &web))),
        of("autoconfig", Box::pin(autoconfig::ask_domain(&subject, &web))),
        of("Mozilla's database", Box::pin(autoconfig::look_up(&subject, domain, OfferOrigin::Database, &web, options))),
        of("autoconfig over http", Box::pin(autoconfig::ask_unprotected(&subject, &web))),
        of("SRV records", Box::pin(service::ask(&subject, &dns))),
        of("common names", Box::pin(guess::ask(&subject, &dns, options))),
    );
    let (a, b, c, d, e, f, g) = asked;
    let (offers, tried): (Vec<_>, Vec<_>) = [a, b, c, d, e, f, g].into_iter().unzip();
    let (offers, doubts) = guess::without_doubt(offers.concat(), options, &dns, begun + options.deadline).await;
    let provider = offers.iter().find_map(|offer| offer.provider);
    Ok(choose::found(&subject, provider, offers, tried.into_iter().flatten().chain(doubts).collect()))
}

/// A running query of a source: its offers, or why it has none.
type PendingOffers<'a> = std::pin::Pin<Box<dyn Future<Output = std::result::Result<Vec<Offer>, web::WebFailure>> + 'a>>;

/// Looks up the domain's mail exchangers in the table and in Mozilla's database: they may belong to a known provider.
async fn by_exchanger(
    subject: &Subject,
    dns: &Dns,
    web: &Web<'_>,
    options: &DiscoverOptions,
) -> std::result::Result<Vec<Offer>, web::WebFailure> {
    let exchangers = dns.exchangers(&subject.domain).await?;
    for name in &exchangers {
        if let Some(provider) = providers::of_exchanger(name) {
            return Ok(choose::of_provider(provider, subject, &OfferOrigin::Exchanger(name.clone())));
        }
    }
    let Some(name) = exchangers.first() else { return Err("the domain has none".into()) };
    // The exchanger's domain is looked up only once: one that leads back to the domain would never end.
    let base = choose::base_of(name).filter(|base| *base != subject.domain);
    let Some(base) = base else { return Err("they belong to no known provider".into()) };
    autoconfig::look_up(subject, base, OfferOrigin::DatabaseByExchanger(name.clone()), web, options).await
}
