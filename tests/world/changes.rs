//! What others do to the world: servers, users, disks. What holds for one step is put right after it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ledger::{Excuse, Way};
use crate::mail::{self, Kind, Mail, mail};
use crate::plan::{Change, Step};
use crate::scene::{Account, RETENTIONS, Scene, deletes};
use crate::seed::Seed;
use crate::sight::{AWAY, Place, ROOT, STATE};
use crate::support::faults::{Fault, MessageFault};
use crate::support::mailbox::Incoming;

/// No world needs so many.
const MOST_COMMANDS: usize = 20_000;

/// What a world remembers of its changes.
#[derive(Default)]
pub struct History {
    pub messages: usize,
    /// Copies of the database, as a backup has them.
    copies: Vec<(usize, PathBuf)>,
    /// Ids of mail that is gone from a server.
    freed: Vec<(usize, String)>,
    /// Every UID or UIDL that was given.
    used: BTreeSet<(usize, String)>,
    /// The POP3 accounts whose mailbox stands on another server by now.
    moved: BTreeSet<usize>,
    hidden: usize,
    /// What `deliver` was given and has not taken yet.
    pub undelivered: Vec<Mail>,
    /// So many programs were started.
    pub programs: usize,
    pub kills: usize,
    /// The account whose mail was swapped last.
    swapped: usize,
    /// What servers do not give as they should, in this step.
    pub wrong: Vec<Wrong>,
    /// The state knows the mail root: a fetch ended well since the state was lost.
    pub knows_root: bool,
}

/// A message that its server does not give, and says so or not.
pub struct Wrong {
    pub server: usize,
    pub uid: u32,
    pub token: String,
    /// Counted and not named: that is said each time. What is named and not given is set aside after some attempts.
    pub is_hidden: bool,
}

/// Makes one message that nobody has seen yet.
pub fn new_mail(history: &mut History, seed: &mut Seed, only: &[Kind]) -> Mail {
    history.messages += 1;
    let token = format!("w{}z", history.messages);
    let kind = seed.pick(only);
    // Some write more than once.
    let sender =
        if seed.percent(50) { format!("often{}@far.example", seed.below(3)) } else { format!("{token}@far.example") };
    let size = if seed.percent(5) { 3000 } else { 1 + seed.magnitude(60) };
    mail(token, kind, &sender, size, seed.percent(20))
}

pub fn apply(scene: &mut Scene, history: &mut History, step: &Step, seed: &mut Seed) -> Vec<String> {
    let mut said = Vec::new();
    for change in &step.changes {
        if let Some(text) = apply_one(scene, history, change, seed) {
            said.push(text);
        }
    }
    scene.accounts.iter().for_each(|account| note_faulty(scene, account));
    said
}

/// Servers are wrong about numbers, and a number may be another message's by now.
fn note_faulty(scene: &Scene, account: &Account) {
    for stored in account.mailbox.read_folder("INBOX", |folder| folder.messages.clone()).unwrap_or_default() {
        if let Some((token, _)) = mail::read(&stored.bytes).filter(|_| account.faults.has_any_message_fault(stored.uid))
        {
            scene.ledger.excuse(&token, Excuse::Faulty);
        }
    }
}

