//! Finds messages with SEARCH, and fetches their metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use imap_proto::{AttributeValue, MailboxDatum, Response};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::ImapSource;
use super::session::{ImapSession, refused, uid_in};
use super::sets::{pieces, uid_set};
use crate::charsets::mutf7;
use crate::config::Select;
use crate::error::{Kind, Result};
use crate::message::{Flag, Flags, dress_hash, head_hash, head_of, to_lf};
use crate::safeguard::Safeguard;
use crate::source::arrival::arrival;
use crate::source::named::{NamedMessages, by_content};
use crate::source::whole::{is_described, plausible};
use crate::source::{Details, Listed};

const SEARCH: &str = "UID SEARCH";
const FETCH: &str = "UID FETCH";
const DESCRIBE: &str = "UID FLAGS RFC822.SIZE INTERNALDATE";
/// An extension of Gmail (X-GM-EXT-1).
const LABELS: &str = " X-GM-LABELS";
const HEADER: &str = " BODY.PEEK[HEADER]";
/// How many keywords of a message are kept. Servers have no limit.
const MAX_KEYWORDS: usize = 50;

impl ImapSession {
    /// The UIDs among `uids` that match `criteria`.
    pub(super) async fn search_among(&mut self, uids: &[u32], criteria: &str) -> Result<Vec<u32>> {
        let mut wanted = Vec::new();
        let charset = if criteria.is_ascii() { "" } else { "CHARSET UTF-8 " };
        for chunk in pieces(uids, self.room_beside(&[SEARCH, charset, criteria]), |uid| Some(*uid)) {
            let set = uid_set(chunk.iter().copied());
            let mut found = BTreeSet::new();
            let tag = self.send_with_literals(format!("{SEARCH} {charset}UID {set} {criteria}").trim_end()).await?;
            let reply = match tag {
                Ok(tag) => {
                    let each = |reply: &Response<'_>| {
                        if let Response::MailboxData(MailboxDatum::Search(uids)) = reply {
                            found.extend(uids.iter().copied());
                        }
                        Ok(())
                    };
                    self.finish(&tag, each).await?.map(drop)
                }
                Err(refusal) => Err(refusal),
            };
            reply.map_err(|refusal| refused(SEARCH, &refusal.line))?;
            wanted.extend(chunk.iter().filter(|uid| found.contains(uid)));
        }
        Ok(wanted)
    }
}

impl ImapSource {
    /// Narrows ids with the server's SEARCH, by the account's selection.
    pub(in crate::source) async fn search(
        &mut self,
        ids: Vec<Vec<u8>>,
        select: &Select,
        now: Timestamp,
    ) -> Result<Vec<Vec<u8>>> {
        let Some(criteria) = criteria(select, now) else { return Ok(ids) };
        let asked = self.by_uid(&ids);
        let uids: Vec<u32> = ids.iter().filter_map(|id| self.uid_of(id)).collect();
        let found = self.session.search_among(&uids, &criteria).await;
        let found = found.map_err(|e| e.while_doing("the account's selection"))?;
        Ok(found.iter().filter_map(|uid| asked.get(uid).map(|id| id.to_vec())).collect())
    }

    /// The size, flags and, if wanted, the date and header hash of messages. A message that the server lists but does not
    /// describe is also in the result, without any values: perhaps it can be fetched, and if not, that counts as a failure.
    pub(in crate::source) async fn describe(&mut self, ids: &[Vec<u8>], details: Details) -> Result<Vec<Listed>> {
        // The result uses the ids that the caller passed.
        let asked = self.by_uid(ids);
        let as_asked = |(uid, one): (u32, Listed)| match asked.get(&uid) {
            Some(id) => Listed { id: id.to_vec(), ..one },
            None => one,
        };
        let described = self.describe_uids(asked.keys().copied().collect(), details).await?;
        Ok(described.into_iter().map(as_asked).collect())
    }

