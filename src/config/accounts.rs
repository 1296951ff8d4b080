//! The accounts of a config.

use std::time::Duration;

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::is_nfc;

use super::auth::{self, Auth};
use super::filters::FilterFiles;
use super::problem::Problems;
use super::provided::{self, Provided};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::retention;
use super::secret::{self, Password};
use super::server::{self, ProtocolPorts};
use super::template::Template;
use super::units;
use super::yaml::{Node, Span, Value, YamlKey};
use super::{Account, FetchedFolders, First, Pop3Identity, Protocol, PushFolders, Retention, Select, Server};
use crate::clean;
use crate::providers::MailProtocol;

/// What stands behind `filters`.
pub(super) const FILTERS: Takes = Takes::Some(&Takes::Either(&[Takes::Text, Takes::Section(&super::filters::USES)]));

const SERVER: Takes = Takes::Either(&[Takes::Text, Takes::Section(&server::SHAPE)]);

/// One entry of `accounts`.
pub(super) static SHAPE: Shape = Shape {
    what: "an account",
    keys: &[
        (
            "address",
            "Your address at a known provider (docs/providers.md). It sets `imap` and `user`, and makes a relay unless `relays` has one with the account's name or `default`. Other keys of the account override what it sets.",
            Takes::Text,
        ),
        ("protocol", "Beside `address`: `imap` (default) or `pop3`.", Takes::Word(&["imap", "pop3"])),
        ("imap", "The IMAP server: `host`, `host:port`, or {host:, port:, tls:, ca_file:, tls_pin:, …}.", SERVER),
        ("pop3", "The POP3 server, written like `imap`. An account has one of the two.", SERVER),
        ("user", "The login name. Required where `address` does not give it.", Takes::Text),
        (
            "password",
            "{command: [pass, show, NAME]}, {env: NAME}, {file: PATH}, {credential: NAME}, {netrc: PATH}, {keyring: NAME}, {prompt: true}, or the text itself. This, `token` or `oauth2` is required, unless `auth` is `external`.",
            Takes::Either(&[Takes::Text, Takes::Section(&secret::SHAPE)]),
        ),
        (
            "token",
            "Instead of `password`: a command that prints an OAuth2 access token, like {command: [oama, access, me@gmail.com]}. Gmail and Microsoft accept it (OAUTHBEARER, XOAUTH2).",
            Takes::Section(&secret::SHAPE),
        ),
        (
            "oauth2",
            "In the place of `password`: the provider at which `mailsluice login ACCOUNT` signs in once, `google`, `microsoft`, `yahoo`, `fastmail` or `yandex`, or {provider:, client_id:, client_secret:, …}. After that, access tokens are renewed as needed.",
            super::oauth::OAUTH2_TAKES,
        ),
        (
            "auth",
            "The SASL mechanism to use. Default: the strongest that the server offers. `external`: the `client_cert` of the server.",
            Takes::Word(auth::MECHANISM_WORDS),
        ),
        (
            "folders",
            "IMAP: the folders to fetch, a list of names, patterns (`*`, `%`) and roles (`'\\All'`, `'\\Sent'`: RFC 6154), or `all`. Default: INBOX. With Gmail `'\\All'` has each message once, whatever its labels.",
            TEXTS,
        ),
        ("except", "IMAP: patterns and roles of folders to leave out.", TEXTS),
        (
            "labels",
            "IMAP: `keywords` turns Gmail's labels into keywords, which `flag` tests; `off` (default).",
            Takes::Word(&["keywords", "off"]),
        ),
        (
            "into",
            "The local folder of mail that no rule files; may use `${folder}` and `${account}`. Default: INBOX.",
            Takes::Text,
        ),
        (
            "first",
            "The first run fetches `all` (default), only `new` mail, or {since: 30d}.",
            Takes::Either(&[Takes::Word(&["all", "new"]), Takes::Section(&FIRST)]),
        ),
        (
            "retention",
            "Fetched mail on the server: `keep` (default), `delete`, `mark_seen`, {delete_after: 14d}, {move_to: FOLDER}. It applies to mail of earlier runs too.",
            Takes::Either(&[Takes::Word(&["keep", "delete", "mark_seen"]), Takes::Section(&retention::SHAPE)]),
        ),
        ("poll", "The time between two passes of `mailsluice run`, at least 1s. Default: 5m.", Takes::Duration),
        (
            "push",
            "IMAP: the folders for which the server reports new mail at once to `mailsluice run`: `all` that are fetched (default), a list of names and patterns, or `off`.",
            TEXTS,
        ),
        (
            "since",
            "Fetch only mail that arrived after this date (`2026-01-31`) or within this time (`30d`).",
            Takes::Text,
        ),
        ("max_size", "Fetch only messages up to this size, like `10M`.", Takes::Size),
        (
            "search",
            "IMAP: fetch only what this SEARCH finds, like `UNSEEN FROM \"boss\"` (RFC 3501 6.4.4).",
            Takes::Text,
        ),
        ("limit", "Fetch at most so many messages per run.", Takes::Number),
        (
            "identity",
            "POP3: messages are told apart by the server's `uidl` (default) or by their `content`.",
            Takes::Word(&["uidl", "content"]),
        ),
        (
            "apop",
            "POP3: `true` logs in by APOP only, `false` never. Default: only without TLS, if the server offers nothing better.",
            Takes::Flag,
        ),
        (
            "relay",
            "The relay for what rules send because of mail of this account, unless they name one. Default: `default`.",
            Takes::Text,
        ),
        ("filters", "The filters for this account, instead of the config's own `filters` and `rules`.", FILTERS),
    ],
};

