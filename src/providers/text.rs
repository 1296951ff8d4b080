//! What the table says to people.

use super::{Confidence, LoginForm, MailProtocol, Provider, ProviderServer, SecretKind, Security, all};

impl Provider {
    /// What helps when it refuses a password: which one it wants, what must be switched on, what the user name is.
    pub fn helps(&self) -> String {
        let mut text = format!("{} wants {}", self.name, self.secret.words());
        if let Some(switch_on) = self.switch_on {
            text += &format!("; {switch_on}");
        }
        text += match (self.login.fetch, self.login.send) {
            (LoginForm::Address, _) => "",
            (LoginForm::LocalPart, LoginForm::LocalPart) => "; the user is what stands before the @",
            (LoginForm::LocalPart, LoginForm::Address) => {
                "; over IMAP the user is what stands before the @, over SMTP the full address"
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
    /// What is wanted: the end of "it wants …".
    pub fn words(self) -> &'static str {
        match self {
            Self::Password => "the password of the mailbox",
            Self::AppPassword => {
                "an app password, not the one of the web page; it gives one where 2-step verification is on"
            }
            Self::AppPasswordWithTwoFactor => {
                "the password of the mailbox, and where two-factor login is on an app password"
            }
            Self::MailPassword => "its e-mail password, which is set apart from that of the web page",
            Self::ClientPassword => "the password of the mailbox, or the client password where \"secure login\" is on",
            Self::Code => CODE,
            Self::OAuth2 => {
                "OAuth2: no password and no app password, but `oauth2: microsoft` (or `token`) in the place of `password`"
            }
            Self::Bridge => "the password that its Bridge shows, on your own machine",
        }
    }
}

/// The secret of the providers in China.
const CODE: &str = "an authorisation code (授权码) as password, not the one of the web page; it gives one where IMAP, POP3 and SMTP are \
                    switched on, on its web page";

/// The whole table for people, as Markdown: `docs/providers.md`.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for provider in all() {
        text += &row(provider);
    }
    text
}

const HEAD: &str = "# Providers

What is known of providers of mail, generated from the program by `mailsluice docs providers`. `address: me@DOMAIN` in an account or a
relay takes servers and login names from here, where the domain is one of these. Domains of one's own are known by their mail
exchangers (MX): `mailsluice discover me@DOMAIN` looks them up.

Servers with a `?` are from memory: nobody has made sure of them. `address:` does not take them, and `discover` connects to them first.
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
    line("connections at most", limits.connections.map(|number| number.to_string()).unwrap_or_default());
    line("a day at most", limits.megabytes_a_day.map(|number| format!("{number} MB")).unwrap_or_default());
    line("shows of a folder", limits.newest.map(|number| format!("the newest {number}")).unwrap_or_default());
    line("differs", provider.quirks.iter().map(|quirk| quirk.words()).collect::<Vec<_>>().join("; "));
    line("looked up", format!("{}: {}", provider.checked, provider.source));
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
