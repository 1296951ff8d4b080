//! What the documents say is so: examples pass `check`, the README's config too, the reference is what the program
//! knows, and every claim names a test that exists.

use std::fs;
use std::path::{Path, PathBuf};

use mailsluice::config::Config;
use mailsluice::filter::Engine;

/// Everything `check` would say about a config.
pub fn problems(path: &Path) -> String {
    let (config, warnings) = match Config::load(path) {
        Ok(loaded) => loaded,
        Err(errors) => return errors.iter().map(ToString::to_string).collect(),
    };
    let mut all = warnings;
    let own = config.accounts.iter().filter_map(|account| account.filters.as_ref());
    for filters in own.chain([&config.filters]) {
        all.extend(Engine::compile(filters, &config.settings).map_or_else(|errors| errors, |(_, warnings)| warnings));
    }
    all.iter().map(ToString::to_string).collect()
}

/// A config that holds a password must be private, which a checkout is not.
fn private_copy(folder: &Path) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
        let to = copy.path().join(entry.file_name());
        fs::copy(entry.path(), &to).unwrap();
        fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
    }
    copy
}

#[test]
fn every_example_passes_check() {
    let mut seen = 0;
    for entry in fs::read_dir("examples").unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
        let copy = private_copy(&entry.path());
        assert_eq!(problems(&copy.path().join("config.yaml")), "", "{}", entry.path().display());
        let name = entry.file_name().into_string().unwrap();
        assert!(
            fs::read_to_string("examples/README.md").unwrap().contains(&format!("({name}/")),
            "{name} is not listed"
        );
        seen += 1;
    }
    assert!(seen >= 7);
}

/// Examples carry tests as any config may, and they pass.
#[test]
fn the_tests_of_the_examples_pass() {
    let mut seen = 0;
    for entry in fs::read_dir("examples").unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
        let copy = private_copy(&entry.path());
        let (config, _) = Config::load(&copy.path().join("config.yaml")).unwrap();
        let settings = &config.settings;
        let (engine, _) = Engine::compile(&config.filters, settings).unwrap();
        let open = |path: &Path| fs::read(path);
        let verdicts = mailsluice::filter::trial::run_config(&config, &open, &|_| Some(&engine)).unwrap();
        for verdict in verdicts {
            assert!(verdict.passed(), "{}: {}\n{:#?}", entry.path().display(), verdict.name, verdict.difference);
            seen += 1;
        }
    }
    assert!(seen >= 5);
}

/// `docs/reference.md` is written by this test: run it with `UPDATE_EXPECTED=1` after changing a key.
#[test]
fn the_reference_lists_every_key() {
    let mut text = String::from(
        "# Reference\n\nEvery key of the config and of rule files, generated from the program. Durations have a unit \
         (`90s`, `5m`, `2h`, `14d`, `1w`), sizes too (`512K`, `10M`, `1G`; K is 1024). Relative paths begin at the folder \
         of the file they stand in, `~/` is your home.\n",
    );
    let sections = mailsluice::config::sections().into_iter().chain(mailsluice::filter::sections());
    for shape in sections {
        text += &format!("\n## {}\n\n| key | what |\n|---|---|\n", shape.what);
        for (key, what, _) in shape.keys {
            text += &format!("| `{key}` | {} |\n", what.replace('|', "\\|"));
        }
    }
    text += &orders();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write("docs/reference.md", &text).unwrap();
    }
    assert_eq!(fs::read_to_string("docs/reference.md").unwrap_or_default(), text);
}

/// `docs/providers.md` is written by this test: run it with `UPDATE_EXPECTED=1` after changing a provider.
#[test]
fn the_providers_are_those_of_the_program() {
    let text = mailsluice::providers::document();
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write("docs/providers.md", &text).unwrap();
    }
    assert_eq!(fs::read_to_string("docs/providers.md").unwrap_or_default(), text);
}

