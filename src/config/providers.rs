//! The providers whose sign-in is known: where it is asked for, and for what. Each row says from where and when it was taken; what
//! could not be looked up is not in it.

/// One provider.
#[derive(Debug, PartialEq, Eq)]
pub struct Issuer {
    /// As it is written in the config.
    pub name: &'static str,
    /// As people call it.
    pub title: &'static str,
    /// Where the user's browser goes (RFC 6749 3.1). `{tenant}` is that of the config.
    pub authorize: &'static str,
    /// Where tokens are given (RFC 6749 3.2).
    pub token: &'static str,
    /// Where a code for another device is given (RFC 8628 3.1), if it is one that gives access to mail.
    pub device: Option<&'static str>,
    /// Where a sign-in is taken back (RFC 7009).
    pub revoke: Option<&'static str>,
    /// What is asked for: IMAP, POP3 and SMTP at once, for an account and a relay share one sign-in.
    pub scope: &'static str,
    /// Where the browser is sent back to. A loopback address without a port gets one that is free.
    pub redirect: &'static str,
    /// What is added to the address of the browser.
    pub parameters: &'static [(&'static str, &'static str)],
    /// From where this was taken, and when.
    pub source: &'static str,
}

/// The tenant of Microsoft in which work and personal accounts alike sign in.
pub(super) const TENANT: &str = "common";

/// Who is known.
pub static PROVIDERS: &[Issuer] = &[
    Issuer {
        name: "google",
        title: "Google",
        authorize: "https://accounts.google.com/o/oauth2/v2/auth",
        token: "https://oauth2.googleapis.com/token",
        // Google's device flow gives no access to mail (limited-input-device, "Allowed scopes").
        device: None,
        revoke: Some("https://oauth2.googleapis.com/revoke"),
        scope: "https://mail.google.com/",
        redirect: "http://127.0.0.1",
        parameters: &[("access_type", "offline")],
        source: "developers.google.com/identity/protocols/oauth2/native-app, 2026-11-28",
    },
    Issuer {
        name: "microsoft",
        title: "Microsoft",
        authorize: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        token: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        device: Some("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode"),
        revoke: None,
        // Not outlook.office365.com, which was refused with `invalid_scope` (pimconf 0.3.3).
        scope: "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/POP.AccessAsUser.All \
                https://outlook.office.com/SMTP.Send offline_access",
        // 127.0.0.1 is taken by its manifest alone.
        redirect: "http://localhost",
        parameters: &[],
        source: "learn.microsoft.com, how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth, 2026-11-28",
    },
    Issuer {
        name: "yahoo",
        title: "Yahoo",
        authorize: "https://api.login.yahoo.com/oauth2/request_auth",
        token: "https://api.login.yahoo.com/oauth2/get_token",
        device: None,
        revoke: None,
        scope: "mail-w",
        redirect: "https://127.0.0.1",
        parameters: &[],
        source: "Thunderbird, OAuth2Providers, comm-central of 2026-08-22",
    },
    Issuer {
        name: "fastmail",
        title: "Fastmail",
        authorize: "https://api.fastmail.com/oauth/authorize",
        token: "https://api.fastmail.com/oauth/refresh",
        device: None,
        revoke: None,
        scope: "https://www.fastmail.com/dev/protocol-imap https://www.fastmail.com/dev/protocol-pop \
                https://www.fastmail.com/dev/protocol-smtp",
        redirect: "http://127.0.0.1",
        parameters: &[],
        source: "Thunderbird, OAuth2Providers, comm-central of 2026-08-22",
    },
    Issuer {
        name: "yandex",
        title: "Yandex",
        authorize: "https://oauth.yandex.com/authorize",
        token: "https://oauth.yandex.com/token",
        device: Some("https://oauth.yandex.com/device/code"),
        revoke: None,
        scope: "mail:imap_full mail:smtp",
        redirect: "https://oauth.yandex.com/verification_code",
        parameters: &[],
        source: "yandex.com/dev/id/doc, screen-code-oauth, 2026-11-28",
    },
];

/// The provider of that name.
pub fn find(name: &str) -> Option<&'static Issuer> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}
