//! SRV records for mail (RFC 6186, RFC 8314 5.1).

use super::Subject;
use super::choose::offer;
use super::dns::{Dns, SrvRecord};
use super::found::{Offer, OfferOrigin};
use super::web::WebFailure;
use crate::providers::{MailProtocol, Security};

/// The services, implicit TLS first.
const SERVICES: [(&str, MailProtocol, Security); 6] = [
    ("_imaps", MailProtocol::Imap, Security::Implicit),
    ("_imap", MailProtocol::Imap, Security::StartTls),
    ("_pop3s", MailProtocol::Pop3, Security::Implicit),
    ("_pop3", MailProtocol::Pop3, Security::StartTls),
    ("_submissions", MailProtocol::Smtp, Security::Implicit),
    ("_submission", MailProtocol::Smtp, Security::StartTls),
];

/// Looks up all of them.
pub(super) async fn ask(subject: &Subject, dns: &Dns) -> Result<Vec<Offer>, WebFailure> {
    let names = SERVICES.map(|(service, ..)| format!("{service}._tcp.{}", subject.domain));
    let [a, b, c, d, e, f] = &names;
    let (a, b, c, d, e, f) = tokio::join!(
        dns.services(a),
        dns.services(b),
        dns.services(c),
        dns.services(d),
        dns.services(e),
        dns.services(f)
    );
    let mut offers = Vec::new();
    let mut why = WebFailure::from("the domain has none");
    for ((name, answer), (_, mail, security)) in names.iter().zip([a, b, c, d, e, f]).zip(SERVICES) {
        match answer {
            Ok(services) => {
                let best = best(services).and_then(|(host, port)| {
                    offer(mail, &host, port, security, subject, &OfferOrigin::Service(name.clone()))
                });
                offers.extend(best);
            }
            Err(e) => why = e,
        }
    }
    if offers.is_empty() { Err(why) } else { Ok(offers) }
}

/// The server with the lowest priority, and among those the greatest weight; a single lookup needs no random choice. The host `.`
/// means that the service is not offered, even if there are other records (RFC 2782).
fn best(services: Vec<SrvRecord>) -> Option<(String, u16)> {
    if services.iter().any(|service| service.host.is_none()) {
        return None;
    }
    let best = services.into_iter().min_by_key(|service| (service.priority, u16::MAX - service.weight))?;
    best.host.map(|host| (host, best.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> SrvRecord {
        SrvRecord { priority, weight, port: 993, host: (host != ".").then(|| host.to_owned()) }
    }

    #[test]
    fn priority_then_weight() {
        let several = vec![service(10, 5, "c.example"), service(0, 1, "b.example"), service(0, 9, "a.example")];
        assert_eq!(best(several), Some(("a.example".to_owned(), 993)));
        assert_eq!(best(Vec::new()), None);
        assert_eq!(best(vec![service(0, 0, ".")]), None);
        assert_eq!(best(vec![service(0, 0, "."), service(1, 0, "a.example")]), None);
    }
}
