//! What people see when they make a mistake in their config, and that good configs load.
//!
//! Each folder of `tests/configs/bad` is one mistake: `config.yaml` has it, `expected` is what is shown, to the letter.
//! After a deliberate change of a message, run with `UPDATE_EXPECTED=1` and read the difference in version control.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use mailsluice::config::problem::Problem;
use mailsluice::config::{Config, Examined, FilterSource, Protocol, Retention, Tls};
use mailsluice::filter::Engine;

const BAD: &str = "tests/configs/bad";
const GOOD: &str = "tests/configs/good";

/// The entries of a folder by name; cargo runs tests in the folder of the package.
fn entries(folder: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Errors and warnings as they are shown, with an empty line between two.
fn shown(path: &Path) -> String {
    let Examined { rules, maintenance, mut settings, mut problems, .. } = Config::examine(path);
    settings.today = Some(jiff::civil::date(2026, 11, 30));
    let silent = maintenance.iter().map(|item| Engine::compile_silent(&item.rule, &settings));
    for compiled in std::iter::once(Engine::compile(&rules, &settings)).chain(silent) {
        problems.extend(compiled.map_or_else(|errors| errors, |(_, warnings)| warnings));
    }
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The lines of both, with `-` for what was expected and `+` for what came from the first line that differs.
fn difference(expected: &str, came: &str) -> String {
    let same = expected.lines().zip(came.lines()).take_while(|(a, b)| a == b).count();
    let lines =
        |text: &str, sign: &str| -> String { text.lines().skip(same).map(|line| format!("{sign} {line}\n")).collect() };
    let before: String = expected.lines().take(same).map(|line| format!("  {line}\n")).collect();
    format!("{before}{}{}", lines(expected, "-"), lines(came, "+"))
}

#[test]
fn each_mistake_is_explained() {
    let mut failures = String::new();
    let folders = entries(BAD).unwrap();
    for folder in &folders {
        let came = shown(&folder.join("config.yaml"));
        let expected = folder.join("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected, &came).unwrap();
        }
        let expected = fs::read_to_string(expected).unwrap_or_default();
        if expected != came {
            failures.push_str(&format!("{}\n{}\n", folder.display(), difference(&expected, &came)));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(folders.len() >= 20, "the mistakes have gone missing");
}

#[test]
fn good_configs_load_without_a_word() {
    for path in entries(GOOD).unwrap().iter().filter(|path| path.extension().is_some_and(|suffix| suffix == "yaml")) {
        assert_eq!(shown(path), "\n");
    }
}

#[test]
fn the_example_means_what_it_says() {
    let (config, _) = Config::load(&Path::new(GOOD).join("example.yaml")).unwrap();
    let [work, old, home] = config.accounts.as_slice() else { panic!("three accounts") };
    assert_eq!((work.protocol, work.server.port, work.server.tls), (Protocol::Imap, 993, Tls::Implicit));
    assert_eq!((old.protocol, old.server.port), (Protocol::Pop3, 995));
    assert_eq!(old.retention, Retention::Keep);
    assert_eq!(home.server.tls, Tls::StartTls);
    assert_eq!(config.filters.len(), 2);
    let FilterSource::Yaml(rules) = &config.filters[0] else { panic!("a rule file") };
    assert_eq!(rules.document.source.name, Path::new(GOOD).join("rules/main.yaml"));
}

/// A password in a file that others can read; the mode does not survive version control, so it is made here.
#[test]
fn a_readable_password_names_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    let text =
        "maildir: /m\nstate: /s\naccounts:\n  a:\n    imap: mail.example.com\n    user: me\n    password: hunter2\n";
    fs::write(&path, text).unwrap();

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let name = path.display();
    let expected = format!(
        "{name}:7:15: error: a password stands in this file, and others have access to it
  |
7 |     password: *******
  |               ^^^^^^^ chmod 600 {name}
"
    );
    assert_eq!(shown(&path), expected);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Config::load(&path).is_ok());
}
