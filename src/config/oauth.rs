//! `oauth2`: a sign-in at a provider, which stands in the place of a password (RFC 6749, RFC 8252). What is kept of it is data
//! alone; `net::oauth` makes access tokens of it.

use std::path::{Path, PathBuf};

use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

use super::clients::Clients;
use super::problem::Problems;
use super::providers::{self, Issuer, TENANT};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::secret::{self, Password};
use super::server::is_loopback;
use super::yaml::{Node, Value};
use crate::clean;

/// What stands behind `oauth2`.
pub(super) const OAUTH2_TAKES: Takes = Takes::Either(&[Takes::Word(&NAMES), Takes::Section(&SHAPE)]);

const NAMES: [&str; 5] = ["google", "microsoft", "yahoo", "fastmail", "yandex"];

/// The long form of `oauth2`.
pub static SHAPE: Shape = Shape {
    what: "a sign-in",
    keys: &[
        (
            "provider",
            "`google`, `microsoft`, `yahoo`, `fastmail` or `yandex`. For any other, set `authorize`, `token` and `scope`.",
            Takes::Word(&NAMES),
        ),
        (
            "client_id",
            "The id under which this program is registered with the provider. Default: what `clients.yaml` has for the provider, beside the config file or in /etc/mailsluice. `mailsluice login ACCOUNT` says how to get one.",
            Takes::Text,
        ),
        (
            "client_secret",
            "What belongs to the client id, written like a password. Google and Yandex give one; a public client of Microsoft has none.",
            Takes::Either(&[Takes::Text, Takes::Section(&secret::SHAPE)]),
        ),
        (
            "tenant",
            "Microsoft: the organisation, by its id or domain, or `consumers`. Default: `common`, which is for work and personal accounts alike.",
            Takes::Text,
        ),
        (
            "flow",
            "`code` (default): a person signs in once. `app`: nobody does; an organisation lets this program into mailboxes. Microsoft needs `tenant`, `client_id` and `client_secret` then, Google `key_file`.",
            Takes::Word(&["code", "app"]),
        ),
        (
            "key_file",
            "Google, `flow: app`: the JSON file of a service account to which the domain is delegated; only its owner may have access (mode 0600).",
            Takes::Text,
        ),
        (
            "authorize",
            "The authorization endpoint, which the browser opens (RFC 6749 3.1), for another provider.",
            Takes::Text,
        ),
        ("token", "The token endpoint (RFC 6749 3.2).", Takes::Text),
        ("device", "The device authorization endpoint, for `login --device` (RFC 8628 3.1).", Takes::Text),
        ("revoke", "The revocation endpoint, for `logout` (RFC 7009).", Takes::Text),
        ("scope", "The scope to request. Default: that of the provider for IMAP, POP3 and SMTP.", TEXTS),
        (
            "redirect",
            "Where the browser is sent back to, as it was registered. `http://127.0.0.1` and `http://localhost` get a port that is free. Default: the provider's, else `http://127.0.0.1`.",
            Takes::Text,
        ),
    ],
};

/// Where a provider is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the browser goes.
    pub authorize: String,
    /// Where tokens are given.
    pub token: String,
    /// Where a code for another device is given.
    pub device: Option<String>,
    /// Where a sign-in is taken back.
    pub revoke: Option<String>,
}

/// By what a provider knows this program.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// It is no secret.
    pub id: String,
    /// `None` for a public client.
    pub secret: Option<Password>,
}

/// How tokens are come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A person signs in (RFC 6749 4.1, RFC 8628).
    Code,
    /// The client's secret is enough (RFC 6749 4.4).
    App,
    /// The key of a service account signs what is asked (RFC 7523); the file that it is in.
    Key(PathBuf),
}

/// A sign-in, as the config has it. Account and relay of one user at one provider share it.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// The account or relay in which it stands, cleaned.
    pub name: String,
    /// The login name.
    pub user: String,
    /// The provider, where it is one of those that are known.
    pub provider: Option<&'static Issuer>,
    /// Where it is asked.
    pub endpoints: Endpoints,
    /// What is asked for, separated by spaces.
    pub scope: String,
    /// Where the browser is sent back to.
    pub redirect: String,
    /// By what the provider knows this program; `None` where nobody has said so.
    pub client: Option<Client>,
    /// How tokens are come by.
    pub flow: Flow,
    /// The folder in which tokens are kept, below the state folder.
    pub folder: PathBuf,
}

/// What Microsoft gives to programs without a person (learn.microsoft.com, the page of its row, 2026-11-28).
const SCOPE_OF_APPS: &str = "https://outlook.office365.com/.default";
/// The folder below the state folder.
const FOLDER: &str = "sign-ins";
/// The most of a file of tokens that is read, in bytes: tokens of Microsoft have some thousand.
pub const MAX_FILE: u64 = 256 * 1024;

