//! From a path to a [`Config`], or to all the problems in it.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::accounts;
use super::clients::{self, Clients};
use super::filters::FilterFiles;
use super::limits;
use super::lists;
use super::mailbox;
use super::maildir;
use super::maintenance::{self, Maintenance};
use super::oauth;
use super::outside;
use super::places;
use super::problem::{Problem, Problems, Severity, SourceFile};
use super::provided;
use super::reader::{self, Base, MapReader, NamedKind, Shape, TEXTS, Takes};
use super::relays;
use super::settings::Settings;
use super::yaml::{Document, MAX_BYTES, Node, Span, Value, YamlKey};
use super::{Account, Config, FilterSource, MailRoot, ORIGINALS, Relay};
use crate::charsets::Charset;

/// The config file.
pub(super) static SHAPE: Shape = Shape {
    what: "the config",
    keys: &[
        (
            "maildir",
            "The folder below which mail is filed, or {path:, layout:, roles:, roots:, modes:}. Required.",
            Takes::Either(&[Takes::Text, Takes::Section(&maildir::SHAPE)]),
        ),
        (
            "state",
            "The folder for the database, locks and spool. Default: `$STATE_DIRECTORY`, else `~/.local/state/mailsluice`.",
            Takes::Text,
        ),
        (
            "originals",
            "How much is kept of what mail was before rules changed it, for `undo`: a size; the oldest go first, and all after 30 days. Default: `1G`.",
            Takes::Size,
        ),
        (
            "accounts",
            "The mailboxes to fetch from: each a name with its settings.",
            Takes::Named(&Takes::Section(&accounts::SHAPE)),
        ),
        (
            "relays",
            "Where mail is sent through: each a name with its settings; `default` is used where a rule names none.",
            Takes::Named(&Takes::Section(&relays::SHAPE)),
        ),
        ("limits", "The most that is sent: {forwards_per_message:, …}.", Takes::Section(&limits::SHAPE)),
        (
            "filters",
            "The filters for every account that names none of its own, in order: shipped ones by name, your own by file.",
            accounts::FILTERS,
        ),
        ("rules", "Rules; they run after those of `filters`.", Takes::List(&Takes::Rules("a rule"))),
        (
            "maintenance",
            "Rules for mail in local folders, run at intervals.",
            Takes::List(&Takes::Section(&maintenance::SHAPE)),
        ),
        (
            "lists",
            "Lists that rules look up and change, for all rule files.",
            Takes::Named(&Takes::Either(&[TEXTS, Takes::Section(&lists::SHAPE)])),
        ),
        ("tests", "What rules should decide, checked by `mailsluice test`.", Takes::List(&Takes::Rules("a test"))),
        (
            "me",
            "Your own addresses; the `address` of every account and every `user` with an `@` count too, and the `from` of every relay.",
            TEXTS,
        ),
        (
            "domain",
            "The domain of recipients without one that `sendmail` gets. Default: that of the first own address.",
            Takes::Text,
        ),
        (
            "trust",
            "Names of mail servers whose Authentication-Results are believed (RFC 8601). They have to remove such fields in their name from what comes in (section 5).",
            TEXTS,
        ),
        (
            "delimiters",
            "The characters between user and detail in an address like `me+shop@example.com`. Default: `+`.",
            Takes::Text,
        ),
        (
            "assume_charset",
            "The charset of 8-bit text whose message names none, like `gb18030`, or a list in which the first that fits counts. Almost any bytes fit gb18030, big5 and windows-125x: put them last. Where none fits, and by default, it is guessed.",
            TEXTS,
        ),
    ],
};

