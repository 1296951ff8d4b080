//! What a new config changed, for the command that asked, the log and other programs.

use serde::{Deserialize, Serialize};

/// The differences between two configs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanges {
    /// The names of accounts that were added.
    pub added: Vec<String>,
    /// The names of accounts that were removed.
    pub removed: Vec<String>,
    /// The names of accounts whose settings for fetching changed.
    pub changed: Vec<String>,
    /// Whether the rules changed.
    pub rules: bool,
    /// Whether the relays changed.
    pub relays: bool,
    /// Whether the items of `maintenance` changed.
    pub maintenance: bool,
    /// The warnings about the config.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl ConfigChanges {
    /// In one line: `accounts added: home; the rules changed`.
    pub fn in_words(&self) -> String {
        let accounts = [(&self.added, "added"), (&self.removed, "removed"), (&self.changed, "changed")];
        let named = accounts.iter().filter(|(names, _)| !names.is_empty());
        let named = named.map(|(names, what)| format!("{what}: {}", names.join(", "))).collect::<Vec<_>>().join("; ");
        let others = [(self.rules, "the rules"), (self.relays, "the relays"), (self.maintenance, "the maintenance")];
        let others: Vec<&str> = others.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
        let accounts = if named.is_empty() { None } else { Some(format!("accounts {named}")) };
        let others = if others.is_empty() { None } else { Some(format!("{} changed", others.join(" and "))) };
        let parts: Vec<String> = accounts.into_iter().chain(others).collect();
        if parts.is_empty() { "nothing changed".to_owned() } else { parts.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_in_words() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(ConfigChanges::default().in_words(), "nothing changed");
        let all = ConfigChanges {
            added: names(&["a", "b"]),
            removed: names(&["c"]),
            rules: true,
            relays: true,
            ..ConfigChanges::default()
        };
        assert_eq!(all.in_words(), "accounts added: a, b; removed: c; the rules and the relays changed");
        let rules = ConfigChanges { rules: true, ..ConfigChanges::default() };
        assert_eq!(rules.in_words(), "the rules changed");
    }
}