fn apply_one(scene: &mut Scene, history: &mut History, change: &Change, seed: &mut Seed) -> Option<String> {
    match change {
        Change::Arrive(count) => (0..*count).for_each(|_| arrive(scene, history, seed)),
        Change::MessageFault(salt) => return message_fault(scene, history, &mut Seed::of(*salt, 0)),
        Change::Marked(salt) => return marked(scene, history, &mut Seed::of(*salt, 0)),
        Change::LineFault(salt) => return line_fault(scene, &mut Seed::of(*salt, 0)),
        Change::Numbers => {
            let number = seed.below(scene.accounts.len());
            scene.accounts[number].faults.set(Fault::Exists(4_294_967_295));
            return Some(format!("server {number} counts 4294967295 messages"));
        }
        Change::RelayMood(salt) => return relay_mood(scene, &mut Seed::of(*salt, 0)),
        Change::Renumber => renumber(scene, history, seed),
        Change::ReuseId => return reuse_id(scene, history, seed),
        Change::Swap => return swap(scene, history, seed),
        Change::SwapThenDelete => {
            let text = swap(scene, history, seed)?;
            return Some(format!("{text}; {}", keeps(scene, history.swapped, "delete")));
        }
        Change::OtherClient => return other_client(scene, seed),
        Change::StateOlder => return state_older(scene, history, seed),
        Change::DatabaseGone => {
            return damage(scene, history, "gone", |state| databases(state, |file| _ = fs::remove_file(file)));
        }
        Change::DatabaseEmpty => {
            return damage(scene, history, "empty", |state| {
                databases(state, |file| _ = fs::remove_file(file));
                let _ = fs::write(state.join("state.db"), "");
            });
        }
        Change::DatabaseGarbage => {
            return damage(scene, history, "garbage", |state| {
                databases(state, |file| _ = fs::remove_file(file));
                let _ = fs::write(state.join("state.db"), "this is no database\n".repeat(400));
            });
        }
        Change::StateGone => return state_gone(scene, history),
        Change::RootAway => return root_away(scene, history, false),
        Change::RootEmpty => return root_away(scene, history, true),
        Change::Rename => rename(scene, seed),
        Change::Retention(salt) => return retention(scene, &mut Seed::of(*salt, 0)),
    }
    Some(format!("{change:?}"))
}

fn arrive(scene: &Scene, history: &mut History, seed: &mut Seed) {
    let number = seed.below(scene.accounts.len());
    let mail = new_mail(history, seed, &Kind::ALL);
    let account = &scene.accounts[number];
    let incoming = Incoming::new(&mail.bytes);
    let old = seed.percent(15) && !mail.kind.is_only_told() && mail.kind != Kind::ForwardCopy;
    let incoming = if old { incoming.arrived(1_590_000_000) } else { incoming };
    scene.ledger.arrives(&mail, Way::Server(number));
    let uid = account.mailbox.add_message("INBOX", incoming);
    // An id that is free again, as some servers give it.
    let free = history.freed.iter().position(|(owner, _)| *owner == number);
    if let Some(at) = free.filter(|_| seed.percent(50)) {
        let (_, uidl) = history.freed.remove(at);
        account.mailbox.set_uidl("INBOX", uid, &uidl);
        scene.ledger.excuse(&mail.token, Excuse::OtherId);
    }
    note_id(scene, history, number, uid, &mail.token);
}

/// An id that was given before is one that a lost state cannot know.
pub fn note_id(scene: &Scene, history: &mut History, number: usize, uid: u32, token: &str) {
    if !gives(&scene.accounts[number], history, number, uid) {
        scene.ledger.excuse(token, Excuse::OtherId);
    }
}

/// Whether the server gives this id for the first time.
fn gives(account: &Account, history: &mut History, number: usize, uid: u32) -> bool {
    let uidl = account.mailbox.read_message("INBOX", uid, |stored| stored.uidl.clone()).unwrap_or_default();
    history.used.insert((number, if account.is_imap { uid.to_string() } else { uidl }))
}

/// Messages that stand on the servers before the first run.
pub fn stand_there(scene: &Scene, history: &mut History, seed: &mut Seed) {
    for _ in 0..seed.between(0, 4) {
        let number = seed.below(scene.accounts.len());
        let mail = new_mail(history, seed, &[Kind::Stood]);
        scene.ledger.arrives(&mail, Way::Server(number));
        let account = &scene.accounts[number];
        let uid = account.mailbox.add("INBOX", &mail.bytes);
        gives(account, history, number, uid);
    }
}

/// A message of some account that stands in its INBOX now: account, UID, token.
fn one_there(scene: &Scene, seed: &mut Seed) -> Option<(usize, u32, String)> {
    let number = seed.below(scene.accounts.len());
    let mailbox = &scene.accounts[number].mailbox;
    let uids = mailbox.uids("INBOX");
    let uid = *uids.get(seed.below(uids.len()))?;
    let (token, _) = mail::read(&mailbox.bytes("INBOX", uid)?)?;
    Some((number, uid, token))
}