/// What [`Config::examine`] found.
#[derive(Debug, Default)]
pub struct Examined {
    /// The config, if it has no errors.
    pub config: Option<Config>,
    /// Every rule file that could be read, each once, whatever is wrong with the config.
    pub rules: Vec<FilterSource>,
    /// The same for `maintenance`.
    pub maintenance: Vec<Maintenance>,
    /// What rules need to know of the config, as far as it could be read.
    pub settings: Settings,
    /// The files that it hangs on: rules, lists, certificates and passwords, whether they could be read or not.
    pub files: BTreeSet<PathBuf>,
    /// The state folder, where it is known.
    pub state: Option<PathBuf>,
    /// Errors and warnings, in the order of the files.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Reads and checks the config at `path` and every rule file it names.
    ///
    /// `Ok` comes with the warnings, `Err` has every error and warning; both are in the order of the files.
    /// Nothing is created and no password is fetched.
    pub fn load(path: &Path) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let Examined { config, problems, .. } = Self::examine(path);
        match config {
            Some(config) => Ok((config, problems)),
            None => Err(problems),
        }
    }

    /// [`Config::load`] for somebody who wants to know everything at once: a wrong config still says which rules it
    /// has, so that their mistakes can be told in the same breath.
    pub fn examine(path: &Path) -> Examined {
        let (source, metadata) = match read_source(path, path.to_path_buf()) {
            Ok(read) => read,
            Err(error) => return Examined { problems: vec![unreadable(path, &error)], ..Examined::default() },
        };
        Self::examine_source(path, &source, Some(&metadata))
    }

    /// The same for a config that is to stand at `path` and does not yet.
    pub fn examine_text(path: &Path, text: &str) -> Examined {
        Self::examine_source(path, &Arc::new(SourceFile::new(path, text)), None)
    }

    fn examine_source(path: &Path, source: &Arc<SourceFile>, metadata: Option<&Metadata>) -> Examined {
        let mut problems = Problems::new(source);
        let Some(document) = Document::parse(source, &mut problems) else {
            let state = state_in(source, path);
            return Examined { state, problems: problems.into_vec(), ..Examined::default() };
        };
        let mut examined = Examined::default();
        let config = read(path, &document, &mut examined, &mut problems);
        if let (Some(at), Some(metadata)) = (plain_password(&document), metadata) {
            places::check_access(path, metadata, at, &mut problems);
        }
        let config = config.filter(|_| !problems.has_errors());
        Examined { config, problems: problems.into_vec(), ..examined }
    }
}

/// Where the state most likely is, by a config that is no YAML just now: somebody may ask what the mailsluice does that runs with
/// the one before.
fn state_in(source: &Arc<SourceFile>, path: &Path) -> Option<PathBuf> {
    let mut problems = Problems::new(source);
    if places::is_system(path) {
        return places::of_user(&mut problems).map(|(_, state)| state);
    }
    let Some(line) = source.text.lines().find(|line| line.starts_with("state:")) else {
        return places::default_state(&mut problems);
    };
    let line = Arc::new(SourceFile::new(path, line));
    let document = Document::parse(&line, &mut problems)?;
    reader::path(document.root.get("state")?, &Base::of_file(path).ok()?, &mut problems)
}

