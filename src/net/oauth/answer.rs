//! What a provider answers: tokens (RFC 6749 5.1), or why not (5.2), and what the user is told of it.

use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::store::{Hidden, LIFE};
use crate::clean;
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind};

/// Tokens as they were given.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) access: Hidden,
    /// `None`: the one before stays good (RFC 6749 6).
    pub(super) refresh: Option<Hidden>,
    /// In seconds.
    pub(super) expires_in: u64,
    /// For how long the refresh token is good at most, in seconds, where the provider says so (Google does).
    pub(super) ends_in: Option<u64>,
}

#[derive(Deserialize)]
struct WrittenTokens {
    access_token: Hidden,
    refresh_token: Option<Hidden>,
    /// A number by the standard, a text with some.
    expires_in: Option<serde_json::Value>,
    refresh_token_expires_in: Option<serde_json::Value>,
}

impl Tokens {
    /// `None`: this is no such answer.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let written: WrittenTokens = serde_json::from_slice(body).ok()?;
        let is_one = |token: &Hidden| !token.0.is_empty() && token.0.bytes().all(|b| b.is_ascii_graphic());
        let seconds = |value: Option<serde_json::Value>| match value {
            Some(serde_json::Value::Number(number)) => number.as_u64(),
            Some(serde_json::Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let refresh = written.refresh_token.filter(is_one);
        is_one(&written.access_token).then_some(Self {
            access: written.access_token,
            refresh,
            expires_in: seconds(written.expires_in).unwrap_or(LIFE),
            ends_in: seconds(written.refresh_token_expires_in).filter(|seconds| *seconds > 0),
        })
    }
}

/// A refusal in the words of RFC 6749 5.2, with what Microsoft adds.
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
pub(super) enum Meaning {
    /// It is over: somebody has to sign in again.
    Over,
    /// Somebody has to do something first; the sign-in stays.
    Person,
    /// It may pass.
    Passing,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// A new access token.
    Renewal,
    /// The first tokens.
    First,
}

impl Denied {
    /// `None`: this is no such answer.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut it: Self = serde_json::from_slice(body).ok()?;
        if it.error.is_empty() {
            return None;
        }
        // A provider that gives no list gives the number in its words.
        let after = it.error_description.split_once("AADSTS").map(|(_, after)| after);
        let digits: String = after.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
        it.error_codes.extend(digits.parse::<u32>().ok().filter(|code| !it.error_codes.contains(code)));
        Some(it)
    }

    /// By `error` and the status alone: Microsoft says that its numbers change.
    pub(super) fn meaning(&self, status: u16) -> Meaning {
        match self.error.as_str() {
            _ if status == 429 || status >= 500 => Meaning::Passing,
            "temporarily_unavailable" | "server_error" | "slow_down" | "rate_limit_exceeded" => Meaning::Passing,
            "invalid_grant" => Meaning::Over,
            _ => Meaning::Person,
        }
    }

    /// As an error with what it means, what was said, and what helps.
    pub(super) fn explained(
        &self,
        it: &SignIn,
        asked: Asked,
        meaning: Meaning,
        hush: &dyn Fn(&str) -> String,
    ) -> Error {
        let doing = format!("signing in at {} as {}", it.title(), clean::short(&it.user, 80));
        let said = self.error_description.lines().next().unwrap_or_default();
        let said = clean::short(&hush(&[self.error.as_str(), &self.suberror, said].join(" ")), LONGEST_SAID);
        if meaning == Meaning::Passing {
            return Error::transient(Kind::Refused, doing).said(said);
        }
        let sentence = self.sentence(it, asked);
        let link = match self.error_codes.first() {
            Some(code) if it.endpoints.token.contains("microsoft") => {
                format!("; https://login.microsoftonline.com/error?code={code} says more of {code}")
            }
            _ => String::new(),
        };
        let helps = if it.needs_a_person() || sentence.helps != AGAIN { sentence.helps } else { OF_APPS };
        let helps = format!("{}{link}", filled(helps, it));
        Error::permanent(Kind::Auth, format!("{doing}: {}", filled(sentence.says, it))).said(said).helped_by(helps)
    }

