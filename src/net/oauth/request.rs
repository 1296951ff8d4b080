//! One request to a provider: a form, and an answer in JSON (RFC 6749 4.1.3, 5).

use std::io::Read;
use std::time::Duration;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::answer::{Denied, GrantMeaning, GrantRequest, Tokens};
use crate::clean;
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind, Result};
use crate::net::http::agent;
use crate::secrets::Secrets;

/// How long the whole exchange may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of an answer is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 128 * 1024;

/// The fields of a form.
pub(super) type FormFields<'a> = Vec<(&'a str, &'a str)>;

/// What came back.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why a request brought no tokens.
#[derive(Debug)]
pub(super) enum TokenTrouble {
    /// The provider refused.
    Denied { meaning: GrantMeaning, error: Error, word: Box<str> },
    /// There was no connection, no answer, or not one from a provider. It says nothing about the sign-in.
    Away(Error),
}

impl TokenTrouble {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Denied { error, .. } | Self::Away(error) => error,
        }
    }
}

/// Posts a form. Blocks. Any status is returned as an answer.
pub(super) fn post(address: &str, form: &FormFields<'_>) -> Result<HttpAnswer> {
    let host = crate::config::oauth::host_of(address);
    let doing = || format!("asking {}", clean::short(host, 80));
    let request = agent(address.starts_with("https://"), TIMEOUT)
        .post(address)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json");
    let body = encoded(form);
    tracing::debug!(host, "asking for tokens (form hidden)");
    let failed = |e: ureq::Error| Error::transient(Kind::Network, doing()).because(e);
    let mut answer = request.send(body.as_bytes()).map_err(failed)?;
    let status = answer.status().as_u16();
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    let read = answer.body_mut().as_reader().take(MAX_ANSWER_BYTES).read_to_end(&mut body);
    read.map_err(|e| Error::network(doing(), e))?;
    tracing::debug!(host, status, "an answer came (hidden)");
    Ok(HttpAnswer { status, body })
}

/// Requests tokens.
pub(super) fn tokens(
    it: &SignIn,
    secret: Option<&SecretString>,
    form: FormFields<'_>,
    asked: GrantRequest,
) -> Result<Tokens, TokenTrouble> {
    let mut form: FormFields<'_> = form;
    form.extend(it.client.as_ref().map(|client| ("client_id", client.id.as_str())));
    form.extend(secret.map(|secret| ("client_secret", secret.expose_secret())));
    let answer = post(&it.endpoints.token, &form).map_err(|e| TokenTrouble::Away(about(it, e)))?;
    if let (200..=299, Some(tokens)) = (answer.status, Tokens::read(&answer.body)) {
        return Ok(tokens);
    }
    let hush = |text: &str| hushed(&form, text);
    match Denied::read(&answer.body).filter(|_| answer.status >= 400) {
        Some(denied) => {
            let meaning = denied.meaning(answer.status);
            let error = denied.explained(it, asked, meaning, &hush);
            Err(TokenTrouble::Denied { meaning, error, word: denied.error.into() })
        }
        // The page of a proxy or of a captive portal.
        None => {
            let said = format!("HTTP status {}, and the body is not an OAuth answer", answer.status);
            Err(TokenTrouble::Away(about(it, Error::transient(Kind::Protocol, said))))
        }
    }
}

fn about(it: &SignIn, error: Error) -> Error {
    error.while_doing(format_args!("signing in at {} as {}", it.title(), clean::short(&it.user, 80)))
}

/// A provider's text, with every secret that was sent to it removed.
pub(super) fn hushed(form: &FormFields<'_>, text: &str) -> String {
    const PUBLIC_FIELDS: [&str; 6] =
        ["client_id", "grant_type", "redirect_uri", "scope", "token_type_hint", "device_name"];
    let secrets = form.iter().filter(|(name, _)| !PUBLIC_FIELDS.contains(name));
    let mut text = text.as_bytes().to_vec();
    for (_, secret) in secrets {
        text = Secrets::of(&SecretString::from(*secret)).hushed(&text).into_owned();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Encodes a form as `application/x-www-form-urlencoded`.
pub(super) fn encoded(form: &FormFields<'_>) -> Zeroizing<String> {
    let length = form.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut text = Zeroizing::new(String::with_capacity(length));
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    text
}

/// Percent-encodes everything but the unreserved characters (RFC 3986 2.3).
pub(super) fn encode(value: &str, to: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.push(char::from(DIGITS[usize::from(byte >> 4)]));
            to.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_so_that_nothing_in_it_ends_a_field() {
        let form = vec![("scope", "https://mail/ a&b=c"), ("code", "4/0é+%")];
        assert_eq!(encoded(&form).as_str(), "scope=https%3A%2F%2Fmail%2F%20a%26b%3Dc&code=4%2F0%C3%A9%2B%25");
    }

    #[test]
    fn what_a_provider_repeats_of_a_secret_is_not_shown() {
        let form =
            vec![("grant_type", "refresh_token"), ("refresh_token", "1//hush-hush"), ("client_secret", "GOCSPX-x")];
        let said = hushed(&form, "bad refresh_token 1//hush-hush of GOCSPX-x");
        assert_eq!(said, "bad refresh_token (secret) of (secret)");
    }
}