/// The long form of `first`.
pub(super) static FIRST: Shape = Shape {
    what: "the first run",
    keys: &[("since", "Fetch what arrived after this date (`2026-01-31`) or within this time (`30d`).", Takes::Text)],
};

const DEFAULT_POLL: Duration = Duration::from_secs(300);
const LEAST_POLL: Duration = Duration::from_secs(1);
/// In characters.
const LONGEST_NAME: usize = 64;
/// A file system takes 255 bytes in the name of a folder, and `${account}` may be a part of one.
const LONGEST_NAME_BYTES: usize = 192;

/// Keys that make sense only where there are folders.
const IMAP_ONLY: [&str; 5] = ["folders", "except", "labels", "push", "search"];

/// The value of `accounts`. Accounts with a mistake are left out; the mistake has been reported.
pub(super) fn read_all(
    node: &Node,
    base: &Base,
    files: &mut FilterFiles,
    problems: &mut Problems,
) -> Option<Vec<Account>> {
    let entries = match &node.value {
        Value::Map(entries) => entries,
        // All of them commented out.
        Value::Null => return None,
        _ => {
            let hint = "write each account's name, a colon, and its settings indented below";
            reader::mismatch(node, "a mapping of accounts", problems).hint(hint);
            return None;
        }
    };
    let mut accounts: Vec<Account> = Vec::new();
    for (key, node) in entries {
        check_name(key, problems);
        let Some(account) = read(key, node, base, files, problems) else { continue };
        warn_of_twin(&account, &accounts, key.span, problems);
        accounts.push(account);
    }
    let mailboxes: Vec<String> = accounts.iter().map(Account::mailbox).collect();
    for account in &mut accounts {
        let mailbox = account.mailbox();
        account.port_counts = mailboxes.iter().filter(|other| **other == mailbox).count() > 1;
    }
    Some(accounts)
}

/// What the log calls mail that came from no account.
const RESERVED: [&str; 6] = ["deliver", "refilter", "undo", "outbox", "sendmail", "maintenance"];

/// Names stand in logs, in commands and, by `${account}`, in the names of folders, so spaces and signs are left out. A text that
/// looks the same must be the same, so letters with accents are composed (Unicode NFC), as keyboards write them.
pub fn is_account_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_alphanumeric() || is_combining_mark(c) || "-_.@".contains(c);
    (1..=LONGEST_NAME).contains(&name.chars().count())
        && name.len() <= LONGEST_NAME_BYTES
        && name.chars().all(is_allowed)
        && !name.starts_with(|c: char| c == '-' || c == '.' || is_combining_mark(c))
        && is_nfc(name)
}

