//! `discover`: where the servers of an address are, who says so, what is wanted there, and the lines for the config.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::output::Output;
use super::setup;
use crate::discover::{DiscoverOptions, Found, Offer, config_lines, discover};
use crate::error::Result;
use crate::providers::{MailProtocol, Provider, Security};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address, like me@example.com
    address: String,
    /// Ask this name server (ADDRESS:PORT) in the place of the system's
    #[arg(long, value_name = "SERVER")]
    resolver: Option<SocketAddr>,
    /// Do not ask Mozilla's database of providers, which learns the domain
    #[arg(long)]
    no_database: bool,
}

/// EX_UNAVAILABLE: nothing to fetch from was found.
const NOTHING: u8 = 69;

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<u8> {
    let defaults = DiscoverOptions::default();
    let database = defaults.database.clone().filter(|_| !arguments.no_database);
    let options = DiscoverOptions { resolver: arguments.resolver, database, ..defaults };
    let found = setup::block_on(discover(&arguments.address, &options))?;
    match output.json {
        true => output.json(as_json(&found)),
        false => output.data(as_text(&found).trim_end()),
    }
    let is_found = found.incoming().is_some();
    if !is_found && !output.json && !output.quiet {
        let hint = "ask your provider for its IMAP server, and write it beside `address`: imap: HOST";
        output.talk(format_args!("\nno server to fetch from was found: {hint}"));
    }
    Ok(if is_found { 0 } else { NOTHING })
}

fn as_text(found: &Found) -> String {
    let mut text = String::new();
    for mail in MailProtocol::ALL {
        let mut offers = found.offers.iter().filter(|offer| offer.mail == mail);
        let Some(best) = offers.next() else { continue };
        text +=
            &format!("{:5} {} as {}\n      from {}{}\n", mail.name(), place(best), best.user, best.origin, doubt(best));
        for other in offers.take(2) {
            text += &format!("      or {}, from {}{}\n", place(other), other.origin, doubt(other));
        }
    }
    if let Some(provider) = found.provider {
        text += &format!("\n{}.\n", provider.helps().trim_end_matches('.'));
        text += &of_provider(provider);
    } else if found.incoming().is_some_and(|offer| offer.is_token_only) {
        text += "\nThe provider takes OAuth2 alone, no password.\n";
    }
    let hosts = found.unconfirmed();
    if !hosts.is_empty() {
        text += &format!(
            "\nNot confirmed: {}. Whoever is between you and the name servers can have named another host: make sure that your provider \
             has these, before a password goes there.\n",
            hosts.join(", ")
        );
    }
    for tried in found.tried.iter().filter(|_| found.incoming().is_none()) {
        text += &format!("{}: {}\n", tried.source, tried.why);
    }
    if let Some(lines) = config_lines(found) {
        text += &format!("\n{lines}");
    }
    text
}

/// What is good to know before.
fn of_provider(provider: &Provider) -> String {
    let mut text = String::new();
    if let Some(most) = provider.limits.connections {
        text += &format!("It allows {most} connections at the same time, from all programs together.\n");
    }
    if let Some(newest) = provider.limits.newest {
        text += &format!("It shows the newest {newest} messages of a folder.\n");
    }
    text
}

fn place(offer: &Offer) -> String {
    let tls = match offer.security {
        Security::Implicit => "TLS",
        Security::StartTls => "STARTTLS",
    };
    format!("{} port {}, {tls}", offer.host, offer.port)
}

fn doubt(offer: &Offer) -> &'static str {
    if offer.is_confirmed() { "" } else { " (not confirmed)" }
}

fn as_json(found: &Found) -> Value {
    let server = |offer: &Offer| {
        json!({
            "protocol": offer.mail.key(),
            "host": offer.host,
            "port": offer.port,
            "tls": offer.security.word(),
            "user": offer.user,
            "token_only": offer.is_token_only,
            "confirmed": offer.is_confirmed(),
            "origin": offer.origin.word(),
            "from": offer.origin.to_string(),
        })
    };
    let provider = found.provider.map(|provider| {
        json!({
            "name": provider.name,
            "helps": provider.helps(),
            "switch_on": provider.switch_on,
            "secret_page": provider.secret_page,
            "connections": provider.limits.connections,
            "newest": provider.limits.newest,
            "checked": provider.checked,
        })
    });
    json!({
        "address": found.address,
        "provider": provider,
        "servers": found.offers.iter().map(server).collect::<Vec<_>>(),
        "tried": found.tried.iter().map(|it| json!({"source": it.source, "why": it.why})).collect::<Vec<_>>(),
        "config": config_lines(found),
    })
}
