//! PACC (draft-ietf-mailmaint-pacc-04): one JSON document over https, whose hash is in a TXT record.
//!
//! The document has no ports: all servers use implicit TLS. Submission is called `smtp` in drafts up to 02, and `submit` since
//! 03.

use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Subject;
use super::choose::offer;
use super::dns::Dns;
use super::found::{Offer, OfferOrigin};
use super::web::{Web, WebFailure};
use crate::providers::{MailProtocol, Security};

const PATH: &str = "/.well-known/user-agent-configuration.json";

/// Asks the domain itself. Without a TXT record, or if the hash differs, the document is ignored.
pub(super) async fn ask(subject: &Subject, dns: &Dns, web: &Web<'_>) -> Result<Vec<Offer>, WebFailure> {
    let name = format!("_ua-auto-config.{}", subject.domain);
    let records = dns.texts(&name).await?;
    let hashes: Vec<Vec<u8>> = records.iter().filter_map(|record| hash_in(record)).collect();
    if hashes.is_empty() {
        return Err("it has no record".into());
    }
    let body = web.get(&web.https(&format!("ua-auto-config.{}", subject.domain), PATH)).await?;
    // There may be several records while a new document replaces an old one.
    if !hashes.iter().any(|hash| hash.as_slice() == Sha256::digest(&body).as_slice()) {
        return Err("its document is not the one whose hash is in its record".into());
    }
    read(&body, subject)
}

/// The hash in `v=UAAC1; a=sha256; d=BASE64`.
fn hash_in(record: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(record).ok()?;
    let tags: Vec<(&str, &str)> = text.split(';').filter_map(|tag| tag.trim().split_once('=')).collect();
    let value = |name: &str| tags.iter().find(|(tag, _)| *tag == name).map(|(_, value)| value.trim());
    if (value("v"), value("a")) != (Some("UAAC1"), Some("sha256")) {
        return None;
    }
    BASE64.decode(value("d")?.as_bytes()).ok()
}

fn read(body: &[u8], subject: &Subject) -> Result<Vec<Offer>, WebFailure> {
    let document: Value =
        serde_json::from_slice(body).map_err(|e| WebFailure::from(format!("its document is not JSON: {e}")))?;
    let protocols = &document["protocols"];
    let ways = &document["authentication"];
    let is_token_only = ways["oauth-public"].is_object() && !has(&ways["password"]);
    let offer_at = |mail: MailProtocol, key: &str| {
        let host = protocols[key]["host"].as_str()?;
        let port = Security::Implicit.port(mail);
        let offer = offer(mail, host, port, Security::Implicit, subject, &OfferOrigin::Pacc)?;
        Some(Offer { is_token_only, ..offer })
    };
    let submission = offer_at(MailProtocol::Smtp, "submit").or_else(|| offer_at(MailProtocol::Smtp, "smtp"));
    let offers: Vec<Offer> = [offer_at(MailProtocol::Imap, "imap"), offer_at(MailProtocol::Pop3, "pop3"), submission]
        .into_iter()
        .flatten()
        .collect();
    if offers.is_empty() { Err("its document names no server".into()) } else { Ok(offers) }
}

/// Whether the value is present and not `false`.
fn has(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: &str) -> Result<Vec<Offer>, WebFailure> {
        read(json.as_bytes(), &Subject::parse("ann@firm.example").unwrap())
    }

    #[test]
    fn documents_of_both_drafts() {
        for key in ["smtp", "submit"] {
            let offers = read_json(&format!(
                r#"{{"protocols": {{"imap": {{"host": "imap.firm.example"}}, "{key}": {{"host": "out.firm.example."}}, "jmap": {{}}}},
                    "authentication": {{"oauth-public": {{"issuer": "x"}}, "password": true}}}}"#
            ))
            .unwrap();
            let shown: Vec<_> = offers.iter().map(|o| (o.mail, o.host.as_str(), o.port, o.is_token_only)).collect();
            assert_eq!(
                shown,
                [
                    (MailProtocol::Imap, "imap.firm.example", 993, false),
                    (MailProtocol::Smtp, "out.firm.example", 465, false)
                ]
            );
        }
        let tokens =
            read_json(r#"{"protocols": {"imap": {"host": "i.example"}}, "authentication": {"oauth-public": {}}}"#);
        assert!(tokens.unwrap()[0].is_token_only);
    }

    #[test]
    fn what_is_no_document() {
        let deep = "[".repeat(100_000);
        for json in [
            "",
            "[]",
            "{}",
            r#"{"protocols": {"imap": "x"}}"#,
            r#"{"protocols": {"imap": {"host": "a b"}}}"#,
            r#"{"protocols": {"imap": {"host": "i\u001b.example"}}}"#,
            &deep,
        ] {
            assert!(read_json(json).is_err(), "{}", &json[..json.len().min(80)]);
        }
    }

    #[test]
    fn hashes_in_records() {
        assert_eq!(hash_in(b"v=UAAC1; a=sha256; d=YWJj"), Some(b"abc".to_vec()));
        for record in
            ["v=UAAC2; a=sha256; d=YWJj", "v=UAAC1; a=md5; d=YWJj", "v=UAAC1; a=sha256", "v=UAAC1; a=sha256; d=%"]
        {
            assert_eq!(hash_in(record.as_bytes()), None, "{record}");
        }
    }
}