/// The config out of its tree. `None` when something that it cannot be without is missing or wrong; `examined` gets what
/// there is all the same.
fn read(path: &Path, document: &Document, examined: &mut Examined, problems: &mut Problems) -> Option<Config> {
    if let Value::Null = document.root.value {
        problems.error_in_file("this config is empty").hint("the line `maildir: ~/Mail` is enough to begin with");
        return None;
    }
    let base = match Base::of_file(path) {
        Ok(base) => base,
        Err(error) => {
            problems.error_in_file(format!("the folder of this file is not known: {error}"));
            return None;
        }
    };
    let mut files = FilterFiles::new(path, &base);
    let mut map = MapReader::new(&document.root, &SHAPE, problems).placed(Span::START);
    places::check_system(path, document, map.problems());
    let (maildir, state) = match places::is_system(path) {
        true => places::of_user(map.problems()).map(|(path, state)| (MailRoot::at(path), state)).unzip(),
        false => {
            let root = map.need("maildir", |n, p| maildir::read(n, &base, p));
            let state = match map.take("state") {
                Some(node) => reader::path(node, &base, map.problems()),
                None => places::default_state(map.problems()),
            };
            (root, state)
        }
    };
    examined.state.clone_from(&state);
    let originals = map.read("originals", reader::size).unwrap_or(ORIGINALS);
    let mut accounts = map.read("accounts", |n, p| accounts::read_all(n, &base, &mut files, p)).unwrap_or_default();
    let mut relays = map.read("relays", |n, p| Some(relays::read_all(n, &base, p))).unwrap_or_default();
    relays.extend(provided::relays(document, &mut accounts));
    examined.files.extend(settle_sign_ins(
        &mut accounts,
        &mut relays,
        state.as_deref(),
        document,
        &base,
        map.problems(),
    ));
    check_relays_of_accounts(document, map.problems());
    let mut filters = map.read("filters", |n, p| files.read(n, p)).unwrap_or_default();
    let mut settings = read_settings(&mut map, document, &base);
    // What leaves from an address of a relay may come back: it must be known as one's own, or a loop is not seen.
    let senders = relays.iter().filter_map(|relay| relay.from.as_deref());
    let users = accounts.iter().filter_map(Account::own_address);
    settings.me.extend(users.chain(senders).map(str::to_lowercase));
    let inline = inline_rules(document, &base, &mut files, problems);
    examined.rules.extend(files.readable().chain(inline.clone()));
    filters.extend(inline);
    examined.maintenance = maintenance::read(document, &base, &mut files, problems);
    examined.settings = settings.clone();
    examined.files.extend(files.named().chain(files_of(&accounts, &relays, &settings)));
    Some(Config {
        path: path.to_path_buf(),
        maildir: maildir?,
        state: state?,
        originals,
        accounts,
        filters,
        relays,
        maintenance: examined.maintenance.clone(),
        settings,
        programs: outside::programs(document),
        maildir_named: outside::maildir(document),
        tests: tests_of(document),
    })
}

/// Gives sign-ins what the config as a whole knows. Returns the files in which clients were looked for.
fn settle_sign_ins(
    accounts: &mut [Account],
    relays: &mut [Relay],
    state: Option<&Path>,
    document: &Document,
    base: &Base,
    problems: &mut Problems,
) -> Vec<PathBuf> {
    let sections = entries(document, "accounts").iter().chain(entries(document, "relays"));
    let written: Vec<(&str, &Node)> =
        sections.filter_map(|(key, section)| Some((key.text.as_str(), section.get("oauth2")?))).collect();
    let (false, Some(state)) = (written.is_empty(), state) else { return Vec::new() };
    let of_accounts = accounts.iter_mut().map(|account| (account.name.as_str(), &mut account.password));
    let of_relays = relays.iter_mut().filter_map(Relay::secret_mut);
    let clients = Clients::beside(&document.source.name, base, problems);
    oauth::settle(of_accounts.chain(of_relays), state, &clients, &written, problems);
    clients::paths(base)
}

/// The files that accounts, relays and lists name.
fn files_of(accounts: &[Account], relays: &[Relay], settings: &Settings) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = accounts.iter().flat_map(|account| account.server.trust.files().cloned()).collect();
    found.extend(accounts.iter().filter_map(|account| account.password.file().cloned()));
    found.extend(relays.iter().flat_map(Relay::files));
    found.extend(settings.lists.iter().filter_map(|list| match &list.kind {
        lists::ListKind::File(origin, _) => match &origin.from {
            lists::ListSource::File(path) => Some(path.clone()),
            lists::ListSource::Command(..) => None,
        },
        _ => None,
    }));
    found
}

