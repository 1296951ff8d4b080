//! What a server's refusal of a login means, over IMAP, POP3 and SMTP alike, and what helps.

use crate::error::{Error, Kind};
use crate::refusal::{Meaning, NOT_CONNECTED, meaning};

/// A refused login, as an error: transient when the server says so, otherwise the credentials are wrong, and the error names
/// what helps. `token`: the secret was an access token.
pub fn refused(doing: &str, host: &str, token: bool, reply: &str) -> Error {
    cured(told_apart(doing, reply), host, token)
}

/// The same without what helps: other commands are refused in the same words.
pub fn told_apart(doing: &str, reply: &str) -> Error {
    let error = match meaning(reply) {
        Meaning::Later => Error::transient(Kind::Refused, doing),
        Meaning::WrongCredentials => Error::permanent(Kind::Auth, doing),
        Meaning::Final => Error::permanent(Kind::Refused, doing),
        Meaning::Unclear => Error::permanent(Kind::Login, doing).helped_by(UNCLEAR),
    };
    error.said(reply)
}

/// Adds what helps, where a person has to do something about a login.
pub fn cured(error: Error, host: &str, token: bool) -> Error {
    match cure(&error, host, token) {
        Some(cure) => error.helped_by(cure),
        None => error,
    }
}

/// What stands behind a refusal that has no reason in it.
const UNCLEAR: &str = "the server does not say why";

/// One provider, by what its replies say or by its hosts, and what helps there.
struct Cure {
    /// Upper case. One of them is enough.
    says: &'static [&'static str],
    /// The end of the server's name. One of them is enough.
    hosts: &'static [&'static str],
    helps: &'static str,
}

/// What the text says counts, whatever the host is called.
const BY_TEXT: &[Cure] = &[
    Cure {
        says: &["5.7.139", "SMTPCLIENTAUTHENTICATION IS DISABLED"],
        hosts: &[],
        helps: "Microsoft: SMTP AUTH is switched off for this organisation or mailbox. Its administrator can switch it on; a \
                password works until the end of December 2026 where it is on, `oauth2: microsoft` in its place after that",
    },
    Cure {
        says: &["5.7.30", "BASIC AUTHENTICATION IS NOT SUPPORTED"],
        hosts: &[],
        helps: "Microsoft takes no password here any more: the relay needs `oauth2: microsoft` (or `token`) in the place of `password`",
    },
    Cure {
        says: &[NOT_CONNECTED],
        hosts: &[],
        helps: "Microsoft: IMAP may be switched off (Outlook.com: Settings > Mail > Forwarding and IMAP), the user name may be an \
                alias, or it is busy",
    },
    Cure { says: &["APPLICATION-SPECIFIC PASSWORD", "APP PASSWORD"], hosts: &[], helps: APP_PASSWORD },
    Cure {
        says: &[
            "授权码",
            "AUTHORIZATION CODE",
            "AUTHORISATION CODE",
            "AUTHORIZED CODE",
            "LOGIN LOGIN ERROR",
            "LOGIN FAIL. ",
        ],
        hosts: &[],
        helps: CODE,
    },
];

/// Where the text says no more than that the login failed, the host tells.
const BY_HOST: &[Cure] = &[
    at(
        &["gmail.com", "googlemail.com", "smtp.google.com"],
        "Gmail wants an app password, not the one of the web page; it gives one where 2-step verification is on",
    ),
    at(
        &["outlook.office365.com", "outlook.com"],
        "Microsoft takes no password over IMAP and POP3 any more, an app password neither: it wants OAuth2, which is \
         `oauth2: microsoft` (or `token`) in the place of `password`",
    ),
    at(
        &["smtp.office365.com"],
        "Microsoft: an administrator has to switch SMTP AUTH on for a password, which works until the end of December 2026; `oauth2: microsoft` in its place after that",
    ),
    at(&["exmail.qq.com"], "Tencent exmail wants the client password where \"secure login\" is on"),
    at(&["qq.com", "foxmail.com", "163.com", "126.com", "yeah.net"], CODE),
    at(
        &["qiye.aliyun.com", "mxhichina.com"],
        "Alibaba wants the password or the client password, and clients switched on in its settings",
    ),
    at(
        &["mail.me.com"],
        "iCloud wants an app password (2-step verification must be on); over IMAP the user is what stands before the @, over SMTP the full address, and no alias",
    ),
    at(
        &["fastmail.com", "messagingengine.com"],
        "Fastmail wants an app password, and a plan with access for other programs",
    ),
    at(
        &["gmx.net", "gmx.com"],
        "GMX wants POP3 and IMAP switched on, on its web page, and with two-factor login an app password",
    ),
    at(
        &["web.de"],
        "web.de wants POP3 and IMAP switched on, on its web page, with two-factor login an app password, and as user what stands before the @",
    ),
    at(&["t-online.de"], "T-Online wants its e-mail password, which is set apart from that of the web page"),
    at(&["mailbox.org"], "mailbox.org wants an app password where two-factor login is on"),
    at(
        &["posteo.de"],
        "Posteo wants an app password where two-factor login is on, and the extra protection of the mailbox off",
    ),
    at(&["yandex.com", "yandex.ru"], "Yandex wants an app password, and IMAP switched on"),
    at(&["mail.ru"], "mail.ru wants an app password"),
    at(
        &["zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.jp"],
        "Zoho wants IMAP switched on, with two-factor login an app password, and the host of the account's region",
    ),
    at(&["yahoo.com", "aol.com", "att.net"], "Yahoo and AOL want an app password, where they give one"),
];

