//! Which relay carries an outbox item, and from which address it is sent.

use crate::config::{Account, Config, Limits, Relay, RelayKind};
use crate::decision::{EnvelopeFrom, Telling, Way};
use crate::message::Address;

/// The relays of a config, and the accounts and addresses that use them.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    relays: Vec<Relay>,
    own: Vec<String>,
    domain: Option<String>,
    delimiters: String,
    /// The address of each account that has one.
    accounts: Vec<(String, String)>,
    /// The names of all accounts.
    names: Vec<String>,
    /// The relay of each account that names one.
    relays_of: Vec<(String, String)>,
    /// The accounts that mail can be appended to.
    imap: Vec<Account>,
    limits: Limits,
}

/// The name of the relay that is used when nothing names one.
const DEFAULT_RELAY: &str = "default";

impl Relays {
    /// The relays of a config.
    pub fn of(config: &Config) -> Self {
        let address_of = |account: &Account| Some((account.name.clone(), account.own_address()?.to_owned()));
        let relay_of = |account: &Account| Some((account.name.clone(), account.relay.clone()?));
        Self {
            names: config.accounts.iter().map(|account| account.name.clone()).collect(),
            relays_of: config.accounts.iter().filter_map(relay_of).collect(),
            relays: config.relays.clone(),
            own: config.settings.me.clone(),
            domain: config.settings.domain.clone(),
            delimiters: config.settings.delimiters.clone(),
            accounts: config.accounts.iter().filter_map(address_of).collect(),
            imap: config.imap_accounts().cloned().collect(),
            limits: config.settings.limits,
        }
    }

    /// The IMAP account of that name.
    pub(crate) fn imap(&self, name: &str) -> Option<&Account> {
        self.imap.iter().find(|account| account.name == name)
    }

    /// How much may go out.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// The user's addresses.
    pub fn own(&self) -> &[String] {
        &self.own
    }

    /// The domain for names without one, if the config says it.
    pub(crate) fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// The characters that separate user and detail in the user's addresses.
    pub(crate) fn delimiters(&self) -> &str {
        &self.delimiters
    }

    /// The relay of that name; without a name, the one called `default` or the only one. A relay that an account brings
    /// along belongs to that account. Others use it only if there is just one account and no other relay.
    pub fn relay(&self, name: Option<&str>) -> Option<&Relay> {
        match name {
            Some(name) => self.relays.iter().find(|relay| relay.name == name),
            None => {
                let mut written = self.relays.iter().filter(|relay| !relay.is_brought);
                match (written.next(), written.next()) {
                    (Some(only), None) => Some(only),
                    (Some(_), Some(_)) => self.relays.iter().find(|relay| relay.name == DEFAULT_RELAY),
                    (None, _) => self.relays.first().filter(|_| self.names.len() == 1),
                }
            }
        }
    }

    /// The name of the relay for what is sent about an account's mail, or `None` for the default one.
    pub(crate) fn relay_named<'n>(&'n self, telling: &'n Telling, account: &str) -> Option<&'n str> {
        let of_account = self.relays_of.iter().find(|(name, _)| name == account).map(|(_, relay)| relay.as_str());
        telling.relay.as_deref().or(of_account)
    }

    /// The relay of that name, or the relay of the account of that name.
    pub(crate) fn relay_or_that_of_account(&self, name: &str) -> Option<&Relay> {
        let of_account = || self.relays_of.iter().find(|(account, _)| account == name).map(|(_, relay)| relay.as_str());
        let is_account = || self.names.iter().any(|account| account == name);
        self.relay(Some(name)).or_else(|| is_account().then(|| self.relay(of_account()))?)
    }

    /// Whether there is no relay at all.
    pub(crate) fn has_none(&self) -> bool {
        self.relays.is_empty()
    }

    /// Whether an address is the user's, with or without a detail.
    pub(crate) fn is_own(&self, address: &str) -> bool {
        let forms = self.forms(address);
        self.own.iter().any(|own| forms.iter().any(|form| form.eq_ignore_ascii_case(own)))
    }

    /// An address in the form in which it is compared, and without what follows the delimiter.
    fn forms(&self, address: &str) -> [String; 2] {
        let address = Address { name: None, address: address.to_owned() };
        [address.canonical(), format!("{}@{}", address.user(&self.delimiters), address.domain())]
    }

    /// The relay for a sender among the user's addresses: the relay that has this address, else the default.
    pub fn relay_of_sender(&self, sender: &str) -> Option<&Relay> {
        let of = |form: &String| {
            let is_its = |relay: &&Relay| relay.from.as_deref().is_some_and(|from| from.eq_ignore_ascii_case(form));
            self.relays.iter().find(is_its)
        };
        let of_sender = self.forms(sender).iter().find_map(of);
        of_sender.or_else(|| self.relay(None)).or_else(|| self.relays.iter().find(|relay| relay.is_brought))
    }

    /// The address to write from: the relay's, the account's, or the user's first one.
    pub(crate) fn from<'s>(&'s self, relay: Option<&'s Relay>, account: &str) -> Option<&'s str> {
        let of_account = self.accounts.iter().find(|(name, _)| name == account).map(|(_, address)| address.as_str());
        let of_relay = relay.and_then(|relay| relay.from.as_deref());
        of_relay.or(of_account).or_else(|| self.own.first().map(String::as_str))
    }

    /// The reverse-path. A message that came with the null reverse-path is sent on with it (RFC 5228 4.2). Answers use
    /// it too, unless the relay refuses it.
    pub(crate) fn reverse_path<'p>(
        &self,
        telling: &'p Telling,
        relay: &Relay,
        own: &'p str,
        original: Option<&'p str>,
    ) -> &'p str {
        let null = if relay.null_sender { "" } else { own };
        match &telling.way {
            Way::Redirect(redirect) => match (&redirect.envelope_from, original) {
                (_, Some("")) => null,
                (EnvelopeFrom::Default, Some(original)) if matches!(relay.kind, RelayKind::Sendmail(_)) => original,
                (EnvelopeFrom::Original, Some(original)) => original,
                (EnvelopeFrom::Null, _) => null,
                (EnvelopeFrom::Address(address), _) => address,
                _ => own,
            },
            Way::Vacation(answer) => answered(&answer.envelope_from, own, null),
            Way::Reply(answer) => answered(&answer.envelope_from, own, null),
            Way::Reject(_) => null,
            // RFC 5436 2.7: a notification about a message without a sender has no sender either.
            Way::Notify(_) if original == Some("") => null,
            Way::Lmtp(_) => original.unwrap_or(own),
            _ => own,
        }
    }
}

fn answered<'p>(from: &'p EnvelopeFrom, own: &'p str, null: &'p str) -> &'p str {
    match from {
        EnvelopeFrom::Own => own,
        EnvelopeFrom::Address(address) => address,
        EnvelopeFrom::Default | EnvelopeFrom::Original | EnvelopeFrom::Null => null,
    }
}
