//! Reads the filters that a config names: rule files, scripts, shipped filters, and what they include in their turn.
//! Their rules are compiled by `filter`; here they become trees and texts.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use super::lists::{self, ConfigList};
use super::parameters::{self, FilterHead};
use super::problem::{GivenParameter, Problems, SourceFile};
use super::reader::{self, Base, MapReader, Shape, TEXTS, Takes};
use super::yaml::{Document, Node, Value};
use super::{library, load};
use crate::clean;

/// An included filter with parameters.
pub(super) static USES: Shape = Shape {
    what: "a filter to use",
    keys: &[
        (
            "uses",
            "A shipped filter (`lists/by-list-id`) or a file of your own (`rules.yaml`, `triage.lua`).",
            Takes::Text,
        ),
        ("with", "The values of its parameters.", Takes::Named(&Takes::Anything)),
    ],
};

/// The head of a script: a comment at its beginning.
pub(super) static HEAD: Shape = Shape {
    what: "the head of a script",
    keys: &[
        ("about", "What the filter does, in one line.", Takes::Text),
        (
            "parameters",
            "What a config that uses it may set: `param.name` is the value.",
            Takes::Named(&Takes::Either(&[Takes::Text, Takes::Section(&parameters::SHAPE)])),
        ),
        (
            "lists",
            "Lists that the script looks up and changes; `${name}` in a name is the value of a parameter.",
            Takes::Named(&Takes::Either(&[TEXTS, Takes::Section(&lists::SHAPE)])),
        ),
    ],
};

/// How deep filters may include each other.
const MAX_INCLUDE_DEPTH: usize = 8;

/// Rules that were named or written in the config, in order.
#[derive(Clone, Debug)]
pub enum FilterSource {
    /// A YAML rule file, or the `rules:` of the config itself.
    Yaml(RuleFile),
    /// A script.
    Lua(LuaFilter),
}

/// A rule file with its parameters put in and its includes read ([`Value::File`]).
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The file.
    pub document: Document,
    /// The same as it was written, before parameters were put in.
    pub written: Document,
    /// The lists it defines.
    pub lists: Vec<ConfigList>,
    /// The parameters that whoever included it set.
    pub given: Vec<GivenParameter>,
    /// Where its relative paths begin.
    pub base: Base,
}

/// A filter written in Lua.
#[derive(Clone, Debug)]
pub struct LuaFilter {
    /// The file.
    pub source: Arc<SourceFile>,
    /// The values of its parameters: the global table `param`.
    pub param: Vec<(String, Node)>,
    /// The lists it defines.
    pub lists: Vec<ConfigList>,
    /// Where its relative paths begin.
    pub base: Base,
}

impl RuleFile {
    /// A file as it was written, without parameters, lists and includes.
    pub fn plain(document: Document, base: &Base) -> Self {
        let written = document.clone();
        Self { document, written, lists: Vec::new(), given: Vec::new(), base: base.clone() }
    }
}

fn included_in<'n>(node: &'n Node, found: &mut Vec<&'n FilterSource>) {
    match &node.value {
        Value::Seq(items) => items.iter().for_each(|item| included_in(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, node)| included_in(node, found)),
        Value::File(file) => {
            found.push(file);
            found.extend(file.included());
        }
        Value::Null | Value::Scalar { .. } => {}
    }
}

impl FilterSource {
    /// The file.
    pub fn source(&self) -> &Arc<SourceFile> {
        match self {
            Self::Yaml(file) => &file.document.source,
            Self::Lua(script) => &script.source,
        }
    }

    /// The filters that it includes, and those that they include.
    pub fn included(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        if let Self::Yaml(file) = self {
            included_in(&file.document.root, &mut found);
        }
        found
    }

    fn nothing(source: &Arc<SourceFile>, base: &Base) -> Self {
        let span = super::yaml::Span::START;
        let rules = super::yaml::YamlKey { text: "rules".to_owned(), span };
        let root = Node { value: Value::Map(vec![(rules, Node { value: Value::Seq(Vec::new()), span })]), span };
        Self::Yaml(RuleFile::plain(Document { source: Arc::clone(source), root }, base))
    }
}

