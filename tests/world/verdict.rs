//! What the ledger asks when all has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Entry, Excuse, Ledger, Standing, Way};
use crate::mail::Kind;
use crate::sight::{Place, Sighting};

/// Every message must be somewhere at any time. Those that are nowhere.
pub fn nowhere(ledger: &Ledger) -> Vec<String> {
    let standing = ledger.standing();
    let is_lost = |entry: &&Entry| {
        entry.is_taken && !entry.may_be_gone() && !standing.get(&entry.mail.token).is_some_and(Standing::is_anywhere)
    };
    ledger.entries().values().filter(is_lost).map(|entry| describe(entry, None)).collect()
}

/// Everything that is wrong at rest.
pub fn at_rest(ledger: &Ledger) -> Vec<String> {
    let standing = ledger.standing();
    let mut wrong = Vec::new();
    for entry in ledger.entries().values() {
        let nothing = Standing::default();
        let it = standing.get(&entry.mail.token).unwrap_or(&nothing);
        wrong.extend(
            missing(ledger, entry, it).into_iter().chain(doubled(ledger, entry, it)).chain(half(ledger, entry, it)),
        );
    }
    let folders = standing.values().flat_map(Standing::filed).filter_map(|seen| match &seen.place {
        Place::Filed(folder) if folder.eq_ignore_ascii_case("INBOX") && folder != "INBOX" => Some(folder.clone()),
        _ => None,
    });
    wrong.extend(folders.collect::<BTreeSet<_>>().iter().map(|folder| format!("an INBOX beside INBOX: {folder}")));
    wrong.extend(answered(ledger));
    wrong
}

/// No message is answered twice. No sender either, but for what came after the state was lost with all it remembered.
fn answered(ledger: &Ledger) -> Vec<String> {
    let (mut senders, mut messages) = (BTreeMap::new(), BTreeMap::new());
    for (sender, message) in ledger.answers() {
        *senders.entry(sender).or_insert(0) += 1;
        *messages.entry(message).or_insert(0) += 1;
    }
    let most = 1 + ledger.states_lost();
    let senders = senders.into_iter().filter(|(_, times)| *times > most);
    let messages = messages.into_iter().filter(|(_, times)| *times > 1);
    senders.chain(messages).map(|(whom, times)| format!("ANSWERED {times} times: {whom}")).collect()
}

fn missing(ledger: &Ledger, entry: &Entry, it: &Standing) -> Option<String> {
    if !entry.is_taken || entry.may_be_gone() {
        return None;
    }
    let in_spool = it.whole.iter().any(|seen| seen.place == Place::Spool);
    let is_well = it.told > 0 || it.filed().next().is_some() || (entry.mail.kind == Kind::Discard && in_spool);
    // What its server gave wrongly is left there after some attempts, and said.
    let is_left = it.on_server && entry.excuses.contains(&Excuse::Faulty);
    // A lost state does not know what stood under that id before, where its file was edited or is gone.
    let is_unknown = it.on_server && entry.excuses.contains(&Excuse::OtherId) && ledger.states_lost() > 0;
    if is_well || is_left || is_unknown {
        return None;
    }
    let what = match (it.on_server, it.whole.is_empty()) {
        (true, _) => "NEVER FETCHED, it is on its server",
        (false, false) => "LEFT BEHIND where nobody looks",
        (false, true) => "LOST",
    };
    Some(format!("{what}: {}", describe(entry, Some(it))))
}

fn doubled(ledger: &Ledger, entry: &Entry, it: &Standing) -> Option<String> {
    let kind = entry.mail.kind;
    let is_redone = entry.excuses.contains(&Excuse::Reader) || entry.excuses.contains(&Excuse::User);
    let states = ledger.states_lost();
    // When the state is lost, what stands in mbox files alone is not recognised, nor what has another id now; and what
    // was told, discarded or split is in no Maildir as it came, but in `Recovered` then. So is what was to be told and filed as well, when
    // the program was killed between the two.
    let has_mbox = it.filed().any(|seen| matches!(seen.place, Place::Mbox(_)));
    let goes_through_spool =
        kind.is_only_told() || matches!(kind, Kind::Discard | Kind::Away | Kind::ForwardCopy | Kind::Split);
    let is_unknown = has_mbox || goes_through_spool || entry.excuses.contains(&Excuse::OtherId);
    // A move that was interrupted is finished from its record; with the state its record is lost, and both files stay.
    let is_half_moved = states > 0 && it.filed().any(|seen| seen.path.contains(",R="));
    let is_given_up = kind == Kind::ForwardCopy && ledger.has_given_up();
    let more = entry.more * kind.copies()
        + usize::from(is_half_moved)
        + usize::from(is_given_up)
        + usize::from(is_redone)
        + if is_unknown { states * kind.copies() } else { 0 };
    if it.filed_once() > (kind.copies() + more).max(kind.copies()) {
        return Some(format!("DOUBLED here: {}", describe(entry, Some(it))));
    }
    // By its number it is known as long as nobody touches that, by its date for longer.
    if kind == Kind::Stood && it.told > 0 && entry.excuses.is_empty() && states == 0 {
        return Some(format!("TOLD although it stood there before the first run: {}", describe(entry, Some(it))));
    }
    // Told at least once: a program that was cut off may have been telling. What a lost state knew is told again only
    // when it stands in no Maildir.
    let again = if kind == Kind::ForwardCopy { 0 } else { states };
    if it.told > 1 + ledger.unsure() + entry.more + again + usize::from(is_redone) {
        return Some(format!("TOLD {} times: {}", it.told, describe(entry, Some(it))));
    }
    None
}

fn half(ledger: &Ledger, entry: &Entry, it: &Standing) -> Option<String> {
    // An append to an mbox that was cut off is taken back by its record, and with the state its record is lost.
    let is_cut = |seen: &Sighting| ledger.states_lost() > 0 && matches!(seen.place, Place::Mbox(_));
    let is_half = |seen: &&Sighting| matches!(seen.place, Place::Filed(_) | Place::Mbox(_)) && !is_cut(seen);
    let half = it.half.iter().find(is_half)?;
    let is_said = entry.excuses.contains(&Excuse::Faulty);
    (!is_said).then(|| format!("HALF a message stands in {}: {}", half.path, describe(entry, None)))
}

/// Files that stay under `tmp/`, and in the spool without being discarded mail.
pub fn left_over(ledger: &Ledger) -> BTreeMap<&'static str, usize> {
    let mut count = BTreeMap::new();
    for seen in ledger.standing().values().flat_map(|it| it.whole.iter().chain(&it.half)) {
        if seen.place == Place::Tmp {
            *count.entry("tmp").or_insert(0) += 1;
        }
    }
    count
}

fn describe(entry: &Entry, it: Option<&Standing>) -> String {
    let way = match entry.way {
        Way::Server(number) => format!("on server {number}"),
        Way::Deliver => "by deliver".to_owned(),
        Way::Sendmail => "by sendmail".to_owned(),
    };
    let mut text = format!("{} [{}] came {way}", entry.mail.token, entry.mail.kind.word());
    if !entry.excuses.is_empty() {
        text += &format!(" {:?}", entry.excuses);
    }
    if let Some(it) = it {
        text += &format!(", told {} times", it.told);
        it.whole.iter().for_each(|seen| text += &format!("\n      {}", seen.path));
    }
    text
}
