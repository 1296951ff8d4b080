//! Providers in Asia, except China.

use super::kinds::{imaps, pop3s, submissions};
use super::{BLANK, Provider, SecretKind};

pub(super) static ALL: &[Provider] = &[NAVER, DAUM, LARK];

const NAVER: Provider = Provider {
    name: "Naver",
    domains: &["naver.com"],
    mx: &["naver.com"],
    imap: imaps("imap.naver.com"),
    pop3: pop3s("pop.naver.com"),
    smtp: submissions("smtp.naver.com"),
    hosts: &["naver.com"],
    secret: SecretKind::AppPasswordWithTwoFactor,
    switch_on: Some("IMAP or POP3 must be enabled on its web page"),
    checked: "2026-11-30",
    source: "ISPDB",
    ..BLANK
};

const DAUM: Provider = Provider {
    name: "Daum",
    domains: &["daum.net", "hanmail.net"],
    imap: imaps("imap.daum.net"),
    smtp: submissions("smtp.daum.net"),
    hosts: &["daum.net"],
    switch_on: Some("IMAP must be enabled on its web page"),
    checked: "2026-11-30",
    source: "ISPDB",
    ..BLANK
};

const LARK: Provider = Provider {
    name: "Lark",
    domains: &["larksuite.com"],
    mx: &["larksuite.com"],
    imap: imaps("imap.larksuite.com"),
    smtp: submissions("smtp.larksuite.com"),
    hosts: &["larksuite.com"],
    secret: SecretKind::AppPassword,
    switch_on: Some("an administrator must allow other programs"),
    checked: "2026-11-28",
    source: "FairEmail",
    ..BLANK
};