    async fn describe_uids(&mut self, mut uids: Vec<u32>, details: Details) -> Result<Vec<(u32, Listed)>> {
        uids.sort_unstable();
        let mut listed = Vec::with_capacity(uids.len());
        for chunk in pieces(&uids, self.session.room_beside(&[FETCH, DESCRIBE, LABELS, HEADER]), |uid| Some(*uid)) {
            let mut found = self.describe_chunk(chunk, details).await?;
            let silent: Vec<u32> = chunk.iter().copied().filter(|uid| !found.contains_key(uid)).collect();
            for uid in self.still_listed(&silent).await? {
                found.insert(uid, Listed::unknown(uid.to_string().into_bytes()));
            }
            listed.extend(found);
        }
        Ok(listed)
    }

    /// Names the messages of the open folder by the header fields that servers do not change, each with its UID.
    pub(super) async fn by_content(&mut self, uids: Vec<u32>) -> Result<NamedMessages<u32>> {
        let described = self.describe_uids(uids, Details { date: false, head: true }).await?;
        let named = |(uid, listed): (u32, Listed)| Some((uid, by_content(listed.dress?)));
        Ok(NamedMessages::new(described.into_iter().filter_map(named).collect()))
    }

    async fn describe_chunk(&mut self, uids: &[u32], details: Details) -> Result<BTreeMap<u32, Listed>> {
        let header = if details.head { HEADER } else { "" };
        let set = uid_set(uids.iter().copied());
        let labels = if self.labels && self.session.can("X-GM-EXT-1") { LABELS } else { "" };
        let command = format!("{FETCH} {set} ({DESCRIBE}{labels}{header})");
        let mut found: BTreeMap<u32, Listed> = BTreeMap::new();
        let each = |reply: &Response<'_>| {
            // Replies come in any order, and may be about messages that were not requested.
            if let Response::Fetch(_, attributes) = reply
                && let Some(uid) = uid_in(attributes)
                && uids.binary_search(&uid).is_ok()
                && let Some(message) = listed_of(uid, attributes, details)
            {
                found.entry(uid).or_insert(message);
            }
            Ok(())
        };
        self.session.run(&command, each).await?;
        Ok(found)
    }

    fn by_uid<'i>(&self, ids: &'i [Vec<u8>]) -> HashMap<u32, &'i [u8]> {
        ids.iter().filter_map(|id| Some((self.uid_of(id)?, &**id))).collect()
    }

    /// The messages among `uids` that the server still lists. They are those about which it sent nothing.
    pub(super) async fn still_listed(&mut self, uids: &[u32]) -> Result<Vec<u32>> {
        if uids.is_empty() || !Safeguard::NotGivenIsFailed.is_on() {
            return Ok(Vec::new());
        }
        match self.session.search_among(uids, "").await {
            Err(error) if error.kind() != Kind::Refused => Err(error),
            // A refusal does not prove that they are gone.
            found => Ok(found.unwrap_or_else(|_| uids.to_vec())),
        }
    }
}

