//! Providers with users all over the world.

use super::kinds::{imaps, pop3s, submission, submissions};
use super::{BLANK, LoginForm, LoginNames, PasswordsEnd, Provider, ProviderLimits, Quirk, RefusalText, SecretKind};

const CHECKED: &str = "2026-11-28";

pub(super) static ALL: &[Provider] =
    &[GMAIL, OUTLOOK, MICROSOFT_365, YAHOO, ATT, AOL, VERIZON, ICLOUD, FASTMAIL, ZOHO_COM, GMX_COM, COMCAST, PROTON];

const GMAIL: Provider = Provider {
    name: "Gmail",
    domains: &["gmail.com", "googlemail.com"],
    mx: &["google.com", "googlemail.com"],
    imap: imaps("imap.gmail.com"),
    pop3: pop3s("pop.gmail.com"),
    smtp: submissions("smtp.gmail.com"),
    hosts: &["gmail.com", "googlemail.com", "smtp.google.com"],
    secret: SecretKind::AppPassword,
    secret_page: Some("https://myaccount.google.com/apppasswords"),
    says: &[RefusalText {
        words: &["APPLICATION-SPECIFIC PASSWORD", "APP PASSWORD"],
        helps: "the provider requires an app password, not the password of the web page; it provides one if 2-step verification is on",
        helps_when_busy: false,
    }],
    // The limit is for all devices together.
    limits: ProviderLimits { connections: Some(15), megabytes_a_day: Some(2500), newest: None },
    quirks: &[Quirk::DeadConnectionsCount, Quirk::PoppedOnce],
    checked: CHECKED,
    source: "Thunderbird; FairEmail, question 23 of its FAQ; support.google.com",
    ..BLANK
};

/// These texts are Microsoft's own, so they are recognised whatever the name of the host is.
const MICROSOFT_SAYS: &[RefusalText] = &[
    RefusalText {
        words: &["5.7.139", "SMTPCLIENTAUTHENTICATION IS DISABLED"],
        helps: "Microsoft: SMTP AUTH is disabled for this organisation or mailbox. Its administrator can enable it; a password then works until the end of December 2026, and after that `oauth2: microsoft` is needed",
        helps_when_busy: false,
    },
    RefusalText {
        words: &["5.7.30", "BASIC AUTHENTICATION IS NOT SUPPORTED"],
        helps: "Microsoft no longer accepts passwords here: the relay needs `oauth2: microsoft` (or `token`) instead of `password`",
        helps_when_busy: false,
    },
    RefusalText {
        words: &[crate::refusal::NOT_CONNECTED],
        helps: "Microsoft: IMAP may be disabled (Outlook.com: Settings > Mail > Forwarding and IMAP), the user name may be an alias, or the server may be busy",
        helps_when_busy: true,
    },
];

const MICROSOFT_PASSWORDS: PasswordsEnd = PasswordsEnd {
    fetching: "Microsoft accepts no passwords over IMAP and POP3, not even app passwords: for organisations since January 2023, for Outlook.com, Hotmail and Live since 16 September 2024",
    sending: "Microsoft accepts passwords over SMTP until the end of December 2026, and after that only where an administrator enables them again",
};

const MICROSOFT_QUIRKS: &[Quirk] = &[Quirk::OffersPlainInVain, Quirk::QuietIdle, Quirk::TokenInTwoSteps];

const OUTLOOK: Provider = Provider {
    name: "Outlook.com",
    domains: OUTLOOK_DOMAINS,
    mx: &["olc.protection.outlook.com"],
    imap: imaps("outlook.office365.com"),
    pop3: pop3s("outlook.office365.com"),
    smtp: submission("smtp-mail.outlook.com"),
    hosts: &["outlook.com", "hotmail.com"],
    secret: SecretKind::OAuth2,
    switch_on: Some("IMAP and POP3 must be enabled on its web page: Settings > Mail > Forwarding and IMAP"),
    note: Some("the user name is the primary address, not an alias"),
    passwords: Some(MICROSOFT_PASSWORDS),
    quirks: MICROSOFT_QUIRKS,
    checked: CHECKED,
    source: "Thunderbird; ISPDB; FairEmail, question 14 of its FAQ; techcommunity.microsoft.com 4489835",
    ..BLANK
};