    fn sentence(&self, it: &SignIn, asked: Asked) -> &'static Sentence {
        let provider = it.provider.map_or("", |provider| provider.name);
        let fits = |one: &&Sentence| {
            let is_said = one.errors.contains(&self.error.as_str()) || one.suberrors.contains(&self.suberror.as_str());
            let is_numbered = one.codes.iter().any(|code| self.error_codes.contains(code));
            let is_here = one.asked.is_none_or(|when| when == asked) && (one.of.is_empty() || one.of == provider);
            (is_said || is_numbered) && is_here
        };
        SENTENCES.iter().find(fits).unwrap_or(&ANY)
    }
}

/// So much of what a provider says is shown, in characters.
const LONGEST_SAID: usize = 240;

fn filled(text: &str, it: &SignIn) -> String {
    let client = it.client.as_ref().map_or("", |client| &client.id);
    let consent = match it.endpoints.authorize.strip_suffix("/oauth2/v2.0/authorize") {
        Some(tenant) => format!("{tenant}/adminconsent?client_id={}", clean::short(client, 80)),
        None => it.endpoints.authorize.clone(),
    };
    text.replace("{name}", &it.name).replace("{title}", it.title()).replace("{consent}", &consent)
}

/// What is made of a refusal. The first row that fits counts; numbers choose words, and nothing else.
struct Sentence {
    errors: &'static [&'static str],
    suberrors: &'static [&'static str],
    /// Of Microsoft (AADSTS).
    codes: &'static [u32],
    /// `None`: whatever was asked for.
    asked: Option<Asked>,
    /// The provider; empty: any.
    of: &'static str,
    says: &'static str,
    helps: &'static str,
}

const AGAIN: &str = "run `mailsluice login {name}`";
/// Where nobody signs in.
const OF_APPS: &str = "look at what the administrator has registered: the client or service account, what it may do, and for whom; \
                       `mailsluice login {name}` tries it";

const fn row(
    errors: &'static [&'static str],
    codes: &'static [u32],
    says: &'static str,
    helps: &'static str,
) -> Sentence {
    Sentence { errors, suberrors: &[], codes, asked: None, of: "", says, helps }
}

const ANY: Sentence = row(&[], &[], "{title} refuses", AGAIN);

/// `learn.microsoft.com/entra/identity-platform/reference-error-codes` and `developers.google.com/identity/protocols/oauth2`,
/// as of 2026-11-28.
const SENTENCES: &[Sentence] = &[
    row(&[], &[50173, 50133], "the password was changed after the sign-in", AGAIN),
    Sentence {
        suberrors: &["token_expired"],
        ..row(
            &[],
            &[70043, 700_082, 70008],
            "the sign-in is too old: it was not used for 90 days, or the organisation wants a new one every so often",
            AGAIN,
        )
    },
    row(
        &[],
        &[53003, 53000, 53001],
        "a rule of the organisation (conditional access) does not let this program in",
        "its administrator can; then run `mailsluice login {name}`",
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
            "the organisation wants to see a person, with a second factor perhaps",
            AGAIN,
        )
    },
    row(
        &[],
        &[7_000_218],
        "this client id has a secret, which was not sent: it is none of a public client",
        "write its `client_secret`, or switch \"Allow public client flows\" on where it is registered",
    ),
    row(&[], &[700_025], "this client id is public, and a secret was sent", "leave `client_secret` out"),
    row(
        &[],
        &[7_000_222],
        "the client secret has run out",
        "make a new one where the client id is registered; Microsoft's last for 24 months at most",
    ),
    row(
        &[],
        &[700_016, 50020],
        "the client id is not known in this tenant, or a personal account is no member of it",
        "look at `client_id` and `tenant`; `common` and `consumers` are for personal accounts",
    ),
    row(
        &["invalid_client"],
        &[],
        "{title} does not know the client id, or the secret that belongs to it is another one",
        "look at `client_id` and `client_secret`, in the config or in clients.yaml",
    ),
    row(
        &[],
        &[900_144],
        "{title} misses something in what it was asked: this is a fault of mailsluice",
        "please report it",
    ),
    row(
        &["invalid_scope"],
        &[],
        "{title} does not give what is asked for",
        "look at `scope`; at Microsoft it begins with https://outlook.office.com/",
    ),
    row(
        &["access_denied", "authorization_declined"],
        &[],
        "somebody said no, or a rule of the organisation did",
        AGAIN,
    ),
    row(
        &["unauthorized_client"],
        &[],
        "this client id may not ask for that",
        "look at what it is registered for; at Google it is of the type \"Desktop\", at Microsoft a public client",
    ),
    row(
        &["redirect_uri_mismatch"],
        &[],
        "the client id is registered with another address to come back to",
        "look at `redirect`",
    ),
    Sentence {
        asked: Some(Asked::First),
        ..row(&["invalid_grant"], &[], "the code was not taken: it is good once, and for some minutes", AGAIN)
    },
    Sentence {
        of: "google",
        ..row(
            &["invalid_grant"],
            &[],
            "Google takes the saved sign-in no longer: the password was changed, the access removed or not used for 6 months, or \
             the app is your own and still in \"Testing\", which is 7 days",
            AGAIN,
        )
    },
    row(
        &["invalid_grant"],
        &[],
        "{title} takes the saved sign-in no longer: the password was changed, the access removed, or it was not used for long",
        AGAIN,
    ),
    row(&["expired_token"], &[], "nobody entered the code in time", AGAIN),
    row(
        &["invalid_request"],
        &[],
        "{title} does not understand what it was asked",
        "look at the addresses and the `client_id` of `oauth2`",
    ),
];

