//! Providers in Europe and Russia.

use super::kinds::{imaps, pop3s, submissions, unverified};
use super::{BLANK, LoginNames, Provider, ProviderLimits, Quirk, SecretKind};

const CHECKED: &str = "2026-11-28";
const RECHECKED: &str = "2026-11-30";

pub(super) static ALL: &[Provider] =
    &[GMX, WEB_DE, T_ONLINE, MAILBOX_ORG, POSTEO, YANDEX, MAIL_RU, FREE, LAPOSTE, ZOHO_EU];

const GMX: Provider = Provider {
    name: "GMX",
    domains: &[
        "gmx.net",
        "gmx.de",
        "gmx.at",
        "gmx.ch",
        "gmx.eu",
        "gmx.biz",
        "gmx.org",
        "gmx.info",
        "mein.gmx",
        "mail.gmx",
        "email.gmx",
    ],
    mx: &["gmx.net"],
    imap: imaps("imap.gmx.net"),
    pop3: pop3s("pop.gmx.net"),
    smtp: submissions("mail.gmx.net"),
    hosts: &["gmx.net"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some(
        "POP3 and IMAP must be enabled on its web page, from a desktop (https://hilfe.gmx.net/pop-imap/einschalten.html)",
    ),
    quirks: &[Quirk::IdleForTwelveMinutes],
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..BLANK
};

const WEB_DE: Provider = Provider {
    name: "web.de",
    domains: &["web.de", "email.de"],
    imap: imaps("imap.web.de"),
    pop3: pop3s("pop3.web.de"),
    smtp: submissions("smtp.web.de"),
    hosts: &["web.de"],
    login: LoginNames::LOCAL_PART,
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some(
        "POP3 and IMAP must be enabled on its web page, from a desktop (https://hilfe.web.de/pop-imap/einschalten.html)",
    ),
    quirks: &[Quirk::IdleForTwelveMinutes, Quirk::PopEveryQuarterOfAnHour],
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..BLANK
};

const T_ONLINE: Provider = Provider {
    name: "T-Online",
    domains: &["t-online.de", "magenta.de"],
    imap: imaps("secureimap.t-online.de"),
    pop3: pop3s("securepop.t-online.de"),
    smtp: submissions("securesmtp.t-online.de"),
    hosts: &["t-online.de"],
    secret: SecretKind::MailPassword,
    checked: CHECKED,
    source: "Thunderbird",
    ..BLANK
};

const MAILBOX_ORG: Provider = Provider {
    name: "mailbox.org",
    domains: &["mailbox.org"],
    mx: &["mailbox.org"],
    imap: imaps("imap.mailbox.org"),
    pop3: unverified(pop3s("pop3.mailbox.org")),
    smtp: submissions("smtp.mailbox.org"),
    hosts: &["mailbox.org"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    secret_page: Some(
        "https://kb.mailbox.org/de/privat/sicherheit-und-privatsphaere/applikationspasswoerter-fuer-externe-programme/",
    ),
    limits: ProviderLimits { connections: Some(10), megabytes_a_day: None, newest: None },
    quirks: &[Quirk::LoginsLock],
    checked: RECHECKED,
    source: "ISPDB; nextcloud/mail issue 12671",
    ..BLANK
};

const POSTEO: Provider = Provider {
    name: "Posteo",
    domains: &[
        "posteo.de",
        "posteo.at",
        "posteo.be",
        "posteo.ch",
        "posteo.co.uk",
        "posteo.com",
        "posteo.cz",
        "posteo.dk",
        "posteo.es",
        "posteo.eu",
        "posteo.fi",
        "posteo.ie",
        "posteo.it",
        "posteo.li",
        "posteo.lu",
        "posteo.me",
        "posteo.net",
        "posteo.nl",
        "posteo.no",
        "posteo.org",
        "posteo.pl",
        "posteo.pt",
        "posteo.se",
        "posteo.uk",
        "posteo.us",
    ],
    imap: imaps("posteo.de"),
    pop3: pop3s("posteo.de"),
    smtp: submissions("posteo.de"),
    hosts: &["posteo.de"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some("the extra protection of the mailbox must be off"),
    checked: RECHECKED,
    source: "ISPDB; posteo.de/hilfe",
    ..BLANK
};

const YANDEX: Provider = Provider {
    name: "Yandex",
    domains: &["yandex.ru", "yandex.com", "yandex.net", "yandex.by", "yandex.kz", "yandex.ua", "ya.ru", "narod.ru"],
    mx: &["mx.yandex.net", "mx.yandex.ru"],
    imap: imaps("imap.yandex.com"),
    pop3: pop3s("pop.yandex.com"),
    smtp: submissions("smtp.yandex.com"),
    hosts: &["yandex.com", "yandex.ru", "yandex.net"],
    secret: SecretKind::AppPassword,
    secret_page: Some("https://yandex.com/support/passport/authorization/app-passwords.html"),
    switch_on: Some("IMAP must be enabled on its web page (https://mail.yandex.ru/neo/setup_client)"),
    checked: RECHECKED,
    source: "ISPDB; yandex.ru/support",
    ..BLANK
};

const MAIL_RU: Provider = Provider {
    name: "mail.ru",
    domains: &["mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru"],
    mx: &["mail.ru"],
    imap: imaps("imap.mail.ru"),
    pop3: pop3s("pop.mail.ru"),
    smtp: submissions("smtp.mail.ru"),
    hosts: &["mail.ru"],
    secret: SecretKind::AppPassword,
    quirks: &[Quirk::OldTls],
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..BLANK
};

const FREE: Provider = Provider {
    name: "Free",
    domains: &["free.fr"],
    mx: &["free.fr"],
    imap: imaps("imap.free.fr"),
    pop3: pop3s("pop.free.fr"),
    smtp: submissions("smtp.free.fr"),
    hosts: &["free.fr"],
    login: LoginNames::LOCAL_PART,
    switch_on: Some("for SMTP, \"SMTP authentifié\" must be enabled on its web page"),
    note: Some("the user name is the one of the main address"),
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..BLANK
};

const LAPOSTE: Provider = Provider {
    name: "La Poste",
    domains: &["laposte.net"],
    mx: &["laposte.net"],
    imap: imaps("imap.laposte.net"),
    smtp: submissions("smtp.laposte.net"),
    hosts: &["laposte.net"],
    checked: CHECKED,
    source: "FairEmail",
    ..BLANK
};

const ZOHO_EU: Provider = Provider {
    name: "Zoho Europe",
    domains: &["zoho.eu", "zohomail.eu"],
    imap: imaps("imap.zoho.eu"),
    pop3: pop3s("pop.zoho.eu"),
    smtp: submissions("smtp.zoho.eu"),
    hosts: &["zoho.eu"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    secret_page: Some("https://help.zoho.com/portal/kb/articles/manage-application-specific-passwords"),
    switch_on: Some("IMAP or POP3 must be enabled on its web page; a free plan may lack them"),
    note: Some("the host depends on the account's region"),
    quirks: &[Quirk::RegionOfAccount, Quirk::PaidServers],
    checked: CHECKED,
    source: "ISPDB",
    ..BLANK
};
