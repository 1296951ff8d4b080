//! What a refused login means in IMAP, POP3 and SMTP, and what the user can do about it.

use crate::error::{Error, Kind};
use crate::providers::{self, Provider};
use crate::refusal::{RefusalMeaning, meaning};

/// The error for a refused login: transient if the server says so, otherwise a matter of the credentials, with advice.
/// `token`: the secret was an access token.
pub fn refused(doing: &str, host: &str, token: bool, reply: &str) -> Error {
    with_advice(classified(doing, reply), host, token)
}

/// The same without the advice, because other commands are refused with the same words.
pub fn classified(doing: &str, reply: &str) -> Error {
    let error = match meaning(reply) {
        RefusalMeaning::Later => Error::transient(Kind::Refused, doing),
        RefusalMeaning::WrongCredentials => Error::permanent(Kind::Auth, doing),
        RefusalMeaning::Final => Error::permanent(Kind::Refused, doing),
        RefusalMeaning::Unclear => Error::permanent(Kind::Login, doing).helped_by(NO_REASON_GIVEN),
    };
    error.said(reply)
}

/// Adds advice to an error about a login, if a person has to act.
pub fn with_advice(error: Error, host: &str, token: bool) -> Error {
    match advice_for(&error, host, token) {
        Some(advice_for) => error.helped_by(advice_for),
        None => error,
    }
}

/// The note on a refusal that gives no reason.
const NO_REASON_GIVEN: &str = "the server does not say why";

const GENERAL_ADVICE: &str = "many providers want an app password or an authorisation code (授权码), not the password of the web page, and IMAP, \
                   POP3 or SMTP switched on there first";

/// Advice by the server's words, whatever its host name; if they only say that the login failed, by the host name.
fn advice_for(error: &Error, host: &str, token: bool) -> Option<String> {
    let said = providers::help_by_text(&error.to_string().to_uppercase());
    if let Some(said) = said.filter(|said| !error.is_transient() || said.helps_when_busy) {
        return Some(said.helps.to_owned());
    }
    if error.kind() != Kind::Auth || error.is_transient() {
        return None;
    }
    if token {
        return Some(
            "an access token is valid for about an hour, for one mailbox and one purpose; with `oauth2`, sign in as the `user` of the \
             account"
                .to_owned(),
        );
    }
    Some(providers::of_host(host).map_or_else(|| GENERAL_ADVICE.to_owned(), Provider::helps))
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
            assert!(classified("x", reply).is_transient(), "{reply}");
        }
        assert_eq!(classified("x", "NO [AUTHENTICATIONFAILED] no").kind(), Kind::Auth);
        assert_eq!(classified("x", "-ERR bad password").kind(), Kind::Auth);
    }

    /// Replies of real providers, word for word, and the words that the advice must contain.
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
                "administrator can enable it",
            ),
            (
                "localhost",
                "550 5.7.30 Basic authentication is not supported for Client Submission.",
                "needs `oauth2: microsoft`",
            ),
            ("outlook.office365.com", "NO LOGIN failed.", "OAuth2"),
            ("imap.mail.me.com", "NO [AUTHENTICATIONFAILED] Authentication Failed", "iCloud wants an app password"),
            ("imap.web.de", "NO [AUTHENTICATIONFAILED] authentication failed", "the part before the @"),
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
