//! The providers of mail that are known by name: where their servers are, what their logins look like, which secret they want, and
//! what helps when they refuse one.
//!
//! The table is written by hand, each row with the day on which it was looked up and where. What nobody has confirmed is
//! [`Known::Unverified`]: it is tried by `mailsluice discover`, and no password goes there on the strength of the table alone.
//!
//! It lies below the config: what the table says about a server is turned into a server of the config there.

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

/// One provider.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// What it calls itself.
    pub name: &'static str,
    /// The domains of its addresses, in lower case. No domain is that of two providers.
    pub domains: &'static [&'static str],
    /// The ends of the names of its mail exchangers, for domains of its customers' own.
    pub mx: &'static [&'static str],
    /// Its IMAP server.
    pub imap: Option<ProviderServer>,
    /// Its POP3 server.
    pub pop3: Option<ProviderServer>,
    /// Its server for mail that leaves.
    pub smtp: Option<ProviderServer>,
    /// The ends of the names of its servers, by which a refusal is known as its own; the longest that fits counts.
    pub hosts: &'static [&'static str],
    /// What the login names are.
    pub login: LoginNames,
    /// Which secret it wants.
    pub secret: SecretKind,
    /// The page where that is made, or that says how, as far as known: an https address.
    pub secret_page: Option<&'static str>,
    /// What must be switched on before, and where: the rest of a sentence that begins with "it wants".
    pub switch_on: Option<&'static str>,
    /// What else to know about its logins: a whole sentence without its full stop.
    pub note: Option<&'static str>,
    /// What its refusals say, whatever the host is called, and what helps then.
    pub says: &'static [RefusalText],
    /// Since when it takes no passwords.
    pub passwords: Option<PasswordsEnd>,
    /// How much it allows.
    pub limits: ProviderLimits,
    /// In what its servers differ from others.
    pub quirks: &'static [Quirk],
    /// The day on which the row was looked up, like `2026-11-28`.
    pub checked: &'static str,
    /// Where it was looked up.
    pub source: &'static str,
}

/// What a row of the table begins with.
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
    /// Its server for this kind of mail.
    pub fn place(&self, mail: MailProtocol) -> Option<&ProviderServer> {
        match mail {
            MailProtocol::Imap => self.imap.as_ref(),
            MailProtocol::Pop3 => self.pop3.as_ref(),
            MailProtocol::Smtp => self.smtp.as_ref(),
        }
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Provider> {
    [global::ALL, europe::ALL, asia::ALL, china::ALL, hosted::ALL].into_iter().flatten()
}

/// The provider whose addresses end in this domain, however it is spelled.
pub fn of_domain(domain: &str) -> Option<&'static Provider> {
    let domain = domain.trim_end_matches('.').to_lowercase();
    all().find(|provider| provider.domains.contains(&domain.as_str()))
}

/// Whether an address of that domain is a whole account: its servers are known, and somebody has made sure of them.
pub fn is_enough(domain: &str, incoming: MailProtocol) -> bool {
    let is_sure = |place: Option<&ProviderServer>| place.is_some_and(|place| place.known == Confidence::Verified);
    of_domain(domain).is_some_and(|it| is_sure(it.place(incoming)) && is_sure(it.place(MailProtocol::Smtp)))
}

/// The provider that takes the mail of a domain, by the name of its mail exchanger.
pub fn of_exchanger(name: &str) -> Option<&'static Provider> {
    longest(name, |provider| provider.mx)
}

/// The provider whose server this is.
pub fn of_host(host: &str) -> Option<&'static Provider> {
    longest(host, |provider| provider.hosts)
}

/// What helps against a refusal, by its text in upper case, whatever the host is called. The second part: whether it helps where
/// the refusal passes by itself, too.
pub fn help_by_text(upper: &str) -> Option<&'static RefusalText> {
    all().flat_map(|provider| provider.says).find(|said| said.words.iter().any(|words| upper.contains(words)))
}

fn longest(name: &str, ends: impl Fn(&Provider) -> &'static [&'static str]) -> Option<&'static Provider> {
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