const OUTLOOK_DOMAINS: &[&str] = &[
    "outlook.com",
    "hotmail.com",
    "live.com",
    "msn.com",
    "passport.com",
    "windowslive.com",
    "outlook.at",
    "outlook.be",
    "outlook.cl",
    "outlook.co.id",
    "outlook.co.il",
    "outlook.co.th",
    "outlook.com.ar",
    "outlook.com.au",
    "outlook.com.br",
    "outlook.com.gr",
    "outlook.com.tr",
    "outlook.com.vn",
    "outlook.cz",
    "outlook.de",
    "outlook.dk",
    "outlook.es",
    "outlook.fr",
    "outlook.hu",
    "outlook.ie",
    "outlook.in",
    "outlook.it",
    "outlook.jp",
    "outlook.kr",
    "outlook.lv",
    "outlook.my",
    "outlook.ph",
    "outlook.pt",
    "outlook.sa",
    "outlook.sg",
    "outlook.sk",
    "hotmail.be",
    "hotmail.ca",
    "hotmail.cl",
    "hotmail.co.jp",
    "hotmail.co.kr",
    "hotmail.co.th",
    "hotmail.co.uk",
    "hotmail.co.za",
    "hotmail.com.ar",
    "hotmail.com.au",
    "hotmail.com.br",
    "hotmail.com.tr",
    "hotmail.com.tw",
    "hotmail.cz",
    "hotmail.de",
    "hotmail.dk",
    "hotmail.es",
    "hotmail.fi",
    "hotmail.fr",
    "hotmail.gr",
    "hotmail.hu",
    "hotmail.it",
    "hotmail.nl",
    "hotmail.no",
    "hotmail.se",
    "hotmail.sk",
    "live.at",
    "live.be",
    "live.ca",
    "live.cl",
    "live.cn",
    "live.co.uk",
    "live.co.za",
    "live.com.ar",
    "live.com.au",
    "live.com.mx",
    "live.com.pt",
    "live.de",
    "live.dk",
    "live.fi",
    "live.fr",
    "live.ie",
    "live.in",
    "live.it",
    "live.jp",
    "live.nl",
    "live.no",
    "live.ru",
    "live.se",
];

const MICROSOFT_365: Provider = Provider {
    name: "Microsoft 365",
    domains: &["onmicrosoft.com"],
    mx: &["protection.outlook.com", "mx.microsoft"],
    imap: imaps("outlook.office365.com"),
    pop3: pop3s("outlook.office365.com"),
    smtp: submission("smtp.office365.com"),
    hosts: &["office365.com"],
    secret: SecretKind::OAuth2,
    switch_on: Some("an administrator must enable IMAP, SMTP AUTH and the program"),
    note: Some("over SMTP a password works until the end of December 2026 if SMTP AUTH is enabled"),
    says: MICROSOFT_SAYS,
    passwords: Some(MICROSOFT_PASSWORDS),
    quirks: MICROSOFT_QUIRKS,
    checked: CHECKED,
    source: "Thunderbird; learn.microsoft.com; techcommunity.microsoft.com 4489835",
    ..BLANK
};

const YAHOO: Provider = Provider {
    name: "Yahoo",
    domains: &[
        "yahoo.com",
        "ymail.com",
        "rocketmail.com",
        "myyahoo.com",
        "yahoo.ca",
        "yahoo.co.in",
        "yahoo.co.nz",
        "yahoo.co.uk",
        "yahoo.com.ar",
        "yahoo.com.au",
        "yahoo.com.br",
        "yahoo.com.mx",
        "yahoo.de",
        "yahoo.es",
        "yahoo.fr",
        "yahoo.in",
        "yahoo.it",
        "yahoo.se",
        "cox.net",
    ],
    mx: &["am0.yahoodns.net"],
    imap: imaps("imap.mail.yahoo.com"),
    pop3: pop3s("pop.mail.yahoo.com"),
    smtp: submissions("smtp.mail.yahoo.com"),
    hosts: &["yahoo.com"],
    secret: SecretKind::AppPassword,
    secret_page: Some("https://help.yahoo.com/kb/generate-manage-rd-party-passwords-sln15241.html"),
    note: Some("Yahoo gives app passwords only to some accounts, and OAuth2 to no new programs"),
    limits: ProviderLimits { connections: None, megabytes_a_day: None, newest: Some(10_000) },
    quirks: &[Quirk::OldMailElsewhere],
    checked: CHECKED,
    source: "ISPDB; FairEmail, question 88 of its FAQ",
    ..BLANK
};

const ATT: Provider = Provider {
    name: "AT&T",
    domains: &["att.net", "sbcglobal.net"],
    imap: imaps("imap.mail.att.net"),
    hosts: &["att.net"],
    secret: SecretKind::AppPassword,
    note: Some("it is run by Yahoo, which gives app passwords only to some accounts"),
    limits: ProviderLimits { connections: None, megabytes_a_day: None, newest: Some(10_000) },
    checked: CHECKED,
    source: "Thunderbird",
    ..BLANK
};

