//! A provider's answers: tokens (RFC 6749 5.1), or refusals (5.2) and what the user is told about them.

use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::store::{DEFAULT_LIFETIME_SECONDS, HiddenText};
use crate::clean;
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind};

/// The tokens of one answer.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: HiddenText,
    /// `None`: the previous refresh token stays valid (RFC 6749 6).
    pub(super) refresh: Option<HiddenText>,
    /// In seconds.
    pub(super) expires_in: u64,
    /// The longest time that the refresh token is valid, in seconds, if the provider says so (Google does).
    pub(super) ends_in: Option<u64>,
}

#[derive(Deserialize)]
struct WrittenTokens {
    access_token: HiddenText,
    refresh_token: Option<HiddenText>,
    /// A number in the standard, a string at some providers.
    expires_in: Option<serde_json::Value>,
    refresh_token_expires_in: Option<serde_json::Value>,
}

impl Tokens {
    /// `None` if the answer holds no tokens.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let written: WrittenTokens = serde_json::from_slice(body).ok()?;
        let is_valid = |token: &HiddenText| !token.0.is_empty() && token.0.bytes().all(|b| b.is_ascii_graphic());
        let seconds = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::Number(number)) => number.as_u64(),
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let refresh = written.refresh_token.filter(is_valid);
        is_valid(&written.access_token).then_some(Self {
            access: written.access_token,
            refresh,
            expires_in: seconds(written.expires_in).unwrap_or(DEFAULT_LIFETIME_SECONDS),
            ends_in: seconds(written.refresh_token_expires_in).filter(|seconds| *seconds > 0),
        })
    }
}

/// A refusal (RFC 6749 5.2), with Microsoft's additions.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Denied {
    pub(super) error: String,
    error_description: String,
    suberror: String,
    error_codes: Vec<u32>,
}

/// What a refusal means for a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantMeaning {
    /// It has ended: somebody has to sign in again.
    Over,
    /// A person has to act first; the sign-in stays valid.
    Person,
    /// It is temporary.
    Passing,
}

/// Which request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GrantRequest {
    /// A renewal of the access token.
    Renewal,
    /// The request for the first tokens.
    First,
}

impl Denied {
    /// `None` if the answer is not a refusal.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut it: Self = serde_json::from_slice(body).ok()?;
        if it.error.is_empty() {
            return None;
        }
        // Some answers have no list of codes, but name the code in the description.
        let after = it.error_description.split_once("AADSTS").map(|(_, after)| after);
        let digits: String = after.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
        it.error_codes.extend(digits.parse::<u32>().ok().filter(|code| !it.error_codes.contains(code)));
        Some(it)
    }

    /// Goes by `error` and the status alone, because Microsoft says that its codes may change.
    pub(super) fn meaning(&self, status: u16) -> GrantMeaning {
        match self.error.as_str() {
            _ if status == 429 || status >= 500 => GrantMeaning::Passing,
            "temporarily_unavailable" | "server_error" | "slow_down" | "rate_limit_exceeded" => GrantMeaning::Passing,
            "invalid_grant" => GrantMeaning::Over,
            _ => GrantMeaning::Person,
        }
    }

    /// An error that says what the refusal means, quotes the provider, and gives advice.
    pub(super) fn explained(
        &self,
        it: &SignIn,
        asked: GrantRequest,
        meaning: GrantMeaning,
        hush: &dyn Fn(&str) -> String,
    ) -> Error {
        let doing = format!("signing in at {} as {}", it.title(), clean::short(&it.user, 80));
        let said = self.error_description.lines().next().unwrap_or_default();
        let said = clean::short(&hush(&[self.error.as_str(), &self.suberror, said].join(" ")), LONGEST_QUOTE_CHARS);
        if meaning == GrantMeaning::Passing {
            return Error::transient(Kind::Refused, doing).said(said);
        }
        let sentence = self.sentence(it, asked);
        let link = match self.error_codes.first() {
            Some(code) if it.endpoints.token.contains("microsoft") => {
                format!("; https://login.microsoftonline.com/error?code={code} says more of {code}")
            }
            _ => String::new(),
        };
        let helps =
            if it.needs_a_person() || sentence.helps != SIGN_IN_AGAIN { sentence.helps } else { CHECK_REGISTRATION };
        let helps = format!("{}{link}", filled(helps, it));
        Error::permanent(Kind::Auth, format!("{doing}: {}", filled(sentence.says, it))).said(said).helped_by(helps)
    }

    fn sentence(&self, it: &SignIn, asked: GrantRequest) -> &'static Sentence {
        let provider = it.provider.map_or("", |provider| provider.name);
        let fits = |one: &&Sentence| {
            let is_said = one.errors.contains(&self.error.as_str()) || one.suberrors.contains(&self.suberror.as_str());
            let is_numbered = one.codes.iter().any(|code| self.error_codes.contains(code));
            let is_here = one.asked.is_none_or(|when| when == asked) && (one.of.is_empty() || one.of == provider);
            (is_said || is_numbered) && is_here
        };
        SENTENCES.iter().find(fits).unwrap_or(&ANY_REFUSAL)
    }
}

