//! Writes the result as lines of a config.

use super::found::{Found, Offer};
use crate::config::{Server, is_host_name};
use crate::providers::{self, MailProtocol, Security};

/// The lines to paste: an account, and a relay if the address does not imply one. `None` if there is no server to fetch from.
///
/// `password` and `token` are written with an example command, which the user replaces.
pub fn lines(found: &Found) -> Option<String> {
    let incoming = found.incoming()?;
    let domain = found.address.rsplit_once('@').map_or("", |(_, domain)| domain);
    let name = name_of(domain);
    let is_in_table = providers::is_enough(domain, incoming.mail);
    let mut text = format!("accounts:\n  {name}:\n    address: {}\n", scalar(&found.address));
    if is_in_table {
        if incoming.mail == MailProtocol::Pop3 {
            text += "    protocol: pop3\n";
        }
    } else {
        text += &format!("    {}: {}\n", incoming.mail.key(), server(incoming));
        if incoming.user != found.address {
            text += &format!("    user: {}\n", scalar(&incoming.user));
        }
    }
    text += &secret(incoming, &name, &found.address, "    ");
    if let Some(out) = found.best(MailProtocol::Smtp).filter(|_| !is_in_table) {
        text += &format!("relays:\n  {name}:\n    smtp: {}\n    user: {}\n", server(out), scalar(&out.user));
        text += &secret(out, &name, &found.address, "    ");
    }
    Some(text)
}

fn secret(offer: &Offer, name: &str, address: &str, indent: &str) -> String {
    match offer.is_token_only {
        true => format!("{indent}token: {{command: [oama, access, {}]}}\n", scalar(address)),
        false => format!("{indent}password: {{command: [pass, show, mail/{name}]}}\n"),
    }
}

/// A server as it is written in a config.
pub fn server(offer: &Offer) -> String {
    let Server { host, port, .. } = offer.server();
    match (port == offer.security.port(offer.mail), offer.security) {
        (true, Security::Implicit) => host,
        (true, Security::StartTls) => format!("{host}:{port}"),
        (false, security) => format!("{{host: {host}, port: {port}, tls: {}}}", security.word()),
    }
}

/// The account name for a domain: its first label.
fn name_of(domain: &str) -> String {
    let label = domain.split('.').next().unwrap_or_default();
    let is_plain = is_host_name(label) && !label.starts_with('_');
    if is_plain { label.to_lowercase() } else { "home".to_owned() }
}

/// A YAML scalar. If it cannot be plain, it is in double quotes, as in JSON.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-@".contains(c))
        && text.contains('@');
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
