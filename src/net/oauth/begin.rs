//! Signing in with a browser: an authorization code that only we can exchange for tokens (RFC 6749 4.1, RFC 7636, RFC 9700 2.1).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ring::rand::SecureRandom;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

use super::answer::{AuthorizationCode, Denied, GrantRequest};
use super::request::{self, TokenTrouble, encoded, tokens};
use super::{client_secret, keep};
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind, Result};
use crate::net::http::aside;

/// The longest address that a browser may return with, in bytes.
const MAX_ADDRESS_BYTES: usize = 16 * 1024;

/// One authorization request.
#[derive(Debug)]
pub struct SignInRequest {
    verifier: CodeVerifier,
    state: String,
    redirect: String,
}

/// The PKCE verifier. Only its hash is sent before the code comes back.
struct CodeVerifier(Zeroizing<String>);

impl std::fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// What a browser returned with.
#[derive(Debug)]
pub enum BrowserReturn {
    /// The answer: an authorization code.
    Code(Zeroizing<String>),
    /// The answer: a refusal.
    No(Error),
    /// Not an answer to this request: another page of the browser, or an attacker who wants us to use his own code (CSRF).
    Other,
}

/// How long a sign-in lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// Until the provider ends it.
    Open,
    /// At most this long; the provider said so.
    For(Duration),
    /// No longer than its first access token. Nothing is saved.
    Not,
}

/// 32 random bytes in base64url.
pub(super) fn random_word() -> Result<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    let failed = |_| Error::transient(Kind::Busy, "the system has no random numbers");
    ring::rand::SystemRandom::new().fill(&mut *bytes).map_err(failed)?;
    Ok(BASE64URL_NOPAD.encode(&*bytes))
}

impl SignInRequest {
    /// A new request, whose answer goes to the address `redirect`.
    pub fn new(redirect: impl Into<String>) -> Result<Self> {
        let verifier = CodeVerifier(Zeroizing::new(random_word()?));
        Ok(Self { verifier, state: random_word()?, redirect: redirect.into() })
    }

    /// The address for the browser. `more`: parameters beyond the usual ones.
    pub fn address(&self, it: &SignIn, more: &[(&str, &str)]) -> String {
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(self.verifier.0.as_bytes()));
        let mut form = vec![
            ("response_type", "code"),
            ("client_id", it.client.as_ref().map_or("", |client| client.id.as_str())),
            ("redirect_uri", &self.redirect),
            ("scope", &it.scope),
            ("state", &self.state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("login_hint", &it.user),
        ];
        form.extend(it.provider.into_iter().flat_map(|provider| provider.parameters));
        form.extend(more);
        let begins = if it.endpoints.authorize.contains('?') { '&' } else { '?' };
        format!("{}{begins}{}", it.endpoints.authorize, *encoded(&form))
    }

