//! What a session has seen of its folders, so that what it hears can be told from what it knows.

use std::collections::{BTreeSet, HashMap};

use crate::source::{Glance, Heard};

/// What is known, and the news that nobody was told of yet.
#[derive(Debug, Default)]
pub(super) struct Known {
    seen: HashMap<String, Glance>,
    /// What the server says of these when they are opened and when they are looked at: it differs, and is not news again.
    disputed: HashMap<String, (Glance, Glance)>,
    /// Of these nobody told since they were seen: they were open, or the server was not asked to.
    untold: BTreeSet<String>,
    news: BTreeSet<String>,
    pub(super) anywhere: bool,
}

impl Known {
    /// Whoever asks for this has seen it.
    pub(super) fn saw(&mut self, folder: &str, now: Glance) {
        self.seen.insert(folder.to_owned(), now);
        self.news.remove(folder);
    }

    /// Whoever opens this sees it as it is now; while it is open, a server that notifies does not tell of it.
    pub(super) fn opened(&mut self, folder: &str, now: Glance) {
        self.saw(folder, now);
        self.untold.insert(folder.to_owned());
    }

    /// The server was not asked before to tell of these.
    pub(super) fn was_told_of_none(&mut self, folders: &[String]) {
        self.untold.extend(folders.iter().cloned());
    }

    /// Those of these folders that may have changed without a word.
    pub(super) fn untold(&self, folders: &[String]) -> Vec<String> {
        folders.iter().filter(|folder| self.untold.contains(*folder)).cloned().collect()
    }

    /// Takes in what is told of a folder. Only how many messages there are and what UID comes next matter: flags change all the
    /// time, and some servers make UIDVALIDITY up anew each time.
    /// Says whether it is news.
    pub(super) fn hears(&mut self, folder: &str, now: Glance) -> bool {
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

    /// Takes in what such a folder is like now. A server that says one thing when a folder is opened and another when it is looked at
    /// would have it opened without end: once is enough.
    pub(super) fn hears_of_untold(&mut self, folder: &str, now: Glance) {
        self.untold.remove(folder);
        let before = self.seen.get(folder).copied().unwrap_or_default();
        let both = (Glance { modseq: None, ..before }, Glance { modseq: None, ..now });
        if self.disputed.get(folder) != Some(&both) && self.hears(folder, now) {
            self.disputed.insert(folder.to_owned(), both);
        }
    }

    /// Messages went that we took away.
    pub(super) fn took_away(&mut self, folder: &str, count: u32) {
        if let Some(exists) = self.seen.get_mut(folder).and_then(|seen| seen.exists.as_mut()) {
            *exists = exists.saturating_sub(count);
        }
    }

    /// Something happened, whatever is counted.
    pub(super) fn is_news(&mut self, folder: &str) {
        self.news.insert(folder.to_owned());
    }

    /// Whether there is something to be told to whoever waits for these folders.
    pub(super) fn has_news(&self, folders: &[String]) -> bool {
        self.anywhere || !self.news.is_empty() && folders.iter().any(|folder| self.news.contains(folder))
    }

    /// The news for whoever waits for these folders.
    pub(super) fn take_news(&mut self, folders: &[String]) -> Heard {
        if std::mem::take(&mut self.anywhere) {
            self.news.clear();
            return Heard::Anywhere;
        }
        Heard::News(folders.iter().filter(|folder| self.news.remove(*folder)).cloned().collect())
    }
}

/// Whether two numbers differ that are both told.
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
        let mut known = Known::default();
        known.saw("a", glance(4, 3));
        for same in [glance(4, 3), Glance { modseq: Some(9), generation: None, ..glance(4, 3) }, Glance::default()] {
            known.hears("a", same);
            assert!(!known.has_news(&folders), "{same:?}");
        }
        for other in [glance(5, 4), glance(5, 3), glance(6, 3)] {
            known.hears("a", other);
            assert_eq!(known.take_news(&folders), Heard::News(folders.iter().cloned().collect()), "{other:?}");
            known.hears("a", other);
            assert!(!known.has_news(&folders), "{other:?}");
        }
    }

    #[test]
    fn a_server_that_says_two_things_of_a_folder_is_heard_once() {
        let folders = ["a".to_owned()];
        let mut known = Known::default();
        for (modseq, is_heard) in [(1, true), (2, false), (3, false)] {
            known.opened("a", glance(4, 3));
            assert_eq!(known.untold(&folders), folders);
            known.hears_of_untold("a", Glance { modseq: Some(modseq), ..glance(5, 3) });
            assert!(known.untold(&folders).is_empty());
            assert_eq!(known.has_news(&folders), is_heard);
        }
        known.hears_of_untold("a", glance(6, 4));
        assert!(known.has_news(&folders));
    }

    #[test]
    fn what_was_seen_and_what_we_took_away_is_not_news() {
        let folders = ["a".to_owned()];
        let mut known = Known::default();
        known.hears("a", glance(4, 3));
        known.saw("a", glance(4, 3));
        known.took_away("a", 2);
        known.hears("a", glance(4, 1));
        assert!(!known.has_news(&folders));
        known.is_news("b");
        assert!(!known.has_news(&folders));
        known.anywhere = true;
        assert_eq!(known.take_news(&folders), Heard::Anywhere);
        assert!(!known.has_news(&["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn news_of_others_is_kept_for_whoever_waits_for_them() {
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let mut known = Known::default();
        known.is_news("a");
        known.is_news("b");
        for folders in [&a, &b] {
            assert_eq!(known.take_news(folders), Heard::News(folders.iter().cloned().collect()));
        }
    }
}