fn check_name(key: &YamlKey, problems: &mut Problems) {
    let name = key.text.as_str();
    if !is_account_name(name) {
        let message = format!("`{}` cannot be the name of an account", clean::short(name, 80));
        let hint = format!(
            "1 to {LONGEST_NAME} letters and digits of any script, `-`, `_`, `.`, `@`; not beginning with `-` or `.`"
        );
        problems.error(key.span, message).hint(hint);
    } else if RESERVED.contains(&name) {
        let message = format!("`{name}` cannot be the name of an account");
        problems.error(key.span, message).hint(format!("the log calls mail so that came by `mailsluice {name}`"));
    }
}

fn warn_of_twin(account: &Account, others: &[Account], at: Span, problems: &mut Problems) {
    let is_twin =
        |other: &&Account| other.server.host.eq_ignore_ascii_case(&account.server.host) && other.user == account.user;
    if let Some(other) = others.iter().find(is_twin) {
        let message = format!("`{}` and `{}` are the same user on the same server", other.name, account.name);
        problems.warn(at, message).hint("mail that both fetch is filed twice; one account can fetch several folders");
    }
    let moves_back = |other: &&Account| is_twin(other) && retention::is_moved_back(account, other);
    if let Some(other) = others.iter().find(moves_back) {
        let message = format!("`{}` and `{}` move the same mail to and fro without end", other.name, account.name);
        problems.error(at, message).hint("one must not fetch the folder that the other moves its mail to");
    }
}

fn read(key: &YamlKey, node: &Node, base: &Base, files: &mut FilterFiles, problems: &mut Problems) -> Option<Account> {
    let mut map = MapReader::new(node, &SHAPE, problems).placed(key.span);
    let provided = Provided::read(&mut map);
    let protocol = read_protocol(&mut map);
    if let Some(protocol) = protocol {
        check_protocol(&mut map, protocol);
    }
    let server = read_server(&mut map, protocol, provided.as_ref(), base);
    let user = read_user(&mut map, protocol, provided.as_ref());
    let auth = auth::read(&mut map);
    if let Some(server) = &server {
        auth::check_certificate(&mut map, auth, server);
    }
    let secret = read_secret(&mut map, auth, provided.as_ref(), base);
    if let (Some(server), Some((_, false)), Some(protocol)) = (&server, &secret, protocol) {
        provided::check_password(&mut map, server, mail_of(protocol));
    }
    let into = match map.take("into") {
        Some(node) => read_into(node, map.problems()),
        None => Template::parse("INBOX").ok(),
    };
    let folders =
        map.read("folders", read_folders).unwrap_or_else(|| FetchedFolders::Patterns(vec!["INBOX".to_owned()]));
    let except = map.read("except", |n, p| reader::texts(n, "a list of folder names", p)).unwrap_or_default();
    let labels =
        map.read("labels", |n, p| reader::choice(n, &[("keywords", true), ("off", false)], p)).unwrap_or(false);
    let first = map.read("first", read_first).unwrap_or(First::All);
    let retention = map.read("retention", |n, p| retention::read(n, protocol, p)).unwrap_or(Retention::Keep);
    if let Some((at, problem)) = retention::target_among(&mut map, &folders, &except, &retention) {
        map.problems().error(at, problem).hint("leave it out of `folders`; a pattern leaves it out by itself");
    }
    let select = read_select(&mut map);
    let poll = map.read("poll", read_poll).unwrap_or(DEFAULT_POLL);
    let push = map.read("push", read_push).unwrap_or(PushFolders::All);
    let identity = map.read("identity", |n, p| reader::choice(n, IDENTITIES, p)).unwrap_or_default();
    let apop = read_apop(&mut map);
    let relay = map.read("relay", |n, p| reader::text(n, "the name of a relay", p).map(str::to_owned));
    let filters = map.read("filters", |n, p| files.read(n, p));
    let ((password, token), user, server) = (secret?, user?, server?);
    let password = password.of(&key.text, &user, &server.host);
    Some(Account {
        name: key.text.clone(),
        protocol: protocol?,
        server,
        password,
        user,
        address: provided.map(|provided| provided.address),
        token,
        auth: auth.only,
        labels,
        folders,
        except,
        into: into?,
        first,
        select,
        retention,
        poll,
        push,
        identity,
        apop,
        relay,
        filters,
        port_counts: false,
    })
}

