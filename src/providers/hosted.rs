//! Providers for customers' own domains. They are recognised by the names of their mail exchangers.

use super::kinds::{imaps, pop3s, submissions, unverified};
use super::{BLANK, Provider, ProviderServer, Quirk, SecretKind};

const CHECKED: &str = "2026-11-28";
const RECHECKED: &str = "2026-11-30";

pub(super) static ALL: &[Provider] = &[
    IONOS_DE,
    IONOS_COM,
    IONOS_UK,
    IONOS_FR,
    ZOHO_PRO_COM,
    ZOHO_PRO_EU,
    ONE_COM,
    OVH,
    GANDI,
    STRATO,
    HETZNER,
    DOMAINFACTORY,
    ARUBA,
    NAMECHEAP,
    GODADDY,
    INFOMANIAK,
    MIGADU,
    PURELYMAIL,
    RUNBOX,
    HOSTINGER,
];

const IONOS_DE: Provider = Provider {
    name: "IONOS",
    domains: &["ionos.de", "online.de", "onlinehome.de"],
    mx: &["kundenserver.de", "schlund.de", "ionos.de"],
    imap: imaps("imap.ionos.de"),
    pop3: pop3s("pop.ionos.de"),
    smtp: submissions("smtp.ionos.de"),
    hosts: &["ionos.de"],
    secret: SecretKind::MailPassword,
    quirks: &[Quirk::IdleForTwelveMinutes],
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..BLANK
};

const IONOS_COM: Provider = Provider {
    name: "IONOS.com",
    domains: &["ionos.com"],
    mx: &["ionos.com"],
    imap: imaps("imap.ionos.com"),
    pop3: unverified(pop3s("pop.ionos.com")),
    smtp: submissions("smtp.ionos.com"),
    hosts: &["ionos.com"],
    checked: CHECKED,
    ..IONOS_DE
};

const IONOS_UK: Provider = Provider {
    name: "IONOS.co.uk",
    domains: &["ionos.co.uk"],
    mx: &["ionos.co.uk"],
    imap: imaps("imap.ionos.co.uk"),
    pop3: unverified(pop3s("pop.ionos.co.uk")),
    smtp: submissions("smtp.ionos.co.uk"),
    hosts: &["ionos.co.uk"],
    ..IONOS_COM
};

const IONOS_FR: Provider = Provider {
    name: "IONOS.fr",
    domains: &["ionos.fr"],
    mx: &["ionos.fr"],
    imap: imaps("imap.ionos.fr"),
    pop3: unverified(pop3s("pop.ionos.fr")),
    smtp: submissions("smtp.ionos.fr"),
    hosts: &["ionos.fr"],
    ..IONOS_COM
};

const ZOHO_PRO_COM: Provider = Provider {
    name: "Zoho for domains",
    mx: &["zoho.com"],
    imap: imaps("imappro.zoho.com"),
    pop3: unverified(pop3s("poppro.zoho.com")),
    smtp: submissions("smtppro.zoho.com"),
    hosts: &["imappro.zoho.com", "poppro.zoho.com", "smtppro.zoho.com"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some("IMAP or POP3 must be enabled on its web page"),
    note: Some("these are the servers of paid plans; free ones have imap.zoho.com and smtp.zoho.com"),
    quirks: &[Quirk::PaidServers],
    checked: CHECKED,
    source: "zoho.com/mail/help",
    ..BLANK
};

const ZOHO_PRO_EU: Provider = Provider {
    name: "Zoho Europe for domains",
    mx: &["zoho.eu"],
    imap: imaps("imappro.zoho.eu"),
    pop3: unverified(pop3s("poppro.zoho.eu")),
    smtp: submissions("smtppro.zoho.eu"),
    hosts: &["imappro.zoho.eu", "poppro.zoho.eu", "smtppro.zoho.eu"],
    note: Some("these are the servers of paid plans; free ones have imap.zoho.eu and smtp.zoho.eu"),
    ..ZOHO_PRO_COM
};

/// A provider for customers' domains, with data from FairEmail.
const fn hosted(
    name: &'static str,
    mx: &'static [&'static str],
    hosts: &'static [&'static str],
    imap: Option<ProviderServer>,
    smtp: Option<ProviderServer>,
) -> Provider {
    Provider { name, mx, hosts, imap, smtp, checked: CHECKED, source: "FairEmail", ..BLANK }
}