const APP_PASSWORD: &str =
    "an app password is wanted, not the one of the web page; the provider gives one where 2-step verification is on";
const CODE: &str = "an authorisation code (授权码) is wanted as password, not the one of the web page; the provider gives it where \
                    IMAP, POP3 and SMTP are switched on, on its web page";
const ANY: &str = "many providers want an app password or an authorisation code (授权码), not the password of the web page, and IMAP, \
                   POP3 or SMTP switched on there first";

const fn at(hosts: &'static [&'static str], helps: &'static str) -> Cure {
    Cure { says: &[], hosts, helps }
}

fn cure(error: &Error, host: &str, token: bool) -> Option<&'static str> {
    let (text, host) = (error.to_string().to_uppercase(), host.to_lowercase());
    let by_text = BY_TEXT.iter().find(|cure| cure.says.iter().any(|words| text.contains(words)));
    if let Some(cure) = by_text.filter(|cure| !error.is_transient() || cure.says == [NOT_CONNECTED]) {
        return Some(cure.helps);
    }
    if error.kind() != Kind::Auth || error.is_transient() {
        return None;
    }
    if token {
        return Some(
            "an access token is good for about an hour, for one mailbox and one purpose; with `oauth2`, sign in as the `user` of the account",
        );
    }
    let is_its = |end: &&str| host == **end || host.strip_suffix(*end).is_some_and(|rest| rest.ends_with('.'));
    let by_host = BY_HOST.iter().find(|cure| cure.hosts.iter().any(is_its));
    Some(by_host.map_or(ANY, |cure| cure.helps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_to_a_login_are_told_apart() {
        for reply in [
            "NO [UNAVAILABLE] later",
            "-ERR [IN-USE] locked",
            "NO [ALERT] Too many simultaneous connections.",
            "NO Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
            "NO [AUTHENTICATIONFAILED] Authentication failed. (Too many simultaneous connections.)",
        ] {
            assert!(told_apart("x", reply).is_transient(), "{reply}");
        }
        assert_eq!(told_apart("x", "NO [AUTHENTICATIONFAILED] no").kind(), Kind::Auth);
        assert_eq!(told_apart("x", "-ERR bad password").kind(), Kind::Auth);
    }

    /// What providers say, word for word, and the words that must stand behind it.
    #[test]
    fn n_5_a_refused_login_names_what_helps() {
        for (host, reply, helps) in [
            ("imap.163.com", "NO LOGIN Login error or password error", "授权码"),
            ("localhost", "NO LOGIN Login error password error", "授权码"),
            ("pop.126.com", "-ERR Unable to log on", "授权码"),
            ("smtp.yeah.net", "535 Error: authentication failed", "授权码"),
            ("imap.qq.com", "NO Login fail. Account is abnormal, service is not open, password is incorrect", "授权码"),
            ("localhost", "535 Login fail. A common reason is that the authorization code is wrong", "授权码"),
            ("localhost", "535 Error: 登录失败，请使用授权码登录", "授权码"),
            ("imap.exmail.qq.com", "NO LOGIN failed", "client password"),
            (
                "imap.gmail.com",
                "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                "Gmail wants an app password",
            ),
            ("pop.gmail.com", "-ERR [AUTH] Username and password not accepted.", "Gmail wants an app password"),
            ("localhost", "534 5.7.9 Application-specific password required. Learn more at", "app password"),
            ("smtp.gmail.com", "535 5.7.8 Username and Password not accepted. For more information, go to", "Gmail"),
            (
                "smtp.office365.com",
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                "administrator can switch it on",
            ),
            (
                "localhost",
                "550 5.7.30 Basic authentication is not supported for Client Submission.",
                "needs `oauth2: microsoft`",
            ),
            ("outlook.office365.com", "NO LOGIN failed.", "OAuth2"),
            ("imap.mail.me.com", "NO [AUTHENTICATIONFAILED] Authentication Failed", "iCloud wants an app password"),
            ("imap.web.de", "NO [AUTHENTICATIONFAILED] authentication failed", "what stands before the @"),
            ("imap.example.com", "NO [AUTHENTICATIONFAILED] no", "many providers"),
            ("notgmail.com", "-ERR invalid password", "many providers"),
        ] {
            let error = refused("x", host, false, reply);
            let text = error.to_string();
            assert!(text.contains(helps) && text.starts_with(&format!("x: {reply}")), "{host} {reply}: {text}");
            assert_eq!((error.kind(), error.is_transient()), (Kind::Auth, false), "{reply}");
        }
        let busy = refused("x", "outlook.office365.com", false, "BAD User is authenticated but not connected.");
        assert!(busy.is_transient() && busy.to_string().contains("Forwarding and IMAP"), "{busy}");
        let token = refused("x", "imap.gmail.com", true, "NO [AUTHENTICATIONFAILED] Invalid credentials");
        assert!(token.to_string().contains("access token"), "{token}");
        assert!(!refused("x", "imap.gmail.com", false, "NO [UNAVAILABLE] later").to_string().contains("app password"));
    }
}
