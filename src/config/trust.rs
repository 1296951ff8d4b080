//! How the two ends of a TLS connection prove who they are: the keys of a server that begin with `tls_`, `ca_` and `client_`.

use std::path::PathBuf;

use super::Pin;
use super::problem::Problems;
use super::reader::{self, Base, KeyDoc, MapReader, TEXTS, Takes};
use super::server;
use super::yaml::Node;

/// What a server is trusted by, and what it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// A PEM file with the only authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The only keys or certificates to trust, whoever signed them. None: authorities are asked.
    pub pins: Vec<Pin>,
    /// The name that its certificate must have, where it is not the host's.
    pub name: Option<String>,
    /// What it is shown when it asks who we are.
    pub client: Option<ClientCertificate>,
}

/// A certificate of the user's own, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub key: PathBuf,
}

impl Trust {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let client = self.client.iter().flat_map(|client| [&client.certificate, &client.key]);
        self.ca_file.iter().chain(client)
    }
}

pub(super) const CA_FILE: KeyDoc =
    ("ca_file", "A PEM file with the only authorities to trust, instead of the system's.", Takes::Text);
pub(super) const TLS_PIN: KeyDoc = (
    "tls_pin",
    "`sha256:…`, as an error about the certificate prints it: trust this public key alone, whatever its certificate says; or \
     `cert-sha256:…`, the fingerprint of one certificate. Of a list, one must fit, so that the next key can be added before the server changes to it.",
    TEXTS,
);
pub(super) const TLS_NAME: KeyDoc = (
    "tls_name",
    "The name that is sent to the server (SNI) and that its certificate must have, if it is not `host`: for example behind a tunnel.",
    Takes::Text,
);
pub(super) const CLIENT_CERT: KeyDoc = (
    "client_cert",
    "A PEM file with a certificate of yours, which the server may ask for (`auth: external`).",
    Takes::Text,
);
pub(super) const CLIENT_KEY: KeyDoc = (
    "client_key",
    "The PEM file with its private key, without a password; only its owner may have access. Default: it stands in `client_cert`.",
    Takes::Text,
);

/// Reads the keys. `None`: one of them is wrong, and it was said. `is_plain`: there is no TLS.
pub(super) fn read(map: &mut MapReader<'_, '_>, is_plain: bool, base: &Base) -> Option<Trust> {
    let ca_file = map.read("ca_file", |n, p| reader::path(n, base, p));
    let pins = map.read("tls_pin", read_pins);
    let name = map.read("tls_name", read_name);
    let certificate = map.read("client_cert", |n, p| reader::path(n, base, p));
    let key = map.read("client_key", |n, p| reader::path(n, base, p));
    if let (Some(at), true) = (map.key_span("tls_pin"), ca_file.is_some() || is_plain) {
        let beside = if ca_file.is_some() { "`ca_file`" } else { "`tls: none`" };
        map.problems().error(at, format!("`tls_pin` has no meaning beside {beside}")).hint("leave one of the two out");
    }
    for name in ["tls_name", "client_cert"] {
        if let (Some(at), true) = (map.key_span(name), is_plain) {
            map.problems()
                .error(at, format!("`{name}` has no meaning beside `tls: none`"))
                .hint("leave one of the two out");
        }
    }
    if let (Some(at), None) = (map.key_span("client_key"), map.key_span("client_cert")) {
        map.problems().error(at, "a key alone shows nothing").hint("name its certificate: `client_cert: FILE`");
    }
    let is_wrong = |key: &str, is_read: bool| map.take(key).is_some() && !is_read;
    if is_wrong("tls_pin", pins.is_some()) || is_wrong("tls_name", name.is_some()) {
        return None;
    }
    let client = certificate.map(|certificate| {
        let key = key.unwrap_or_else(|| certificate.clone());
        ClientCertificate { certificate, key }
    });
    Some(Trust { ca_file, pins: pins.unwrap_or_default(), name, client })
}

fn read_pins(node: &Node, problems: &mut Problems) -> Option<Vec<Pin>> {
    let one = std::slice::from_ref(node);
    let nodes = if node.as_text().is_some() { one } else { reader::list(node, "the hash of a public key", problems)? };
    if nodes.is_empty() {
        reader::mismatch(node, "the hash of a public key, or a list of them", problems)
            .hint("leave `tls_pin` out to trust authorities");
        return None;
    }
    let pins: Vec<Option<Pin>> = nodes.iter().map(|node| read_pin(node, problems)).collect();
    pins.into_iter().collect()
}

fn read_pin(node: &Node, problems: &mut Problems) -> Option<Pin> {
    let pin = node.as_text().and_then(Pin::parse);
    if pin.is_none() {
        let expected = "`sha256:` and 44 letters of base64, or `cert-sha256:` and 64 hexadecimal digits";
        reader::mismatch(node, expected, problems).hint("copy it from the error of a connection without it");
    }
    pin
}

fn read_name(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "the name in a certificate, like `imap.example.com`", problems)?;
    if !server::is_host_name(text) {
        reader::mismatch(node, "the name in a certificate, like `imap.example.com`", problems);
        return None;
    }
    Some(text.to_owned())
}
