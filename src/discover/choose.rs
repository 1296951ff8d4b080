//! From what everybody said to what is believed, without asking anybody.

use std::collections::BTreeSet;

use super::Subject;
use super::found::{Found, Offer, Origin, Tried};
use crate::providers::{Known, Mail, Provider, Secret, Security};

/// So many servers are kept; the others are worth nothing to anybody.
const MOST: usize = 24;

/// The servers of a provider of the table.
pub(super) fn of_provider(provider: &'static Provider, subject: &Subject, origin: &Origin) -> Vec<Offer> {
    let offer = |mail: Mail| {
        let place = provider.place(mail)?;
        Some(Offer {
            mail,
            host: place.host.to_owned(),
            port: place.port,
            security: place.security,
            user: provider.login.form(mail).of(&subject.address),
            is_token_only: provider.secret == Secret::OAuth2,
            origin: origin.clone(),
            is_in_doubt: place.known == Known::Unverified,
            provider: Some(provider),
        })
    };
    Mail::ALL.into_iter().filter_map(offer).collect()
}

/// What is confirmed first, then by who said it, and of one source TLS from the first byte before STARTTLS (RFC 8314 4.1), each in
/// its own order.
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
    offers.truncate(MOST);
    let best = |mail: Mail| offers.iter().find(|offer| offer.mail == mail);
    // A provider counts where its servers are the ones that are taken.
    let provider = provider.filter(|provider| {
        let is_its = |offer: &Offer| offer.provider.is_some_and(|own| own.name == provider.name);
        offers.is_empty() || best(Mail::Imap).or_else(|| best(Mail::Pop3)).is_some_and(is_its)
    });
    Found { address: subject.address.clone(), provider, offers, tried }
}

/// The kind of source, whatever it was called.
fn source(origin: &Origin) -> u8 {
    match origin {
        Origin::Table => 0,
        Origin::Exchanger(_) => 1,
        Origin::Pacc => 2,
        Origin::Autoconfig(_) => 3,
        Origin::Database => 4,
        Origin::DatabaseByExchanger(_) => 5,
        Origin::AutoconfigInTheClear(_) => 6,
        Origin::Service(_) => 7,
        Origin::Guess => 8,
    }
}

/// The domain that a mail exchanger most likely belongs to: `example.net` of `mx1.mail.example.net`, `example.co.uk` of
/// `mx.example.co.uk`. Without the list of public suffixes it is a guess, and no more than a key for a database of known ones.
pub(super) fn base_of(exchanger: &str) -> Option<&str> {
    let dots: Vec<usize> = exchanger.match_indices('.').map(|(at, _)| at).collect();
    let last = dots.last()?;
    let second = dots.len().checked_sub(2).and_then(|at| dots.get(at));
    let (country, label) = (&exchanger[last + 1..], second.map_or(&exchanger[..*last], |at| &exchanger[at + 1..*last]));
    // `co.uk`, `com.br`, `ne.jp`: two short labels are one.
    let labels = if country.len() == 2 && label.len() <= 3 { 3 } else { 2 };
    match dots.len().checked_sub(labels).and_then(|at| dots.get(at)) {
        Some(at) => Some(&exchanger[at + 1..]),
        None => Some(exchanger),
    }
}

/// The login name out of a template of autoconfig, where it is one that can be understood.
pub(super) fn filled(template: &str, subject: &Subject) -> Option<String> {
    let text = template
        .replace("%EMAILADDRESS%", &subject.address)
        .replace("%EMAILLOCALPART%", &subject.local)
        .replace("%EMAILDOMAIN%", &subject.domain);
    let is_bad =
        |c: char| c.is_control() || c.is_whitespace() || matches!(c, '%' | '\u{200b}'..='\u{206f}' | '\u{feff}');
    (!text.is_empty() && text.len() <= 254 && !text.contains(is_bad)).then_some(text)
}

/// A server that somebody else than the table named; `None` where its name is none.
pub(super) fn offer(
    mail: Mail,
    host: &str,
    port: u16,
    security: Security,
    subject: &Subject,
    origin: &Origin,
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
