//! Mozilla's database of providers becomes the file that is built in. `tests/ispdb` has three documents of its form, made up.
//!
//! With `MAILSLUICE_ISPDB=CHECKOUT/ispdb` (github.com/thunderbird/autoconfig) the test writes `src/providers/ispdb.mpl.txt` anew.

use std::fs;
use std::path::Path;

use mailsluice::providers::ispdb::find;
use mailsluice::providers::{MailProtocol, Security};
use roxmltree::{Document, Node};

const FILE: &str = "src/providers/ispdb.mpl.txt";

/// The documents of a folder in the form of the file, without its head, and how many providers that are.
fn compact(folder: &Path) -> (String, usize) {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut text, mut providers) = (String::new(), 0);
    for path in paths.iter().filter(|path| path.is_file()) {
        let document = fs::read_to_string(path).unwrap();
        let document = Document::parse(&document).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let provider = document.descendants().find(|node| node.has_tag_name("emailProvider")).unwrap();
        let servers: String = provider.children().filter_map(server).collect();
        if !servers.is_empty() {
            let domains: Vec<String> = texts(provider, "domain").map(str::to_lowercase).collect();
            text += &format!("= {}\n{servers}", domains.join(" "));
            providers += 1;
        }
    }
    (text, providers)
}

fn texts<'a>(node: Node<'a, 'a>, name: &'static str) -> impl Iterator<Item = &'a str> {
    node.children().filter(move |child| child.has_tag_name(name)).filter_map(|child| child.text()).map(str::trim)
}

/// A line; `None` for what is no server of mail with TLS.
fn server(node: Node<'_, '_>) -> Option<String> {
    let mail = match (node.tag_name().name(), node.attribute("type")?) {
        ("incomingServer", protocol @ ("imap" | "pop3")) => protocol,
        ("outgoingServer", "smtp") => "smtp",
        _ => return None,
    };
    let security = match texts(node, "socketType").next()? {
        "SSL" => Security::Implicit,
        "STARTTLS" => Security::StartTls,
        _ => return None,
    };
    let (host, port) = (texts(node, "hostname").next()?, texts(node, "port").next()?);
    let user = texts(node, "username").next().unwrap_or("%EMAILADDRESS%");
    let is_token_only = texts(node, "authentication").all(|way| way == "OAuth2");
    let authentication = if is_token_only { "token" } else { "password" };
    Some(format!("{mail} {host} {port} {} {user} {authentication}\n", security.word()))
}

#[test]
fn documents_become_lines() {
    let (text, providers) = compact(Path::new("tests/ispdb"));
    let expected = "= firm.example firm.example.net mx.firm.example\n\
                    imap imap.firm.example 993 implicit %EMAILADDRESS% password\n\
                    imap imap.firm.example 143 starttls %EMAILADDRESS% password\n\
                    smtp smtp.firm.example 465 implicit %EMAILADDRESS% password\n\
                    = local.example\n\
                    imap imap.%EMAILDOMAIN% 993 implicit %EMAILLOCALPART% token\n\
                    smtp smtp.local.example 587 starttls %EMAILLOCALPART%.%EMAILDOMAIN% password\n";
    assert_eq!((text.as_str(), providers), (expected, 2), "what has no server with TLS is left out");
    let found = find(&text, "local.example");
    assert_eq!((found[0].mail, found[0].is_token_only, found[1].is_token_only), (MailProtocol::Imap, true, false));
    assert_eq!(find(&text, "mx.firm.example").len(), 3);
}

#[test]
fn the_file_has_its_licence_and_is_written_anew_on_request() {
    let old = fs::read_to_string(FILE).unwrap();
    let head: Vec<&str> =
        old.lines().take_while(|line| line.starts_with('#') && !line.starts_with("# Providers:")).collect();
    assert!(head.join("\n").contains("Mozilla Public License, v. 2.0"), "{head:?}");
    if let Some(folder) = std::env::var_os("MAILSLUICE_ISPDB") {
        let (text, providers) = compact(Path::new(&folder));
        fs::write(FILE, format!("{}\n# Providers: {providers}.\n{text}", head.join("\n"))).unwrap();
    }
}