pub(super) fn mail_of(protocol: Protocol) -> MailProtocol {
    match protocol {
        Protocol::Imap => MailProtocol::Imap,
        Protocol::Pop3 => MailProtocol::Pop3,
    }
}

/// `need` says that it is missing where no address gives it.
fn read_user(map: &mut MapReader<'_, '_>, protocol: Option<Protocol>, provided: Option<&Provided>) -> Option<String> {
    match provided.filter(|_| map.take("user").is_none()) {
        Some(provided) => Some(provided.user(mail_of(protocol?))),
        None if map.take("address").is_some() && map.take("user").is_none() => None,
        None => map.need("user", |n, p| reader::text(n, "a login name", p).map(str::to_owned)),
    }
}

/// `need` says that a password is missing where neither it nor a token is written.
fn read_secret(
    map: &mut MapReader<'_, '_>,
    auth: Auth,
    provided: Option<&Provided>,
    base: &Base,
) -> Option<(Password, bool)> {
    if auth.is_external() {
        return Some((Password::Unneeded, false));
    }
    let written = secret::span_of_either(map);
    if let Some(provided) = provided.filter(|provided| written.is_none() && provided.is_known()) {
        provided.miss_secret(map);
        return None;
    }
    let secret = match written {
        None => map.need("password", |n, p| Password::read(n, base, p)).map(|password| (password, false)),
        Some(_) => secret::read_either(map, base),
    };
    secret.map(|(secret, is_token)| match auth.takes_token(is_token) {
        true => (secret.into_token(), true),
        false => (secret, false),
    })
}

fn read_apop(map: &mut MapReader<'_, '_>) -> Option<bool> {
    let apop = map.read("apop", reader::flag);
    let token_at = map.key_span("token").or(map.key_span("oauth2"));
    if let (Some(at), Some(_)) = (map.key_span("apop").filter(|_| apop == Some(true)), token_at) {
        map.problems().error(at, "APOP needs a password, not a token").hint("leave one of the two out");
    }
    let auth_at = map.key_span("auth").filter(|_| map.take("auth").and_then(Node::as_text) != Some("password"));
    if let (Some(true), Some(at)) = (apop, auth_at) {
        map.problems().error(at, "`apop: true` logs in by APOP alone").hint("leave one of the two out");
    }
    apop
}

const IDENTITIES: &[(&str, Pop3Identity)] = &[("uidl", Pop3Identity::Uidl), ("content", Pop3Identity::Content)];

const PROTOCOLS: &[(&str, Protocol)] = &[("imap", Protocol::Imap), ("pop3", Protocol::Pop3)];

/// Exactly one of `imap` and `pop3`, or neither beside `address`.
fn read_protocol(map: &mut MapReader<'_, '_>) -> Option<Protocol> {
    let by_address = map.read("protocol", |n, p| reader::choice(n, PROTOCOLS, p));
    let written = (map.key_span("imap"), map.key_span("pop3"));
    if let (Some(at), true) = (map.key_span("protocol"), written != (None, None) || map.take("address").is_none()) {
        map.problems().error(at, "`protocol` is for accounts whose server follows from `address`").hint("leave it out");
    }
    match written {
        (Some(_), None) => Some(Protocol::Imap),
        (None, Some(_)) => Some(Protocol::Pop3),
        (Some(_), Some(at)) => {
            map.problems().error(at, "an account has either `imap` or `pop3`, not both").hint("make it two accounts");
            None
        }
        (None, None) if map.take("address").is_some() => match map.take("protocol") {
            Some(_) => by_address,
            None => Some(Protocol::Imap),
        },
        (None, None) => {
            if map.is_map() {
                let at = map.place();
                map.problems()
                    .error(at, "an account needs one of the keys `address`, `imap` and `pop3`")
                    .hint("like `imap: imap.example.com`");
            }
            None
        }
    }
}

