//! Signing in with another device (RFC 8628): the user types a code on a page, and we poll the provider until it is entered.

use std::time::{Duration, Instant};

use secrecy::SecretString;

use super::answer::{Denied, Device, GrantMeaning, GrantRequest};
use super::request::{self, FormFields, TokenTrouble, tokens};
use super::{client_secret, keep};
use crate::clean;
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind, Result};
use crate::net::http::aside;
use crate::stop::is_stopping;

/// How much longer the polling interval becomes with each `slow_down` (RFC 8628 3.5).
const SLOW_DOWN_STEP: Duration = Duration::from_secs(5);
/// The longest time that a device code is believed to be valid.
const LONGEST_VALIDITY: Duration = Duration::from_secs(30 * 60);
/// The longest polling interval.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// What the user has to type, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The page.
    pub page: String,
    /// The code. It is good for minutes, and shown to the user alone.
    pub code: String,
}

/// Signs in. `show` tells the user what to type.
pub async fn device(it: &SignIn, show: impl Fn(&DeviceCode) + Send + 'static) -> Result<()> {
    let (secret, it) = (client_secret(it).await?, it.clone());
    aside("sign-in", move || device_blocking(&it, secret.as_ref(), &show)).await?
}

fn device_blocking(it: &SignIn, secret: Option<&SecretString>, show: &dyn Fn(&DeviceCode)) -> Result<()> {
    let Some(address) = &it.endpoints.device else {
        let text = format!("{} does not allow access to mail with a code for another device", it.title());
        return Err(Error::permanent(Kind::Usage, text).helped_by("`--paste` needs no browser on this machine either"));
    };
    let given = request_codes(it, address)?;
    show(&DeviceCode {
        page: clean::line(given.verification_uri.as_bytes()),
        code: clean::line(given.user_code.as_bytes()),
    });
    let until = Instant::now() + Duration::from_secs(given.expires_in).min(LONGEST_VALIDITY);
    let mut wait = Duration::from_secs(given.interval.max(1)).min(LONGEST_INTERVAL);
    while Instant::now() < until {
        rest(wait)?;
        match tokens(it, secret, token_request(it, &given), GrantRequest::First) {
            Ok(came) => return keep(it, came),
            Err(trouble) => wait = next_wait(wait, trouble)?,
        }
    }
    Err(Error::permanent(Kind::Refused, "nobody entered the code in time").helped_by("start again"))
}

fn request_codes(it: &SignIn, address: &str) -> Result<Device> {
    let id = it.client.as_ref().map_or("", |client| client.id.as_str());
    let form = vec![("client_id", id), ("scope", it.scope.as_str())];
    let answer = request::post(address, &form)?;
    if let (200..=299, Ok(given)) = (answer.status, serde_json::from_slice(&answer.body)) {
        return Ok(given);
    }
    match Denied::read(&answer.body) {
        Some(denied) => {
            let hush = |text: &str| text.to_owned();
            Err(denied.explained(it, GrantRequest::First, denied.meaning(answer.status), &hush))
        }
        None => {
            let text = format!("{} answered {} and gave no code", it.title(), answer.status);
            Err(Error::transient(Kind::Protocol, text))
        }
    }
}

fn token_request<'a>(it: &SignIn, given: &'a Device) -> FormFields<'a> {
    // Yandex's device flow is older than the standard.
    if it.provider.is_some_and(|provider| provider.name == "yandex") {
        return vec![("grant_type", "device_code"), ("code", given.device_code.0.as_str())];
    }
    vec![("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", given.device_code.0.as_str())]
}

/// How long to wait before the next poll; an error if polling has ended.
fn next_wait(wait: Duration, trouble: TokenTrouble) -> Result<Duration> {
    match trouble {
        TokenTrouble::Denied { word, .. } if &*word == "authorization_pending" => Ok(wait),
        TokenTrouble::Denied { word, .. } if &*word == "slow_down" => Ok((wait + SLOW_DOWN_STEP).min(LONGEST_INTERVAL)),
        TokenTrouble::Denied { meaning: GrantMeaning::Passing, .. } => Ok(wait),
        // The provider cannot be reached for a moment. The code is valid for minutes (RFC 8628 3.5 asks for longer waits).
        TokenTrouble::Away(e) if e.is_transient() => Ok((wait * 2).min(LONGEST_INTERVAL)),
        trouble => Err(trouble.into_error()),
    }
}

fn rest(wait: Duration) -> Result<()> {
    let until = Instant::now() + wait;
    while Instant::now() < until {
        if is_stopping() {
            return Err(crate::stop::stopped());
        }
        std::thread::sleep(Duration::from_millis(50).min(wait));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(word: &str, meaning: GrantMeaning) -> TokenTrouble {
        let error = Error::permanent(Kind::Auth, word);
        TokenTrouble::Denied { meaning, error, word: word.into() }
    }

    #[test]
    fn the_answers_of_rfc_8628_are_known() {
        let wait = Duration::from_secs(5);
        assert_eq!(next_wait(wait, denied("authorization_pending", GrantMeaning::Person)).unwrap(), wait);
        assert_eq!(next_wait(wait, denied("slow_down", GrantMeaning::Passing)).unwrap(), Duration::from_secs(10));
        assert_eq!(next_wait(LONGEST_INTERVAL, denied("slow_down", GrantMeaning::Passing)).unwrap(), LONGEST_INTERVAL);
        let away = TokenTrouble::Away(Error::transient(Kind::Network, "away"));
        assert_eq!(next_wait(wait, away).unwrap(), Duration::from_secs(10));
        for word in ["authorization_declined", "access_denied", "expired_token", "bad_verification_code"] {
            assert!(next_wait(wait, denied(word, GrantMeaning::Person)).is_err(), "{word}");
        }
    }
}