/// What rules need to know, beside the users of accounts.
fn read_settings(map: &mut MapReader<'_, '_>, document: &Document, base: &Base) -> Settings {
    let lower = |texts: Vec<String>| texts.iter().map(|text| text.to_lowercase()).collect();
    let me = map.read("me", own_addresses).unwrap_or_default();
    let trust = map.read("trust", |n, p| reader::texts(n, "a list of server names", p)).unwrap_or_default();
    let delimiters = map.read("delimiters", |n, p| reader::text(n, "one or more characters", p).map(str::to_owned));
    Settings {
        me: lower(me),
        trust: lower(trust),
        domain: map.read("domain", mailbox::read_domain),
        delimiters: delimiters.unwrap_or_else(|| Settings::default().delimiters),
        assumed: map.read("assume_charset", charsets).unwrap_or_default(),
        lists: map.read("lists", |n, p| Some(lists::read(n, &document.source, base, p))).unwrap_or_default(),
        limits: map.read("limits", limits::read).unwrap_or_default(),
        relays: Some(relay_names(document)),
        lmtp_relays: lmtp_relays(document),
        has_default_relay: has_default_relay(document),
        accounts: Some(names(document, "accounts")).filter(|names| !names.is_empty()),
        mailboxes: Some(mailboxes(document)),
        ..Settings::default()
    }
}

/// What is no address is never found in a message: nobody would be answered, without a word.
fn own_addresses(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    let addresses = reader::texts(node, "a list of addresses", problems)?;
    let flawed: Vec<_> = addresses.iter().filter_map(|text| Some((text, mailbox::flaw(text)?))).collect();
    for (text, flaw) in &flawed {
        let message = format!("`{}` is no address: {flaw}", crate::clean::short(text, 60));
        problems.error(node.span, message).hint("each one alone and without a name, like `me@example.com`");
    }
    flawed.is_empty().then_some(addresses)
}

/// Charsets by their labels.
fn charsets(node: &Node, problems: &mut Problems) -> Option<Vec<Charset>> {
    let labels = reader::texts(node, "a charset, or a list of charsets", problems)?;
    let mut named = |label: &String| {
        let charset = Charset::named(label);
        if charset.is_none() {
            let message = format!("`{}` is no charset that mail is known to be in", crate::clean::short(label, 40));
            problems.error(node.span, message).hint("for example gb18030, shift_jis, euc-kr, windows-1251 or koi8-r");
        }
        charset
    };
    let charsets = labels.iter().map(&mut named).collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    for (label, charset) in labels.iter().zip(&charsets) {
        if !charset.keeps_ascii() {
            let message = format!("no text without a label is in `{}`", crate::clean::short(label, 40));
            problems.error(node.span, message).hint("leave it out: ASCII is something else in it");
            return None;
        }
    }
    if let Some(at) = charsets.iter().position(|charset| charset.takes_everything())
        && let (Some(label), Some(behind)) = (labels.get(at), labels.get(at + 1))
    {
        let shown = |label: &str| crate::clean::short(label, 40);
        let message = format!("`{}` never counts, because any text fits `{}`", shown(behind), shown(label));
        problems.warn(node.span, message).hint(format!("put `{}` last", shown(label)));
    }
    Some(charsets)
}

/// The accounts that are not POP3. Taken from what is written: one with a mistake in it exists all the same.
fn mailboxes(document: &Document) -> Vec<String> {
    let accounts = entries(document, "accounts").iter();
    let is_pop3 = |section: &Node| {
        section.get("pop3").is_some() || section.get("protocol").and_then(Node::as_text) == Some("pop3")
    };
    accounts.filter(|(_, section)| !is_pop3(section)).map(|(key, _)| key.text.clone()).collect()
}

/// Those that are written, or else those that accounts bring along.
fn relay_names(document: &Document) -> Vec<String> {
    [names(document, "relays"), provided::relay_names(document)].concat()
}

/// The one called `default`, the only one, that of an account, or the first that an account brings along.
fn has_default_relay(document: &Document) -> bool {
    let relays = names(document, "relays");
    let is_of_account = |(_, section): &(YamlKey, Node)| section.get("relay").is_some();
    relays.len() == 1
        || !provided::relay_names(document).is_empty()
        || relays.iter().any(|name| name == "default")
        || entries(document, "accounts").iter().any(is_of_account)
}

fn check_relays_of_accounts(document: &Document, problems: &mut Problems) {
    let (known, lmtp) = (relay_names(document), lmtp_relays(document));
    for node in entries(document, "accounts").iter().filter_map(|(_, section)| section.get("relay")) {
        reader::check_named(node, NamedKind::RELAY, &known, problems);
        relays::check_is_no_lmtp(node, &lmtp, problems);
    }
}

