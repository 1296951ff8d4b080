//! Mozilla's database of providers: the built-in copy. Its file has its own licence, the Mozilla Public License 2.0.
//!
//! The format is described at the head of the file. Invalid lines are skipped; the file is generated, and a test reads it.

use super::{MailProtocol, Security};

/// The file. If it is empty, no domain is known.
const FILE: &str = include_str!("ispdb.mpl.txt");

/// A server in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IspdbServer<'f> {
    /// Its protocol.
    pub mail: MailProtocol,
    /// Its host name, which may contain `%EMAILDOMAIN%`.
    pub host: &'f str,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The login name, with `%EMAILADDRESS%` and the like.
    pub user: &'f str,
    /// Whether it accepts only OAuth2.
    pub is_token_only: bool,
}

/// The servers of a domain, or of a mail exchanger's domain, in lower case. Empty if it is not known.
pub fn of_domain(domain: &str) -> Vec<IspdbServer<'static>> {
    find(FILE, domain)
}

/// The same in another text of the same format.
pub fn find<'f>(text: &'f str, domain: &str) -> Vec<IspdbServer<'f>> {
    let is_its =
        |line: &&str| line.strip_prefix("= ").is_some_and(|domains| domains.split(' ').any(|known| known == domain));
    let mut lines = text.lines().skip_while(|line| !is_its(line)).skip(1);
    let of_provider = lines.by_ref().take_while(|line| !line.starts_with('='));
    of_provider.filter_map(listed).collect()
}

fn listed(line: &str) -> Option<IspdbServer<'_>> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [mail, host, port, security, user, authentication] = fields.as_slice() else { return None };
    let mail = MailProtocol::ALL.into_iter().find(|known| known.key() == *mail)?;
    let security = [Security::Implicit, Security::StartTls].into_iter().find(|known| known.word() == *security)?;
    Some(IspdbServer {
        mail,
        host,
        port: port.parse().ok()?,
        security,
        user,
        is_token_only: *authentication == "token",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# = not.example\n= a.example b.example\nimap imap.a.example 993 implicit %EMAILLOCALPART% password\n\
                        smtp smtp.a.example 587 starttls %EMAILADDRESS% token\nnonsense\nimap h 1 plain u password\n= c.example\n\
                        pop3 pop.c.example 995 implicit %EMAILADDRESS% password\n";

    #[test]
    fn one_provider_and_no_more() {
        for domain in ["a.example", "b.example"] {
            let found = find(TEXT, domain);
            let shown: Vec<_> =
                found.iter().map(|it| (it.mail, it.host, it.port, it.security, it.is_token_only)).collect();
            assert_eq!(
                shown,
                [
                    (MailProtocol::Imap, "imap.a.example", 993, Security::Implicit, false),
                    (MailProtocol::Smtp, "smtp.a.example", 587, Security::StartTls, true)
                ]
            );
        }
        assert_eq!(find(TEXT, "c.example").len(), 1);
        assert!(find(TEXT, "not.example").is_empty() && find(TEXT, "a").is_empty() && find(TEXT, "").is_empty());
    }

    /// Every line of the built-in file is valid, and the number of providers in its head is right.
    #[test]
    fn the_file_can_be_read() {
        let body = || FILE.lines().filter(|line| !line.starts_with('#'));
        let providers = body().filter(|line| line.starts_with("= ")).count();
        assert!(FILE.contains(&format!("# Providers: {providers}.\n")), "{providers}");
        for line in body().filter(|line| !line.starts_with("= ")) {
            assert!(listed(line).is_some(), "{line}");
        }
    }
}
