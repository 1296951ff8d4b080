//! Mozilla's database of providers, as far as it is built in. The file has a licence of its own: the Mozilla Public License 2.0.
//!
//! Its form is told in its head. What is wrong in it is left out: it is generated, and a test reads it.

use super::{MailProtocol, Security};

/// The file. Without entries every domain is one that it does not know.
const FILE: &str = include_str!("ispdb.mpl.txt");

/// A server by the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IspdbServer<'f> {
    /// What it speaks.
    pub mail: MailProtocol,
    /// Its name; may hold `%EMAILDOMAIN%`.
    pub host: &'f str,
    /// The TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// The login name, with `%EMAILADDRESS%` and the like.
    pub user: &'f str,
    /// Whether it takes OAuth2 alone.
    pub is_token_only: bool,
}

/// The servers of a domain, or of a mail exchanger's domain, in lower case; none where it is not known.
pub fn of_domain(domain: &str) -> Vec<IspdbServer<'static>> {
    find(FILE, domain)
}

/// The same in another text of this form.
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

    /// Every line of the built-in file is one that can be read, and the number in its head is that of its providers.
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
