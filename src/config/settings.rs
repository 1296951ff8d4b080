//! What rules need to know of the config around them.

use std::time::Duration;

use super::{ConfigList, Limits};
use crate::charsets::Charset;

/// It is read from what is written, also when other parts of the config are wrong: their mistakes are no reason to blame
/// a rule.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The user's own addresses, lower-case: those of `me`, every account's user with an `@`, and the senders of
    /// relays.
    pub me: Vec<String>,
    /// The names of servers whose Authentication-Results are believed, lower-case (RFC 8601).
    pub trust: Vec<String>,
    /// The domain of recipients without one; where it is missing, that of the first own address.
    pub domain: Option<String>,
    /// The characters between user and detail in an address.
    pub delimiters: String,
    /// The charsets that 8-bit text without a label is in, the likeliest first.
    pub assumed: Vec<Charset>,
    /// The lists of the config, for all rules.
    pub lists: Vec<ConfigList>,
    /// The names of the relays; `None` where there is no config to name them.
    pub relays: Option<Vec<String>>,
    /// The names of those relays that are LMTP servers.
    pub lmtp_relays: Vec<String>,
    /// Whether a relay is taken where nobody names one: for some account at least.
    pub has_default_relay: bool,
    /// The names of all accounts; `None` where there is no config to name them, or it names none.
    pub accounts: Option<Vec<String>>,
    /// The names of the accounts that mail can be appended to; `None` as above.
    pub mailboxes: Option<Vec<String>>,
    /// How much goes out at most.
    pub limits: Limits,
    /// The day on which rules are checked: what is over by then is said. `None`: it does not matter. No key of the config.
    pub today: Option<jiff::civil::Date>,
    /// Each script is called once while it is read, with an ordinary letter. No key of the config.
    pub tries_scripts: bool,
    /// How long a script may run; the time in which a program answers it does not count. No key of the config.
    pub script_time: Duration,
}

impl Settings {
    /// Whether the relay called `default`, or the only one, is an LMTP server.
    pub fn is_default_lmtp(&self) -> bool {
        let taken = match self.relays.as_deref() {
            Some([only]) => only,
            _ => "default",
        };
        self.lmtp_relays.iter().any(|name| name == taken)
    }
}

impl Default for Settings {
    /// What a config says that says nothing.
    fn default() -> Self {
        Self {
            me: Vec::new(),
            trust: Vec::new(),
            domain: None,
            delimiters: "+".to_owned(),
            assumed: Vec::new(),
            lists: Vec::new(),
            relays: None,
            lmtp_relays: Vec::new(),
            has_default_relay: true,
            accounts: None,
            mailboxes: None,
            limits: Limits::default(),
            today: None,
            tries_scripts: false,
            script_time: Duration::from_secs(2),
        }
    }
}
