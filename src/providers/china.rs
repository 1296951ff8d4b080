//! Providers in China. Most of them require an authorisation code instead of the password.

use super::kinds::{imaps, pop3s, submissions, unverified};
use super::{BLANK, Provider, Quirk, RefusalText, SecretKind};

const CHECKED: &str = "2026-11-28";

pub(super) static ALL: &[Provider] = &[QQ, NETEASE_163, NETEASE_126, YEAH, EXMAIL, ALIBABA, NETEASE_ENTERPRISE, FEISHU];

/// Texts that ask for an authorisation code, and Coremail's answer to any wrong password.
const CODE_SAYS: &[RefusalText] = &[RefusalText {
    words: &[
        "授权码",
        "AUTHORIZATION CODE",
        "AUTHORISATION CODE",
        "AUTHORIZED CODE",
        "LOGIN LOGIN ERROR",
        "LOGIN FAIL. ",
    ],
    helps: "the provider requires an authorisation code (授权码) as password, not the password of the web page; it provides one where IMAP, POP3 and SMTP are enabled, on its web page",
    helps_when_busy: false,
}];

const QQ: Provider = Provider {
    name: "QQ",
    domains: &["qq.com", "vip.qq.com", "foxmail.com"],
    imap: imaps("imap.qq.com"),
    pop3: unverified(pop3s("pop.qq.com")),
    smtp: submissions("smtp.qq.com"),
    hosts: &["qq.com", "foxmail.com"],
    secret: SecretKind::Code,
    says: CODE_SAYS,
    quirks: &[Quirk::WantsId],
    checked: "2026-11-30",
    source: "ISPDB; himalaya",
    ..BLANK
};

const COREMAIL: &[Quirk] = &[Quirk::WantsId, Quirk::InitialResponseIsBad];

const NETEASE_163: Provider = Provider {
    name: "NetEase 163",
    domains: &["163.com"],
    imap: imaps("imap.163.com"),
    pop3: unverified(pop3s("pop.163.com")),
    smtp: submissions("smtp.163.com"),
    hosts: &["163.com"],
    secret: SecretKind::Code,
    quirks: COREMAIL,
    checked: CHECKED,
    source: "FairEmail; himalaya issue 729",
    ..BLANK
};

const NETEASE_126: Provider = Provider {
    name: "NetEase 126",
    domains: &["126.com"],
    imap: imaps("imap.126.com"),
    pop3: unverified(pop3s("pop.126.com")),
    smtp: submissions("smtp.126.com"),
    hosts: &["126.com"],
    ..NETEASE_163
};

const YEAH: Provider = Provider {
    name: "NetEase yeah.net",
    domains: &["yeah.net"],
    imap: imaps("imap.yeah.net"),
    pop3: unverified(pop3s("pop.yeah.net")),
    smtp: submissions("smtp.yeah.net"),
    hosts: &["yeah.net"],
    ..NETEASE_163
};

const EXMAIL: Provider = Provider {
    name: "Tencent exmail",
    mx: &["mxbiz1.qq.com", "mxbiz2.qq.com"],
    domains: &["exmail.qq.com"],
    imap: imaps("imap.exmail.qq.com"),
    pop3: unverified(pop3s("pop.exmail.qq.com")),
    smtp: submissions("smtp.exmail.qq.com"),
    hosts: &["exmail.qq.com"],
    secret: SecretKind::ClientPassword,
    note: Some("outside China hwimap.exmail.qq.com and hwsmtp.exmail.qq.com are closer"),
    checked: CHECKED,
    source: "FairEmail; exmail.qq.com help",
    ..BLANK
};

const ALIBABA: Provider = Provider {
    name: "Alibaba",
    mx: &["mxhichina.com"],
    imap: imaps("imap.qiye.aliyun.com"),
    pop3: pop3s("pop3.qiye.aliyun.com"),
    smtp: submissions("smtp.qiye.aliyun.com"),
    hosts: &["qiye.aliyun.com", "mxhichina.com"],
    secret: SecretKind::ClientPassword,
    switch_on: Some("clients must be enabled on its web page"),
    checked: CHECKED,
    source: "FairEmail",
    ..BLANK
};

const NETEASE_ENTERPRISE: Provider = Provider {
    name: "NetEase enterprise",
    mx: &["mxmail.netease.com"],
    imap: imaps("imaphz.qiye.163.com"),
    smtp: submissions("smtphz.qiye.163.com"),
    hosts: &["qiye.163.com"],
    secret: SecretKind::ClientPassword,
    checked: CHECKED,
    source: "FairEmail",
    ..BLANK
};

const FEISHU: Provider = Provider {
    name: "Feishu",
    domains: &["feishu.cn"],
    mx: &["feishu.cn"],
    imap: imaps("imap.feishu.cn"),
    smtp: submissions("smtp.feishu.cn"),
    hosts: &["feishu.cn"],
    secret: SecretKind::AppPassword,
    switch_on: Some("an administrator must allow other programs"),
    checked: CHECKED,
    source: "FairEmail",
    ..BLANK
};