/// How many characters of the provider's own text are shown.
const LONGEST_QUOTE_CHARS: usize = 240;

fn filled(text: &str, it: &SignIn) -> String {
    let client = it.client.as_ref().map_or("", |client| &client.id);
    let consent = match it.endpoints.authorize.strip_suffix("/oauth2/v2.0/authorize") {
        Some(tenant) => format!("{tenant}/adminconsent?client_id={}", clean::short(client, 80)),
        None => it.endpoints.authorize.clone(),
    };
    text.replace("{name}", &it.name).replace("{title}", it.title()).replace("{consent}", &consent)
}

/// The words for a refusal. The first matching row is used. The codes select only the words, never the meaning.
struct Sentence {
    errors: &'static [&'static str],
    suberrors: &'static [&'static str],
    /// Microsoft's codes (AADSTS).
    codes: &'static [u32],
    /// `None`: for any request.
    asked: Option<GrantRequest>,
    /// The provider; empty for all.
    of: &'static str,
    says: &'static str,
    helps: &'static str,
}

const SIGN_IN_AGAIN: &str = "run `mailsluice login {name}`";
/// The advice where no person signs in.
const CHECK_REGISTRATION: &str = "check what the administrator has registered: the client or service account, its permissions, and for whom; \
                       `mailsluice login {name}` tries it";

const fn row(
    errors: &'static [&'static str],
    codes: &'static [u32],
    says: &'static str,
    helps: &'static str,
) -> Sentence {
    Sentence { errors, suberrors: &[], codes, asked: None, of: "", says, helps }
}

const ANY_REFUSAL: Sentence = row(&[], &[], "{title} refuses", SIGN_IN_AGAIN);

