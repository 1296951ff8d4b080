//! The action `notify` with a webhook: sends a notification as JSON over HTTPS.

use std::time::Duration;

use super::relay::RecipientVerdict;
use crate::decision::{Importance, Notify, host_of};
use crate::error::{Error, Kind};
use crate::net::http::{agent, aside};

/// How long the whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts `{"title": …, "text": …, "importance": …}`. The server's answer decides: 2xx means sent; 408, 429, 5xx and an
/// unreachable server mean later; anything else, even a redirect, is final.
///
/// It runs on its own thread, which nobody waits for when the program stops.
pub async fn post(address: String, notify: Notify) -> RecipientVerdict {
    let doing = format!("posting to {}", host_of(&address));
    let exchange = move || exchange(&address, &notify);
    aside("webhook", exchange).await.unwrap_or_else(|e| RecipientVerdict::Later(e.while_doing(doing)))
}

/// Does the exchange. Blocks.
fn exchange(address: &str, notify: &Notify) -> RecipientVerdict {
    let importance = match notify.importance {
        Importance::High => "high",
        Importance::Normal => "normal",
        Importance::Low => "low",
    };
    let json = serde_json::json!({"title": notify.title, "text": notify.text, "importance": importance}).to_string();
    let doing = || format!("posting to {}", host_of(address));
    let request =
        agent(address.starts_with("https://"), TIMEOUT).post(address).header("Content-Type", "application/json");
    match request.send(json) {
        Ok(answer) => match answer.status().as_u16() {
            code @ 200..=299 => RecipientVerdict::Sent(format!("the webhook answered {code}")),
            code @ (408 | 429 | 500..=599) => {
                RecipientVerdict::Later(Error::transient(Kind::Refused, doing()).said(code.to_string()))
            }
            code => RecipientVerdict::Never(Error::permanent(Kind::Refused, doing()).said(code.to_string())),
        },
        // The text of the cause would repeat the address.
        Err(ureq::Error::BadUri(_)) => {
            RecipientVerdict::Never(Error::permanent(Kind::Refused, format!("{}: this is not a web address", doing())))
        }
        Err(e) => RecipientVerdict::Later(Error::transient(Kind::Network, doing()).because(e)),
    }
}
