//! The shipped filters: each compiles without a word, passes its tests, and stands in the index.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailsluice::config::Settings;
use mailsluice::config::filters::{self, head_of, head_of_script};
use mailsluice::config::library::{SHIPPED, Shipped};
use mailsluice::config::parameters::FilterHead;
use mailsluice::config::problem::{Problem, Problems, SourceFile};
use mailsluice::config::reader::Base;
use mailsluice::config::yaml::{Document, Node, Value};
use mailsluice::config::{FilterSource, LuaFilter, RuleFile};
use mailsluice::filter::Engine;
use mailsluice::filter::trial::{self, TestVerdict};

use crate::rule_files::failures;

fn shown(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn no_base() -> Base {
    Base::new("/", None)
}

fn document(file: &str, text: &str) -> Document {
    let source = Arc::new(SourceFile::new(Path::new("filters").join(file), text));
    let mut problems = Problems::new(&source);
    Document::parse(&source, &mut problems).unwrap_or_else(|| panic!("{}", shown(&problems.into_vec())))
}

/// A rule file as it was written.
fn rule_file(file: &str, text: &str) -> RuleFile {
    RuleFile::plain(document(file, text), &no_base())
}

fn script(shipped: &Shipped) -> LuaFilter {
    let source = Arc::new(SourceFile::new(Path::new("filters").join(shipped.file), shipped.text));
    LuaFilter { source, param: Vec::new(), lists: Vec::new(), base: no_base() }
}

fn head(shipped: &Shipped) -> FilterHead {
    let source = Arc::new(SourceFile::new(shipped.file, shipped.text));
    let mut problems = Problems::new(&source);
    let head = match shipped.tests {
        None => head_of(&document(shipped.file, shipped.text), &mut problems),
        Some(_) => head_of_script(&source, &mut problems),
    };
    assert!(problems.into_vec().is_empty(), "{}", shipped.name);
    head
}

/// Nothing of a person's config: a shipped filter works as it is, and its tests say themselves whose addresses they mean.
fn settings() -> Settings {
    Settings::default()
}

fn open(path: &Path) -> std::io::Result<Vec<u8>> {
    fs::read(path)
}

fn run(shipped: &Shipped) -> Vec<TestVerdict> {
    let verdicts = match shipped.tests {
        None => trial::run(&FilterSource::Yaml(rule_file(shipped.file, shipped.text)), &settings(), &open),
        Some(tests) => {
            let beside = rule_file(&shipped.file.replace(".lua", ".tests.yaml"), tests);
            trial::run_script(&FilterSource::Lua(script(shipped)), &FilterSource::Yaml(beside), &settings(), &open)
        }
    };
    verdicts.unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

fn tests_of(shipped: &Shipped) -> Vec<Node> {
    let root = document(shipped.file, shipped.tests.unwrap_or(shipped.text)).root;
    match root.get("tests").map(|tests| tests.value.clone()) {
        Some(Value::Seq(tests)) => tests,
        _ => Vec::new(),
    }
}

/// With its defaults, or where a parameter has none, with the values of its first test.
fn compiled(shipped: &Shipped) -> (Engine, Vec<Problem>) {
    let needs = head(shipped).parameters.iter().any(|parameter| parameter.default.is_none());
    let first = tests_of(shipped).into_iter().next();
    let with = first.as_ref().and_then(|test| test.get("with")).filter(|_| needs);
    let source = Arc::new(SourceFile::new(shipped.file, shipped.text));
    let mut problems = Problems::new(&source);
    let filter = match shipped.tests {
        None => {
            let written = document(shipped.file, shipped.text);
            Some(FilterSource::Yaml(filters::with_parameters(&written, with, &no_base(), &mut problems)))
        }
        Some(_) => filters::script_with(&script(shipped), with, &mut problems).map(FilterSource::Lua),
    };
    let problems = problems.into_vec();
    assert!(problems.is_empty(), "{}", shown(&problems));
    Engine::compile(&[filter.unwrap()], &settings()).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

#[test]
fn each_compiles_without_a_word() {
    for shipped in SHIPPED {
        let (engine, warnings) = compiled(shipped);
        assert!(warnings.is_empty() && !engine.is_empty(), "{}: {}", shipped.name, shown(&warnings));
    }
}

#[test]
fn each_passes_its_tests() {
    let mut failed = String::new();
    for shipped in SHIPPED {
        let verdicts = run(shipped);
        assert!(verdicts.len() >= 2, "{} has {} tests", shipped.name, verdicts.len());
        failed += &failures(&verdicts);
    }
    assert!(failed.is_empty(), "\n{failed}");
}

#[test]
fn each_is_described_and_its_parameters_are_tried() {
    for shipped in SHIPPED {
        let head = head(shipped);
        let is_line = |text: &str| !text.is_empty() && text.len() < 120 && text.ends_with('.');
        assert!(is_line(&head.about), "{}: {}", shipped.name, head.about);
        let tests = tests_of(shipped);
        for parameter in &head.parameters {
            assert!(!parameter.about.is_empty(), "{}: {} says nothing", shipped.name, parameter.name);
        }
        let tried = tests.iter().any(|test| test.get("with").is_some());
        assert!(tried || head.parameters.is_empty(), "{}: no test sets a parameter", shipped.name);
    }
}

/// Every file in a folder of `filters/`, by its path there.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in fs::read_dir("filters").unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.extend(files.iter().map(|path| path.strip_prefix("filters").unwrap().to_string_lossy().into_owned()));
    }
    found
}

#[test]
fn the_program_has_every_file_and_no_other() {
    let listed: BTreeSet<String> = SHIPPED
        .iter()
        .flat_map(|shipped| {
            let beside = shipped.tests.map(|_| shipped.file.replace(".lua", ".tests.yaml"));
            [Some(shipped.file.to_owned()), beside].into_iter().flatten()
        })
        .collect();
    assert_eq!(listed, files());
    let names: BTreeSet<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
    assert_eq!(names.len(), SHIPPED.len());
    assert!(SHIPPED.len() >= 25, "the filters have gone missing");
}

/// `filters/README.md` is written by this test: run it with `UPDATE_EXPECTED=1` after changing a filter's head.
#[test]
fn the_index_lists_every_filter() {
    let mut text = String::from(
        "# Shipped filters\n\nReady-made filters, compiled into the program; this index is generated from their heads. Use \
         one by its name, in the config under `filters` or in a rule file as a rule:\n\n```yaml\nfilters:\n  - \
         guards/loops\n  - {uses: lists/by-list-id, with: {under: lists}}\n  - rules.yaml\n```\n\nThey run in the order \
         in which they are written: put guards first, a spam filter before filters that answer or forward, and filters \
         that sort the rest last. `mailsluice filters show NAME` prints one, with its tests. [measured.md](measured.md) \
         shows what each did with 2,545 real messages.\n",
    );
    let mut folder = "";
    for shipped in SHIPPED {
        let (of, _) = shipped.name.split_once('/').unwrap();
        if of != folder {
            folder = of;
            text += &format!("\n## {folder}\n");
        }
        text += &entry(shipped);
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write("filters/README.md", &text).unwrap();
    }
    assert_eq!(fs::read_to_string("filters/README.md").unwrap_or_default(), text);
}

/// Name, description, parameters, and the line that includes it.
fn entry(shipped: &Shipped) -> String {
    let head = head(shipped);
    let required: Vec<String> = head
        .parameters
        .iter()
        .filter(|parameter| parameter.default.is_none())
        .map(|parameter| format!("{}: …", parameter.name))
        .collect();
    let include = match required.is_empty() {
        true => format!("- {}", shipped.name),
        false => format!("- {{uses: {}, with: {{{}}}}}", shipped.name, required.join(", ")),
    };
    let mut text = format!("\n### [{}]({})\n\n{}\n\n```yaml\n{include}\n```\n", shipped.name, shipped.file, head.about);
    if head.parameters.is_empty() {
        return text;
    }
    text += "\n| parameter | what | default |\n|---|---|---|\n";
    for parameter in &head.parameters {
        let default = parameter
            .default
            .as_ref()
            .map_or("required".to_owned(), |node| format!("`{}`", node.in_line().replace('|', "\\|")));
        text += &format!("| `{}` | {} | {default} |\n", parameter.name, parameter.about.replace('|', "\\|"));
    }
    text
}

/// A pattern of Lua took two seconds for the tags before the link, and failed: the message stayed in the inbox, and the filters
/// behind this one were not asked.
#[test]
fn phishing_signs_are_seen_behind_a_storm_of_tags() {
    let storm = "<a \n".repeat(60_000);
    let link = "<a href=\"https://evil.example/login\">https://www.bank.example/</a>";
    let mail = format!(
        "From: \"service@bank.example\" <x@evil.example>\nMIME-Version: 1.0\nContent-Type: text/html\n\n{storm}<p>{link}</p>\n"
    );
    let engine = crate::engine::yaml("rules:\n  - {uses: spam/phishing-signs}\n");
    let decision = crate::engine::decided(&engine, &mail);
    assert!(decision.failures.is_empty(), "{:?}", decision.failures);
    assert_eq!(crate::engine::folders(&decision), ["Suspect"]);
}