/// Reads filters; each file once, however many accounts name it.
pub struct FilterFiles {
    base: Base,
    /// The folder of the config as the user wrote it: what names of rule files begin with in messages.
    shown: PathBuf,
    known: HashMap<PathBuf, Option<FilterSource>>,
    /// Everything that could be read, in order.
    read: Vec<FilterSource>,
    /// The files that are being read, the innermost last.
    open: Vec<PathBuf>,
    /// Every file that was named, whether it could be read or not.
    named: BTreeSet<PathBuf>,
    /// The outermost file is read for its tests.
    is_trial: bool,
}

impl FilterFiles {
    /// For what the file at `path` names.
    pub fn new(path: &Path, base: &Base) -> Self {
        let shown = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Self {
            base: base.clone(),
            shown,
            known: HashMap::new(),
            read: Vec::new(),
            open: Vec::new(),
            named: BTreeSet::new(),
            is_trial: false,
        }
    }

    /// The value of `filters`: a list of names, or one alone. An empty list means: no rules.
    pub(super) fn read(&mut self, node: &Node, problems: &mut Problems) -> Option<Vec<FilterSource>> {
        let items = match &node.value {
            Value::Seq(items) => items,
            Value::Scalar { .. } => slice::from_ref(node),
            _ => {
                reader::mismatch(node, "a list of filters", problems);
                return None;
            }
        };
        let read: Vec<_> = items.iter().map(|item| self.item(item, problems)).collect();
        read.into_iter().collect()
    }

    /// One filter in a file, its parameters at their defaults: for the tests it carries. Parameters that have none get
    /// their values from each test.
    pub fn one_file(&mut self, path: &Path, problems: &mut Problems) -> Option<FilterSource> {
        let span = super::yaml::Span::START;
        let name = path.to_string_lossy().into_owned();
        let node = Node { value: Value::Scalar { text: name, quoted: true }, span };
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.is_trial = true;
        let file = self.file(&node, None, &absolute, path.to_path_buf(), problems);
        self.is_trial = false;
        file
    }

    /// Every file that could be read.
    pub(super) fn readable(&self) -> impl Iterator<Item = FilterSource> {
        self.read.iter().cloned()
    }

    /// Every file that was named, whether it could be read or not.
    pub(super) fn named(&self) -> impl Iterator<Item = PathBuf> {
        self.named.iter().cloned()
    }

    fn item(&mut self, node: &Node, problems: &mut Problems) -> Option<FilterSource> {
        let (base, shown) = (self.base.clone(), self.shown.clone());
        let (name, with) = match &node.value {
            Value::Map(_) => {
                let mut map = MapReader::new(node, &USES, problems);
                (map.require("uses")?, map.take("with"))
            }
            _ => (node, None),
        };
        self.load(name, with, &base, &shown, problems)
    }

    /// The filter of that name, with these parameters.
    fn load(
        &mut self,
        node: &Node,
        with: Option<&Node>,
        base: &Base,
        shown: &Path,
        problems: &mut Problems,
    ) -> Option<FilterSource> {
        let name = reader::text(node, "the name of a filter", problems)?;
        let suffix = Path::new(name).extension().and_then(|suffix| suffix.to_str());
        if !matches!(suffix, Some("yaml" | "yml" | "lua")) {
            let Some(shipped) = library::find(name) else {
                report_unknown(node, name, suffix.is_some(), problems);
                return None;
            };
            let source = Arc::new(SourceFile::new(Path::new("filters").join(shipped.file), shipped.text));
            return self.built(node, with, &source, Path::new(shipped.file), base, problems);
        }
        let path = reader::path(node, base, problems)?;
        if let (Some(known), None) = (self.known.get(&path), with) {
            return known.clone();
        }
        let shown = if name.starts_with('~') { path.clone() } else { shown.join(name) };
        let file = self.file(node, with, &path, shown, problems);
        if with.is_none() {
            self.known.insert(path, file.clone());
        }
        file
    }

    fn file(
        &mut self,
        node: &Node,
        with: Option<&Node>,
        path: &Path,
        shown: PathBuf,
        problems: &mut Problems,
    ) -> Option<FilterSource> {
        self.named.insert(path.to_owned());
        let name = clean::line(shown.as_os_str().as_encoded_bytes());
        let source = match load::read_source(path, shown) {
            Ok((source, _)) => source,
            Err(error) => {
                let problem = problems.error(node.span, format!("cannot read the rule file {name}: {error}"));
                if error.is_missing() {
                    problem.hint("relative names begin at the folder of the file they are written in");
                }
                return None;
            }
        };
        let base = self.base.at(path);
        self.built(node, with, &source, path, &base, problems)
    }