fn read_server(
    map: &mut MapReader<'_, '_>,
    protocol: Option<Protocol>,
    provided: Option<&Provided>,
    base: &Base,
) -> Option<Server> {
    let (key, ports) = match protocol? {
        Protocol::Imap => ("imap", ProtocolPorts::IMAP),
        Protocol::Pop3 => ("pop3", ProtocolPorts::POP3),
    };
    match provided.filter(|_| map.take(key).is_none()) {
        Some(provided) => provided.server(mail_of(protocol?), map),
        None => map.read(key, |n, p| server::read(n, ports, base, p)),
    }
}

/// Refuses keys that the protocol has nothing for.
fn check_protocol(map: &mut MapReader<'_, '_>, protocol: Protocol) {
    let (keys, message, hint): (&[&str], _, _) = match protocol {
        Protocol::Imap => (&["identity", "apop"], "is for POP3 only", "IMAP has better ways of its own: leave it out"),
        Protocol::Pop3 => (
            &IMAP_ONLY,
            "is for IMAP only",
            "POP3 knows one folder, the inbox, and no search: leave it out, or use `imap`",
        ),
    };
    for key in keys {
        if let Some(at) = map.key_span(key) {
            map.problems().error(at, format!("`{key}` {message}")).hint(hint);
        }
    }
}

fn read_folders(node: &Node, problems: &mut Problems) -> Option<FetchedFolders> {
    if node.as_text() == Some("all") {
        return Some(FetchedFolders::All);
    }
    reader::texts(node, "a list of folder names", problems).map(FetchedFolders::Patterns)
}

/// The first one of several is the most important.
fn read_push(node: &Node, problems: &mut Problems) -> Option<PushFolders> {
    match node.as_text() {
        Some("all") => Some(PushFolders::All),
        Some("off") => Some(PushFolders::Off),
        _ => reader::texts(node, "`all`, `off` or a list of folder names", problems).map(PushFolders::Patterns),
    }
}

fn read_into(node: &Node, problems: &mut Problems) -> Option<Template> {
    let template = reader::template(node, problems)?;
    if let Some(name) = template.names().find(|name| !matches!(*name, "account" | "folder")) {
        let message = format!("`into` has no variable `{}`", clean::short(name, 80));
        problems.error(node.span, message).hint("it has `${account}` and `${folder}`; rules have more");
        return None;
    }
    Some(template)
}

fn read_first(node: &Node, problems: &mut Problems) -> Option<First> {
    if let Value::Map(_) = node.value {
        let mut map = MapReader::new(node, &FIRST, problems);
        return map.need("since", reader::when).map(First::Since);
    }
    if node.as_text().is_some_and(|text| units::parse_when(text).is_ok()) {
        let hint = format!("write {{since: {}}}", node.as_text().unwrap_or_default());
        reader::mismatch(node, "`all`, `new` or {since: …}", problems).hint(hint);
        return None;
    }
    reader::choice(node, &[("all", First::All), ("new", First::New)], problems)
}

fn read_select(map: &mut MapReader<'_, '_>) -> Select {
    Select {
        since: map.read("since", reader::when),
        max_size: map.read("max_size", read_max_size),
        search: map.read("search", read_search),
        limit: map.read("limit", |n, p| reader::number32(n, 1, p)),
    }
}

fn read_max_size(node: &Node, problems: &mut Problems) -> Option<u64> {
    let size = reader::size(node, problems)?;
    if size == 0 {
        problems.error(node.span, "no message is that small").hint("leave `max_size` out for no limit");
        return None;
    }
    Some(size)
}

/// The text goes into a command as it is: it must not end the command, nor begin a literal.
fn read_search(node: &Node, problems: &mut Problems) -> Option<String> {
    let search = reader::text(node, "an IMAP search, like `UNSEEN`", problems)?;
    if search.contains('{') {
        problems
            .error(node.span, "an IMAP search here cannot hold `{`")
            .hint("put texts in double quotes: FROM \"boss\"");
        return None;
    }
    Some(search.to_owned())
}

