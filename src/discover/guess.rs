//! Names that are usual, tried: a host that answers a TLS handshake with a certificate that holds, and greets as such a server does.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::choose::offer;
use super::dns::Dns;
use super::found::{Offer, Origin};
use super::web::Why;
use super::{Options, Subject};
use crate::config::{Server, Trust};
use crate::net::{self, LineStream};
use crate::providers::{Mail, Security};

/// The first labels of hosts, the likeliest first.
const NAMES: [(Mail, &[&str]); 3] =
    [(Mail::Imap, &["imap", "mail"]), (Mail::Pop3, &["pop3", "pop", "mail"]), (Mail::Smtp, &["smtp", "mail"])];
/// Address, handshake and greeting of one host.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries them all.
pub(super) async fn ask(subject: &Subject, dns: &Dns, options: &Options) -> Result<Vec<Offer>, Why> {
    let candidates = NAMES.iter().flat_map(|(mail, labels)| {
        let port = port_of(*mail, options);
        labels.iter().filter_map(move |label| {
            let host = format!("{label}.{}", subject.domain);
            offer(*mail, &host, port, Security::Implicit, subject, &Origin::Guess)
        })
    });
    let found = those_that_answer(candidates.collect(), options, dns).await;
    if found.is_empty() { Err("none of them answers as a mail server with TLS does".into()) } else { Ok(found) }
}

/// Leaves out what is in doubt and does not answer.
pub(super) async fn without_doubt(offers: Vec<Offer>, options: &Options, dns: &Dns, deadline: Instant) -> Vec<Offer> {
    let (doubtful, mut good): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| offer.is_in_doubt);
    if doubtful.is_empty() {
        return good;
    }
    let answered = timeout_at(deadline, those_that_answer(doubtful, options, dns)).await;
    good.extend(answered.unwrap_or_default().into_iter().map(|offer| Offer { is_in_doubt: false, ..offer }));
    good
}

async fn those_that_answer(candidates: Vec<Offer>, options: &Options, dns: &Dns) -> Vec<Offer> {
    let mut trying = JoinSet::new();
    for (at, candidate) in candidates.iter().enumerate() {
        // A host that is not there is not dialled.
        let server =
            Server { trust: Trust { ca_file: options.ca_file.clone(), ..Trust::default() }, ..candidate.server() };
        let Ok(addresses) = dns.addresses(&server.host, server.port).await else { continue };
        let mail = candidate.mail;
        trying.spawn(async move { (at, timeout(PATIENCE, greets(server, addresses, mail)).await.unwrap_or(false)) });
    }
    let mut answered = vec![false; candidates.len()];
    while let Some(ended) = trying.join_next().await {
        if let Ok((at, is_there)) = ended
            && let Some(one) = answered.get_mut(at)
        {
            *one = is_there;
        }
    }
    candidates.into_iter().zip(answered).filter_map(|(candidate, is_there)| is_there.then_some(candidate)).collect()
}

/// Whether it shows a certificate that holds, and greets in the words of the protocol. Where STARTTLS is to come, the words are all.
async fn greets(server: Server, addresses: Vec<std::net::SocketAddr>, mail: Mail) -> bool {
    let Ok(stream) = net::connect_at(&server, &addresses).await else { return false };
    let mut lines = LineStream::new(stream);
    let Ok(greeting) = lines.line(PATIENCE).await else { return false };
    let begins = |words: &str| greeting.starts_with(words.as_bytes());
    match mail {
        Mail::Imap => begins("* OK") || begins("* PREAUTH"),
        Mail::Pop3 => begins("+OK"),
        Mail::Smtp => begins("220"),
    }
}

fn port_of(mail: Mail, options: &Options) -> u16 {
    match mail {
        Mail::Imap => options.ports.imap,
        Mail::Pop3 => options.ports.pop3,
        Mail::Smtp => options.ports.smtp,
    }
}