fn lmtp_relays(document: &Document) -> Vec<String> {
    let relays = entries(document, "relays").iter();
    relays.filter(|(_, section)| section.get("lmtp").is_some()).map(|(key, _)| key.text.clone()).collect()
}

fn names(document: &Document, section: &str) -> Vec<String> {
    entries(document, section).iter().map(|(key, _)| key.text.clone()).collect()
}

/// The entries of a section; none when it is missing or something else.
fn entries<'d>(document: &'d Document, section: &str) -> &'d [(YamlKey, Node)] {
    match document.root.get(section).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

/// `tests:` of the config and nothing else of it: passwords stand there too.
fn tests_of(document: &Document) -> Document {
    let mut root = document.root.clone();
    if let Value::Map(entries) = &mut root.value {
        entries.retain(|(key, _)| key.text == "tests");
    }
    Document { source: Arc::clone(&document.source), root }
}

/// `rules:` of the config as a rule file of its own, whose only key is `rules`.
fn inline_rules(
    document: &Document,
    base: &Base,
    files: &mut FilterFiles,
    problems: &mut Problems,
) -> Option<FilterSource> {
    let Value::Map(entries) = &document.root.value else { return None };
    let (key, node) = entries.iter().find(|(key, _)| key.text == "rules")?;
    let root = Node { value: Value::Map(vec![(key.clone(), node.clone())]), span: key.span };
    let mut document = Document { source: Arc::clone(&document.source), root };
    Some(FilterSource::Yaml(files.finish(&mut document, &Vec::new(), base, problems)))
}

/// Where a password stands in the file as it is.
fn plain_password(document: &Document) -> Option<Span> {
    let sections = entries(document, "accounts").iter().chain(entries(document, "relays"));
    let passwords = sections.filter_map(|(_, section)| {
        section.get("password").or_else(|| section.get("oauth2").and_then(|it| it.get("client_secret")))
    });
    passwords.filter(|password| password.as_text().is_some()).map(|password| password.span).next()
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The operating system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nobody writes that much by hand.
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// It is written in another encoding, or it is no text.
    #[error("it is not UTF-8 text (line {line})")]
    NotText {
        /// The line, from 1, of the first byte that is wrong.
        line: usize,
    },
}

impl ReadError {
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a text file of at most [`MAX_BYTES`]; in messages it is called `shown`.
pub(super) fn read_source(path: &Path, shown: PathBuf) -> Result<(Arc<SourceFile>, Metadata), ReadError> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadError::NotText { line: 1 + good.iter().filter(|byte| **byte == b'\n').count() }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok((Arc::new(SourceFile::new(shown, text)), metadata))
}