    fn built(
        &mut self,
        node: &Node,
        with: Option<&Node>,
        source: &Arc<SourceFile>,
        path: &Path,
        base: &Base,
        problems: &mut Problems,
    ) -> Option<FilterSource> {
        if self.open.iter().any(|open| open == path) || self.open.len() >= MAX_INCLUDE_DEPTH {
            problems.error(node.span, "filters include each other in a circle, or more than 8 deep");
            return None;
        }
        self.open.push(path.to_path_buf());
        let built = match path.extension().is_some_and(|suffix| suffix == "lua") {
            true if self.is_outermost_trial() => {
                let source = Arc::clone(source);
                Some(FilterSource::Lua(LuaFilter { source, param: Vec::new(), lists: Vec::new(), base: base.clone() }))
            }
            true => script(node, with, source, base, problems).map(FilterSource::Lua),
            false => self.rule_file(node, with, source, base, problems),
        };
        self.open.pop();
        self.read.extend(built.clone());
        built
    }

    fn rule_file(
        &mut self,
        node: &Node,
        with: Option<&Node>,
        source: &Arc<SourceFile>,
        base: &Base,
        problems: &mut Problems,
    ) -> Option<FilterSource> {
        let mut own = Problems::new(source);
        let Some(mut document) = Document::parse(source, &mut own) else {
            problems.merge(own);
            return None;
        };
        let head = FilterHead::read(&document.root, &mut own);
        if self.is_outermost_trial() && head.needs_values() {
            problems.merge(own);
            return Some(FilterSource::Yaml(RuleFile::plain(document, base)));
        }
        let values = head.bind(with, node, problems);
        if head.lacks_values(&values) {
            // That has been said; what follows from it would only confuse.
            problems.merge(own);
            return None;
        }
        let mut file = self.finish(&mut document, &values, base, &mut own);
        file.given = parameters::given(with, problems.source());
        parameters::name_origins(&file, &mut own);
        problems.merge(own);
        Some(FilterSource::Yaml(file))
    }

    fn is_outermost_trial(&self) -> bool {
        self.is_trial && self.open.len() == 1
    }

    /// Puts in parameters, reads lists and includes.
    pub(super) fn finish(
        &mut self,
        document: &mut Document,
        values: &parameters::ParameterValues,
        base: &Base,
        problems: &mut Problems,
    ) -> RuleFile {
        let written = document.clone();
        let shown = document.source.name.parent().unwrap_or(Path::new("")).to_path_buf();
        let source = Arc::clone(&document.source);
        let mut lists = Vec::new();
        if let Value::Map(entries) = &mut document.root.value {
            for (key, child) in entries.iter_mut().filter(|(key, _)| matches!(key.text.as_str(), "rules" | "lists")) {
                parameters::substitute(child, values, problems);
                match key.text.as_str() {
                    "lists" => lists = lists::read(child, &source, base, problems),
                    _ => self.include(child, &source, base, &shown, problems),
                }
            }
        }
        RuleFile { document: document.clone(), written, lists, given: Vec::new(), base: base.clone() }
    }

