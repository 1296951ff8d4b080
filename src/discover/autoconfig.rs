//! Mozilla's autoconfig (draft-ietf-mailmaint-autoconfig): a small XML document, from the domain itself or from Mozilla's
//! database.

use std::pin::pin;

use roxmltree::{Document, Node, ParsingOptions};

use super::choose::{fill_in, offer};
use super::found::{Offer, OfferOrigin};
use super::web::{Web, WebFailure, percent_encoded};
use super::{DiscoverOptions, Subject};
use crate::providers::ispdb::{self, IspdbServer};
use crate::providers::{MailProtocol, Security};

/// The most nodes of a document. Real ones have a few hundred.
const MOST_NODES: u32 = 10_000;
/// How many servers of a document are read.
const MOST_SERVERS: usize = 16;

/// Asks the domain itself, over https, at several addresses. The first that answers is used.
pub(super) async fn ask_domain(subject: &Subject, web: &Web<'_>) -> Result<Vec<Offer>, WebFailure> {
    let (domain, host) = (&subject.domain, format!("autoconfig.{}", subject.domain));
    let query = format!("?emailaddress={}", percent_encoded(&subject.address));
    let places = [
        web.https(&host, &format!("/mail/config-v1.1.xml{query}")),
        web.https(domain, &format!("/.well-known/autoconfig/mail/config-v1.1.xml{query}")),
        // From an earlier draft. Some servers have only this one.
        web.https(&host, &format!("/.well-known/mail-v1.xml{query}")),
    ];
    let fetched =
        async |place: &String| read(&web.get(place).await?, subject, &OfferOrigin::Autoconfig(without_query(place)));
    let [first, second, third] = &places;
    first_of(fetched(first), fetched(second), fetched(third)).await
}

/// The first of three that succeeds, in this order: a later one is used only when all earlier ones have failed, and is not
/// waited for when an earlier one has succeeded.
async fn first_of<T>(
    a: impl Future<Output = Result<T, WebFailure>>,
    b: impl Future<Output = Result<T, WebFailure>>,
    c: impl Future<Output = Result<T, WebFailure>>,
) -> Result<T, WebFailure> {
    let (mut a, mut b, mut c) = (pin!(a), pin!(b), pin!(c));
    let mut answers = [None, None, None];
    loop {
        let (at, answer) = tokio::select! {
            answer = &mut a, if answers[0].is_none() => (0, answer),
            answer = &mut b, if answers[1].is_none() => (1, answer),
            answer = &mut c, if answers[2].is_none() => (2, answer),
        };
        answers[at] = Some(answer);
        let decided = answers.iter().position(|answer| !matches!(answer, Some(Err(_))));
        match decided.unwrap_or(answers.len() - 1) {
            at if answers[at].is_none() => {}
            at => return answers[at].take().unwrap_or_else(|| Err("no document".into())),
        }
    }
}

/// Asks the domain over plain http, because many hosting companies offer nothing else.
pub(super) async fn ask_unprotected(subject: &Subject, web: &Web<'_>) -> Result<Vec<Offer>, WebFailure> {
    let place = web.http(&format!("autoconfig.{}", subject.domain), "/mail/config-v1.1.xml");
    let place = format!("{place}?emailaddress={}", percent_encoded(&subject.address));
    let body = web.get(&place).await?;
    read(&body, subject, &OfferOrigin::AutoconfigInTheClear(without_query(&place)))
}

/// Looks the domain up in Mozilla's database: first in the built-in copy, then on the web. The web server learns only the
/// domain.
pub(super) async fn look_up(
    subject: &Subject,
    domain: &str,
    origin: OfferOrigin,
    web: &Web<'_>,
    options: &DiscoverOptions,
) -> Result<Vec<Offer>, WebFailure> {
    let built_in: Vec<Offer> =
        ispdb::of_domain(domain).iter().filter_map(|listed| of_database(listed, subject, &origin)).collect();
    if !built_in.is_empty() {
        return Ok(built_in);
    }
    let Some(database) = &options.database else { return Err("it is turned off".into()) };
    let body = web.get(&format!("{database}{}", percent_encoded(domain))).await?;
    read(&body, subject, &origin)
}

fn of_database(listed: &IspdbServer<'_>, subject: &Subject, origin: &OfferOrigin) -> Option<Offer> {
    let host = fill_in(listed.host, subject)?;
    let offer = offer(listed.mail, &host, listed.port, listed.security, subject, origin)?;
    Some(Offer { user: fill_in(listed.user, subject)?, is_token_only: listed.is_token_only, ..offer })
}