/// The metadata in a FETCH reply. `None` if the reply only reports flags that another client changed.
fn listed_of(uid: u32, attributes: &[AttributeValue<'_>], details: Details) -> Option<Listed> {
    let mut listed = Listed::unknown(uid.to_string().into_bytes());
    let mut is_answer = false;
    let mut labels = Vec::new();
    for attribute in attributes {
        match attribute {
            AttributeValue::GmailLabels(found) => labels.extend(found.iter().filter_map(|label| keyword_of(label))),
            AttributeValue::Rfc822Size(size) => {
                (listed.announced, is_answer) = (plausible(u64::from(*size)), true);
            }
            AttributeValue::Flags(flags) => listed.flags = flags_of(flags),
            AttributeValue::InternalDate(date) => (listed.arrived, is_answer) = (internal_date(date), true),
            AttributeValue::BodySection { data: Some(head), .. } if details.head && is_described(head) => {
                let head = to_lf(head);
                (listed.head_hash, listed.dress) = (Some(head_hash(head_of(&head))), Some(dress_hash(&head)));
                listed.received = arrival(&head, Timestamp::now());
            }
            _ => {}
        }
    }
    for keyword in labels.into_iter().take(MAX_KEYWORDS) {
        // A label that cannot become a keyword is dropped.
        listed.flags.parse_word(&keyword).ok();
    }
    is_answer.then_some(listed)
}

/// The keyword for a label of Gmail: a standard one (RFC 8457, RFC 9051) for system labels, otherwise the label with `_` for
/// characters that a keyword must not contain.
fn keyword_of(label: &str) -> Option<String> {
    let label = mutf7::decode(label);
    match label.trim_start_matches('\\').to_lowercase().as_str() {
        "starred" | "draft" | "trash" if label.starts_with('\\') => None,
        "important" if label.starts_with('\\') => Some("$Important".to_owned()),
        "junk" | "spam" if label.starts_with('\\') => Some("$Junk".to_owned()),
        _ => {
            let fits = |c: char| !c.is_control() && !c.is_whitespace() && !"(){%*\"\\]".contains(c);
            let name =
                label.trim_start_matches('\\').chars().map(|c| if fits(c) { c } else { '_' }).collect::<String>();
            (!name.is_empty()).then_some(name)
        }
    }
}

pub(super) fn flags_of<S: AsRef<str>>(flags: &[S]) -> Flags {
    let mut known = Flags::default();
    for flag in flags.iter().map(AsRef::as_ref) {
        if known.keywords().len() < MAX_KEYWORDS || Flag::from_word(flag).is_some() {
            // A flag that is neither a system flag nor a keyword (`\Recent`) is dropped.
            known.parse_word(flag).ok();
        }
    }
    known
}

/// Parses `17-Jul-1996 02:44:25 -0700`; the day may be padded with a blank.
fn internal_date(text: &str) -> Option<Timestamp> {
    strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim()).and_then(|parsed| parsed.to_timestamp()).ok()
}

/// The selection as SEARCH criteria. SINCE has a precision of one day, in the server's time zone, so it starts a day
/// earlier; INTERNALDATE is compared exactly afterwards.
fn criteria(select: &Select, now: Timestamp) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(since) = select.since {
        let day = since.at(now).to_zoned(TimeZone::UTC).date().yesterday().ok()?;
        parts.push(format!("SINCE {}", day.strftime("%-d-%b-%Y")));
    }
    if let Some(max) = select.max_size {
        parts.push(format!("SMALLER {}", max.saturating_add(1).min(u64::from(u32::MAX))));
    }
    parts.extend(select.search.clone());
    (!parts.is_empty()).then(|| parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_carried_over_within_bounds() {
        let flags = flags_of(&["\\Seen", "\\Recent", "$Forwarded", "$Junk", "\\*"]);
        assert_eq!(flags.to_string(), "PS $Junk");
        let many: Vec<String> = (0..1000).map(|n| format!("k{n}")).chain(["\\Flagged".to_owned()]).collect();
        let flags = flags_of(&many);
        assert_eq!((flags.keywords().len(), flags.letters().as_str()), (MAX_KEYWORDS, "F"));
    }

    #[test]
    fn dates_as_servers_write_them() {
        let expected = "1996-07-17T09:44:25Z".parse().ok();
        assert_eq!(internal_date("17-Jul-1996 02:44:25 -0700"), expected);
        assert_eq!(internal_date(" 7-Jul-1996 02:44:25 +0000"), "1996-07-07T02:44:25Z".parse().ok());
        assert_eq!(internal_date("nonsense"), None);
    }

    #[test]
    fn the_selection_becomes_criteria() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let day = crate::config::PointInTime::Ago(std::time::Duration::from_secs(86_400));
        let select = Select { since: Some(day), max_size: Some(1024), search: Some("UNSEEN".into()), limit: Some(3) };
        assert_eq!(criteria(&select, now).unwrap(), "SINCE 21-Nov-2026 SMALLER 1025 UNSEEN");
        assert_eq!(criteria(&Select::default(), now), None);
    }
}
