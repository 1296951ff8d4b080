//! Deciding without a server: rules as text, messages as bytes, a world that knows what it was told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailsluice::config::Settings;
use mailsluice::config::problem::{Problem, Problems, SourceFile};
use mailsluice::config::reader::Base;
use mailsluice::config::yaml::Document;
use mailsluice::config::{FilterSource, LuaFilter, filters};
use mailsluice::decision::{Action, Decision, Place};
use mailsluice::filter::Engine;
use mailsluice::filter::trial::ToldFacts;
use mailsluice::message::{Bytes, Envelope, Flags, Key, Message, Origin, to_lf};

/// What is usual: an own address, a trusted server, `+` as delimiter.
pub fn settings() -> Settings {
    Settings {
        me: vec!["me@example.com".to_owned()],
        trust: vec!["mx.example.com".to_owned()],
        delimiters: "+".to_owned(),
        ..Settings::default()
    }
}

/// Rules in YAML, as they stand in a rule file.
pub fn yaml_with(text: &str, settings: &Settings) -> Result<Engine, Vec<Problem>> {
    let source = Arc::new(SourceFile::new("rules.yaml", text));
    let mut problems = Problems::new(&source);
    let document = Document::parse(&source, &mut problems);
    let Some(document) = document else { return Err(problems.into_vec()) };
    let file = filters::with_parameters(&document, None, &Base::new("/", None), &mut problems);
    if problems.has_errors() {
        return Err(problems.into_vec());
    }
    let lists = file.lists.clone();
    let settings = Settings { lists, ..settings.clone() };
    Engine::compile(&[FilterSource::Yaml(file)], &settings).map(|(engine, _)| engine)
}

/// Rules in YAML that are well.
#[track_caller]
pub fn yaml(text: &str) -> Engine {
    yaml_with(text, &settings()).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// Rules in YAML in several files, one after the other.
#[track_caller]
pub fn files(texts: &[String]) -> Engine {
    let read = |(number, text): (usize, &String)| {
        let source = Arc::new(SourceFile::new(format!("rules-{number}.yaml"), text));
        let mut problems = Problems::new(&source);
        let document = Document::parse(&source, &mut problems).unwrap();
        let file = filters::with_parameters(&document, None, &Base::new("/", None), &mut problems);
        assert!(!problems.has_errors(), "{}", shown(&problems.into_vec()));
        FilterSource::Yaml(file)
    };
    let sources: Vec<FilterSource> = texts.iter().enumerate().map(read).collect();
    let (engine, warnings) =
        Engine::compile(&sources, &settings()).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert!(warnings.is_empty(), "{}", shown(&warnings));
    engine
}

/// A script.
pub fn lua_with(text: &str, settings: &Settings) -> Result<Engine, Vec<Problem>> {
    let source = Arc::new(SourceFile::new("script.lua", text));
    let script = LuaFilter { source, param: Vec::new(), lists: Vec::new(), base: Base::new("/", None) };
    Engine::compile(&[FilterSource::Lua(script)], settings).map(|(engine, _)| engine)
}

/// A script that compiles.
#[track_caller]
pub fn lua(text: &str) -> Engine {
    lua_with(text, &settings()).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
}

/// A script of which only the inside of the function is written.
#[track_caller]
pub fn body(text: &str) -> Engine {
    lua(&format!("return function(m, act) {text} end"))
}

pub fn shown(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A message in memory, with LF line ends.
pub fn message(bytes: impl AsRef<[u8]>) -> Arc<Message> {
    Arc::new(Message::new(Bytes::Memory(to_lf(bytes.as_ref()))))
}

/// How the message came: to the account `work`, just now.
pub fn envelope() -> Envelope {
    let origin = Arc::new(Origin { account: "work".into(), folder: "INBOX".into(), generation: 0 });
    let arrived = ToldFacts::default().now.timestamp();
    Envelope { key: Key::new(&origin, "1"), arrived, flags: Flags::default(), announced: 0 }
}

/// What is decided in an ordinary world.
#[track_caller]
pub fn decide(engine: &Engine, message: &Arc<Message>) -> Decision {
    engine.decide(message, &envelope(), &ToldFacts::default()).unwrap_or_else(|deferral| panic!("{deferral:?}"))
}

/// What is decided about a message given as text.
#[track_caller]
pub fn decided(engine: &Engine, text: impl AsRef<[u8]>) -> Decision {
    decide(engine, &message(text))
}

/// The one failure of a decision that keeps the message.
#[track_caller]
pub fn failure(decision: &Decision) -> &str {
    assert_eq!(decision.to_string(), "keep", "{decision:?}");
    assert_eq!(decision.failures.len(), 1, "{decision:?}");
    &decision.failures[0].cause
}

/// The folders a message is filed into by rules, in order.
pub fn folders(decision: &Decision) -> Vec<String> {
    let folder = |action: &Action| match action {
        Action::File(filing) => match &filing.place {
            Place::Folder(folder) => Some(folder.to_string()),
            _ => None,
        },
        _ => None,
    };
    decision.actions.iter().filter_map(folder).collect()
}

/// The files of the corpus that lies beside the checkout, in order; `None`, said so, where it is not there.
pub fn corpus() -> Option<Vec<PathBuf>> {
    let Ok(entries) = std::fs::read_dir(beside("corpus/messages")) else {
        assert!(std::env::var_os("MAILSLUICE_REQUIRE_CORPUS").is_none(), "the corpus is missing");
        eprintln!("SKIPPED: the message corpus is not beside this checkout");
        return None;
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Some(paths)
}

/// A path in the folder beside the checkout.
pub fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path)
}

/// The last component.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}