impl SignIn {
    /// As people call the provider.
    pub fn title(&self) -> &str {
        self.provider.map_or_else(|| host_of(&self.endpoints.token), |provider| provider.title)
    }

    /// The name under which its tokens are kept. It differs by provider, client, user, flow and scope: a token is never shown to
    /// anybody it was not made for, nor used for what nobody consented to. `None` without a client id.
    pub fn key(&self) -> Option<String> {
        let who = match (&self.flow, &self.client) {
            (Flow::Key(path), _) => path.as_os_str().as_encoded_bytes(),
            (_, client) => client.as_ref()?.id.as_bytes(),
        };
        let flow: &[u8] = match self.flow {
            Flow::Code => b"code",
            Flow::App => b"app",
            Flow::Key(_) => b"key",
        };
        let mut hash = Sha256::new();
        let user = self.user.to_lowercase();
        for part in [self.endpoints.token.as_bytes(), who, user.as_bytes(), flow, self.scope.as_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        let shown = self.provider.map_or("other", |provider| provider.name);
        Some(format!("{shown}-{}", data_encoding::HEXLOWER.encode(&hash.finalize()[..12])))
    }

    /// Whether a person has to sign in before there are tokens.
    pub fn needs_a_person(&self) -> bool {
        self.flow == Flow::Code
    }

    /// The file of its tokens.
    pub fn file(&self) -> Option<PathBuf> {
        Some(self.folder.join(format!("{}.json", self.key()?)))
    }

    /// Another one for each time that somebody signed in; the same however often tokens are made anew.
    pub(super) fn mark(&self) -> Vec<u8> {
        #[derive(serde::Deserialize)]
        struct Marked {
            id: String,
        }
        let text = self.file().and_then(|path| read_private(&path).ok());
        let marked = text.and_then(|text| serde_json::from_str::<Marked>(&text).ok());
        marked.map(|marked| marked.id.into_bytes()).unwrap_or_default()
    }
}

/// The folder of all sign-ins below the state folder.
pub(super) fn folder_in(state: &Path) -> PathBuf {
    state.join(FOLDER)
}

/// A file with tokens, up to [`MAX_FILE`]; more is an error, for it is cut then.
pub fn read_private(path: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
    std::fs::File::open(path)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// The value of `oauth2`. Name, user, folder and a client of `clients.yaml` are added later.
pub(super) fn read(node: &Node, base: &Base, problems: &mut Problems) -> Option<SignIn> {
    let Value::Map(_) = &node.value else {
        let words: Vec<(&str, &'static Issuer)> = providers::PROVIDERS.iter().map(|one| (one.name, one)).collect();
        let provider = reader::choice(node, &words, problems)?;
        return Some(of_provider(provider, TENANT));
    };
    let mut map = MapReader::new(node, &SHAPE, problems);
    let words: Vec<(&str, &'static Issuer)> = providers::PROVIDERS.iter().map(|one| (one.name, one)).collect();
    let provider = map.read("provider", |n, p| reader::choice(n, &words, p));
    let tenant = map.read("tenant", read_tenant);
    let has_tenants = match provider {
        Some(provider) => provider.token.contains("{tenant}"),
        // A misspelt one has been reported.
        None => map.key_span("provider").is_some(),
    };
    if let (Some(at), false) = (map.key_span("tenant"), has_tenants) {
        map.problems().error(at, "only Microsoft has tenants").hint("leave `tenant` out");
    }
    let id = map.read("client_id", |n, p| reader::text(n, "a client id", p).map(str::to_owned));
    let secret = map.read("client_secret", |n, p| Password::read(n, base, p));
    if let (Some(at), Some(Password::Netrc(..) | Password::Prompt(_))) = (map.key_span("client_secret"), &secret) {
        let problem =
            map.problems().error(at, "a client secret is no password of a host: `netrc` and `prompt` have none");
        problem.hint("{file: PATH}, {command: […]} or {keyring: NAME}");
    }
    if let (Some(at), None) = (map.key_span("client_secret"), map.key_span("client_id")) {
        map.problems().error(at, "a client secret belongs to a client id").hint("write `client_id` beside it");
    }
    let [authorize, token, device, revoke] =
        ["authorize", "token", "device", "revoke"].map(|key| map.read(key, read_endpoint));
    let scope = map.read("scope", |n, p| reader::texts(n, "what is asked for", p)).map(|words| words.join(" "));
    let redirect = map.read("redirect", read_redirect);
    let flow = read_flow(&mut map, provider, base);
    let mut it = match (map.take("provider"), provider) {
        (Some(_), provider) => of_provider(provider?, tenant.as_deref().unwrap_or(TENANT)),
        (None, _) => {
            let needed: &[&str] =
                if flow == Some(Flow::App) { &["token", "scope"] } else { &["authorize", "token", "scope"] };
            let missing = needed.iter().filter(|key| map.take(key).is_none());
            let missing: Vec<String> = missing.map(|key| format!("`{key}`")).collect();
            if !missing.is_empty() {
                let message = format!("a sign-in without `provider` needs {}", missing.join(", "));
                map.problems().error(node.span, message).hint(format!("or `provider`: {}", NAMES.join(", ")));
                return None;
            }
            let endpoints = Endpoints {
                authorize: authorize.clone().unwrap_or_default(),
                token: token.clone()?,
                device: None,
                revoke: None,
            };
            of_none(endpoints)
        }
    };
    it.flow = flow?;
    if it.flow == Flow::App && provider.is_some_and(|provider| provider.name == "microsoft") {
        it.scope = SCOPE_OF_APPS.to_owned();
    }
    it.endpoints.authorize = authorize.unwrap_or(it.endpoints.authorize);
    it.endpoints.token = token.unwrap_or(it.endpoints.token);
    it.endpoints.device = device.or(it.endpoints.device);
    it.endpoints.revoke = revoke.or(it.endpoints.revoke);
    it.scope = scope.unwrap_or(it.scope);
    it.redirect = redirect.unwrap_or(it.redirect);
    it.client = id.map(|id| Client { id, secret });
    Some(it)
}

fn of_provider(provider: &'static Issuer, tenant: &str) -> SignIn {
    let filled = |address: &str| address.replace("{tenant}", tenant);
    let endpoints = Endpoints {
        authorize: filled(provider.authorize),
        token: filled(provider.token),
        device: provider.device.map(filled),
        revoke: provider.revoke.map(filled),
    };
    let (scope, redirect) = (provider.scope.to_owned(), provider.redirect.to_owned());
    SignIn { provider: Some(provider), scope, redirect, ..of_none(endpoints) }
}

fn of_none(endpoints: Endpoints) -> SignIn {
    SignIn {
        name: String::new(),
        user: String::new(),
        provider: None,
        endpoints,
        scope: String::new(),
        redirect: "http://127.0.0.1".to_owned(),
        client: None,
        flow: Flow::Code,
        folder: PathBuf::new(),
    }
}

/// `flow` and what belongs to it. `None` after a report.
fn read_flow(map: &mut MapReader<'_, '_>, provider: Option<&'static Issuer>, base: &Base) -> Option<Flow> {
    let is_app = map.read("flow", |n, p| reader::choice(n, &[("code", false), ("app", true)], p)).unwrap_or(false);
    let key_file = map.read("key_file", |n, p| reader::path(n, base, p));
    let key_at = map.key_span("key_file");
    let name = provider.map_or("", |provider| provider.name);
    let needed: &[&str] = match name {
        _ if !is_app => &[],
        "google" => &["key_file"],
        "microsoft" => &["tenant", "client_id", "client_secret"],
        _ => &["client_id", "client_secret"],
    };
    let missing: Vec<String> =
        needed.iter().filter(|key| map.take(key).is_none()).map(|key| format!("`{key}`")).collect();
    let at = map.key_span("flow").unwrap_or(map.place());
    if !missing.is_empty() {
        map.problems().error(at, format!("`flow: app` needs {} here", missing.join(", ")));
        return None;
    }
    if let Some(at) = key_at.filter(|_| !is_app || name != "google") {
        map.problems().error(at, "`key_file` is for Google with `flow: app`").hint("leave it out, or write both");
        return None;
    }
    match (is_app, key_at) {
        (false, _) => Some(Flow::Code),
        (true, None) => Some(Flow::App),
        (true, Some(_)) => key_file.map(Flow::Key),
    }
}

fn read_tenant(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "a tenant", problems)?;
    let is_one = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    if !is_one {
        reader::mismatch(node, "a tenant: an id or a domain", problems);
    }
    is_one.then(|| text.to_owned())
}

/// Tokens go there: over TLS, or to this machine.
fn read_endpoint(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "a web address", problems)?;
    if !is_address(text) {
        reader::mismatch(node, "a web address like `https://login.example.com/token`", problems);
        return None;
    }
    if text.starts_with("http://") && !is_loopback(host_of(text)) {
        let message =
            format!("without TLS, anybody on the way to {} can read the tokens", clean::short(host_of(text), 80));
        problems.error(node.span, message).hint("write `https://`");
        return None;
    }
    Some(text.to_owned())
}

/// The code that comes back is of no use without the verifier that stays here (RFC 7636): where it is shown does not matter.
fn read_redirect(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "a web address", problems)?;
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_own = scheme.contains('.') && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if !is_own && !is_address(text) {
        reader::mismatch(node, "a web address like `http://127.0.0.1`", problems);
        return None;
    }
    Some(text.to_owned())
}

/// `http` or `https`, a host, and nothing that could end a line or begin a query of its own.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '#' | '\\' | '@');
    rest.is_some_and(|rest| !host_of(text).is_empty() && rest.chars().all(is_plain))
}