const ONE_COM: Provider = hosted(
    "one.com",
    &["one.com"],
    &["one.com"],
    unverified(imaps("imap.one.com")),
    unverified(submissions("send.one.com")),
);

const OVH: Provider = hosted("OVH", &["ovh.net"], &["ovh.net"], imaps("ssl0.ovh.net"), submissions("ssl0.ovh.net"));

const GANDI: Provider =
    hosted("Gandi", &["mail.gandi.net"], &["gandi.net"], imaps("mail.gandi.net"), submissions("mail.gandi.net"));

const STRATO: Provider = hosted(
    "Strato",
    &["rzone.de"],
    &["strato.de"],
    unverified(imaps("imap.strato.de")),
    unverified(submissions("smtp.strato.de")),
);

const HETZNER: Provider = Provider {
    checked: RECHECKED,
    source: "ISPDB; FairEmail",
    ..hosted(
        "Hetzner",
        &["your-server.de"],
        &["your-server.de"],
        imaps("mail.your-server.de"),
        submissions("mail.your-server.de"),
    )
};

const DOMAINFACTORY: Provider = hosted(
    "DomainFactory",
    &["ispgateway.de"],
    &["df.eu", "ispgateway.de"],
    unverified(imaps("sslin.df.eu")),
    unverified(submissions("sslout.df.eu")),
);

const ARUBA: Provider =
    hosted("Aruba", &["aruba.it"], &["aruba.it"], imaps("imaps.aruba.it"), unverified(submissions("smtps.aruba.it")));

const NAMECHEAP: Provider = hosted(
    "Namecheap Private Email",
    &["privateemail.com"],
    &["privateemail.com"],
    imaps("mail.privateemail.com"),
    submissions("mail.privateemail.com"),
);

const GODADDY: Provider = hosted(
    "GoDaddy",
    &["secureserver.net"],
    &["secureserver.net"],
    imaps("imap.secureserver.net"),
    unverified(submissions("smtpout.secureserver.net")),
);

const INFOMANIAK: Provider = Provider {
    domains: &["ik.me", "ikmail.com"],
    ..hosted(
        "Infomaniak",
        &["infomaniak.ch", "infomaniak.com"],
        &["infomaniak.com"],
        imaps("mail.infomaniak.com"),
        submissions("mail.infomaniak.com"),
    )
};

const MIGADU: Provider = Provider {
    domains: &["migadu.com"],
    checked: RECHECKED,
    source: "ISPDB",
    ..hosted("Migadu", &["migadu.com"], &["migadu.com"], imaps("imap.migadu.com"), submissions("smtp.migadu.com"))
};

const PURELYMAIL: Provider = hosted(
    "Purelymail",
    &["purelymail.com"],
    &["purelymail.com"],
    unverified(imaps("imap.purelymail.com")),
    unverified(submissions("smtp.purelymail.com")),
);

const RUNBOX: Provider = Provider {
    domains: &["runbox.com"],
    ..hosted(
        "Runbox",
        &["runbox.com"],
        &["runbox.com"],
        unverified(imaps("mail.runbox.com")),
        unverified(submissions("mail.runbox.com")),
    )
};

const HOSTINGER: Provider = hosted(
    "Hostinger",
    &["hostinger.com"],
    &["hostinger.com"],
    unverified(imaps("imap.hostinger.com")),
    unverified(submissions("smtp.hostinger.com")),
);
