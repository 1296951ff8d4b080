//! What follows from `address:` in an account or a relay: servers and login names out of the table of providers, where nothing else
//! is written beside it. Nothing is looked up anywhere: a config that works today is not changed by what a server says tomorrow.

use super::accounts::mail_of;
use super::mailbox::flaw;
use super::reader::{self, MapReader};
use super::relays::{Login, Relay, RelayKind};
use super::yaml::{Document, Node, Value};
use super::{Account, Server, Tls, Trust};
use crate::clean;
use crate::providers::{self, Confidence, MailProtocol, Provider, ProviderServer, SecretKind, Security};

/// An address, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Provided {
    pub(super) address: String,
    provider: Option<&'static Provider>,
}

impl Provided {
    /// The value of `address`, if it was written.
    pub(super) fn read(map: &mut MapReader<'_, '_>) -> Option<Self> {
        map.read("address", |node, problems| {
            let address = reader::text(node, "an address like `me@example.com`", problems)?;
            if let Some(flaw) = flaw(address) {
                let message = format!("`{}` is no address: {flaw}", clean::short(address, 60));
                problems.error(node.span, message).hint("write it alone and without a name, like `me@example.com`");
                return None;
            }
            Some(Self { address: address.to_owned(), provider: providers::of_domain(domain_of(address)) })
        })
    }

    /// The login name for this kind of mail.
    pub(super) fn user(&self, mail: MailProtocol) -> String {
        self.provider.map_or_else(|| self.address.clone(), |provider| provider.login.form(mail).of(&self.address))
    }

    /// The server for this kind of mail; says why there is none.
    pub(super) fn server(&self, mail: MailProtocol, map: &mut MapReader<'_, '_>) -> Option<Server> {
        let at = map.take("address").map_or(map.place(), |node| node.span);
        let shown = clean::short(&self.address, 60);
        let discover = format!("`mailsluice discover {shown}` looks for them; write what it finds beside `address`");
        let Some(provider) = self.provider else {
            let domain = clean::short(domain_of(&self.address), 60);
            let message = format!("the servers of `{domain}` are not known");
            map.problems().error(at, message).hint(discover);
            return None;
        };
        match provider.place(mail) {
            Some(place) if place.known == Confidence::Verified => Some(server_of(place)),
            Some(place) => {
                let message =
                    format!("nobody has made sure of the {} server of {}, {}", mail.name(), provider.name, place.host);
                map.problems().error(at, message).hint(discover);
                None
            }
            None => {
                let hint = match (provider.secret, provider.note) {
                    (SecretKind::Bridge, Some(note)) => note.to_owned(),
                    _ => discover,
                };
                let message = format!("{} has no {} server that is known", provider.name, mail.name());
                map.problems().error(at, message).hint(hint);
                None
            }
        }
    }

    /// Says that there is no secret, and which one is wanted.
    pub(super) fn miss_secret(&self, map: &mut MapReader<'_, '_>) {
        let Some(provider) = self.provider.filter(|_| map.is_map()) else { return };
        let key = if provider.secret == SecretKind::OAuth2 { "oauth2" } else { "password" };
        let at = map.place();
        map.problems().error(at, format!("this needs the key `{key}`")).hint(provider.helps());
    }

    /// Whether the table says which secret is wanted.
    pub(super) fn is_known(&self) -> bool {
        self.provider.is_some()
    }
}

fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

fn server_of(place: &ProviderServer) -> Server {
    let tls = match place.security {
        Security::Implicit => Tls::Implicit,
        Security::StartTls => Tls::StartTls,
    };
    Server { host: place.host.to_owned(), port: place.port, tls, trust: Trust::default() }
}

/// Says that a server takes no password any more. `map` is the account or the relay, whose login is not by a token.
pub(super) fn check_password(map: &mut MapReader<'_, '_>, server: &Server, mail: MailProtocol) {
    let Some(end) = providers::of_host(&server.host).and_then(|provider| provider.passwords) else { return };
    let at = map.key_span("password").unwrap_or(map.place());
    let hint = "write `oauth2: microsoft` in the place of `password`, and sign in once by `mailsluice login`; a program may give tokens, too";
    match mail {
        MailProtocol::Imap | MailProtocol::Pop3 => map.problems().error(at, end.fetching).hint(hint),
        MailProtocol::Smtp => map.problems().warn(at, end.sending).hint(hint),
    };
}