    /// Reads the address, or its path, with which a browser returned. `may_be_bare`: a person pasted it, and some providers show
    /// the code alone.
    pub fn came(&self, it: &SignIn, text: &str, may_be_bare: bool) -> BrowserReturn {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_ADDRESS_BYTES {
            return BrowserReturn::Other;
        }
        let Some((_, query)) = text.split_once('?') else {
            let is_code = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains("://");
            return if may_be_bare && is_code {
                BrowserReturn::Code(Zeroizing::new(text.to_owned()))
            } else {
                BrowserReturn::Other
            };
        };
        let query = query.split('#').next().unwrap_or_default();
        let of = |name: &str| {
            let fields = query.split('&').filter_map(|field| field.split_once('='));
            let mut values = fields.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value));
            values.next().filter(|_| values.next().is_none())
        };
        if of("state").is_none_or(|state| state.as_str() != self.state) {
            return BrowserReturn::Other;
        }
        // RFC 9207 2.4: an answer of another server. The issuer may be a path below the host, and only the host counts.
        if of("iss").is_some_and(|iss| origin(&iss) != origin(&it.endpoints.authorize)) {
            let text = format!("the answer does not come from {}: another server asks for the code", it.title());
            return BrowserReturn::No(Error::permanent(Kind::Protocol, text));
        }
        if let Some(error) = of("error") {
            let said = of("error_description").unwrap_or_default();
            let json = serde_json::json!({"error": error.as_str(), "error_description": said.as_str()}).to_string();
            let denied = Denied::read(json.as_bytes()).unwrap_or_default();
            let hush = |text: &str| request::hushed(&vec![("state", self.state.as_str())], text);
            return BrowserReturn::No(denied.explained(it, GrantRequest::First, denied.meaning(400), &hush));
        }
        match of("code").filter(|code| !code.is_empty()) {
            Some(code) => BrowserReturn::Code(code),
            None => BrowserReturn::Other,
        }
    }

    /// Exchanges the code for tokens, and saves them.
    pub async fn finish(self, it: &SignIn, code: AuthorizationCode) -> Result<Lasts> {
        let (secret, it) = (client_secret(it).await?, it.clone());
        aside("sign-in", move || self.finish_blocking(&it, &code, secret.as_ref())).await?
    }

    fn finish_blocking(
        &self,
        it: &SignIn,
        code: &AuthorizationCode,
        secret: Option<&secrecy::SecretString>,
    ) -> Result<Lasts> {
        let form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", self.redirect.as_str()),
            ("code_verifier", self.verifier.0.as_str()),
        ];
        let came = tokens(it, secret, form, GrantRequest::First).map_err(TokenTrouble::into_error)?;
        if came.refresh.is_none() {
            return Ok(Lasts::Not);
        }
        let lasts = came.ends_in.map_or(Lasts::Open, |seconds| Lasts::For(Duration::from_secs(seconds)));
        keep(it, came).map(|()| lasts)
    }
}

/// Whether the browser returns to a port of this machine, and to which, if the address names one.
pub fn loopback_port(redirect: &str) -> Option<Option<u16>> {
    let rest = redirect.strip_prefix("http://")?;
    let authority = rest.split(['/', '?']).next()?;
    match authority.strip_prefix("localhost").or_else(|| authority.strip_prefix("127.0.0.1")) {
        Some("") => Some(None),
        Some(port) => port.strip_prefix(':')?.parse().ok().map(Some),
        None => None,
    }
}

/// The redirect address with the port filled in.
pub fn redirect_at(redirect: &str, port: u16) -> String {
    if loopback_port(redirect) != Some(None) {
        return redirect.to_owned();
    }
    let host = crate::config::oauth::host_of(redirect);
    redirect.replacen(host, &format!("{host}:{port}"), 1)
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    format!("{scheme}://{}", rest.split(['/', '?']).next().unwrap_or_default()).to_ascii_lowercase()
}

