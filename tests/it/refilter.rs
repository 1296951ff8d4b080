//! `refilter` with the binary: what the messages of one run know of each other.

use crate::outbox::{User, mail};
use crate::support::maildir::Maildirs;

/// What earlier messages of the run put into a list, later ones know.
#[test]
fn the_messages_of_a_refilter_know_of_each_other() {
    let mut user = User::without_relay("  - {if: {subject: nothing}, do: keep}");
    (1..=3).for_each(|n| user.deliver(mail(n, "hi")));
    user.rules = "  - {if: {not: {from: {in_list: known}}}, do: [{add_to_list: known}, {fileinto: first}]}\n  \
                  - {do: {fileinto: later}}\nlists: {known: {database: true}}"
        .to_owned();
    user.relay(1);
    let moved = user.sandbox.run(&["--allow-root", "refilter", "--yes", "INBOX"]);
    assert_eq!(moved.code, 0, "{moved}");
    let mail = Maildirs::at(user.sandbox.maildir());
    assert_eq!((mail.in_folder("first").len(), mail.in_folder("later").len()), (1, 2));
}