/// When the program that stays looks.
const LOOKS: &str = "
## When it looks

Each account has one connection that is kept. What comes is fetched when its server says so; besides, all folders are looked at by the clock.

| when | what |
|---|---|
| its server tells of news: NOTIFY for all folders, else IDLE for the first that `push` names, and for two more where it names several | those folders at once; all of them each 90 seconds, or as often as `poll` says, whichever comes first |
| it does not | all folders, as often as `poll` says |
| an order (`poll`, `fetch`), another network, a machine that slept | at once |
| the server hung up, or a folder could not be read | all folders, at once; from the third short wait on by the clock alone, for some rounds |
| an account failed, and it may pass | after a random time up to 10, 20, 40 … seconds, in the end 15 minutes, or `poll` where that is longer |
| a host cannot be reached: no address, no connection, no TLS, no greeting | one account tries for all that wait for it, after a random time up to 10, 20, 40 … seconds, in the end 80 minutes |
| a server says how long: `[IN-USE]`, `[LOGIN-DELAY]`, `[OVERQUOTA]`, `[LIMIT]`, `Backoff Time:` | after a minute, ten minutes, an hour, an hour, that time, or the random one, whichever is longer |
| a login is refused | twice more, then once an hour, after a day once in six hours; at once when the login in the config changes, by `poll`, and by `fetch NAME` at a terminal |
| an account is paused | not at all; `fetch` says so, unless `-q` is given, and ends with 0 |

Failures and pauses are remembered over a restart. `fetch` from cron tries hosts and accounts each time, but for refused logins; of a host that is dead only the first of its accounts does.

New rules hold for the next message, also in a pass that goes on. An account that the config asks for in another way begins anew, and no other is touched. A config that cannot be used changes nothing: the one before stays in force, which is said by `status`, on standard error and by one notice a day. `maildir` and `state` change when mailsluice is started again.
";

/// The commands and the socket of the program that stays.
fn orders() -> String {
    let mut text = String::from(
        "\n## The mailsluice that runs\n\nWithout one, `poll`, `reload` and `events` say so and end with 64, `pause` and `resume` hold \
         for the next one and for `fetch`, and `status` tells what the state remembers. `status` ends with 77 where a login is refused, \
         78 where the config is not in force, 75 where something else fails.\n\n| command | what |\n|---|---|\n",
    );
    for (name, what) in mailsluice::cli::commands_of_daemon() {
        text += &format!("| `mailsluice {name}` | {what} |\n");
    }
    text += LOOKS;
    text += "\n## Orders over the socket\n\nPrograms speak with it over the Unix socket `socket` in the state folder, which hears its \
             own user and root. An order is a JSON object in one line, at most 64 KiB, with the version of the language; answers are objects \
             with one key each, a line each. Keys that are not known here may come with a later version and mean nothing to you.\n";
    for (title, examples) in
        [("order", mailsluice::daemon::language::orders()), ("answer", mailsluice::daemon::language::answers())]
    {
        text += &format!("\n| {title} | what |\n|---|---|\n");
        for example in examples {
            text += &format!("| `{}` | {} |\n", example.line.replace('|', "\\|"), example.meaning);
        }
    }
    text
}

/// The JSON Schemas that editors use are written by this test: run it with `UPDATE_EXPECTED=1` after changing a key.
#[test]
fn the_schemas_are_what_the_program_prints() {
    let sections = mailsluice::filter::sections();
    for (file, root) in
        [("docs/config.schema.json", mailsluice::config::sections()[0]), ("docs/rules.schema.json", sections[0])]
    {
        let schema = format!("{:#}\n", mailsluice::config::schema::of(root, &sections));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(file, &schema).unwrap();
        }
        assert!(
            fs::read_to_string(file).unwrap_or_default() == schema,
            "{file} is not what `mailsluice docs schema` prints"
        );
    }
}

