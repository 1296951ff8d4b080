//! How much of a folder is listed again: nothing, what came since, or all.

use std::time::Duration;

use jiff::Timestamp;
use mailsluice::source::{Reach, Source, Stood};
use mailsluice::state::Stamp;

use crate::stage::{Account, Client, message, play};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::scripted_server::ScriptedServer;

/// Ten messages that are here, in a folder that was listed since.
struct Scene {
    mailbox: Mailbox,
    faults: Faults,
    client: Client,
    _server: ImapServer,
}

const OLD: usize = 10;

impl Scene {
    fn new(keys: &[&str]) -> Self {
        let (mailbox, _) = crate::stage::filled(OLD);
        let faults = Faults::none();
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
        let account = keys.iter().fold(Account::imap(server.port()).with("first: all"), |it, key| it.with(key));
        let client = account.client();
        (0..2).for_each(|_| _ = client.fetch_well());
        Self { mailbox, faults, client, _server: server }
    }

    fn add(&self, numbers: impl IntoIterator<Item = usize>) {
        numbers.into_iter().for_each(|number| _ = self.mailbox.add("INBOX", message(number)));
    }

    /// How often a pass asks for everything, and how often for what came since.
    fn listings(&self, pass: impl FnOnce()) -> (usize, usize) {
        let heard = || {
            let commands = self.faults.commands();
            ["UID SEARCH ALL", ":*"].map(|asked| commands.iter().filter(|command| command.ends_with(asked)).count())
        };
        let before = heard();
        pass();
        let after = heard();
        (after[0] - before[0], after[1] - before[1])
    }

    /// The same for an ordinary pass, of which so many messages are new.
    #[track_caller]
    fn fetches(&self, new: u64) -> (usize, usize) {
        self.listings(|| assert_eq!(self.client.fetch_well().new, new))
    }
}

#[test]
fn of_a_folder_in_which_mail_only_came_nothing_else_is_listed() {
    let scene = Scene::new(&[]);
    for number in OLD + 1..OLD + 4 {
        scene.add([number]);
        assert_eq!(scene.fetches(1), (0, 1));
        assert_eq!(scene.fetches(0), (0, 0), "nothing happened since");
    }
    let asked = scene.faults.commands().into_iter().rfind(|command| command.ends_with(":*")).unwrap();
    assert!(asked.ends_with("UID SEARCH UID 13:*"), "{asked}");
}

#[test]
fn where_anything_else_changed_everything_is_listed() {
    let scene = Scene::new(&[]);
    scene.mailbox.remove("INBOX", 2);
    assert_eq!(scene.fetches(0), (1, 0), "one went");
    scene.mailbox.remove("INBOX", 3);
    scene.add([11]);
    assert_eq!(scene.fetches(1), (1, 0), "one went and one came");
    scene.mailbox.remove("INBOX", 4);
    scene.add([12, 13]);
    assert_eq!(scene.fetches(2), (1, 1), "one went and two came: the count tells of one");
    scene.mailbox.set_uidvalidity("INBOX", 4711, false);
    scene.add([14]);
    assert_eq!(scene.listings(|| assert_eq!(scene.client.fetch().new, 1)), (1, 0), "the numbers are others");
    // As long as old numbers are remembered, what comes may be what they meant.
    scene.add([15]);
    assert_eq!(scene.fetches(1).1, 0);
}

/// A server that was put back from a backup gives numbers once more.
#[test]
fn a_next_uid_that_fell_hides_nothing() {
    let scene = Scene::new(&[]);
    (7..=10).for_each(|uid| _ = scene.mailbox.remove("INBOX", uid));
    scene.mailbox.set_uidnext("INBOX", 7);
    for numbers in [11..=13, 14..=16] {
        scene.add(numbers);
        scene.client.fetch();
    }
    let subjects = scene.client.subjects();
    assert_eq!(subjects.iter().filter(|subject| subject.starts_with("number")).count(), 16, "{subjects:?}");
}

#[test]
fn what_is_settled_now_or_later_is_looked_for_in_all_that_there_is() {
    for retention in ["retention: {delete_after: 30d}", "retention: mark_seen"] {
        let scene = Scene::new(&[retention]);
        scene.add([11]);
        assert_eq!(scene.fetches(1).1, 0, "{retention}");
    }
}