fn read_poll(node: &Node, problems: &mut Problems) -> Option<Duration> {
    let poll = reader::duration(node, problems)?;
    if poll < LEAST_POLL {
        problems.error(node.span, "the time between two passes is at least `1s`");
        return None;
    }
    Some(poll)
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::SourceFile;
    use crate::config::yaml::Document;
    use crate::config::{PointInTime, Tls};

    /// Reads `text` as the value of `accounts`, and returns the problems as `message | hint`.
    pub(in crate::config) fn accounts(text: &str) -> (Vec<Account>, Vec<String>) {
        let source = Arc::new(SourceFile::new("config.yaml", text));
        let mut problems = Problems::new(&source);
        let root = Document::parse(&source, &mut problems).unwrap().root;
        let base = Base::new("/etc/ms", Some("/home/me".into()));
        let mut files = FilterFiles::new(Path::new("config.yaml"), &base);
        let accounts = read_all(&root, &base, &mut files, &mut problems).unwrap_or_default();
        let messages = problems.into_vec().into_iter();
        (accounts, messages.map(|p| format!("{} | {}", p.message, p.hint.unwrap_or_default())).collect())
    }

    /// The one account with these keys besides server, user and password.
    fn imap(keys: &str) -> Account {
        let text = format!("{{a: {{imap: mail.example.com, user: me, password: {{env: X}}, {keys}}}}}");
        let (mut accounts, problems) = accounts(&text);
        assert!(problems.is_empty(), "{problems:?}");
        accounts.remove(0)
    }

    fn complaints(protocol: &str, keys: &str) -> String {
        let text = format!("{{a: {{{protocol}: mail.example.com, user: me, password: {{env: X}}, {keys}}}}}");
        accounts(&text).1.join("\n")
    }

    #[test]
    fn defaults_keep_people_safe() {
        let account = imap("");
        assert_eq!(account.server.tls, Tls::Implicit);
        assert_eq!(account.retention, Retention::Keep);
        assert_eq!(account.folders, FetchedFolders::Patterns(vec!["INBOX".into()]));
        assert_eq!((account.first, account.poll), (First::All, Duration::from_secs(300)));
        assert_eq!(account.into, Template::parse("INBOX").unwrap());
        assert_eq!(account.select, Select::default());
        assert!(account.except.is_empty() && account.filters.is_none());
    }

    #[test]
    fn everything_that_can_be_written() {
        let account = imap(
            "folders: [INBOX, Lists/*], except: Lists/noise, into: '${account}/${folder}', first: {since: 30d}, \
             retention: {move_to: Archive}, poll: 1s, since: 1w, max_size: 10M, search: 'UNSEEN FROM \"boss\"', limit: 7, \
             filters: []",
        );
        let age = |days: u64| PointInTime::Ago(Duration::from_secs(days * 86_400));
        assert_eq!(account.folders, FetchedFolders::Patterns(vec!["INBOX".into(), "Lists/*".into()]));
        assert_eq!(account.except, ["Lists/noise"]);
        assert_eq!(account.first, First::Since(age(30)));
        assert_eq!(account.retention, Retention::MoveTo("Archive".into()));
        let select = Select {
            since: Some(age(7)),
            max_size: Some(10 << 20),
            search: Some("UNSEEN FROM \"boss\"".into()),
            limit: Some(7),
        };
        assert_eq!(account.select, select);
        assert_eq!(account.filters.map(|filters| filters.len()), Some(0));
        assert_eq!(imap("folders: all").folders, FetchedFolders::All);
        assert_eq!(imap("first: new").first, First::New);
        let after = Retention::DeleteAfter(Duration::from_secs(14 * 86_400));
        assert_eq!(imap("retention: {delete_after: 14d}").retention, after);
        assert_eq!(imap("retention: mark_seen").retention, Retention::MarkSeen);
    }

    #[test]
    fn pop3_has_neither_folders_nor_search() {
        for keys in ["folders: [a]", "except: [a]", "search: UNSEEN", "retention: mark_seen", "retention: {move_to: a}"]
        {
            assert!(complaints("pop3", keys).contains("is for IMAP only"), "{keys}");
        }
        assert!(complaints("imap", "identity: content").contains("is for POP3 only"));
        assert!(complaints("imap", "apop: true").contains("is for POP3 only"));
        assert_eq!(complaints("pop3", "identity: content, retention: delete, apop: true"), "");
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let (read, problems) = accounts("{a: {imap: 'x y', fodlers: 1, poll: 5, limit: many}, b: {user: u}, -c: 1}");
        assert!(read.is_empty());
        assert_eq!(problems.len(), 10, "{problems:#?}");
    }

    #[test]
    fn what_is_refused_says_what_to_write() {
        for (keys, expected) in [
            ("search: 'X {3}'", "cannot hold `{`"),
            ("search: \"X\\r\\nA1 LOGOUT\"", "must be one line"),
            ("poll: 0s", "at least `1s`"),
            ("max_size: 0", "no message is that small"),
            ("into: '${list_id}'", "`into` has no variable `list_id`"),
            ("into: ../etc", "cannot begin with `.`"),
            ("first: 30d", "write {since: 30d}"),
            ("first: news", "did you mean `new`?"),
            ("retention: delete_after", "write {delete_after: 14d}"),
            ("retention: {delete_after: 1d, move_to: x}", "either deleted or moved"),
            ("retention: {}", "{delete_after: …} or {move_to: …}"),
            ("folders: []", "an empty list"),
            ("pop3: other", "either `imap` or `pop3`"),
            ("filters: [triage.lua]", "cannot read the rule file triage.lua"),
            ("filters: [guards/lops]", "did you mean `guards/loops`?"),
        ] {
            let said = complaints("imap", keys);
            assert!(said.contains(expected) && said.lines().count() == 1, "{keys}: {said}");
        }
    }

    #[test]
    fn names_fit_files_and_command_lines() {
        for name in ["work", "me@example.com", "a-b_c.d", "7", "büro", "公司", "почта", "कार्य", "공사"]
        {
            assert_eq!(accounts(&format!("{name}: {{imap: h, user: u, password: {{env: X}}}}")).1.len(), 0, "{name}");
        }
        let long = ["x".repeat(65), "\u{20000}".repeat(49)];
        let decomposed = "bu\u{308}ro";
        for name in
            ["-a", ".a", "'a b'", "''", "a/b", "'a$b'", "a\u{202e}b", decomposed, long[0].as_str(), long[1].as_str()]
        {
            let problems = accounts(&format!("{name}: {{imap: h, user: u, password: {{env: X}}}}")).1;
            assert!(problems.len() == 1 && problems[0].contains("cannot be the name"), "{name} {problems:?}");
        }
    }

    #[test]
    fn twins_get_a_warning() {
        let account = "{imap: h, user: u, password: {env: X}}";
        let (read, problems) = accounts(&format!("a: {account}\nb: {}", account.replace('h', "H")));
        assert_eq!(read.len(), 2);
        assert!(problems[0].contains("`a` and `b` are the same user"), "{problems:?}");
    }

    #[test]
    fn passwords_have_one_source() {
        let read = |password: &str| accounts(&format!("{{a: {{imap: h, user: u, password: {password}}}}}"));
        assert!(matches!(&read("0123").0[0].password, Password::Plain(_)));
        let command = read("{command: [pass, show, mail/work]}").0.remove(0).password;
        assert!(matches!(command, Password::Command(argv) if argv == ["pass", "show", "mail/work"]));
        let file = read("{file: ~/secret}").0.remove(0).password;
        assert!(matches!(file, Password::File(path) if path == Path::new("/home/me/secret")));
        for (password, expected) in [
            ("{command: pass show x}", "write [pass, show, x]"),
            ("{env: A, file: b}", "exactly one place"),
            ("{}", "exactly one place"),
            ("{comand: [x]}", "did you mean `command`?"),
            ("{credential: a/b}", "for a path use `file`"),
            ("~", "found nothing"),
            ("''", "the password is empty"),
            ("[a]", "found a list"),
        ] {
            let problems = read(password).1;
            assert!(problems.len() == 1 && problems[0].contains(expected), "{password} {problems:?}");
        }
    }
}
