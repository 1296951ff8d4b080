//! Local folders: what they are for, where else they lie, and who may read them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::outbox::mail;
use crate::support::sandbox::{Output, Sandbox};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");

struct Reader {
    sandbox: Sandbox,
}

impl Reader {
    fn new(maildir: &str, rules: &str) -> Self {
        let reader = Self { sandbox: Sandbox::new(PROGRAM) };
        reader.config(maildir, rules);
        reader
    }

    fn config(&self, maildir: &str, rules: &str) {
        let home = self.sandbox.home().display();
        let maildir = maildir.replace("HOME", &home.to_string());
        self.sandbox.config(&format!("maildir: {{path: ~/Mail, {maildir}}}\nstate: ~/state\nrules:\n{rules}\n"));
    }

    fn deliver(&self, text: &str) -> Output {
        self.sandbox.run_with_stdin(&["--allow-root", "deliver"], mail(1, text))
    }

    /// How many messages are in a folder, wherever a link leads.
    fn files(&self, folder: &str) -> usize {
        let folder = self.sandbox.maildir().join(folder);
        ["new", "cur"].iter().filter_map(|sub| fs::read_dir(folder.join(sub)).ok()).map(Iterator::count).sum()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.sandbox.home().join(path)).unwrap().permissions().mode() & 0o7777
    }

    fn only_file_in(&self, dir: &str) -> String {
        let mut files = fs::read_dir(self.sandbox.home().join(dir)).unwrap();
        let file = files.next().unwrap().unwrap().file_name().into_string().unwrap();
        assert!(files.next().is_none());
        format!("{dir}/{file}")
    }
}

#[test]
fn a_role_is_a_folder_by_what_it_is_for() {
    let reader = Reader::new(
        "roles: {junk: Spam/all}",
        "  - {do: [{fileinto: {folder: '\\Junk', copy: true}}, {fileinto: '\\Archive'}]}",
    );
    assert_eq!(reader.deliver("x").code, 0);
    assert_eq!((reader.files("Spam/all"), reader.files("Archive")), (1, 1));
    let moved = reader.sandbox.run(&["--allow-root", "refilter", "--yes", "\\Junk"]);
    assert_eq!(moved.code, 0, "{moved}");
}

/// A value of a message is no role.
#[test]
fn nobody_names_a_role_in_a_message() {
    let reader = Reader::new("roles: {junk: Spam}", "  - {do: {fileinto: \"${header.X-To}\"}}");
    let message = format!("X-To: \\Junk\n{}", mail(1, "x"));
    assert_eq!(reader.sandbox.run_with_stdin(&["--allow-root", "deliver"], message).code, 0);
    assert_eq!((reader.files("Spam"), reader.files("%5CJunk")), (0, 1));
}

#[test]
fn others_may_read_what_the_config_says() {
    let rules = "  - {do: [{fileinto: {folder: team/news, copy: true}}, {fileinto: {folder: own, copy: true}}, {fileinto: {mbox: team/box, copy: true}}]}";
    let reader = Reader::new("modes: {team: \"0640\", team/news: \"0660\"}", rules);
    assert_eq!(reader.deliver("x").code, 0);
    for (path, mode) in [
        ("Mail/team", 0o750),
        ("Mail/team/news", 0o770),
        ("Mail/team/news/new", 0o770),
        ("Mail/team/box", 0o640),
        ("Mail/own", 0o700),
        ("Mail/own/new", 0o700),
        ("Mail/INBOX/new", 0o700),
    ] {
        assert_eq!(reader.mode(path), mode, "{path}");
    }
    for (dir, mode) in [("Mail/team/news/new", 0o660), ("Mail/own/new", 0o600), ("Mail/INBOX/new", 0o600)] {
        assert_eq!(reader.mode(&reader.only_file_in(dir)), mode, "{dir}");
    }
}

const SHARED: &str = "  - {if: {subject: team}, do: {fileinto: shared/news}}";

