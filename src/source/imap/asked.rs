//! Maps the folder names in a server's replies to the folders that were asked about.

use std::collections::{HashMap, HashSet};

use super::ImapSource;
use super::folders::name_of;

/// Folders by their names on the server.
#[derive(Debug)]
pub(super) struct AskedFolders<'f> {
    by_wire: HashMap<String, &'f str>,
    names: HashSet<&'f str>,
    delimiter: Option<char>,
}

impl ImapSource {
    /// The map for these folders.
    pub(super) fn asked<'f>(&self, folders: &'f [String]) -> AskedFolders<'f> {
        AskedFolders {
            by_wire: folders.iter().map(|folder| (self.wire_name(folder), folder.as_str())).collect(),
            names: folders.iter().map(String::as_str).collect(),
            delimiter: self.delimiter,
        }
    }
}

impl<'f> AskedFolders<'f> {
    /// The folder with this name on the server, as the config spells it.
    pub(super) fn folder(&self, wire: &str) -> Option<&'f str> {
        self.by_wire.get(wire).copied().or_else(|| self.spelled_otherwise(wire))
    }

    /// Some servers return a name in another spelling than it was sent to them: in UTF-8, or with INBOX in another case.
    fn spelled_otherwise(&self, wire: &str) -> Option<&'f str> {
        self.names.get(name_of(wire, self.delimiter).ok()?.as_str()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_known_however_the_server_spells_it() {
        let names = ["INBOX", "INBOX/a", "Entwürfe", "Sent"];
        let asked = AskedFolders {
            by_wire: HashMap::from([("sent".to_owned(), "Sent")]),
            names: HashSet::from(names),
            delimiter: Some('.'),
        };
        for (wire, folder) in [
            ("inbox", Some("INBOX")),
            ("Inbox.a", Some("INBOX/a")),
            ("Entw&APw-rfe", Some("Entwürfe")),
            ("Entwürfe", Some("Entwürfe")),
            ("sent", Some("Sent")),
            ("INBOX.b", None),
            ("a/b", None),
        ] {
            assert_eq!(asked.folder(wire), folder, "{wire}");
        }
    }
}
