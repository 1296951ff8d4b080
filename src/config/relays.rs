//! The relays of a config: by what way mail leaves.

use std::path::PathBuf;

use super::auth::{self, Auth};
use super::mailbox::flaw;
use super::problem::Problems;
use super::provided::{self, Provided};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::secret::{self, Password};
use super::server::{self, ProtocolPorts};
use super::yaml::{Node, Value, YamlKey};
use super::{Mechanism, Server, Tls};
use crate::clean;
use crate::ourselves::is_this_program;
use crate::providers::MailProtocol;

/// One entry of `relays`.
pub(super) static SHAPE: Shape = Shape {
    what: "a relay",
    keys: &[
        (
            "address",
            "Your address at a known provider (docs/providers.md). It sets `smtp` and `user`; other keys of the relay override it.",
            Takes::Text,
        ),
        (
            "smtp",
            "The SMTP server: `host`, `host:port`, or {host:, port:, tls:, ca_file:, allow_plaintext:}. Default: port 465 with TLS; 587 with STARTTLS.",
            SERVER,
        ),
        ("lmtp", "An LMTP server (RFC 2033): `host:port`, the path of a socket, or {host:, port:, tls:, …}.", SERVER),
        (
            "sendmail",
            "A program with the interface of sendmail, and its options: `/usr/sbin/sendmail`. A relay has one of `smtp`, `lmtp` and `sendmail`.",
            TEXTS,
        ),
        ("user", "SMTP: the login name. Without one there is no login.", Takes::Text),
        (
            "password",
            "{command: [pass, show, NAME]}, {env: NAME}, {file: PATH}, {credential: NAME}, or the text itself.",
            Takes::Either(&[Takes::Text, Takes::Section(&secret::SHAPE)]),
        ),
        (
            "token",
            "SMTP, in the place of `password`: what gives an OAuth2 access token, like {command: [oama, access, me@gmail.com]} (OAUTHBEARER, XOAUTH2).",
            Takes::Section(&secret::SHAPE),
        ),
        (
            "oauth2",
            "SMTP, in the place of `password`: the provider at which `mailsluice login RELAY` signs in once, as for an account. An account and a relay with the same provider, client id and user share one sign-in.",
            super::oauth::OAUTH2_TAKES,
        ),
        (
            "auth",
            "SMTP: the only mechanism to log in by. Default: the strongest that the server offers. `external`: by the `client_cert` of the server; `token`: the password is an access token.",
            Takes::Word(auth::MECHANISM_WORDS),
        ),
        (
            "from",
            "Your address on this relay, for `envelope_from: own` and answers. Default: `user` if it has an `@`, else the account's.",
            Takes::Text,
        ),
        (
            "null_sender",
            "`ok` (default): answers go out with `MAIL FROM:<>`, and from your own address where the relay refuses that; `own`: always from your own address, and forwarded reports too.",
            Takes::Word(&["ok", "own"]),
        ),
        (
            "connections",
            "How many connections are open at the same time, 1 to 8. Default: 1. Many providers allow few.",
            Takes::Number,
        ),
    ],
};

/// As many lanes of the outbox are at work at the same time.
const MOST_CONNECTIONS: u64 = 8;

const SERVER: Takes = Takes::Either(&[Takes::Text, Takes::Section(&server::SHAPE)]);

/// A way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// The name the user gave it; `default` is the one that is taken when nobody names one.
    pub name: String,
    /// How.
    pub kind: RelayKind,
    /// The user's own address there.
    pub from: Option<String>,
    /// Whether it takes the null reverse-path.
    pub null_sender: bool,
    /// How many connections it has at the same time.
    pub connections: u8,
    /// Whether no relay of the config is it: an account brought it along by its `address`.
    pub is_brought: bool,
}

impl Relay {
    /// Its name and what it logs in with.
    pub(super) fn secret_mut(&mut self) -> Option<(&str, &mut Password)> {
        match &mut self.kind {
            RelayKind::Smtp { login: Some(login), .. } => Some((&self.name, &mut login.password)),
            _ => None,
        }
    }

    /// What it logs in with.
    pub fn secret(&self) -> Option<&Password> {
        match &self.kind {
            RelayKind::Smtp { login: Some(login), .. } => Some(&login.password),
            _ => None,
        }
    }

