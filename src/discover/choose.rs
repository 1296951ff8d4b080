//! Selects from what the sources said. Nobody is asked any more.

use std::collections::BTreeSet;

use super::Subject;
use super::found::{Found, Offer, OfferOrigin, Tried};
use crate::providers::{Confidence, MailProtocol, Provider, SecretKind, Security};

/// How many servers are kept.
const MOST_OFFERS: usize = 24;

/// The servers of a provider in the table.
pub(super) fn of_provider(provider: &'static Provider, subject: &Subject, origin: &OfferOrigin) -> Vec<Offer> {
    let offer = |mail: MailProtocol| {
        let place = provider.place(mail)?;
        Some(Offer {
            mail,
            host: place.host.to_owned(),
            port: place.port,
            security: place.security,
            user: provider.login.form(mail).of(&subject.address),
            is_token_only: provider.secret == SecretKind::OAuth2,
            origin: origin.clone(),
            is_in_doubt: place.known == Confidence::Unverified,
            provider: Some(provider),
        })
    };
    MailProtocol::ALL.into_iter().filter_map(offer).collect()
}

/// Sorts the offers: confirmed ones first, then by their source, and within one source implicit TLS before STARTTLS (RFC 8314
/// 4.1); otherwise the order stays.
pub(super) fn found(
    subject: &Subject,
    provider: Option<&'static Provider>,
    mut offers: Vec<Offer>,
    tried: Vec<Tried>,
) -> Found {
    let rank = |offer: &Offer| (offer.mail, !offer.is_confirmed(), source(&offer.origin), offer.security);
    offers.sort_by_key(rank);
    let mut seen = BTreeSet::new();
    offers.retain(|offer| seen.insert((offer.mail, offer.host.clone(), offer.port, offer.user.clone())));
    offers.truncate(MOST_OFFERS);
    let best = |mail: MailProtocol| offers.iter().find(|offer| offer.mail == mail);
    // The provider counts only if its servers are the chosen ones.
    let provider = provider.filter(|provider| {
        let is_its = |offer: &Offer| offer.provider.is_some_and(|own| own.name == provider.name);
        offers.is_empty() || best(MailProtocol::Imap).or_else(|| best(MailProtocol::Pop3)).is_some_and(is_its)
    });
    Found { address: subject.address.clone(), provider, offers, tried }
}

/// The rank of the source.
fn source(origin: &OfferOrigin) -> u8 {
    match origin {
        OfferOrigin::Table => 0,
        OfferOrigin::Exchanger(_) => 1,
        OfferOrigin::Pacc => 2,
        OfferOrigin::Autoconfig(_) => 3,
        OfferOrigin::Database => 4,
        OfferOrigin::DatabaseByExchanger(_) => 5,
        OfferOrigin::AutoconfigInTheClear(_) => 6,
        OfferOrigin::Service(_) => 7,
        OfferOrigin::Guess => 8,
    }
}

/// The domain that a mail exchanger most likely belongs to: `example.net` for `mx1.mail.example.net`, `example.co.uk` for
/// `mx.example.co.uk`. Without the list of public suffixes it is a guess, which is good enough as a key for the database.
pub(super) fn base_of(exchanger: &str) -> Option<&str> {
    let dots: Vec<usize> = exchanger.match_indices('.').map(|(at, _)| at).collect();
    let last = dots.last()?;
    let second = dots.len().checked_sub(2).and_then(|at| dots.get(at));
    let (country, label) = (&exchanger[last + 1..], second.map_or(&exchanger[..*last], |at| &exchanger[at + 1..*last]));
    // `co.uk`, `com.br`, `ne.jp`: two short labels count as one.
    let labels = if country.len() == 2 && label.len() <= 3 { 3 } else { 2 };
    match dots.len().checked_sub(labels).and_then(|at| dots.get(at)) {
        Some(at) => Some(&exchanger[at + 1..]),
        None => Some(exchanger),
    }
}

/// Fills in a template of autoconfig; `None` if the result is not valid.
pub(super) fn fill_in(template: &str, subject: &Subject) -> Option<String> {
    let text = template
        .replace("%EMAILADDRESS%", &subject.address)
        .replace("%EMAILLOCALPART%", &subject.local)
        .replace("%EMAILDOMAIN%", &subject.domain);
    let is_bad =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '%' | '\u{200b}'..='\u{206f}' | '\u{feff}');
    (!text.is_empty() && text.len() <= 254 && !text.contains(is_bad)).then_some(text)
}

/// A server that was named by another source than the table; `None` if its name is not valid.
pub(super) fn offer(
    mail: MailProtocol,
    host: &str,
    port: u16,
    security: Security,
    subject: &Subject,
    origin: &OfferOrigin,
) -> Option<Offer> {
    let host = host.trim_end_matches('.').to_lowercase();
    let is_host = crate::config::is_host_name(&host) && host.contains('.') && host.parse::<std::net::IpAddr>().is_err();
    (is_host && port != 0).then(|| Offer {
        mail,
        host,
        port,
        security,
        user: subject.address.clone(),
        is_token_only: false,
        origin: origin.clone(),
        is_in_doubt: false,
        provider: None,
    })
}