/// The host of a web address, without port and brackets.
pub fn host_of(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Gives the sign-ins of accounts and relays what only the whole config knows. `written`: the names of those that have one, with
/// their places.
pub(super) fn settle<'a>(
    passwords: impl Iterator<Item = (&'a str, &'a mut Password)>,
    state: &Path,
    clients: &Clients,
    written: &[(&str, &Node)],
    problems: &mut Problems,
) {
    let mut said = Vec::new();
    for (name, password) in passwords {
        let Password::SignIn(it) = password else { continue };
        it.folder = folder_in(state);
        it.client = it.client.take().or_else(|| clients.of(it));
        if it.client.is_none() && !matches!(it.flow, Flow::Key(_)) && !said.contains(&name) {
            said.push(name);
            let Some((_, node)) = written.iter().find(|(one, _)| *one == name) else { continue };
            problems
                .warn(node.span, format!("no client id for {} is known, so nobody can sign in", it.title()))
                .hint(format!("`mailsluice login {name}` says how to get one"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::SourceFile;
    use crate::config::yaml::Document;

    fn sign_in(yaml: &str) -> Result<SignIn, String> {
        let source = Arc::new(SourceFile::new("t", yaml));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).unwrap().root;
        let read = read(&root, &Base::new("/etc", None), &mut problems);
        let messages: Vec<_> = problems.into_vec().into_iter().map(|p| p.message).collect();
        read.filter(|_| messages.is_empty()).ok_or(messages.join("\n"))
    }

    #[test]
    fn every_provider_is_known_by_its_name() {
        for provider in providers::PROVIDERS {
            let it = sign_in(provider.name).unwrap();
            assert!(NAMES.contains(&provider.name) && !it.endpoints.token.contains('{'), "{it:?}");
            assert!(is_address(&it.endpoints.authorize) && is_address(&it.endpoints.token), "{it:?}");
            assert!(provider.source.contains("2026"), "{it:?}");
        }
        assert_eq!(NAMES.len(), providers::PROVIDERS.len());
    }

    #[test]
    fn a_tenant_is_put_in() {
        let it = sign_in("{provider: microsoft, tenant: example.org}").unwrap();
        assert_eq!(it.endpoints.token, "https://login.microsoftonline.com/example.org/oauth2/v2.0/token");
        assert!(sign_in("{provider: microsoft, tenant: 'a/b'}").is_err());
        assert!(sign_in("{provider: google, tenant: example.org}").is_err());
    }

    #[test]
    fn an_app_needs_what_its_provider_wants() {
        let app =
            sign_in("{provider: microsoft, flow: app, tenant: a.example, client_id: x, client_secret: y}").unwrap();
        assert!(app.scope.ends_with("/.default") && app.flow == Flow::App);
        let google = sign_in("{provider: google, flow: app, key_file: key.json}").unwrap();
        assert!(google.flow == Flow::Key("/etc/key.json".into()) && google.key().is_some());
        let own = "{flow: app, token: 'https://x.example/t', scope: mail, client_id: x, client_secret: y}";
        assert_eq!(sign_in(own).unwrap().flow, Flow::App);
        for bad in [
            "{provider: microsoft, flow: app, client_id: x, client_secret: y}",
            "{provider: google, flow: app, client_id: x, client_secret: y}",
            "{provider: google, key_file: key.json, client_id: x}",
            "{flow: app, token: 'https://x.example/t', scope: mail, client_id: x}",
        ] {
            assert!(sign_in(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_go_over_tls_or_to_this_machine() {
        let with = |address: &str| sign_in(&format!("{{provider: google, token: '{address}'}}"));
        for good in ["https://x.example/token", "http://127.0.0.1:8/t", "http://[::1]:8/t", "http://localhost/t"] {
            assert_eq!(with(good).unwrap().endpoints.token, good);
        }
        for bad in ["http://x.example/token", "ftp://x", "https://", "https://a b", "x.example", "https://a@b/"] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tokens_of_one_user_at_one_client_have_one_name() {
        let with = |id: &str, user: &str| {
            let it = sign_in(&format!("{{provider: google, client_id: {id}}}")).unwrap();
            SignIn { user: user.to_owned(), ..it }.key().unwrap()
        };
        assert_eq!(with("a", "Me@x"), with("a", "me@x"));
        assert_ne!(with("a", "me@x"), with("b", "me@x"));
        assert_ne!(with("a", "me@x"), with("a", "you@x"));
        assert!(sign_in("google").unwrap().key().is_none());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let it = sign_in("{provider: google, client_id: a, client_secret: hush}").unwrap();
        assert!(!format!("{it:?}").contains("hush"));
    }
}
