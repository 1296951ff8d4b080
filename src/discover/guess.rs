//! Tries common host names: a server is accepted if it has a valid certificate and greets with the right protocol.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::choose::offer;
use super::dns::Dns;
use super::found::{Offer, OfferOrigin, Tried};
use super::web::WebFailure;
use super::{DiscoverOptions, Subject};
use crate::config::{Server, Tls, Trust};
use crate::error::Result;
use crate::net::{self, LineStream};
use crate::providers::{MailProtocol, Security};

/// The first labels of the host names, the most likely first.
const NAMES: [(MailProtocol, Security, &[&str]); 4] = [
    (MailProtocol::Imap, Security::Implicit, &["imap", "mail"]),
    (MailProtocol::Pop3, Security::Implicit, &["pop3", "pop", "mail"]),
    (MailProtocol::Smtp, Security::Implicit, &["smtp", "mail"]),
    // Many servers accept mail only on this port.
    (MailProtocol::Smtp, Security::StartTls, &["smtp", "mail"]),
];
/// The most lines of a reply to EHLO.
const MOST_LINES: usize = 64;
/// How long one answer of a host may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Tries all of them.
pub(super) async fn ask(subject: &Subject, dns: &Dns, options: &DiscoverOptions) -> Result<Vec<Offer>, WebFailure> {
    let candidates = NAMES.iter().flat_map(|(mail, security, labels)| {
        let port = port_of(*mail, *security, options);
        labels.iter().filter_map(move |label| {
            let host = format!("{label}.{}", subject.domain);
            offer(*mail, &host, port, *security, subject, &OfferOrigin::Guess)
        })
    });
    let found = answering(candidates.collect(), options, dns).await;
    if found.is_empty() { Err("none of them answers like a mail server with TLS".into()) } else { Ok(found) }
}

/// Removes offers that are in doubt and do not answer.
pub(super) async fn without_doubt(
    offers: Vec<Offer>,
    options: &DiscoverOptions,
    dns: &Dns,
    deadline: Instant,
) -> (Vec<Offer>, Vec<Tried>) {
    let (doubtful, mut good): (Vec<_>, Vec<_>) = offers.into_iter().partition(|offer| offer.is_in_doubt);
    if doubtful.is_empty() {
        return (good, Vec::new());
    }
    let hosts: Vec<String> = doubtful.iter().map(|offer| offer.host.clone()).collect();
    let answered = timeout_at(deadline, answering(doubtful, options, dns)).await.unwrap_or_default();
    let is_silent = |host: &&String| !answered.iter().any(|offer| offer.host == **host);
    let why = "it is not verified, and it does not answer";
    let tried = hosts.iter().filter(is_silent).map(|host| Tried::new(host, why)).collect();
    good.extend(answered.into_iter().map(|offer| Offer { is_in_doubt: false, ..offer }));
    (good, tried)
}

async fn answering(candidates: Vec<Offer>, options: &DiscoverOptions, dns: &Dns) -> Vec<Offer> {
    let mut trying = JoinSet::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let trust = Trust { ca_file: options.ca_file.clone(), ..Trust::default() };
        let server = Server { trust, ..candidate.server() };
        let (dns, mail, patience) = (dns.clone(), candidate.mail, options.time_for_one());
        trying.spawn(async move {
            let greeted = timeout(patience, async {
                // A host without an address is not tried.
                match dns.addresses(&server.host, server.port).await {
                    Ok(addresses) => greets(server, addresses, mail).await,
                    Err(_) => false,
                }
            });
            (at, greeted.await.unwrap_or(false))
        });
    }
    let mut answered = vec![false; candidates.len()];
    while let Some(ended) = trying.join_next().await {
        if let Ok((at, is_there)) = ended
            && let Some(answered) = answered.get_mut(at)
        {
            *answered = is_there;
        }
    }
    candidates.into_iter().zip(answered).filter_map(|(candidate, is_there)| is_there.then_some(candidate)).collect()
}

/// Whether the server has a valid certificate and greets with the right protocol.
async fn greets(server: Server, addresses: Vec<SocketAddr>, mail: MailProtocol) -> bool {
    let Ok(stream) = net::connect_at(&server, &addresses).await else { return false };
    let mut lines = LineStream::new(stream);
    let Ok(greeting) = lines.line(REPLY_TIMEOUT).await else { return false };
    let begins = |words: &str| greeting.starts_with(words.as_bytes());
    let is_one = match mail {
        MailProtocol::Imap => begins("* OK") || begins("* PREAUTH"),
        MailProtocol::Pop3 => begins("+OK"),
        MailProtocol::Smtp => begins("220 "),
    };
    match (is_one, server.tls, mail) {
        (true, Tls::StartTls, MailProtocol::Smtp) => starts_tls(lines, &server).await.unwrap_or(false),
        (is_one, Tls::Implicit, _) => is_one,
        _ => false,
    }
}

/// Does STARTTLS over SMTP (RFC 3207 4), up to the handshake.
async fn starts_tls(mut lines: LineStream, server: &Server) -> Result<bool> {
    lines.send_within(b"EHLO localhost\r\n", REPLY_TIMEOUT, "EHLO").await?;
    let mut is_offered = false;
    for _ in 0..MOST_LINES {
        let line = lines.line(REPLY_TIMEOUT).await?;
        is_offered |= line.get(4..).is_some_and(|word| word.trim_ascii().eq_ignore_ascii_case(b"STARTTLS"));
        if !line.starts_with(b"250-") {
            break;
        }
    }
    if !is_offered {
        return Ok(false);
    }
    lines.send_within(b"STARTTLS\r\n", REPLY_TIMEOUT, "STARTTLS").await?;
    if !lines.line(REPLY_TIMEOUT).await?.starts_with(b"220") {
        return Ok(false);
    }
    net::start_tls(lines.into_clean_stream()?, server).await.map(|stream| stream.is_tls())
}

fn port_of(mail: MailProtocol, security: Security, options: &DiscoverOptions) -> u16 {
    match (mail, security) {
        (MailProtocol::Imap, _) => options.ports.imap,
        (MailProtocol::Pop3, _) => options.ports.pop3,
        (MailProtocol::Smtp, Security::Implicit) => options.ports.smtp,
        (MailProtocol::Smtp, Security::StartTls) => options.ports.submission,
    }
}