/// Every section that a schema refers to is in it.
#[test]
fn the_schemas_are_complete() {
    for file in ["docs/config.schema.json", "docs/rules.schema.json"] {
        let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let mut references = Vec::new();
        collect_references(&schema, &mut references);
        assert!(references.len() > 50, "{file}: {}", references.len());
        for reference in references {
            let name = reference.strip_prefix("#/definitions/").unwrap();
            assert!(schema["definitions"][name]["properties"].is_object(), "{file}: {reference}");
        }
    }
}

fn collect_references(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            found.extend(object.get("$ref").and_then(|reference| reference.as_str()).map(str::to_owned));
            object.values().for_each(|value| collect_references(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

/// `log` and `explain` name the rows; whoever looks one up finds it.
#[test]
fn every_reason_against_an_answer_is_explained() {
    let table = fs::read_to_string("docs/sending.md").unwrap();
    let rows: String = table.lines().filter(|line| line.starts_with("| A")).collect();
    let mut reasons = 0;
    for file in ["src/filter/guard.rs", "src/filter/old.rs"] {
        for word in fs::read_to_string(file).unwrap().split('"') {
            let is_row = word.strip_prefix('A').is_some_and(|rest| rest.parse::<u8>().is_ok());
            reasons += usize::from(is_row);
            assert!(!is_row || rows.contains(&format!(" {word} ")) || rows.contains(&format!(" {word},")), "{word}");
        }
    }
    assert!(reasons > 15, "{reasons}");
}

/// Both tables are whole, and a test is named by each row that says what the program does.
#[test]
fn every_row_about_answers_has_a_test() {
    let page = fs::read_to_string("docs/sending.md").unwrap();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let named: Vec<&str> = cells.flat_map(|cell| cell.split(", ")).collect();
    let rules = fs::read_to_string("tests/rules-guard/a-rows.yaml").unwrap();
    let files = ["answers", "forwards", "old_mail", "replies", "state"];
    let tests = files.map(|name| fs::read_to_string(format!("tests/it/{name}.rs")).unwrap()).concat();
    for row in (1..=36).map(|n| format!("A{n}")).chain((1..=25).map(|n| format!("B{n}"))) {
        assert!(named.contains(&row.as_str()), "{row} is in no table");
        // A10 is what A11 to A13 are together, A19 is A18 said otherwise, and A31 is a rule like any other.
        if ["A10", "A19", "A31"].contains(&row.as_str()) {
            continue;
        }
        let name = row.to_lowercase();
        let is_tested = rules.contains(&format!("\"{row} "))
            || tests.contains(&format!("fn {name}_"))
            || tests.contains(&format!("_{name}_"));
        assert!(is_tested, "no test is named by {row}");
    }
}

/// The last column of `docs/claims.md` names tests: `module::name`.
#[test]
fn every_claim_names_tests_that_exist() {
    let claims = fs::read_to_string("docs/claims.md").unwrap();
    let mut names = 0;
    for row in claims.lines().filter(|line| line.starts_with("| ") && line.contains("::")) {
        let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
        for test in tests.split('`').filter(|word| word.contains("::")) {
            let (module, name) = test.rsplit_once("::").unwrap();
            assert!(exists(module, name), "no test {test}, claimed in: {row}");
            names += 1;
        }
    }
    assert!(names >= 20, "the claims have gone missing");
}

/// Looks for the function in the file of a test module, or of a module of the library for `src::…`.
fn exists(module: &str, name: &str) -> bool {
    let path = module.replace("::", "/");
    let places = match path.strip_prefix("src/") {
        Some(path) => vec![format!("src/{path}.rs"), format!("src/{path}/mod.rs")],
        None => vec![format!("tests/it/{path}.rs"), format!("tests/it/{path}/mod.rs"), format!("tests/{path}/main.rs")],
    };
    let text = places.iter().map(PathBuf::from).filter_map(|path| fs::read_to_string(path).ok()).collect::<String>();
    text.contains(&format!("fn {name}("))
}
