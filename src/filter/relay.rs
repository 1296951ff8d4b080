//! Checks whether a rule can send anything: the relay it names, and what the config lacks.

use super::compile::Compiler;
use crate::config::reader::NamedKind;
use crate::config::yaml::{Node, Span};
use crate::config::{check_is_lmtp, check_is_no_lmtp};

impl Compiler<'_, '_> {
    /// Reads the relay that an action names. `action` is the position of the action.
    pub(super) fn carrier(&mut self, node: Option<&Node>, action: Span) -> Option<String> {
        self.check_relays(node.is_some(), action);
        if let Some(node) = node {
            check_is_no_lmtp(node, &self.shared.settings.lmtp_relays, &mut self.problems);
        }
        self.relay(node)
    }

    /// Reads the relay that an `lmtp` action names.
    pub(super) fn lmtp_carrier(&mut self, node: &Node) -> Option<String> {
        let settings = self.shared.settings;
        let known = settings.relays.as_deref().unwrap_or_default();
        check_is_lmtp(node, known, &settings.lmtp_relays, &mut self.problems);
        self.relay(Some(node))
    }

    /// Reports once what the config lacks for sending. Without it, the outbox only fills.
    pub(super) fn check_relays(&mut self, is_named: bool, action: Span) {
        let settings = self.shared.settings;
        let Some(relays) = settings.relays.as_ref().filter(|_| !self.is_literal() && !self.shared.spoke_of_relays)
        else {
            return;
        };
        let (lack, hint) = if relays.is_empty() {
            (
                "there is no relay to carry this",
                "add `relays:` with one named `default`, like {smtp: smtp.example.com, …}",
            )
        } else if !is_named && !settings.has_default_relay {
            (
                "none of the relays is taken where nobody names one",
                "call one `default`, or name one where an action takes `relay:`",
            )
        } else if !is_named && settings.is_default_lmtp() {
            (
                "the relay that is taken where nobody names one is an LMTP server, which takes mail for its own users",
                "add one with `smtp` or `sendmail`, and call it `default`",
            )
        } else if settings.me.is_empty() {
            ("no address of yours is known to send this from", "add `me:` with your addresses to the config")
        } else {
            return;
        };
        self.shared.spoke_of_relays = true;
        self.problems.warn(action, lack).hint(hint);
    }

    /// The relay of that name.
    pub(super) fn relay(&mut self, node: Option<&Node>) -> Option<String> {
        let known = self.shared.settings.relays.as_deref();
        self.named(node?, "the name of a relay", NamedKind::RELAY, known)
    }
}
