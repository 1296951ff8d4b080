//! `auth`: by which mechanism a login is done (RFC 4422). Without it, by the strongest that the server offers.

use super::Server;
use super::reader::{self, MapReader};
use super::yaml::Span;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 7677, bound to the TLS connection (RFC 9266).
    ScramSha256Plus,
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802.
    ScramSha1,
    /// RFC 2195.
    CramMd5,
    /// RFC 4616.
    Plain,
    /// User name and password, each on a question, or by the commands that a protocol has for them.
    Login,
    /// RFC 4422, appendix A: the certificate that the client has shown says who it is.
    External,
    /// RFC 7628.
    OauthBearer,
    /// What Google and Microsoft had before RFC 7628.
    Xoauth2,
}

/// What a mechanism needs to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A password.
    Password,
    /// An access token.
    Token,
    /// Nothing: a certificate speaks.
    Certificate,
}

impl Mechanism {
    /// As servers list it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::CramMd5 => "CRAM-MD5",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// What it needs.
    pub fn needs(self) -> Needs {
        match self {
            Self::External => Needs::Certificate,
            Self::OauthBearer | Self::Xoauth2 => Needs::Token,
            _ => Needs::Password,
        }
    }
}

/// The words of `auth`, in the order of the docs.
pub(super) const MECHANISM_WORDS: &[&str] = &[
    "scram-sha-256-plus",
    "scram-sha-256",
    "scram-sha-1",
    "cram-md5",
    "plain",
    "login",
    "external",
    "oauthbearer",
    "xoauth2",
    "password",
    "token",
];

/// What stands behind `auth`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Auth {
    /// What is to be said, where `auth` tells.
    needs: Option<Needs>,
    /// This one and no other.
    pub(super) only: Option<Mechanism>,
}

const MEANINGS: &[(&str, Auth)] = &[
    ("scram-sha-256-plus", by(Mechanism::ScramSha256Plus, Needs::Password)),
    ("scram-sha-256", by(Mechanism::ScramSha256, Needs::Password)),
    ("scram-sha-1", by(Mechanism::ScramSha1, Needs::Password)),
    ("cram-md5", by(Mechanism::CramMd5, Needs::Password)),
    ("plain", by(Mechanism::Plain, Needs::Password)),
    ("login", by(Mechanism::Login, Needs::Password)),
    ("external", by(Mechanism::External, Needs::Certificate)),
    ("oauthbearer", by(Mechanism::OauthBearer, Needs::Token)),
    ("xoauth2", by(Mechanism::Xoauth2, Needs::Token)),
    ("password", Auth { needs: Some(Needs::Password), only: None }),
    ("token", Auth { needs: Some(Needs::Token), only: None }),
];

const fn by(mechanism: Mechanism, needs: Needs) -> Auth {
    Auth { needs: Some(needs), only: Some(mechanism) }
}

impl Auth {
    /// Whether the secret is an access token: where it is called one, or where `auth` says so of a password.
    pub(super) fn takes_token(self, is_called_token: bool) -> bool {
        is_called_token || self.needs == Some(Needs::Token)
    }

    /// Whether a certificate speaks in the place of a secret.
    pub(super) fn is_external(self) -> bool {
        self.needs == Some(Needs::Certificate)
    }
}

/// Reads `auth`, and says where it does not fit to what stands beside it.
pub(super) fn read(map: &mut MapReader<'_, '_>) -> Auth {
    let auth = map.read("auth", |n, p| reader::choice(n, MEANINGS, p)).unwrap_or_default();
    let Some(at) = map.key_span("auth") else { return auth };
    let beside =
        |map: &MapReader<'_, '_>, keys: &[&'static str]| keys.iter().copied().find(|key| map.key_span(key).is_some());
    let (stranger, hint) = match auth.needs {
        Some(Needs::Password) => {
            (beside(map, &["token", "oauth2"]), "leave `auth` out, or name `oauthbearer` or `xoauth2`")
        }
        Some(Needs::Certificate) => (
            beside(map, &["password", "token", "oauth2"]),
            "with `auth: external` the certificate says who you are: leave it out",
        ),
        _ => (None, ""),
    };
    if let Some(stranger) = stranger {
        say_stranger(map, at, stranger, hint);
    }
    auth
}

/// Says where there is no certificate that could speak.
pub(super) fn check_certificate(map: &mut MapReader<'_, '_>, auth: Auth, server: &Server) {
    if let (Some(at), true, None) = (map.key_span("auth"), auth.is_external(), &server.trust.client) {
        let problem = map.problems().error(at, "`auth: external` needs a certificate to show");
        problem.hint("name it in the server: {host: …, client_cert: FILE, client_key: FILE}");
    }
}

fn say_stranger(map: &mut MapReader<'_, '_>, at: Span, stranger: &str, hint: &str) {
    map.problems().error(at, format!("`auth` does not fit to `{stranger}` beside it")).hint(hint);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_means_something() {
        let meant: Vec<&str> = MEANINGS.iter().map(|(word, _)| *word).collect();
        assert_eq!(meant, MECHANISM_WORDS);
        for (word, auth) in MEANINGS {
            let Some(mechanism) = auth.only else { continue };
            assert_eq!((mechanism.name().to_lowercase().as_str(), Some(mechanism.needs())), (*word, auth.needs));
        }
    }
}