fn without_query(place: &str) -> String {
    place.split('?').next().unwrap_or_default().to_owned()
}

/// The servers in a document. Those without TLS are left out, and so are those with an invalid host or login name.
pub(super) fn read(body: &[u8], subject: &Subject, origin: &OfferOrigin) -> Result<Vec<Offer>, WebFailure> {
    let text = std::str::from_utf8(body).map_err(|_| WebFailure::from("its document is not UTF-8"))?;
    // A DTD could define entities that expand without end ("billion laughs").
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text.trim_start_matches('\u{feff}'), options)
        .map_err(|e| WebFailure::from(format!("its document cannot be read: {e}")))?;
    let root = document.root_element();
    let provider = root.children().find(|node| node.has_tag_name("emailProvider"));
    let provider =
        provider.filter(|_| root.has_tag_name("clientConfig")).ok_or("its document is about something else")?;
    let servers = provider.children().filter(Node::is_element).filter_map(|node| server(node, subject, origin));
    let servers: Vec<Offer> = servers.take(MOST_SERVERS).collect();
    if servers.is_empty() { Err("its document names no server with TLS".into()) } else { Ok(servers) }
}

fn server(node: Node<'_, '_>, subject: &Subject, origin: &OfferOrigin) -> Option<Offer> {
    let mail = match (node.tag_name().name(), node.attribute("type")?) {
        ("incomingServer", "imap") => MailProtocol::Imap,
        ("incomingServer", "pop3") => MailProtocol::Pop3,
        ("outgoingServer", "smtp") => MailProtocol::Smtp,
        _ => return None,
    };
    let text = |name: &str| {
        let child = node.children().find(|child| child.has_tag_name(name));
        child.and_then(|child| child.text()).map(str::trim)
    };
    let security = match text("socketType")? {
        "SSL" => Security::Implicit,
        "STARTTLS" => Security::StartTls,
        _ => return None,
    };
    let host = fill_in(text("hostname")?, subject)?;
    let offer = offer(mail, &host, text("port")?.parse().ok()?, security, subject, origin)?;
    let ways: Vec<&str> = node
        .children()
        .filter(|child| child.has_tag_name("authentication"))
        .filter_map(|child| child.text())
        .map(str::trim)
        .collect();
    let user = fill_in(text("username").unwrap_or("%EMAILADDRESS%"), subject)?;
    let is_token_only = !ways.is_empty() && ways.iter().all(|way| *way == "OAuth2");
    Some(Offer { user, is_token_only, ..offer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::try_changes;

    fn subject() -> Subject {
        Subject::parse("ann.b@firm.example").unwrap()
    }

    fn read_text(text: &str) -> Result<Vec<Offer>, WebFailure> {
        read(text.as_bytes(), &subject(), &OfferOrigin::Database)
    }

    fn with(servers: &str) -> Result<Vec<Offer>, WebFailure> {
        read_text(&format!(
            "<clientConfig version='1.1'><emailProvider id='x'>{servers}</emailProvider></clientConfig>"
        ))
    }

    fn imap(fields: &str) -> Result<Vec<Offer>, WebFailure> {
        with(&format!("<incomingServer type='imap'>{fields}</incomingServer>"))
    }

    #[test]
    fn servers_and_login_names() {
        let offers = with(
            "<domain>firm.example</domain>
             <incomingServer type='imap'><hostname> IMAP.%EMAILDOMAIN% </hostname><port>993</port><socketType>SSL</socketType>
               <username>%EMAILLOCALPART%</username><authentication>OAuth2</authentication></incomingServer>
             <incomingServer type='exchange'><hostname>x.example</hostname></incomingServer>
             <outgoingServer type='smtp'><hostname>smtp.firm.example</hostname><port>587</port><socketType>STARTTLS</socketType>
               <authentication>OAuth2</authentication><authentication>password-cleartext</authentication></outgoingServer>",
        )
        .unwrap();
        let shown: Vec<_> = offers
            .iter()
            .map(|o| (o.mail, o.host.as_str(), o.port, o.security, o.user.as_str(), o.is_token_only))
            .collect();
        assert_eq!(
            shown,
            [
                (MailProtocol::Imap, "imap.firm.example", 993, Security::Implicit, "ann.b", true),
                (MailProtocol::Smtp, "smtp.firm.example", 587, Security::StartTls, "ann.b@firm.example", false),
            ]
        );
    }

    #[test]
    fn what_is_no_server_with_tls_is_left_out() {
        let whole = "<hostname>imap.firm.example</hostname><port>993</port><socketType>SSL</socketType>";
        assert_eq!(imap(whole).unwrap().len(), 1);
        for (from, to) in [
            ("SSL", "plain"),
            ("<socketType>SSL</socketType>", ""),
            ("993", "0"),
            ("993", "99999"),
            ("imap.firm.example", "imap.firm.example&#10;x"),
            ("imap.firm.example", "imap&#9;.firm.example"),
            ("imap.firm.example", "imap.firm.example/evil"),
            ("imap.firm.example", "10.0.0.1"),
            ("imap.firm.example", "localhost"),
            ("imap.firm.example", "-oProxy.example"),
            ("imap.firm.example", "%REALNAME%.example"),
            ("imap.firm.example", "b\u{fc}cher.example"),
        ] {
            let changed = whole.replace(from, to);
            assert_ne!(changed, whole);
            assert_eq!(imap(&changed).unwrap_err(), "its document names no server with TLS".into(), "{changed}");
        }
        for user in ["%OTHER%", "a b", "a&#10;b", "a\u{202e}b"] {
            assert!(imap(&format!("{whole}<username>{user}</username>")).is_err(), "{user}");
        }
    }

    #[test]
    fn lines_of_the_database_are_filled_in() {
        let text = "= firm.example\nimap imap.%EMAILDOMAIN% 993 implicit %EMAILLOCALPART% token\nimap a_b! 993 implicit x token\n";
        let listed = ispdb::find(text, "firm.example");
        let offers: Vec<Offer> =
            listed.iter().filter_map(|listed| of_database(listed, &subject(), &OfferOrigin::Database)).collect();
        let shown: Vec<_> = offers.iter().map(|o| (o.host.as_str(), o.user.as_str(), o.is_token_only)).collect();
        assert_eq!(shown, [("imap.firm.example", "ann.b", true)]);
    }

    /// Whatever a document contains, the result is servers with valid names and TLS.
    #[test]
    fn fuzz_documents() {
        let known = "<clientConfig><emailProvider><incomingServer type='imap'><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port>\
                     <socketType>SSL</socketType><username>%EMAILLOCALPART%</username></incomingServer></emailProvider></clientConfig>";
        let marked = format!("<!DOCTYPE x [<!ENTITY a 'a'>]>{known}&a;<![CDATA[ x ]]><!-- -->");
        try_changes("autoconfig", &[known.as_bytes(), marked.as_bytes()], |input| {
            let Ok(offers) = read(input, &subject(), &OfferOrigin::Database) else { return Vec::new() };
            for offer in &offers {
                assert!(crate::config::is_host_name(&offer.host) && offer.port != 0, "{offer:?}");
                assert!(!offer.user.contains(|c: char| c.is_control() || c.is_whitespace()), "{offer:?}");
            }
            assert!(offers.len() <= MOST_SERVERS);
            offers.iter().map(|offer| (offer.mail, offer.security)).collect()
        });
    }

    #[test]
    fn lies_in_xml_are_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;&b;&b;'>]>\
                    <clientConfig><emailProvider>&c;</emailProvider></clientConfig>";
        let file = "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><clientConfig><emailProvider>&a;</emailProvider></clientConfig>";
        for text in [bomb, file, "", "<", "<html></html>", "<clientConfig/>", "<a><emailProvider/></a>"] {
            assert!(read_text(text).is_err(), "{text}");
        }
        let many = "<x/>".repeat(20_000);
        assert!(with(&many).unwrap_err().to_string().contains("cannot be read"));
        let deep = format!("{}{}", "<x>".repeat(9_000), "</x>".repeat(9_000));
        assert!(with(&deep).is_err(), "deep nesting does not overflow the stack");
        assert!(read(b"\xff\xfe<\0", &subject(), &OfferOrigin::Database).is_err());
        let server = "<incomingServer type='imap'><hostname>a.example</hostname><port>993</port><socketType>SSL</socketType></incomingServer>";
        assert_eq!(with(&server.repeat(200)).unwrap().len(), MOST_SERVERS);
    }
}