fn unreadable(path: &Path, error: &ReadError) -> Problem {
    let (message, hint) = if error.is_missing() {
        let hint = "`mailsluice init` makes one; by hand the line `maildir: ~/Mail` is enough to begin with";
        ("there is no config file here".to_owned(), Some(hint.to_owned()))
    } else {
        (format!("the config cannot be read: {error}"), places::who_may_read(path))
    };
    let source = Arc::new(SourceFile::new(path, ""));
    Problem { severity: Severity::Error, source, span: None, message, hint, given: None }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    type Loaded = Result<(Config, Vec<Problem>), Vec<Problem>>;

    /// Loads `config.yaml` with this text and mode out of a folder that also has `rules.yaml`.
    fn load(text: impl AsRef<[u8]>, mode: u32) -> (PathBuf, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(folder.path().join("rules.yaml"), "rules: []\n").unwrap();
        fs::write(folder.path().join("broken.yaml"), "rules: [\n").unwrap();
        let loaded = Config::load(&path);
        (path, loaded)
    }

    fn good(text: &str) -> Config {
        let (_, loaded) = load(text, 0o644);
        let (config, warnings) = loaded.unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        config
    }

    fn bad(text: impl AsRef<[u8]>) -> Vec<String> {
        load(text, 0o644).1.unwrap_err().into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn the_smallest_config_is_one_line() {
        let config = good("maildir: Mail\nstate: /var/ms\n");
        assert!(config.maildir.path.is_absolute() && config.maildir.path.ends_with("Mail"));
        assert_eq!(config.maildir.layout, crate::config::Layout::Fs);
        assert_eq!(config.state, PathBuf::from("/var/ms"));
        assert!(config.accounts.is_empty() && config.filters.is_empty());
        assert_eq!(
            good("maildir: {path: /m, layout: maildir++}\nstate: /s").maildir.layout,
            crate::config::Layout::MaildirPlusPlus
        );
    }

    fn root_of(source: &FilterSource) -> &Node {
        match source {
            FilterSource::Yaml(file) => &file.document.root,
            FilterSource::Lua(script) => panic!("a script: {script:?}"),
        }
    }

    #[test]
    fn rules_come_from_files_and_from_the_config() {
        let config = good("\u{feff}maildir: /m\nstate: /s\nfilters: [rules.yaml]\nrules:\n- {do: [keep]}\n");
        let roots: Vec<_> = config.filters.iter().map(root_of).collect();
        assert_eq!(roots.len(), 2);
        assert!(matches!(&roots[1].get("rules").unwrap().value, Value::Seq(rules) if rules.len() == 1));
        assert!(roots[1].get("maildir").is_none());
    }

    #[test]
    fn a_broken_rule_file_is_reported_once_and_in_its_own_place() {
        let (path, loaded) = load("maildir: /m\nstate: /s\nfilters: [broken.yaml, broken.yaml]\n", 0o644);
        let problems = loaded.unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].source.name, path.with_file_name("broken.yaml"));
    }

    #[test]
    fn a_password_needs_a_private_file() {
        let text = "maildir: /m\nstate: /s\naccounts: {a: {imap: h, user: u, password: hunter2}}\n";
        for mode in [0o644, 0o640, 0o604, 0o602] {
            let (path, loaded) = load(text, mode);
            let shown = loaded.unwrap_err()[0].to_string();
            assert!(shown.ends_with(&format!("chmod 600 {}", path.display())), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let (_, loaded) = load(text, 0o600);
        assert!(!format!("{:?}", loaded.unwrap()).contains("hunter2"));
        assert!(load(text.replace("hunter2", "{env: X}"), 0o644).1.is_ok());
    }

    #[test]
    fn files_that_cannot_be_read() {
        let path = Path::new("/nonexistent/config.yaml");
        let missing = Config::load(path).unwrap_err();
        assert!(
            missing[0]
                .to_string()
                .starts_with("/nonexistent/config.yaml: error: there is no config file here\n  = `mailsluice init`")
        );
        assert!(missing[0].to_json()["line"].is_null());
        assert_eq!(bad(b"maildir: /m\n# gr\xfcn\n"), ["the config cannot be read: it is not UTF-8 text (line 2)"]);
        assert_eq!(bad(vec![b'#'; MAX_BYTES + 1]), ["the config cannot be read: it is larger than 1 MiB"]);
        assert!(Config::load(Path::new("/")).unwrap_err()[0].message.contains("directory"));
    }

    /// Whatever is cut off or left out, there is a config or a reason, and the reason can be shown.
    #[test]
    fn mutilated_configs_are_loaded_or_refused() {
        let whole = include_str!("../../tests/configs/good/many.yaml");
        let places: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
        let cut = places.iter().map(|at| whole[..*at].to_owned());
        let left_out = places.iter().map(|at| format!("{}{}", &whole[..*at], &whole[at + 1..]));
        for text in cut.chain(left_out) {
            let source = Arc::new(SourceFile::new("config.yaml", text));
            let mut problems = Problems::new(&source);
            let document = Document::parse(&source, &mut problems);
            let config = document.and_then(|document| {
                read(Path::new("config.yaml"), &document, &mut Examined::default(), &mut problems)
            });
            assert!(config.is_some() || problems.has_errors(), "{}", source.text);
            assert!(problems.into_vec().iter().all(|problem| problem.to_string().starts_with("config.yaml")));
        }
    }
}