/// What a provider gave for a device (RFC 8628 3.2).
#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) device_code: Hidden,
    /// What the user types.
    pub(super) user_code: String,
    /// Where. Google and Yandex say `verification_url`.
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

/// RFC 8628 3.2.
fn five() -> u64 {
    5
}

/// A code that is good once.
pub(super) type Code = Zeroizing<String>;

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

    fn error(provider: &str, body: &str, status: u16, asked: Asked) -> (Meaning, Error) {
        let denied = Denied::read(body.as_bytes()).unwrap();
        let meaning = denied.meaning(status);
        (meaning, denied.explained(&sign_in(provider), asked, meaning, &str::to_owned))
    }

    /// Each body as a provider sends it, what it means, and words that only its sentence has.
    const REFUSALS: &[(&str, &str, &str, Meaning, &str)] = &[
        (
            "google-revoked",
            "google",
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            Meaning::Over,
            "7 days",
        ),
        (
            "other-revoked",
            "",
            r#"{"error":"invalid_grant"}"#,
            Meaning::Over,
            "x.example takes the saved sign-in no longer",
        ),
        (
            "password",
            "microsoft",
            r#"{"error":"invalid_grant","error_description":"AADSTS50173: The provided grant has expired.\r\nTrace ID: 1","error_codes":[50173]}"#,
            Meaning::Over,
            "password was changed after",
        ),
        (
            "password-2",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[50133]}"#,
            Meaning::Over,
            "password was changed after",
        ),
        ("suberror", "microsoft", r#"{"error":"invalid_grant","suberror":"token_expired"}"#, Meaning::Over, "too old"),
        (
            "frequency",
            "microsoft",
            r#"{"error":"invalid_grant","error_description":"AADSTS70043: expired"}"#,
            Meaning::Over,
            "too old",
        ),
        ("unused", "microsoft", r#"{"error":"invalid_grant","error_codes":[700082]}"#, Meaning::Over, "90 days"),
        ("expired", "microsoft", r#"{"error":"invalid_grant","error_codes":[70008]}"#, Meaning::Over, "too old"),
        (
            "conditional",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[53003]}"#,
            Meaning::Over,
            "conditional access",
        ),
        (
            "mfa",
            "microsoft",
            r#"{"error":"interaction_required","error_codes":[50076]}"#,
            Meaning::Person,
            "second factor",
        ),
        (
            "mfa-2",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[50079],"suberror":"basic_action"}"#,
            Meaning::Over,
            "second factor",
        ),
        (
            "consent",
            "microsoft",
            r#"{"error":"invalid_grant","error_codes":[65001],"suberror":"consent_required"}"#,
            Meaning::Over,
            "/common/adminconsent?client_id=the-id",
        ),
        (
            "consent-2",
            "microsoft",
            r#"{"error":"access_denied","error_codes":[90094]}"#,
            Meaning::Person,
            "administrator",
        ),
        (
            "no-secret",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[7000218]}"#,
            Meaning::Person,
            "Allow public client flows",
        ),
        (
            "public",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[700025]}"#,
            Meaning::Person,
            "leave `client_secret` out",
        ),
        (
            "secret-old",
            "microsoft",
            r#"{"error":"invalid_client","error_codes":[7000222]}"#,
            Meaning::Person,
            "24 months",
        ),
        (
            "client",
            "google",
            r#"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#,
            Meaning::Person,
            "clients.yaml",
        ),
        (
            "tenant",
            "microsoft",
            r#"{"error":"unauthorized_client","error_codes":[700016]}"#,
            Meaning::Person,
            "`tenant`",
        ),
        ("personal", "microsoft", r#"{"error":"invalid_request","error_codes":[50020]}"#, Meaning::Person, "`tenant`"),
        (
            "ours",
            "microsoft",
            r#"{"error":"invalid_request","error_codes":[900144]}"#,
            Meaning::Person,
            "fault of mailsluice",
        ),
        (
            "scope",
            "microsoft",
            r#"{"error":"invalid_scope","error_codes":[70011]}"#,
            Meaning::Person,
            "outlook.office.com",
        ),
        ("no", "google", r#"{"error":"access_denied"}"#, Meaning::Person, "somebody said no"),
        ("declined", "microsoft", r#"{"error":"authorization_declined"}"#, Meaning::Person, "somebody said no"),
        ("may-not", "google", r#"{"error":"unauthorized_client"}"#, Meaning::Person, "registered for"),
        ("redirect", "google", r#"{"error":"redirect_uri_mismatch"}"#, Meaning::Person, "`redirect`"),
        ("late", "microsoft", r#"{"error":"expired_token"}"#, Meaning::Person, "in time"),
        ("request", "google", r#"{"error":"invalid_request"}"#, Meaning::Person, "does not understand"),
        ("unknown", "google", r#"{"error":"org_internal"}"#, Meaning::Person, "Google refuses"),
    ];

    #[test]
    fn every_refusal_has_its_sentence() {
        for (name, provider, body, meaning, words) in REFUSALS.iter().copied() {
            let (found, error) = error(provider, body, 400, Asked::Renewal);
            assert_eq!(found, meaning, "{name}");
            assert!(error.to_string().contains(words), "{name}: {error}");
            assert!(!error.is_transient() && error.kind() == Kind::Auth, "{name}: {error}");
        }
    }

    #[test]
    fn a_number_of_microsoft_comes_with_its_page() {
        let body = r#"{"error":"invalid_grant","error_description":"AADSTS50173: The grant.\r\nTrace ID: 1234"}"#;
        let said = error("microsoft", body, 400, Asked::Renewal).1.to_string();
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
            let (meaning, error) = error("google", body, status, Asked::Renewal);
            assert!(meaning == Meaning::Passing && error.is_transient(), "{body} {error}");
        }
    }

    #[test]
    fn a_code_that_is_too_old_is_no_sign_in_that_is_over() {
        let said = error("google", r#"{"error":"invalid_grant"}"#, 400, Asked::First).1.to_string();
        assert!(said.contains("good once"), "{said}");
    }

    /// Whatever a provider, or somebody in its place, writes: what is made of it can be shown and sent.
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
                let error = denied.explained(&sign_in("microsoft"), Asked::Renewal, meaning, &str::to_owned);
                assert!(!error.to_string().contains(char::is_control), "{error}");
                meaning == Meaning::Over
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
        assert!(bare.refresh.is_none() && bare.expires_in == LIFE && bare.ends_in.is_none());
        let ends = read(r#"{"access_token":"a","refresh_token_expires_in":604799}"#).unwrap();
        assert_eq!(ends.ends_in, Some(604_799));
        for bad in ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\r\nb"}"#, "[]"] {
            assert!(read(bad).is_none(), "{bad}");
        }
        assert!(Denied::read(b"<html>busy</html>").is_none() && Denied::read(b"{}").is_none());
    }
}