/// A value of a query: percent-encoded, and `+` for a space.
fn decoded(value: &str) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = &after[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::oauth::{Client, Endpoints};

    fn sign_in() -> SignIn {
        SignIn {
            name: "work".into(),
            user: "me@example.com".into(),
            provider: crate::config::providers::find("google"),
            endpoints: Endpoints {
                authorize: "https://a.example/auth".into(),
                token: "https://a.example/token".into(),
                device: None,
                revoke: None,
            },
            scope: "mail x".into(),
            redirect: String::new(),
            client: Some(Client { id: "id".into(), secret: None }),
            flow: crate::config::oauth::Flow::Code,
            folder: "/tmp".into(),
        }
    }

    fn asking() -> SignInRequest {
        SignInRequest {
            verifier: CodeVerifier(Zeroizing::new("v".into())),
            state: "s1".into(),
            redirect: "http://127.0.0.1:7".into(),
        }
    }

    #[test]
    fn the_address_has_the_challenge_and_never_the_verifier() {
        let asking = SignInRequest::new("http://127.0.0.1:7").unwrap();
        let address = asking.address(&sign_in(), &[("prompt", "consent")]);
        assert!(address.starts_with("https://a.example/auth?response_type=code&client_id=id&"), "{address}");
        for part in [
            "scope=mail%20x",
            "code_challenge_method=S256",
            "access_type=offline",
            "prompt=consent",
            "redirect_uri=http%3A%2F%2F127.0.0.1%3A7",
        ] {
            assert!(address.contains(part), "{address}");
        }
        assert!(!address.contains(asking.verifier.0.as_str()));
        assert_ne!(SignInRequest::new("x").unwrap().state, asking.state);
    }

    /// RFC 7636, appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = CodeVerifier(Zeroizing::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()));
        let asking = SignInRequest { verifier, ..asking() };
        assert!(asking.address(&sign_in(), &[]).contains("code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    }

    #[test]
    fn an_answer_is_believed_only_where_it_is_one() {
        let code = |text: &str, bare| match asking().came(&sign_in(), text, bare) {
            BrowserReturn::Code(code) => Some(code.to_string()),
            _ => None,
        };
        assert_eq!(code("/?code=4%2F0a+b&state=s1", false).as_deref(), Some("4/0a b"));
        assert_eq!(
            code("http://127.0.0.1:7/?state=s1&code=x&iss=https%3A%2F%2Fa.example", false).as_deref(),
            Some("x")
        );
        assert_eq!(code("  http://localhost/?state=s1&code=x#y \n", true).as_deref(), Some("x"));
        assert_eq!(code("1234567", true).as_deref(), Some("1234567"));
        for other in
            ["/?code=x&state=s2", "/?code=x", "/favicon.ico", "", "/?state=s1", "/?code=x&code=y&state=s1", "1234567"]
        {
            assert!(code(other, false).is_none(), "{other}");
        }
        for iss in ["https://evil.example", "http://a.example", "https://a.example:444", "https://a.example.evil"] {
            let came = asking().came(&sign_in(), &format!("/?code=x&state=s1&iss={iss}"), false);
            assert!(matches!(came, BrowserReturn::No(_)), "{iss}");
        }
    }

    #[test]
    fn a_loopback_address_gets_the_port() {
        for (redirect, port, with) in [
            ("http://127.0.0.1", Some(None), "http://127.0.0.1:9"),
            ("http://localhost/back", Some(None), "http://localhost:9/back"),
            ("http://localhost:8765/", Some(Some(8765)), "http://localhost:8765/"),
            ("https://127.0.0.1", None, "https://127.0.0.1"),
            ("http://localhost.example.com", None, "http://localhost.example.com"),
            ("org.example.app://x", None, "org.example.app://x"),
        ] {
            assert_eq!(loopback_port(redirect), port, "{redirect}");
            assert_eq!(redirect_at(redirect, 9), with);
        }
    }

    #[test]
    fn whatever_a_browser_brings_only_the_state_makes_it_an_answer() {
        let known: [&[u8]; 4] = [
            b"/?code=4%2F0a+b&state=s1&iss=https%3A%2F%2Fa.example",
            b"/?error=access_denied&error_description=user+x&state=s1",
            b"http://localhost:1/back?state=s1&code=x#y",
            b"/?code=%zz%&state=%731",
        ];
        crate::fuzz::try_changes("oauth-redirects", &known, |input| {
            let text = String::from_utf8_lossy(input);
            match asking().came(&sign_in(), &text, false) {
                BrowserReturn::Code(code) => {
                    assert!(!code.is_empty() && text.contains("state="), "{text}");
                    1
                }
                BrowserReturn::No(error) => {
                    assert!(!error.to_string().contains(char::is_control), "{error}");
                    2
                }
                BrowserReturn::Other => 3,
            }
        });
    }

    #[test]
    fn a_no_is_said_in_words() {
        let came = asking().came(&sign_in(), "/?error=access_denied&error_description=user+s1&state=s1", false);
        let BrowserReturn::No(error) = came else { panic!("{came:?}") };
        assert!(error.to_string().contains("somebody declined"), "{error}");
    }
}