#[test]
fn a_folder_lies_elsewhere() {
    let reader = Reader::new("roots: {shared: HOME/srv}, modes: {shared: \"0660\"}", SHARED);
    let delivered = reader
        .sandbox
        .run_with_stdin(&["--allow-root", "deliver"], mail(1, "x").replace("Subject: ", "Subject: team "));
    assert_eq!((delivered.code, delivered.stderr.as_str()), (0, ""), "{delivered}");
    assert_eq!(reader.mode(&reader.only_file_in("srv/news/new")), 0o660);
    assert_eq!((reader.mode("srv"), reader.mode("srv/news")), (0o770, 0o770));
    assert_eq!(fs::read_link(reader.sandbox.home().join("Mail/shared")).unwrap(), reader.sandbox.home().join("srv"));
    assert_eq!(reader.files("shared/news"), 1);
    let undone = reader.sandbox.run(&["--allow-root", "undo", "1"]);
    assert_eq!((undone.code, reader.files("shared/news")), (0, 0), "{undone}");
}

/// One that is away is not taken for an empty one: nothing is filed anywhere, and what was asked for is tried again.
#[test]
fn a_root_that_is_away_stops_and_loses_nothing() {
    let reader = Reader::new("roots: {shared: HOME/srv}", SHARED);
    let team = || {
        reader.sandbox.run_with_stdin(&["--allow-root", "deliver"], mail(1, "x").replace("Subject: ", "Subject: team "))
    };
    assert_eq!(team().code, 0);
    let (here, away) = (reader.sandbox.home().join("srv"), reader.sandbox.home().join("away"));
    fs::rename(&here, &away).unwrap();
    let refused = team();
    assert!(refused.code == 75 && refused.stderr.contains("its marker `.mailsluice` is missing"), "{refused}");
    // The empty mount point.
    fs::create_dir(&here).unwrap();
    let refused = team();
    assert!(refused.code == 75 && refused.stderr.contains("which holds the folder `shared`"), "{refused}");
    assert_eq!(fs::read_dir(&here).unwrap().count(), 0, "nothing was made there");
    fs::remove_dir(&here).unwrap();
    fs::rename(&away, &here).unwrap();
    assert_eq!((team().code, reader.files("shared/news")), (0, 2));
    // Taken as it is, because the user says so.
    fs::remove_dir_all(&here).unwrap();
    let rebuilt = reader.sandbox.run(&["--allow-root", "rebuild", "--yes"]);
    assert_eq!(rebuilt.code, 0, "{rebuilt}");
    assert_eq!((team().code, reader.files("shared/news")), (0, 1));
}

#[test]
fn what_is_in_the_way_is_not_moved() {
    let reader = Reader::new("roots: {}", "  - {do: {fileinto: shared/news}}");
    assert_eq!(reader.deliver("x").code, 0);
    reader.config("roots: {shared: HOME/srv}", SHARED);
    let refused = reader.deliver("x");
    assert!(refused.code == 75 && refused.stderr.contains("Mail/shared is in the way"), "{refused}");
    assert_eq!(reader.files("shared/news"), 1);
    fs::rename(reader.sandbox.home().join("Mail/shared"), reader.sandbox.home().join("old")).unwrap();
    symlink(Path::new("nowhere"), reader.sandbox.home().join("Mail/shared")).unwrap();
    let refused = reader.deliver("x");
    assert!(refused.code == 75 && refused.stderr.contains("Mail/shared is in the way"), "{refused}");
}

/// Two states that file into one folder would take each other's staged mail for what a dead process left.
#[test]
fn a_root_of_another_state_is_refused() {
    let reader = Reader::new("roots: {shared: HOME/srv}", SHARED);
    let other = Reader::new("roots: {}", SHARED);
    let team = |reader: &Reader| {
        reader.sandbox.run_with_stdin(&["--allow-root", "deliver"], mail(1, "x").replace("Subject: ", "Subject: team "))
    };
    assert_eq!(team(&reader).code, 0);
    let maildir = format!("roots: {{shared: {}}}", reader.sandbox.home().join("srv").display());
    other.config(&maildir, SHARED);
    let refused = team(&other);
    assert!(refused.code == 75 && refused.stderr.contains("another mailsluice already files mail there"), "{refused}");
    assert_eq!(reader.files("shared/news"), 1);
}