    /// Puts each included file in the place of its name.
    fn include(
        &mut self,
        node: &mut Node,
        source: &Arc<SourceFile>,
        base: &Base,
        shown: &Path,
        problems: &mut Problems,
    ) {
        match &mut node.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| self.include(item, source, base, shown, problems)),
            Value::Map(entries) => {
                let with = entries.iter().find(|(key, _)| key.text == "with").map(|(_, node)| node.clone());
                for (key, child) in entries.iter_mut() {
                    let is_file = match (key.text.as_str(), child.as_text()) {
                        ("uses", Some(_)) => true,
                        ("lua", Some(text)) => text.ends_with(".lua") && !text.contains(['\n', ' ']),
                        _ => false,
                    };
                    if key.text == "template" && child.as_text().is_some() {
                        self.put_in_text(child, base, problems);
                    } else if is_file {
                        let file = self.load(child, with.as_ref(), base, shown, problems);
                        child.value =
                            Value::File(Arc::new(file.unwrap_or_else(|| FilterSource::nothing(source, base))));
                    } else {
                        self.include(child, source, base, shown, problems);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The text of an answer that stands in a file of its own takes the place of the file's name.
impl FilterFiles {
    fn put_in_text(&self, node: &mut Node, base: &Base, problems: &mut Problems) {
        let Some(path) = reader::path(node, base, problems) else { return };
        match load::read_source(&path, path.clone()) {
            Ok((source, _)) => node.value = Value::Scalar { text: source.text.clone(), quoted: true },
            Err(error) => {
                let name = clean::short(node.as_text().unwrap_or_default(), 200);
                let problem = problems.error(node.span, format!("cannot read the text {name}: {error}"));
                problem.hint("relative names begin at the folder of the file they are written in");
            }
        }
    }
}

/// The `rules`, `lists` of one rule file, with these values for its parameters: for the tests it carries.
pub fn with_parameters(document: &Document, with: Option<&Node>, base: &Base, problems: &mut Problems) -> RuleFile {
    let mut document = document.clone();
    let head = FilterHead::read(&document.root, problems);
    let place = Node { value: Value::Null, span: with.map_or(super::yaml::Span::START, |with| with.span) };
    let values = head.bind(with, &place, problems);
    let mut file = FilterFiles::new(&document.source.name.clone(), base).finish(&mut document, &values, base, problems);
    file.given = parameters::given(with, problems.source());
    file
}

/// A script with these values for its parameters.
pub fn script_with(written: &LuaFilter, with: Option<&Node>, problems: &mut Problems) -> Option<LuaFilter> {
    let place = Node { value: Value::Null, span: with.map_or(super::yaml::Span::START, |with| with.span) };
    script(&place, with, &written.source, &written.base, problems)
}

fn script(
    node: &Node,
    with: Option<&Node>,
    source: &Arc<SourceFile>,
    base: &Base,
    problems: &mut Problems,
) -> Option<LuaFilter> {
    let mut own = Problems::new(source);
    let document = document_of_head(source, &mut own);
    let head = document.as_ref().map(|document| FilterHead::read(&document.root, &mut own)).unwrap_or_default();
    let param = head.bind(with, node, problems);
    let mut lists = Vec::new();
    if let Some(document) = &document {
        MapReader::new(&document.root, &HEAD, &mut own);
        if let Some(mut node) = document.root.get("lists").cloned() {
            parameters::substitute(&mut node, &param, &mut own);
            lists = lists::read(&node, source, base, &mut own);
        }
    }
    problems.merge(own);
    Some(LuaFilter { source: Arc::clone(source), param, lists, base: base.clone() })
}

/// The head of a script.
pub fn head_of_script(source: &Arc<SourceFile>, problems: &mut Problems) -> FilterHead {
    let document = document_of_head(source, problems);
    document.map(|document| FilterHead::read(&document.root, problems)).unwrap_or_default()
}

/// The head of a script: its first comment, when that begins with `--[[` and holds `about:`.
fn document_of_head(source: &Arc<SourceFile>, problems: &mut Problems) -> Option<Document> {
    let comment = source.text.strip_prefix("--[[").and_then(|rest| rest.split_once("]]")).map(|(inside, _)| inside);
    let comment = comment.filter(|comment| comment.trim_start().starts_with("about:"))?;
    // The comment is the beginning of the file, so the lines of its problems are those of the file.
    let inner = Arc::new(SourceFile::new(source.name.clone(), comment));
    let mut own = Problems::new(&inner);
    let document = Document::parse(&inner, &mut own);
    problems.merge(own);
    document
}

/// The head of a rule file.
pub fn head_of(document: &Document, problems: &mut Problems) -> FilterHead {
    FilterHead::read(&document.root, problems)
}

fn report_unknown(node: &Node, name: &str, has_suffix: bool, problems: &mut Problems) {
    if has_suffix {
        reader::mismatch(node, "a rule file that ends in `.yaml` or `.lua`, or a shipped filter", problems);
        return;
    }
    let names = library::SHIPPED.iter().map(|shipped| shipped.name);
    let problem = problems.error(node.span, format!("there is no shipped filter `{}`", clean::short(name, 80)));
    match reader::suggest(name, names) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("`mailsluice filters list` shows them; a file of your own ends in `.yaml` or `.lua`"),
    };
}