/// An EXPUNGE would take it away, and it is nowhere else.
fn marked(scene: &Scene, history: &mut History, seed: &mut Seed) -> Option<String> {
    let (number, uid, token) = one_there(scene, seed)?;
    let account = &scene.accounts[number];
    if !account.is_imap {
        return None;
    }
    let flags = account.mailbox.flags("INBOX", uid).unwrap_or_default();
    let flags: Vec<&str> = flags.iter().map(String::as_str).chain(["\\Deleted"]).collect();
    account.mailbox.set_flags("INBOX", uid, &flags);
    account.faults.message(uid, MessageFault::Refused);
    history.wrong.retain(|wrong| wrong.token != token);
    scene.ledger.excuse(&token, Excuse::Faulty);
    Some(format!("{token} on server {number} is marked as deleted and cannot be fetched"))
}

/// What others or the program marked and did not expunge.
fn unmark(account: &Account) {
    for uid in account.mailbox.uids("INBOX") {
        let flags = account.mailbox.flags("INBOX", uid).unwrap_or_default();
        if flags.iter().any(|flag| flag == "\\Deleted") {
            let others: Vec<&str> = flags.iter().map(String::as_str).filter(|flag| *flag != "\\Deleted").collect();
            account.mailbox.set_flags("INBOX", uid, &others);
        }
    }
}

fn message_fault(scene: &Scene, history: &mut History, seed: &mut Seed) -> Option<String> {
    let (number, uid, token) = one_there(scene, seed)?;
    let account = &scene.accounts[number];
    let fault = match seed.below(9) {
        0 => MessageFault::Refused,
        1 => seed.pick(&[MessageFault::NotGiven, MessageFault::NotDescribed]),
        2 => MessageFault::Nil,
        3 => MessageFault::CutAt(seed.below(400)),
        // Not longer than announced: whoever waits for the rest waits two minutes. Under half of it, which is no way of
        // counting.
        4 => MessageFault::ShortWindows(seed.between(1, account.mailbox.bytes("INBOX", uid)?.len() / 2 - 1)),
        5 => MessageFault::Size(seed.pick(&[0, 1, 99_999, 2_000_000_000])),
        6 => MessageFault::Placeholder,
        7 if account.is_imap => MessageFault::Unlisted,
        7 => MessageFault::NoUidl,
        _ => MessageFault::Unlisted,
    };
    let is_hidden = if account.is_imap { MessageFault::Unlisted } else { MessageFault::NoUidl } == fault;
    let is_not_given = match fault {
        MessageFault::Refused | MessageFault::Nil => true,
        MessageFault::NotGiven => account.is_imap,
        _ => false,
    };
    // What was wrong before may have been set aside; what is wrong in two ways may come all the same.
    history.wrong.retain(|wrong| wrong.token != token);
    let was_right = scene.ledger.entries().get(&token).is_some_and(|entry| !entry.excuses.contains(&Excuse::Faulty));
    if was_right && (is_hidden || is_not_given) {
        history.wrong.push(Wrong { server: number, uid, token: token.clone(), is_hidden });
    }
    if is_hidden {
        scene.ledger.hides(number, &token);
    }
    scene.ledger.excuse(&token, Excuse::Faulty);
    account.faults.message(uid, fault.clone());
    Some(format!("{token} on server {number} is {fault:?}"))
}

fn line_fault(scene: &Scene, seed: &mut Seed) -> Option<String> {
    let number = seed.below(scene.accounts.len() + 1);
    let faults = scene.accounts.get(number).map_or(&scene.archive_faults, |account| &account.faults);
    let next = faults.commands_seen() + seed.between(1, 25);
    let refuse = ["UID STORE", "UID EXPUNGE", "UID FETCH", "DELE", "RETR", "QUIT", "UIDL", "APPEND", "CREATE"];
    let fault = match seed.below(6) {
        0 => Fault::CutBefore(next),
        1 | 2 => Fault::CutAfter(next),
        3 => Fault::CutAtByte(faults.bytes_sent() + seed.below(20_000) as u64),
        4 => Fault::DisconnectEvery(seed.between(2, 12)),
        _ => Fault::Refuse(seed.pick(&refuse), "not now".to_owned()),
    };
    let text = format!("server {number}: {fault:?}");
    faults.set(fault);
    if number == scene.accounts.len() {
        scene.ledger.is_unsure(8);
    }
    Some(text)
}