/// The sources: `learn.microsoft.com/entra/identity-platform/reference-error-codes` and
/// `developers.google.com/identity/protocols/oauth2`, as of 2026-11-28.
const SENTENCES: &[Sentence] = &[
    row(&[], &[50173, 50133], "the password was changed after the sign-in", SIGN_IN_AGAIN),
    Sentence {
        suberrors: &["token_expired"],
        ..row(
            &[],
            &[70043, 700_082, 70008],
            "the sign-in is too old: it was not used for 90 days, or the organisation requires a new one at intervals",
            SIGN_IN_AGAIN,
        )
    },
    row(
        &[],
        &[53003, 53000, 53001],
        "a policy of the organisation (conditional access) blocks this program",
        "ask its administrator to allow it; then run `mailsluice login {name}`",
    ),
    Sentence {
        suberrors: &["consent_required"],
        ..row(
            &["consent_required"],
            &[65001, 90094],
            "an administrator of the organisation has to allow this program first",
            "give the administrator this address: {consent}; then run `mailsluice login {name}`",
        )
    },
    Sentence {
        suberrors: &["basic_action", "additional_action"],
        ..row(
            &["interaction_required", "login_required"],
            &[50076, 50079, 50072],
            "the organisation requires a person to sign in, perhaps with a second factor",
            SIGN_IN_AGAIN,
        )
    },
    row(
        &[],
        &[7_000_218],
        "this client id needs its client secret, which was not sent: it does not belong to a public client",
        "add `client_secret`, or turn on \"Allow public client flows\" where the client is registered",
    ),
    row(&[], &[700_025], "this client id is public, and a secret was sent", "remove `client_secret`"),
    row(
        &[],
        &[7_000_222],
        "the client secret has expired",
        "create a new one where the client id is registered; at Microsoft a secret lasts for at most 24 months",
    ),
    row(
        &[],
        &[700_016, 50020],
        "the client id is not known in this tenant, or a personal account was used that does not belong to it",
        "check `client_id` and `tenant`; `common` and `consumers` are for personal accounts",
    ),
    row(
        &["invalid_client"],
        &[],
        "{title} does not know the client id, or the client secret is wrong",
        "check `client_id` and `client_secret`, in the config or in clients.yaml",
    ),
    row(
        &[],
        &[900_144],
        "{title} says that the request is incomplete: this is a bug in mailsluice",
        "please report it",
    ),
    row(
        &["invalid_scope"],
        &[],
        "{title} does not grant the requested scope",
        "check `scope`; at Microsoft it begins with https://outlook.office.com/",
    ),
    row(
        &["access_denied", "authorization_declined"],
        &[],
        "somebody declined, or a policy of the organisation did",
        SIGN_IN_AGAIN,
    ),
    row(
        &["unauthorized_client"],
        &[],
        "this client id is not allowed to request this",
        "check how it is registered; at Google it must have the type \"Desktop\", at Microsoft it must be a public client",
    ),
    row(
        &["redirect_uri_mismatch"],
        &[],
        "the client id is registered with another redirect address",
        "check `redirect`",
    ),
    Sentence {
        asked: Some(GrantRequest::First),
        ..row(
            &["invalid_grant"],
            &[],
            "the code was not accepted: it is valid once, and for a few minutes",
            SIGN_IN_AGAIN,
        )
    },
    Sentence {
        of: "google",
        ..row(
            &["invalid_grant"],
            &[],
            "Google no longer accepts the saved sign-in: the password was changed, the access was removed or not used for 6 months, or \
            the app is your own and still in \"Testing\", where a sign-in ends after 7 days",
            SIGN_IN_AGAIN,
        )
    },
    row(
        &["invalid_grant"],
        &[],
        "{title} no longer accepts the saved sign-in: the password was changed, the access was removed, or it was not used for too long",
        SIGN_IN_AGAIN,
    ),
    row(&["expired_token"], &[], "nobody entered the code in time", SIGN_IN_AGAIN),
    row(
        &["invalid_request"],
        &[],
        "{title} does not understand the request",
        "check the addresses and the `client_id` of `oauth2`",
    ),
];

/// A provider's answer to a device authorization request (RFC 8628 3.2).
#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) device_code: HiddenText,
    /// What the user types.
    pub(super) user_code: String,
    /// The page where the user types it. Google and Yandex call it `verification_url`.
    #[serde(alias = "verification_url")]
    pub(super) verification_uri: String,
    /// In seconds.
    #[serde(default = "ten_minutes")]
    pub(super) expires_in: u64,
    /// In seconds.
    #[serde(default = "five")]
    pub(super) interval: u64,
}

fn ten_minutes() -> u64 {
    600
}

/// The default of RFC 8628 3.2.
fn five() -> u64 {
    5
}