    /// The files that it needs: certificates and passwords.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.kind {
            RelayKind::Smtp { server, login } => {
                let password = login.as_ref().and_then(|login| login.password.file().cloned());
                server.trust.files().cloned().chain(password).collect()
            }
            RelayKind::Lmtp(LmtpPlace::Server(server)) => server.trust.files().cloned().collect(),
            RelayKind::Lmtp(LmtpPlace::Socket(_)) | RelayKind::Sendmail(_) => Vec::new(),
        }
    }
}

/// The kinds of relays.
#[derive(Clone, Debug, PartialEq)]
pub enum RelayKind {
    /// RFC 5321 and 6409.
    Smtp {
        /// The server.
        server: Server,
        /// Who logs in.
        login: Option<Login>,
    },
    /// RFC 2033.
    Lmtp(LmtpPlace),
    /// A program, with its first arguments.
    Sendmail(Vec<String>),
}

/// Where an LMTP server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LmtpPlace {
    /// TCP.
    Server(Server),
    /// A unix socket.
    Socket(PathBuf),
}

/// Who logs in to an SMTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The login name.
    pub user: String,
    /// The password or the token.
    pub password: Password,
    /// Whether it is an OAuth2 access token.
    pub token: bool,
    /// The only mechanism; `None`: the strongest that the server offers.
    pub auth: Option<Mechanism>,
}

/// The value of `relays`.
pub(super) fn read_all(node: &Node, base: &Base, problems: &mut Problems) -> Vec<Relay> {
    let Value::Map(entries) = &node.value else {
        if !matches!(node.value, Value::Null) {
            let hint = "write each relay's name, a colon, and its settings indented below";
            reader::mismatch(node, "a mapping of relays", problems).hint(hint);
        }
        return Vec::new();
    };
    entries.iter().filter_map(|(key, node)| read(key, node, base, problems)).collect()
}

fn read(key: &YamlKey, node: &Node, base: &Base, problems: &mut Problems) -> Option<Relay> {
    let mut map = MapReader::new(node, &SHAPE, problems).placed(key.span);
    let provided = Provided::read(&mut map);
    let user = map.read("user", |n, p| reader::text(n, "a login name", p).map(str::to_owned));
    let user = user.or_else(|| provided.as_ref().map(|provided| provided.user(MailProtocol::Smtp)));
    let auth = auth::read(&mut map);
    let secret = match auth.is_external() {
        true => Some((Password::Unneeded, false)),
        false => secret::read_either(&mut map, base),
    };
    let secret = secret.map(|(password, is_token)| match auth.takes_token(is_token) {
        true => LoginSecret { password: password.into_token(), token: true, auth },
        false => LoginSecret { password, token: false, auth },
    });
    let from = map.read("from", address);
    let null_sender = map.read("null_sender", |n, p| reader::choice(n, &[("ok", true), ("own", false)], p));
    let connections = map.read("connections", |n, p| reader::number(n, 1..=MOST_CONNECTIONS, p));
    let ways = [map.take("smtp"), map.take("lmtp"), map.take("sendmail")];
    let kind = match ways {
        [None, None, None] if map.take("address").is_some() => {
            let provided = provided.as_ref()?;
            if secret.is_none() && provided.is_known() {
                provided.miss_secret(&mut map);
                return None;
            }
            let server = provided.server(MailProtocol::Smtp, &mut map)?;
            let login = login(&mut map, &key.text, user.clone(), secret, &server)?;
            RelayKind::Smtp { server, login }
        }
        [Some(node), None, None] => {
            let server = server::read(node, ProtocolPorts::SMTP, base, map.problems())?;
            auth::check_certificate(&mut map, auth, &server);
            let login = login(&mut map, &key.text, user.clone(), secret, &server)?;
            RelayKind::Smtp { server, login }
        }
        [None, Some(node), None] => RelayKind::Lmtp(lmtp(node, base, map.problems())?),
        [None, None, Some(node)] => RelayKind::Sendmail(sendmail(node, map.problems())?),
        _ => {
            if map.is_map() {
                let at = map.place();
                let keys = "a relay needs one of the keys `address`, `smtp`, `lmtp` and `sendmail`";
                let problem = map.problems().error(at, keys);
                problem.hint("like `smtp: smtp.example.com`, or `sendmail: /usr/sbin/sendmail`");
            }
            return None;
        }
    };
    if !matches!(kind, RelayKind::Smtp { .. })
        && let Some(at) = map.key_span("user").or_else(|| secret::span_of_either(&map))
    {
        map.problems().error(at, "only `smtp` logs in").hint("leave `user` and `password` out");
    }
    if let RelayKind::Smtp { server, login: Some(Login { token: false, .. }) } = &kind {
        provided::check_password(&mut map, server, MailProtocol::Smtp);
    }
    let from = from.or_else(|| provided.map(|provided| provided.address));
    let from = from.or_else(|| user.filter(|user| user.contains('@')));
    let connections = connections.and_then(|number| u8::try_from(number).ok()).unwrap_or(1);
    let (name, null_sender) = (key.text.clone(), null_sender.unwrap_or(true));
    Some(Relay { name, kind, from, null_sender, connections, is_brought: false })
}

