//! The known mail providers: their servers, the form of their login names, the secrets that they require, and the
//! advice for a refused login.
//!
//! The table is maintained by hand; each row has a date and a source. Unconfirmed servers are [`Known::Unverified`]:
//! `mailsluice discover` tries them, and no password is sent there only because the table says so.
//!
//! The config builds on this module: it turns the table's servers into its own settings.

mod asia;
mod china;
mod europe;
mod global;
mod hosted;
pub mod ispdb;
mod kinds;
mod text;

pub use self::kinds::{
    Confidence, LoginForm, LoginNames, MailProtocol, PasswordsEnd, ProviderLimits, ProviderServer, Quirk, RefusalText,
    SecretKind, Security,
};
pub use self::text::document;

/// A provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Its own name.
    pub name: &'static str,
    /// The domains of its addresses, in lower case. No domain belongs to two providers.
    pub domains: &'static [&'static str],
    /// The suffixes of its mail exchangers' names, to recognise customers' own domains.
    pub mx: &'static [&'static str],
    /// Its IMAP server.
    pub imap: Option<ProviderServer>,
    /// Its POP3 server.
    pub pop3: Option<ProviderServer>,
    /// Its submission server.
    pub smtp: Option<ProviderServer>,
    /// The suffixes of its servers' names, to recognise its refusals. The longest match counts.
    pub hosts: &'static [&'static str],
    /// The form of its login names.
    pub login: LoginNames,
    /// The kind of secret that it requires.
    pub secret: SecretKind,
    /// The https address of the page where the secret is created or explained, if it is known.
    pub secret_page: Option<&'static str>,
    /// What must be turned on first, and where. The text continues a sentence that begins with "it wants".
    pub switch_on: Option<&'static str>,
    /// Other facts about its logins: a sentence without a full stop.
    pub note: Option<&'static str>,
    /// Texts of its refusals, with advice. They are recognised whatever the name of the host is.
    pub says: &'static [RefusalText],
    /// Since when it accepts no passwords.
    pub passwords: Option<PasswordsEnd>,
    /// Its limits.
    pub limits: ProviderLimits,
    /// How its servers differ from others.
    pub quirks: &'static [Quirk],
    /// The day on which the row was checked, like `2026-11-28`.
    pub checked: &'static str,
    /// The source.
    pub source: &'static str,
}

/// The defaults of a row.
const BLANK: Provider = Provider {
    name: "",
    domains: &[],
    mx: &[],
    imap: None,
    pop3: None,
    smtp: None,
    hosts: &[],
    login: LoginNames::ADDRESS,
    secret: SecretKind::Password,
    secret_page: None,
    switch_on: None,
    note: None,
    says: &[],
    passwords: None,
    limits: ProviderLimits::NONE,
    quirks: &[],
    checked: "",
    source: "",
};

impl Provider {
    /// Its server for this protocol.
    pub fn place(&self, mail: MailProtocol) -> Option<&ProviderServer> {
        match mail {
            MailProtocol::Imap => self.imap.as_ref(),
            MailProtocol::Pop3 => self.pop3.as_ref(),
            MailProtocol::Smtp => self.smtp.as_ref(),
        }
    }
}

/// All providers.
pub fn all() -> impl Iterator<Item = &'static Provider> {
    [global::ALL, europe::ALL, asia::ALL, china::ALL, hosted::ALL].into_iter().flatten()
}

/// The provider with this domain, in any spelling.
pub fn of_domain(domain: &str) -> Option<&'static Provider> {
    let domain = domain.trim_end_matches('.').to_lowercase();
    all().find(|provider| provider.domains.contains(&domain.as_str()))
}

/// Whether an address in this domain is enough for an account: its servers are known and verified.
pub fn is_enough(domain: &str, incoming: MailProtocol) -> bool {
    let is_sure = |place: Option<&ProviderServer>| place.is_some_and(|place| place.known == Confidence::Verified);
    of_domain(domain).is_some_and(|it| is_sure(it.place(incoming)) && is_sure(it.place(MailProtocol::Smtp)))
}

/// The provider with this mail exchanger.
pub fn of_exchanger(name: &str) -> Option<&'static Provider> {
    by_longest_suffix(name, |provider| provider.mx)
}

/// The provider with this host.
pub fn of_host(host: &str) -> Option<&'static Provider> {
    by_longest_suffix(host, |provider| provider.hosts)
}