/// The relay that is taken when nobody names one.
const DEFAULT: &str = "default";

/// The relays that accounts bring along by their `address`: each of the account's name, with its secret, where the config names
/// neither a relay of that name nor the one for everybody, `default`. What is written under `relays` always wins.
pub(super) fn relays(document: &Document, accounts: &mut [Account]) -> Vec<Relay> {
    let names = relay_names(document);
    let mut relays = Vec::new();
    for account in accounts.iter_mut().filter(|account| names.contains(&account.name)) {
        let Some(relay) = relay_of(account) else { continue };
        account.relay.get_or_insert_with(|| relay.name.clone());
        relays.push(relay);
    }
    relays
}

fn relay_of(account: &Account) -> Option<Relay> {
    let address = account.address.as_ref()?;
    let provider = providers::of_domain(domain_of(address))?;
    let server = server_of(provider.smtp.as_ref()?);
    let user = provider.login.form(MailProtocol::Smtp).of(&login_address(account, provider, address));
    let password = account.password.clone().of(&account.name, &user, &server.host);
    let login = Login { user, password, token: account.token, auth: account.auth };
    Some(Relay {
        name: account.name.clone(),
        kind: RelayKind::Smtp { server, login: Some(login) },
        from: Some(address.clone()),
        null_sender: true,
        connections: 1,
        is_brought: true,
    })
}

/// The address that the user logs in by: that of the account, unless `user` names another one, as it does where the address is an
/// alias. A name without a domain, which some providers want for IMAP, is completed.
fn login_address(account: &Account, provider: &Provider, address: &str) -> String {
    if account.user == provider.login.form(mail_of(account.protocol)).of(address) {
        return address.to_owned();
    }
    match account.user.contains('@') {
        true => account.user.clone(),
        false => format!("{}@{}", account.user, domain_of(address)),
    }
}

/// The names of those relays, by what is written: an account with a mistake in it has one all the same.
pub(super) fn relay_names(document: &Document) -> Vec<String> {
    let entries = |section: &str| match document.root.get(section).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let is_written = |name: &str| entries("relays").iter().any(|(key, _)| key.text == name);
    if is_written(DEFAULT) {
        return Vec::new();
    }
    let accounts = entries("accounts").iter().filter(|(key, account)| !is_written(&key.text) && brings_relay(account));
    accounts.map(|(key, _)| key.text.clone()).collect()
}