/// An authorization code, which is valid once.
pub(super) type AuthorizationCode = Zeroizing<String>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::oauth::{Client, Endpoints};
    use crate::config::providers;

    fn sign_in(provider: &str) -> SignIn {
        let provider = providers::find(provider);
        let filled = |address: &str| address.replace("{tenant}", "common");
        SignIn {
            name: "work".into(),
            user: "me@example.com".into(),
            provider,
            endpoints: Endpoints {
                authorize: provider.map_or(String::new(), |one| filled(one.authorize)),
                token: provider.map_or("https://x.example/token".into(), |one| filled(one.token)),
                device: None,
                revoke: None,
            },
            scope: String::new(),
            redirect: String::new(),
            client: Some(Client { id: "the-id".into(), secret: None }),
            flow: crate::config::oauth::Flow::Code,
            folder: "/tmp".into(),
        }
    }

    fn error(provider: &str, body: &str, status: u16, asked: GrantRequest) -> (GrantMeaning, Error) {
        let denied = Denied::read(body.as_bytes()).unwrap();
        let meaning = denied.meaning(status);
        (meaning, denied.explained(&sign_in(provider), asked, meaning, &str::to_owned))
    }

    /// For each body that a provider sends: what it means, and words that occur only in its sentence.
    const REFUSALS: &[(&str, &str, &str, GrantMeaning, &str)] = &[
        (
            "google-revoked",
            "google",
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            GrantMeaning::Over,
            "7 days",
        ),
        (
            "other-revoked",
            "",
            r#"{"error":"invalid_grant"}"#,
            GrantMeaning::Over,
            "x.example no longer accepts the saved sign-in",
        ),
        (
            "password",
            "microsoft",
            r#"{"error":"invalid_grant","error_description":"AADSTS50173: The provided grant has expired.\r\nTrace ID: 1","error_codes":[50173]}"#,
            GrantMeaning::Over,
            "password was changed after",
        ),
        (
            "password-2",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[50133]}"#,
            GrantMeaning::Over,
            "password was changed after",
        ),
        (
            "suberror",
            "microsoft",
            r#"{"error":"invalid_grant","suberror":"token_expired"}"#,
            GrantMeaning::Over,
            "too old",
        ),
        (
            "frequency",
            "microsoft",
            r#"{"error":"invalid_grant","error_description":"AADSTS70043: expired"}"#,
            GrantMeaning::Over,
            "too old",
        ),
        ("unused", "microsoft", r#"{"error":"invalid_grant","error_codes":[700082]}"#, GrantMeaning::Over, "90 days"),
        ("expired", "microsoft", r#"{"error":"invalid_grant","error_codes":[70008]}"#, GrantMeaning::Over, "too old"),
        (
            "conditional",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[53003]}"#,
            GrantMeaning::Over,
            "conditional access",
        ),
        (
            "mfa",
            "microsoft",
            r#"{"error":"interaction_required","error_codes":[50076]}"#,
            GrantMeaning::Person,
            "second factor",
        ),
        (
            "mfa-2",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[50079],"suberror":"basic_action"}"#,
            GrantMeaning::Over,
            "second factor",
        ),
        (
            "consent",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[65001],"suberror":"consent_required"}"#,
            GrantMeaning::Over,
            "/common/adminconsent?client_id=the-id",
        ),
        (
            "consent-2",
            "microsoft",
            r#"{"error":"access_denied","error_codes":[90094]}"#,
            GrantMeaning::Person,
            "administrator",
        ),
        (
            "no-secret",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[7000218]}"#,
            GrantMeaning::Person,
            "Allow public client flows",
        ),
        (
            "public",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[700025]}"#,
            GrantMeaning::Person,
            "remove `client_secret`",
        ),
        (
            "secret-old",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[7000222]}"#,
            GrantMeaning::Person,
            "24 months",
        ),
        (
            "client",
            "google",
            r#"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#,
            GrantMeaning::Person,
            "clients.yaml",
        ),
        (
            "tenant",
            "microsoft",
            r#"{"error":"unauthorized_client","error_codes":[700016]}"#,
            GrantMeaning::Person,
            "`tenant`",
        ),
        (
            "personal",
            "microsoft",
            r#"{"error":"invalid_request","error_codes":[50020]}"#,
            GrantMeaning::Person,
            "`tenant`",
        ),
        (
            "ours",
            "microsoft",
            r#"{"error":"invalid_request","error_codes":[900144]}"#,
            GrantMeaning::Person,
            "bug in mailsluice",
        ),
        (
            "scope",
            "microsoft",
            r#"{"error":"invalid_scope","error_codes":[70011]}"#,
            GrantMeaning::Person,
            "outlook.office.com",
        ),
        ("no", "google", r#"{"error":"access_denied"}"#, GrantMeaning::Person, "somebody declined"),
        ("declined", "microsoft", r#"{"error":"authorization_declined"}"#, GrantMeaning::Person, "somebody declined"),
        ("may-not", "google", r#"{"error":"unauthorized_client"}"#, GrantMeaning::Person, "how it is registered"),
        ("redirect", "google", r#"{"error":"redirect_uri_mismatch"}"#, GrantMeaning::Person, "`redirect`"),
        ("late", "microsoft", r#"{"error":"expired_token"}"#, GrantMeaning::Person, "in time"),
        ("request", "google", r#"{"error":"invalid_request"}"#, GrantMeaning::Person, "does not understand"),
        ("unknown", "google", r#"{"error":"org_internal"}"#, GrantMeaning::Person, "Google refuses"),
    ];

    #[test]
    fn every_refusal_has_its_sentence() {
        for (name, provider, body, meaning, words) in REFUSALS.iter().copied() {
            let (found, error) = error(provider, body, 400, GrantRequest::Renewal);
            assert_eq!(found, meaning, "{name}");
            assert!(error.to_string().contains(words), "{name}: {error}");
            assert!(!error.is_transient() && error.kind() == Kind::Auth, "{name}: {error}");
        }
    }

    #[test]
    fn a_number_of_microsoft_comes_with_its_page() {
        let body = r#"{"error":"invalid_grant","error_description":"AADSTS50173: The grant.\r\nTrace ID: 1234"}"#;
        let said = error("microsoft", body, 400, GrantRequest::Renewal).1.to_string();
        assert!(said.contains("https://login.microsoftonline.com/error?code=50173"), "{said}");
        assert!(said.contains("AADSTS50173") && !said.contains("1234"), "{said}");
    }

    #[test]
    fn what_may_pass_ends_nothing() {
        for (body, status) in [
            (r#"{"error":"invalid_grant"}"#, 503),
            (r#"{"error":"invalid_grant"}"#, 429),
            (r#"{"error":"temporarily_unavailable"}"#, 400),
            (r#"{"error":"server_error"}"#, 400),
        ] {
            let (meaning, error) = error("google", body, status, GrantRequest::Renewal);
            assert!(meaning == GrantMeaning::Passing && error.is_transient(), "{body} {error}");
        }
    }

    #[test]
    fn a_code_that_is_too_old_is_no_sign_in_that_is_over() {
        let said = error("google", r#"{"error":"invalid_grant"}"#, 400, GrantRequest::First).1.to_string();
        assert!(said.contains("valid once"), "{said}");
    }

    /// Whatever a provider, or somebody in its place, sends: the resulting error can be shown and mailed.
    #[test]
    fn any_answer_is_read_or_refused() {
        let known: Vec<&[u8]> = REFUSALS.iter().map(|(_, _, body, ..)| body.as_bytes()).collect();
        let more: [&[u8]; 2] =
            [br#"{"access_token":"a","refresh_token":"r","expires_in":"12","refresh_token_expires_in":604799}"#, b"[]"];
        crate::fuzz::try_changes("oauth-answers", &[&known[..], &more].concat(), |input| {
            let tokens = Tokens::read(input);
            if let Some(tokens) = &tokens {
                assert!(tokens.access.0.bytes().all(|b| b.is_ascii_graphic()));
            }
            let denied = Denied::read(input);
            let said = denied.as_ref().map(|denied| {
                let meaning = denied.meaning(400);
                let error = denied.explained(&sign_in("microsoft"), GrantRequest::Renewal, meaning, &str::to_owned);
                assert!(!error.to_string().contains(char::is_control), "{error}");
                meaning == GrantMeaning::Over
            });
            (tokens.is_some(), said)
        });
    }

    #[test]
    fn tokens_come_as_the_standard_says_and_as_some_write_them() {
        let read = |body: &str| Tokens::read(body.as_bytes());
        let full = read(r#"{"access_token":"a","refresh_token":"r","expires_in":1200,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((full.access.0.as_str(), full.expires_in), ("a", 1200));
        assert_eq!(read(r#"{"access_token":"a","expires_in":"77"}"#).unwrap().expires_in, 77);
        let bare = read(r#"{"access_token":"a"}"#).unwrap();
        assert!(bare.refresh.is_none() && bare.expires_in == DEFAULT_LIFETIME_SECONDS && bare.ends_in.is_none());
        let ends = read(r#"{"access_token":"a","refresh_token_expires_in":604799}"#).unwrap();
        assert_eq!(ends.ends_in, Some(604_799));
        for bad in ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, "[]"] {
            assert!(read(bad).is_none(), "{bad}");
        }
        assert!(Denied::read(b"<html>busy</html>").is_none() && Denied::read(b"{}").is_none());
    }
}
