//! What a session knows of its folders, so that news can be recognised in what the server reports.

use std::collections::{BTreeSet, HashMap};

use crate::source::{Glance, Heard};

/// The known status of the folders, and the news that nobody has taken yet.
#[derive(Debug, Default)]
pub(super) struct KnownNews {
    seen: HashMap<String, Glance>,
    /// Folders for which the server reports one status when they are opened and another one by STATUS. The difference is reported
    /// as news once.
    disputed: HashMap<String, (Glance, Glance)>,
    /// Folders that may have changed without a report since they were seen: they were open, or notifications were off.
    unreported: BTreeSet<String>,
    news: BTreeSet<String>,
    pub(super) news_anywhere: bool,
}

impl KnownNews {
    /// Records the status of a folder that the caller has seen.
    pub(super) fn record_seen(&mut self, folder: &str, now: Glance) {
        self.seen.insert(folder.to_owned(), now);
        self.news.remove(folder);
    }

    /// Records the status of a folder that was opened. While it is open, a server with NOTIFY does not report on it.
    pub(super) fn record_opened(&mut self, folder: &str, now: Glance) {
        self.record_seen(folder, now);
        self.unreported.insert(folder.to_owned());
    }

    /// Marks folders for which notifications were off until now.
    pub(super) fn mark_unreported(&mut self, folders: &[String]) {
        self.unreported.extend(folders.iter().cloned());
    }

    /// Which of these folders may have changed without a report.
    pub(super) fn unreported(&self, folders: &[String]) -> Vec<String> {
        folders.iter().filter(|folder| self.unreported.contains(*folder)).cloned().collect()
    }

    /// Records a reported status. Returns whether it is news. Only the number of messages and UIDNEXT count: flags change all the
    /// time, and some servers report a new UIDVALIDITY each time.
    pub(super) fn record_report(&mut self, folder: &str, now: Glance) -> bool {
        let before = self.seen.get(folder).copied();
        let is_other = |before: Glance| is_other(before.exists, now.exists) || is_other(before.uid_next, now.uid_next);
        let is_news = now != Glance::default() && before.is_none_or(is_other);
        if is_news {
            let generation = now.generation.or(before.and_then(|before| before.generation));
            self.seen.insert(folder.to_owned(), Glance { generation, ..now });
            self.news.insert(folder.to_owned());
        }
        is_news
    }

    /// Records the status of an unreported folder. A server that reports one status when a folder is opened and another by STATUS
    /// would have it opened without end, so the same difference is news only once.
    pub(super) fn record_unreported(&mut self, folder: &str, now: Glance) {
        self.unreported.remove(folder);
        let before = self.seen.get(folder).copied().unwrap_or_default();
        let both = (Glance { modseq: None, ..before }, Glance { modseq: None, ..now });
        if self.disputed.get(folder) != Some(&both) && self.record_report(folder, now) {
            self.disputed.insert(folder.to_owned(), both);
        }
    }

    /// Records that we removed messages ourselves.
    pub(super) fn record_removed(&mut self, folder: &str, count: u32) {
        if let Some(exists) = self.seen.get_mut(folder).and_then(|seen| seen.exists.as_mut()) {
            *exists = exists.saturating_sub(count);
        }
    }

    /// Adds news about a folder, whatever its status is.
    pub(super) fn add_news(&mut self, folder: &str) {
        self.news.insert(folder.to_owned());
    }

    /// Whether there is news for a caller that waits for these folders.
    pub(super) fn has_news(&self, folders: &[String]) -> bool {
        self.news_anywhere || !self.news.is_empty() && folders.iter().any(|folder| self.news.contains(folder))
    }

    /// Takes the news for a caller that waits for these folders.
    pub(super) fn take_news(&mut self, folders: &[String]) -> Heard {
        if std::mem::take(&mut self.news_anywhere) {
            self.news.clear();
            return Heard::Anywhere;
        }
        Heard::News(folders.iter().filter(|folder| self.news.remove(*folder)).cloned().collect())
    }
}

/// Whether both numbers are known and differ.
fn is_other(before: Option<u32>, now: Option<u32>) -> bool {
    before.is_some() && now.is_some() && before != now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(uid_next: u32, exists: u32) -> Glance {
        Glance { generation: Some(1), uid_next: Some(uid_next), exists: Some(exists), modseq: None }
    }

    #[test]
    fn the_same_twice_is_not_news() {
        let folders = ["a".to_owned()];
        let mut known = KnownNews::default();
        known.record_seen("a", glance(4, 3));
        for same in [glance(4, 3), Glance { modseq: Some(9), generation: None, ..glance(4, 3) }, Glance::default()] {
            known.record_report("a", same);
            assert!(!known.has_news(&folders), "{same:?}");
        }
        for other in [glance(5, 4), glance(5, 3), glance(6, 3)] {
            known.record_report("a", other);
            assert_eq!(known.take_news(&folders), Heard::News(folders.iter().cloned().collect()), "{other:?}");
            known.record_report("a", other);
            assert!(!known.has_news(&folders), "{other:?}");
        }
    }

    #[test]
    fn a_server_that_says_two_things_of_a_folder_is_heard_once() {
        let folders = ["a".to_owned()];
        let mut known = KnownNews::default();
        for (modseq, is_heard) in [(1, true), (2, false), (3, false)] {
            known.record_opened("a", glance(4, 3));
            assert_eq!(known.unreported(&folders), folders);
            known.record_unreported("a", Glance { modseq: Some(modseq), ..glance(5, 3) });
            assert!(known.unreported(&folders).is_empty());
            assert_eq!(known.has_news(&folders), is_heard);
        }
        known.record_unreported("a", glance(6, 4));
        assert!(known.has_news(&folders));
    }

    #[test]
    fn what_was_seen_and_what_we_took_away_is_not_news() {
        let folders = ["a".to_owned()];
        let mut known = KnownNews::default();
        known.record_report("a", glance(4, 3));
        known.record_seen("a", glance(4, 3));
        known.record_removed("a", 2);
        known.record_report("a", glance(4, 1));
        assert!(!known.has_news(&folders));
        known.add_news("b");
        assert!(!known.has_news(&folders));
        known.news_anywhere = true;
        assert_eq!(known.take_news(&folders), Heard::Anywhere);
        assert!(!known.has_news(&["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn news_of_others_is_kept_for_whoever_waits_for_them() {
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let mut known = KnownNews::default();
        known.add_news("a");
        known.add_news("b");
        for folders in [&a, &b] {
            assert_eq!(known.take_news(folders), Heard::News(folders.iter().cloned().collect()));
        }
    }
}