/// The advice for a refusal, by its text in upper case, whatever the name of the host is.
pub fn help_by_text(upper: &str) -> Option<&'static RefusalText> {
    all().flat_map(|provider| provider.says).find(|said| said.words.iter().any(|words| upper.contains(words)))
}

fn by_longest_suffix(name: &str, ends: impl Fn(&Provider) -> &'static [&'static str]) -> Option<&'static Provider> {
    let name = name.trim_end_matches('.').to_lowercase();
    let fits = |end: &&&str| name == **end || name.strip_suffix(**end).is_some_and(|rest| rest.ends_with('.'));
    let length = |provider: &Provider| ends(provider).iter().filter(fits).map(|end| end.len()).max();
    all().filter_map(|provider| Some((length(provider)?, provider))).max_by_key(|(length, _)| *length).map(|(_, it)| it)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn is_host(name: &str) -> bool {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
    }

    #[test]
    fn every_row_is_whole() {
        for provider in all() {
            let name = provider.name;
            assert!(!name.is_empty() && !provider.source.is_empty(), "{name}: no source");
            let checked: jiff::civil::Date = provider.checked.parse().unwrap();
            assert!(checked >= jiff::civil::date(2026, 11, 1), "{name}: {checked}");
            assert!(provider.secret_page.is_none_or(|page| page.starts_with("https://")), "{name}");
            assert!(!provider.domains.is_empty() || !provider.mx.is_empty(), "{name} is never found");
            for host in provider.domains.iter().chain(provider.mx).chain(provider.hosts) {
                assert!(is_host(host), "{name}: {host}");
            }
            for mail in MailProtocol::ALL {
                let Some(place) = provider.place(mail) else { continue };
                assert!(is_host(place.host), "{name}: {}", place.host);
                assert_eq!(place.port, place.security.port(mail), "{name}: {place:?}");
                let known =
                    of_host(place.host).unwrap_or_else(|| panic!("{name}: {} is not among its hosts", place.host));
                assert_eq!(known.secret, provider.secret, "{name}: a refusal of {} names another secret", place.host);
            }
            assert!(provider.imap.is_some() || provider.secret == SecretKind::Bridge, "{name} has no server");
            assert!(!provider.helps().contains(['\n', '\r']) && provider.helps().starts_with(name), "{name}");
        }
        assert!(all().count() >= 45, "{}", all().count());
    }

    #[test]
    fn nothing_stands_for_two_providers() {
        let (mut domains, mut exchangers, mut names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for provider in all() {
            assert!(names.insert(provider.name), "{}", provider.name);
            for domain in provider.domains {
                assert!(domains.insert(domain), "{domain} is that of two");
            }
            for end in provider.mx {
                assert!(exchangers.insert(end), "{end} is that of two");
            }
        }
    }

    #[test]
    fn every_quirk_is_that_of_somebody() {
        for quirk in Quirk::ALL {
            assert!(all().any(|provider| provider.quirks.contains(&quirk)), "{quirk:?}");
            assert!(!quirk.words().is_empty());
        }
    }

    #[test]
    fn found_by_domain_exchanger_and_host() {
        let name = |found: Option<&'static Provider>| found.map(|provider| provider.name);
        assert_eq!(name(of_domain("GMail.com.")), Some("Gmail"));
        assert_eq!(name(of_domain("mail.gmail.com")), None);
        for (exchanger, provider) in [
            ("aspmx.l.google.com.", Some("Gmail")),
            ("ALT1.ASPMX.L.GOOGLE.COM", Some("Gmail")),
            ("notgoogle.com", None),
            ("example-com.mail.protection.outlook.com", Some("Microsoft 365")),
            ("outlook-com.olc.protection.outlook.com", Some("Outlook.com")),
            ("mxbiz1.qq.com", Some("Tencent exmail")),
            ("mx1.example.com", None),
            ("", None),
        ] {
            assert_eq!(name(of_exchanger(exchanger)), provider, "{exchanger}");
        }
        assert_eq!(name(of_host("imap.exmail.qq.com")), Some("Tencent exmail"));
        assert_eq!(name(of_host("notqq.com")), None);
    }

    #[test]
    fn login_names_follow_the_form() {
        let icloud = of_domain("me.com").unwrap();
        assert_eq!(icloud.login.form(MailProtocol::Imap).of("ann@me.com"), "ann");
        assert_eq!(icloud.login.form(MailProtocol::Smtp).of("ann@me.com"), "ann@me.com");
        assert_eq!(of_domain("web.de").unwrap().login.form(MailProtocol::Smtp).of("ann@web.de"), "ann");
    }
}