fn relay_mood(scene: &Scene, seed: &mut Seed) -> Option<String> {
    let which = seed.below(2);
    let mood = seed.pick(&[
        (".", "taken"),
        (".", "close"),
        (".", "451 4.3.0 later"),
        ("RCPT", "450 4.2.0 later"),
        ("RCPT", "550 5.1.1 nobody"),
        ("MAIL", "close"),
        ("greeting", "421 4.3.2 closed"),
    ]);
    scene.ledger.relays[which].mood(&[mood]);
    if mood.1.starts_with('5') {
        scene.ledger.gives_up();
    }
    if mood.0 == "." {
        scene.ledger.is_unsure(8);
    }
    Some(format!("relay {which} says {mood:?}"))
}

/// Over IMAP by another UIDVALIDITY, over POP3 because the mailbox stands on another server now, which gives other UIDLs.
fn renumber(scene: &Scene, history: &mut History, seed: &mut Seed) {
    let number = seed.below(scene.accounts.len());
    let Account { mailbox, is_imap, .. } = &scene.accounts[number];
    for stored in mailbox.read_folder("INBOX", |folder| folder.messages.clone()).unwrap_or_default() {
        if let Some((token, _)) = mail::read(&stored.bytes) {
            scene.ledger.excuse(&token, Excuse::OtherId);
        }
    }
    let uidvalidity = 1000 + seed.below(1_000_000) as u32;
    mailbox.set_uidvalidity("INBOX", uidvalidity, true);
    if !is_imap {
        mailbox.change_folder("INBOX", |folder| {
            folder.messages.iter_mut().for_each(|stored| stored.uidl = format!("{uidvalidity}-{}", stored.uid));
        });
        history.moved.insert(number);
        history.freed.retain(|(owner, _)| *owner != number);
    }
}

/// The next mail gets an id that had been given before.
fn reuse_id(scene: &Scene, history: &mut History, seed: &mut Seed) -> Option<String> {
    let number = seed.below(scene.accounts.len());
    let account = &scene.accounts[number];
    if account.is_imap {
        let last = account.mailbox.uids("INBOX").last().copied().unwrap_or(0);
        account.mailbox.set_uidnext("INBOX", last + 1);
        return Some(format!("server {number} gives UIDs again from {}", last + 1));
    }
    let there = account
        .mailbox
        .read_folder("INBOX", |folder| folder.messages.iter().map(|stored| stored.uidl.clone()).collect::<Vec<_>>())?;
    let uidl = format!("uidl-{:06}", seed.between(1, 40));
    // The other server never gave that one.
    if there.contains(&uidl) || history.moved.contains(&number) {
        return None;
    }
    history.freed.push((number, uidl.clone()));
    Some(format!("server {number} will give {uidl} again"))
}

/// The message goes, by another client's hand, and a new one has its id.
fn swap(scene: &Scene, history: &mut History, seed: &mut Seed) -> Option<String> {
    let (number, uid, token) = one_there(scene, seed)?;
    history.swapped = number;
    let new = new_mail(history, seed, &Kind::ALL);
    let bytes = Incoming::new(&new.bytes).bytes;
    scene.ledger.arrives(&new, Way::Server(number));
    // What is not to be deleted is not looked at again: it may stay there unseen.
    scene.ledger.excuse(&new.token, Excuse::Faulty);
    scene.ledger.excuse(&new.token, Excuse::OtherId);
    scene.ledger.excuse(&token, Excuse::OtherClient);
    scene.accounts[number].mailbox.change_folder("INBOX", |folder| {
        if let Some(stored) = folder.message_mut(uid) {
            stored.bytes = bytes.into();
        }
    });
    Some(format!("on server {number} {} stands under the id of {token}, which is gone", new.token))
}

fn other_client(scene: &Scene, seed: &mut Seed) -> Option<String> {
    let (number, uid, token) = one_there(scene, seed)?;
    scene.ledger.excuse(&token, Excuse::OtherClient);
    scene.accounts[number].mailbox.remove("INBOX", uid);
    Some(format!("another client deletes {token} on server {number}"))
}

fn databases(state: &Path, mut each: impl FnMut(&Path)) {
    ["state.db", "state.db-wal", "state.db-shm"].iter().for_each(|name| each(&state.join(name)));
}

