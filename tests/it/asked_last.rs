//! F19: a message at which the connection broke is asked for last, so that it holds up nothing.

use crate::stage::{Account, complaints, filled};
use crate::support::faults::{Faults, MessageFault};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::pop3_server::{Pop3Options, Pop3Server};

#[test]
fn interop_f19_what_breaks_the_connection_holds_up_nothing() {
    for (protocol, bad, passes) in
        [("imap", vec![2], 2), ("pop3", vec![2], 2), ("imap", vec![2, 4], 3), ("pop3", vec![1, 4], 3)]
    {
        let (mailbox, _) = filled(6);
        let faults = Faults::none();
        bad.iter().for_each(|uid| faults.message(*uid, MessageFault::CutAt(20)));
        let imap = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let pop3 = Pop3Server::start(&mailbox, Pop3Options::with_faults(&faults));
        let account = if protocol == "imap" { Account::imap(imap.port()) } else { Account::pop3(pop3.port()) };
        let client = account.client();
        for _ in 0..passes {
            client.fetch();
        }
        let expected: Vec<String> =
            (1..=6).filter(|number| !bad.contains(number)).map(|number| format!("number {number}")).collect();
        assert_eq!(client.subjects(), expected, "{protocol} {bad:?}");
        let report = client.fetch();
        assert!(report.exit_code() == 75 && complaints(&report).contains("connection"), "{report:#?}");
    }
}