/// An LMTP server takes mail for its own users: what is forwarded or answered cannot go there.
pub(crate) fn check_is_no_lmtp(node: &Node, lmtp: &[String], problems: &mut Problems) {
    if let Some(name) = node.as_text().filter(|name| lmtp.iter().any(|known| known == name)) {
        let message =
            format!("the relay `{}` is an LMTP server, which takes mail for its own users", clean::short(name, 60));
        problems
            .error(node.span, message)
            .hint("name a relay with `smtp` or `sendmail`; an `lmtp` action hands mail to this one");
    }
}

/// The reverse, for an `lmtp` action.
pub(crate) fn check_is_lmtp(node: &Node, known: &[String], lmtp: &[String], problems: &mut Problems) {
    let is_other = |name: &&str| known.iter().any(|one| one == name) && !lmtp.iter().any(|one| one == name);
    if let Some(name) = node.as_text().filter(is_other) {
        let message = format!("the relay `{}` is no LMTP server", clean::short(name, 60));
        problems.error(node.span, message).hint("name a relay with `lmtp`, like `dovecot: {lmtp: /run/dovecot/lmtp}`");
    }
}

/// What is said besides the user name.
struct LoginSecret {
    password: Password,
    token: bool,
    auth: Auth,
}

/// `None` after a report; `Some(None)`: no login.
#[allow(clippy::option_option)]
fn login(
    map: &mut MapReader<'_, '_>,
    name: &str,
    user: Option<String>,
    secret: Option<LoginSecret>,
    server: &Server,
) -> Option<Option<Login>> {
    match (user, secret) {
        (Some(user), Some(secret)) if server.tls == Tls::None && !server.is_loopback() => {
            // `allow_plaintext` is for mail; a password in the clear is given away.
            let at = secret::span_of_either(map).unwrap_or(map.place());
            let message = format!("the password of {} would go out unprotected", clean::short(&user, 60));
            map.problems()
                .error(at, message)
                .hint("use `tls: implicit` or `tls: starttls`, or leave `user` and `password` out");
            drop(secret);
            None
        }
        (Some(user), Some(LoginSecret { password, token, auth })) => {
            let password = password.of(name, &user, &server.host);
            Some(Some(Login { user, password, token, auth: auth.only }))
        }
        (None, None) => Some(None),
        (Some(_), None) => {
            map.require("password");
            None
        }
        (None, Some(_)) => {
            map.require("user");
            None
        }
    }
}

fn address(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = reader::text(node, "an address", problems)?;
    let is_address = flaw(text).is_none();
    if !is_address {
        reader::mismatch(node, "an address like `me@example.com`", problems);
    }
    is_address.then(|| text.to_owned())
}

fn lmtp(node: &Node, base: &Base, problems: &mut Problems) -> Option<LmtpPlace> {
    if node.as_text().is_some_and(|text| text.starts_with(['/', '~', '.'])) {
        return reader::path(node, base, problems).map(LmtpPlace::Socket);
    }
    server::read(node, ProtocolPorts::LMTP, base, problems).map(LmtpPlace::Server)
}

fn sendmail(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    if let Some(text) = node.as_text()
        && text.contains(' ')
    {
        let problem = problems.error(node.span, "a program and its arguments are a list: no shell takes them apart");
        problem.hint(format!("write [{}]", text.split_whitespace().collect::<Vec<_>>().join(", ")));
        return None;
    }
    let run = reader::texts(node, "a program and its arguments", problems)?;
    if run.first().is_some_and(|program| is_this_program(program)) {
        let problem =
            problems.error(node.span, "this program is mailsluice itself, which would send to itself for ever");
        problem.hint("name the system's own sendmail by its path, or a server with `smtp`");
        return None;
    }
    Some(run)
}