/// A backup of the database, for later.
pub fn back_up(scene: &Scene, history: &mut History, step: usize) {
    let state = scene.home().join(STATE);
    if !state.join("state.db").exists() {
        return;
    }
    let copy = scene.home().join(format!(".backup{}", history.copies.len()));
    let _ = fs::create_dir(&copy);
    databases(&state, |file| _ = fs::copy(file, copy.join(file.file_name().unwrap_or_default())));
    history.copies.push((step, copy));
}

fn state_older(scene: &Scene, history: &mut History, seed: &mut Seed) -> Option<String> {
    let (step, copy) = history.copies.get(seed.below(history.copies.len()))?.clone();
    let what = format!("the one of before step {step}");
    damage(scene, history, &what, |state| {
        databases(state, |file| {
            let _ = fs::remove_file(file);
            let _ = fs::copy(copy.join(file.file_name().unwrap_or_default()), file);
        });
    })
}

fn damage(scene: &Scene, history: &mut History, what: &str, how: impl FnOnce(&Path)) -> Option<String> {
    let state = scene.home().join(STATE);
    if !state.join("state.db").exists() {
        return None;
    }
    scene.ledger.loses_state();
    history.knows_root = false;
    how(&state);
    Some(format!("the database is {what}"))
}

/// With the spool: what stood there alone was the user's to throw away. Lost together with the mail root, it would know
/// nothing of that, as the manual says.
fn state_gone(scene: &Scene, history: &mut History) -> Option<String> {
    let state = scene.home().join(STATE);
    if !state.exists() || scene.home().join(AWAY).exists() {
        return None;
    }
    for (token, standing) in scene.ledger.standing() {
        if standing.whole.iter().any(|seen| matches!(seen.place, Place::Spool | Place::SetAside)) {
            scene.ledger.excuse(&token, Excuse::User);
        }
    }
    scene.ledger.loses_state();
    history.knows_root = false;
    let _ = fs::remove_dir_all(state);
    Some("the state folder is gone".to_owned())
}

/// Only a root that the state knows: of another one it cannot tell.
fn root_away(scene: &Scene, history: &History, leaves_empty: bool) -> Option<String> {
    let (root, away) = (scene.home().join(ROOT), scene.home().join(AWAY));
    let has_mail = || scene.ledger.standing().values().any(|standing| standing.filed().next().is_some());
    if !history.knows_root || away.exists() || !root.exists() || !has_mail() {
        return None;
    }
    fs::rename(&root, &away).unwrap();
    if leaves_empty {
        fs::create_dir(&root).unwrap();
    }
    Some(format!("the mail root is {}", if leaves_empty { "empty" } else { "away" }))
}

fn rename(scene: &mut Scene, seed: &mut Seed) {
    let number = seed.below(scene.accounts.len());
    let label = &mut scene.accounts[number].label;
    *label = if label.starts_with("acc") { format!("renamed{number}") } else { format!("acc{}", number + 1) };
    scene.write_config();
}

fn retention(scene: &mut Scene, seed: &mut Seed) -> Option<String> {
    let number = seed.below(scene.accounts.len());
    let retention = RETENTIONS[seed.below(if scene.accounts[number].is_imap { 5 } else { 3 })];
    Some(keeps(scene, number, retention))
}

fn keeps(scene: &mut Scene, number: usize, retention: &str) -> String {
    scene.accounts[number].retention = retention.to_owned();
    scene.ledger.may_delete(number, deletes(retention));
    scene.write_config();
    format!("account {number} has retention {retention}")
}

/// What holds for one step only is over.
pub fn put_right(scene: &Scene, history: &mut History) {
    history.wrong.clear();
    scene.ledger.hides_nothing();
    for account in &scene.accounts {
        account.faults.clear();
        unmark(account);
        let asked = account.faults.commands_seen();
        if asked > MOST_COMMANDS {
            scene.ledger.blame(format!("{} was asked {asked} commands", account.label));
        }
    }
    scene.archive_faults.clear();
    scene.ledger.relays.iter().for_each(|relay| relay.mood(&[]));
    let (root, away) = (scene.home().join(ROOT), scene.home().join(AWAY));
    if away.exists() {
        if root.exists() {
            // What was written into the place of the true root is under it again: nobody sees it.
            history.hidden += 1;
            fs::rename(&root, scene.home().join(format!(".hidden{}", history.hidden))).unwrap();
        }
        fs::rename(&away, &root).unwrap();
    }
}