#[test]
fn all_is_listed_once_a_day_however_often_mail_comes() {
    let mut scene = Scene::new(&[]);
    let after: [fn() -> Timestamp; 4] = [
        || Timestamp::now() + Duration::from_secs(8 * 3600),
        || Timestamp::now() + Duration::from_secs(16 * 3600),
        || Timestamp::now() + Duration::from_secs(25 * 3600),
        || Timestamp::now() + Duration::from_secs(26 * 3600),
    ];
    let listings = after.into_iter().enumerate().map(|(n, now)| {
        scene.client.now = now;
        scene.add([OLD + 1 + n]);
        scene.fetches(1)
    });
    assert_eq!(listings.collect::<Vec<_>>(), [(0, 1), (0, 1), (1, 0), (0, 1)]);
}

/// What the limit leaves, and what could not be fetched, is no news to the server's numbers.
#[test]
fn what_was_left_over_is_found_again() {
    let scene = Scene::new(&["limit: 2"]);
    scene.client.fetch_until_quiet(20);
    scene.add(11..=15);
    assert_eq!(scene.client.fetch().new, 2);
    assert_eq!(scene.listings(|| assert_eq!(scene.client.fetch().new, 2)), (1, 0));
    assert_eq!(scene.client.fetch().new, 1);
}

/// What is left out is not asked about again because something else is new.
#[test]
fn mail_that_is_too_large_is_asked_about_once() {
    let scene = Scene::new(&["max_size: 1000"]);
    scene.mailbox.add("INBOX", format!("Subject: large\n\n{}", "x".repeat(2000)));
    (0..2).for_each(|_| _ = scene.client.fetch_well());
    scene.add([12]);
    let heard = scene.faults.commands_seen();
    assert_eq!(scene.fetches(1), (0, 1));
    let commands = scene.faults.commands().split_off(heard);
    // Behind its tag.
    let asked = |command: &String| command.split_once(' ').is_some_and(|(_, command)| command.contains("11"));
    assert!(!commands.iter().any(asked), "{commands:#?}");
}

#[test]
fn a_server_whose_numbers_lie_is_listed_completely() {
    let scene = Scene::new(&[]);
    scene.faults.set(Fault::Habit("uidnext-never-moves".to_owned()));
    scene.add([11]);
    assert_eq!(scene.fetches(1), (0, 1), "what was known before still holds");
    for number in 12..15 {
        scene.add([number]);
        assert_eq!(scene.fetches(1), (1, 0));
    }
}

/// Each connection of the dialog is another answer to the same question.
#[tokio::test]
async fn the_dialog_of_what_came_since() {
    let server = ScriptedServer::from_file("tests/dialogs/came-since.dialog");
    let home = Account::imap(server.port()).client();
    let before = Stood { generation: 7, uid_next: 11, exists: 3 };
    let (brief, complete) = (Reach::Since { older: 3 }, Reach::Complete);
    for (reach, ids) in [
        (brief, vec!["11", "14"]),
        (brief, vec!["11", "12"]),
        (complete, vec!["3", "5", "7", "11"]),
        (complete, vec!["3", "5", "9", "11"]),
        (complete, vec!["3", "5", "7", "11"]),
    ] {
        let (world, job) = home.open();
        let mut source = Source::connect(&job.account, "me", world.spool(Stamp::parse(""))).await.unwrap();
        let listing = source.open_since("INBOX", &before).await.unwrap();
        let listed: Vec<String> = listing.ids.iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect();
        assert_eq!((listing.reach, listed), (reach, ids.into_iter().map(str::to_owned).collect()));
        assert_eq!(listing.complete().is_some(), reach == complete);
        source.close().await.unwrap();
    }
    server.finish().unwrap();
}

/// Nothing in the dialog of a first pass is asked otherwise.
#[test]
fn the_first_pass_asks_for_everything() {
    let (report, client) = play("listed-as-uids");
    assert_eq!((report.new, client.subjects().len()), (2, 2));
}