const AOL: Provider = Provider {
    name: "AOL",
    domains: &[
        "aol.com",
        "aim.com",
        "netscape.net",
        "netscape.com",
        "compuserve.com",
        "cs.com",
        "wmconnect.com",
        "aol.co.nz",
        "aol.co.uk",
        "aol.com.ar",
        "aol.com.au",
        "aol.com.br",
        "aol.com.mx",
        "aol.de",
        "aol.es",
        "aol.fr",
        "aol.it",
        "aol.se",
    ],
    mx: &["gm0.yahoodns.net"],
    imap: imaps("imap.aol.com"),
    pop3: pop3s("pop.aol.com"),
    smtp: submissions("smtp.aol.com"),
    hosts: &["aol.com"],
    secret: SecretKind::AppPassword,
    note: Some("AOL gives app passwords only to some accounts, and OAuth2 to no new programs"),
    limits: ProviderLimits { connections: None, megabytes_a_day: None, newest: Some(10_000) },
    checked: CHECKED,
    source: "ISPDB; FairEmail, question 88 of its FAQ",
    ..BLANK
};

const VERIZON: Provider = Provider { name: "Verizon (AOL)", domains: &["verizon.net"], mx: &[], hosts: &[], ..AOL };

const ICLOUD: Provider = Provider {
    name: "iCloud",
    domains: &["icloud.com", "me.com", "mac.com"],
    mx: &["mail.icloud.com"],
    imap: imaps("imap.mail.me.com"),
    smtp: submission("smtp.mail.me.com"),
    hosts: &["mail.me.com"],
    login: LoginNames { fetch: LoginForm::LocalPart, send: LoginForm::Address },
    secret: SecretKind::AppPassword,
    secret_page: Some("https://account.apple.com"),
    note: Some("the user name must not be an alias"),
    quirks: &[Quirk::PeekAlone],
    checked: CHECKED,
    source: "Thunderbird; support.apple.com",
    ..BLANK
};

const FASTMAIL: Provider = Provider {
    name: "Fastmail",
    domains: &["fastmail.com", "fastmail.fm", "sent.com", "messagingengine.com"],
    mx: &["messagingengine.com"],
    imap: imaps("imap.fastmail.com"),
    pop3: pop3s("pop.fastmail.com"),
    smtp: submissions("smtp.fastmail.com"),
    hosts: &["fastmail.com", "messagingengine.com"],
    secret: SecretKind::AppPassword,
    secret_page: Some("https://www.fastmail.com/help/clients/apppassword.html"),
    note: Some("it needs a plan with access for other programs"),
    checked: CHECKED,
    source: "Thunderbird; FairEmail's FAQ",
    ..BLANK
};

const ZOHO_COM: Provider = Provider {
    name: "Zoho",
    domains: &["zoho.com", "zohomail.com"],
    imap: imaps("imap.zoho.com"),
    pop3: pop3s("pop.zoho.com"),
    smtp: submissions("smtp.zoho.com"),
    hosts: &["zoho.com", "zoho.in", "zoho.com.au", "zoho.jp"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    secret_page: Some("https://help.zoho.com/portal/kb/articles/manage-application-specific-passwords"),
    switch_on: Some("IMAP or POP3 must be enabled on its web page; a free plan may lack them"),
    note: Some(
        "the host depends on the account's region; users who sign in with another service must set a Zoho password first",
    ),
    quirks: &[Quirk::RegionOfAccount, Quirk::PaidServers],
    checked: "2026-11-30",
    source: "ISPDB; zoho.com/mail/help",
    ..BLANK
};

const GMX_COM: Provider = Provider {
    name: "GMX.com",
    domains: &["gmx.com", "gmx.us", "gmx.co.uk", "gmx.fr", "gmx.es", "gmx.it"],
    imap: imaps("imap.gmx.com"),
    pop3: pop3s("pop.gmx.com"),
    smtp: submissions("mail.gmx.com"),
    hosts: &["gmx.com"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some("POP3 and IMAP must be enabled on its web page, from a desktop"),
    quirks: &[Quirk::IdleForTwelveMinutes],
    checked: CHECKED,
    source: "Thunderbird; FairEmail",
    ..BLANK
};

const COMCAST: Provider = Provider {
    name: "Comcast",
    domains: &["comcast.net"],
    mx: &["comcast.net"],
    imap: imaps("imap.comcast.net"),
    pop3: pop3s("pop.comcast.net"),
    smtp: submissions("smtp.comcast.net"),
    hosts: &["comcast.net"],
    switch_on: Some("access for other programs must be enabled on its web page"),
    checked: CHECKED,
    source: "Thunderbird",
    ..BLANK
};

const PROTON: Provider = Provider {
    name: "Proton Mail",
    domains: &["proton.me", "protonmail.com", "protonmail.ch", "pm.me"],
    mx: &["protonmail.ch"],
    secret: SecretKind::Bridge,
    note: Some(
        "Proton has no servers for other programs, except its Bridge on your own machine, which shows host, port and password; its certificate is self-signed, so trust it with `tls_pin`",
    ),
    checked: CHECKED,
    source: "proton.me/mail/bridge",
    ..BLANK
};
