//! The texts that people see: advice, and the document about all providers.

use super::{Confidence, LoginForm, MailProtocol, Provider, ProviderServer, SecretKind, Security, all};

impl Provider {
    /// The advice for a refused password: which secret is required, what must be turned on, and what the user name is.
    pub fn helps(&self) -> String {
        let mut text = format!("{} wants {}", self.name, self.secret.words());
        if let Some(switch_on) = self.switch_on {
            text += &format!("; {switch_on}");
        }
        text += match (self.login.fetch, self.login.send) {
            (LoginForm::Address, _) => "",
            (LoginForm::LocalPart, LoginForm::LocalPart) => "; the user name is the part before the @",
            (LoginForm::LocalPart, LoginForm::Address) => {
                "; over IMAP the user name is the part before the @, over SMTP the full address"
            }
        };
        if let Some(note) = self.note {
            text += &format!("; {note}");
        }
        if let Some(page) = self.secret_page {
            text += &format!(" ({page})");
        }
        text
    }
}

impl SecretKind {
    /// The required secret. The text continues "it wants …".
    pub fn words(self) -> &'static str {
        match self {
            Self::Password => "the password of the mailbox",
            Self::AppPassword => {
                "an app password, not the password of the web page; it provides one if 2-step verification is on"
            }
            Self::AppPasswordWithTwoFactor => {
                "the password of the mailbox, or an app password if two-factor login is on"
            }
            Self::MailPassword => "its e-mail password, which is set separately from the password of the web page",
            Self::ClientPassword => "the password of the mailbox, or the client password if \"secure login\" is on",
            Self::Code => AUTHORISATION_CODE,
            Self::OAuth2 => {
                "OAuth2: no password and no app password, but `oauth2: microsoft` (or `token`) instead of `password`"
            }
            Self::Bridge => "the password that its Bridge shows on your own machine",
        }
    }
}

/// The secret of providers in China.
const AUTHORISATION_CODE: &str = "an authorisation code (授权码) as password, not the password of the web page; it provides one where IMAP, POP3 and SMTP are enabled, on its web page";

/// The whole table as Markdown: `docs/providers.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for provider in all() {
        text += &row(provider);
    }
    text
}

const HEAD: &str = "# Providers

The mail providers that mailsluice knows, generated from the program by `mailsluice docs providers`. With `address: me@DOMAIN` an
account or a relay takes its servers and login name from this table, if it has the domain. Your own domain is recognised by its mail
exchangers (MX): `mailsluice discover me@DOMAIN` looks them up.

Servers with a `?` are not verified. `address:` does not use them, and `discover` first connects to them to check.
";

fn row(provider: &Provider) -> String {
    let mut text = format!("\n## {}\n\n", provider.name);
    let mut line = |what: &str, said: String| {
        if !said.is_empty() {
            text += &format!("- {what}: {said}\n");
        }
    };
    line("domains", provider.domains.join(", "));
    line("mail exchangers", provider.mx.iter().map(|end| format!("*.{end}")).collect::<Vec<_>>().join(", "));
    for mail in MailProtocol::ALL {
        line(mail.name(), provider.place(mail).map(shown).unwrap_or_default());
    }
    line("logins", sentence(&provider.helps()));
    line("passwords", provider.passwords.map(|end| format!("{}. {}.", end.fetching, end.sending)).unwrap_or_default());
    let limits = &provider.limits;
    line("most connections", limits.connections.map(|number| number.to_string()).unwrap_or_default());
    line("most in a day", limits.megabytes_a_day.map(|number| format!("{number} MB")).unwrap_or_default());
    line("visible in a folder", limits.newest.map(|number| format!("the newest {number}")).unwrap_or_default());
    line("quirks", provider.quirks.iter().map(|quirk| quirk.words()).collect::<Vec<_>>().join("; "));
    line("checked", format!("{}: {}", provider.checked, provider.source));
    text
}

fn shown(place: &ProviderServer) -> String {
    let tls = match place.security {
        Security::Implicit => "TLS",
        Security::StartTls => "STARTTLS",
    };
    let doubt = if place.known == Confidence::Unverified { " ?" } else { "" };
    format!("{} port {}, {tls}{doubt}", place.host, place.port)
}

fn sentence(text: &str) -> String {
    format!("{}.", text.trim_end_matches('.'))
}