/// A certificate (`auth: external`) belongs to the server that mail is fetched from, so there is no secret for another one. Where a
/// server is written, the secret belongs to that server and is not shown to the provider of the address.
fn brings_relay(account: &Node) -> bool {
    if ["imap", "pop3"].iter().any(|key| account.get(key).is_some()) {
        return false;
    }
    if account.get("auth").and_then(Node::as_text) == Some("external") {
        return false;
    }
    let address = account.get("address").and_then(Node::as_text).filter(|address| flaw(address).is_none());
    let provider = address.and_then(|address| providers::of_domain(domain_of(address)));
    provider.and_then(|provider| provider.smtp).is_some_and(|place| place.known == Confidence::Verified)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Protocol};

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        fs::write(&path, format!("maildir: /m\nstate: /s\n{text}")).unwrap();
        Config::load(Path::new(&path)).unwrap().0
    }

    fn place(server: &Server) -> String {
        format!("{}:{} {:?}", server.host, server.port, server.tls)
    }

    /// Where a relay sends, and as whom.
    fn out(relay: &Relay) -> (String, &str, bool) {
        let RelayKind::Smtp { server, login: Some(login) } = &relay.kind else { panic!("{relay:?}") };
        (place(server), login.user.as_str(), login.token)
    }

    #[test]
    fn an_address_is_a_whole_account() {
        let config = config("accounts: {gmail: {address: Me@Gmail.com, password: {env: X}}}");
        let account = &config.accounts[0];
        assert_eq!(
            (account.protocol, place(&account.server).as_str()),
            (Protocol::Imap, "imap.gmail.com:993 Implicit")
        );
        assert_eq!((account.user.as_str(), account.relay.as_deref()), ("Me@Gmail.com", Some("gmail")));
        let [relay] = config.relays.as_slice() else { panic!("{:?}", config.relays) };
        assert_eq!(out(relay), ("smtp.gmail.com:465 Implicit".to_owned(), "Me@Gmail.com", false));
        assert_eq!(relay.from.as_deref(), Some("Me@Gmail.com"));
        assert_eq!(config.settings.me, ["me@gmail.com", "me@gmail.com"]);
        assert!(config.settings.has_default_relay);
    }

    #[test]
    fn login_names_differ_where_the_provider_wants_it() {
        let config = config("accounts: {apple: {address: ann@me.com, password: {env: X}}}");
        assert_eq!(config.accounts[0].user, "ann");
        assert_eq!(out(&config.relays[0]), ("smtp.mail.me.com:587 StartTls".to_owned(), "ann@me.com", false));
        assert_eq!(config.settings.me, ["ann@me.com", "ann@me.com"]);
    }

    #[test]
    fn what_stands_beside_an_address_counts() {
        let config = config(
            "accounts:\n  a: {address: me@gmail.com, imap: 'mail.example.com:1993', user: other, password: {env: X}}\n  \
             b: {address: old@gmx.net, protocol: pop3, token: {env: X}}",
        );
        let [a, b] = config.accounts.as_slice() else { panic!("two") };
        assert_eq!((place(&a.server).as_str(), a.user.as_str()), ("mail.example.com:1993 Implicit", "other"));
        assert_eq!((b.protocol, place(&b.server).as_str()), (Protocol::Pop3, "pop.gmx.net:995 Implicit"));
        let [relay] = config.relays.as_slice() else { panic!("the password of another place goes to no provider") };
        assert!(relay.name == "b" && out(relay).2, "the token goes with it");
    }

    #[test]
    fn an_alias_logs_in_by_the_name_of_its_mailbox() {
        let config = config(
            "accounts:\n  a: {address: alias@gmail.com, user: me@gmail.com, password: {env: X}}\n  \
             b: {address: alias@me.com, user: ann, password: {env: X}}",
        );
        let out: Vec<_> = config.relays.iter().map(|relay| (out(relay).1.to_owned(), relay.from.clone())).collect();
        let [a, b] = out.as_slice() else { panic!("two relays: {out:?}") };
        assert_eq!((a.0.as_str(), a.1.as_deref()), ("me@gmail.com", Some("alias@gmail.com")));
        assert_eq!((b.0.as_str(), b.1.as_deref()), ("ann@me.com", Some("alias@me.com")));
    }

    #[test]
    fn relays_that_are_written_win() {
        let account = "accounts: {gmail: {address: me@gmail.com, password: {env: X}}}\n";
        let written = |name: &str| config(&format!("{account}relays: {{{name}: {{sendmail: /usr/sbin/sendmail}}}}"));
        for name in ["default", "gmail"] {
            let config = written(name);
            assert_eq!((config.relays.len(), config.relays[0].is_brought), (1, false), "{name}");
        }
        // One that another account was given leaves this one its own.
        let config = written("other");
        assert_eq!((config.relays.len(), config.accounts[0].relay.as_deref()), (2, Some("gmail")));
    }

    #[test]
    fn a_login_by_certificate_brings_no_relay() {
        let config = config(
            "accounts: {a: {address: me@gmx.net, imap: {host: imap.gmx.net, client_cert: /c.pem, client_key: /k.pem}, auth: external}}",
        );
        assert!(config.relays.is_empty() && config.accounts[0].relay.is_none());
    }

    #[test]
    fn a_relay_alone_may_have_an_address() {
        let config = config("relays: {default: {address: me@gmx.net, password: {env: X}, connections: 2}}");
        assert_eq!(out(&config.relays[0]), ("mail.gmx.net:465 Implicit".to_owned(), "me@gmx.net", false));
        assert_eq!((config.relays[0].from.as_deref(), config.relays[0].connections), (Some("me@gmx.net"), 2));
    }
}
