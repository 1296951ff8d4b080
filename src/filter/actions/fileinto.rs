//! `fileinto`: files the message in a Maildir or an mbox file.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::keywords::Keywords;
use super::super::names;
use super::super::run::Run;
use super::{ActionWord, BoxedAction, Verb};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::template::{FolderName, Template};
use crate::config::yaml::{Node, Value};
use crate::decision::Place;

pub(super) static KEYS: Shape = Shape {
    what: "a fileinto action",
    keys: &[
        ("folder", "The folder or folders; `${name}` puts in a value, which is one part of one name.", TEXTS),
        ("mbox", "Instead: an mbox file, or files, below the mail folder.", TEXTS),
        (
            "path",
            "Instead: a folder whose levels come from values, such as `${dest}`: each `/` in them begins another level. Never outside the mail folder.",
            TEXTS,
        ),
        ("flags", "Flags and keywords for this filing: `seen`, `flagged`, `$later`.", TEXTS),
        ("copy", "`true`: filtering goes on.", Takes::Flag),
    ],
};

const FILEINTO_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const FILEINTO: ActionWord = ActionWord::new(
    (
        "fileinto",
        "File into a folder, a list of folders, or {folder:, path:, mbox:, flags:, copy:}. Ends filtering unless copy.",
        FILEINTO_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct FileInto {
    folders: Vec<Template>,
    kind: FolderNameKind,
    flags: Keywords,
    copy: bool,
}

/// What the names are names of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FolderNameKind {
    Folder,
    /// A folder whose levels come from values.
    Path,
    Mbox,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    if !matches!(node.value, Value::Map(_)) {
        let folders = folders(node, compiler)?;
        return Some(Box::new(FileInto {
            folders,
            kind: FolderNameKind::Folder,
            flags: Keywords::default(),
            copy: false,
        }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let kinds = [("folder", FolderNameKind::Folder), ("path", FolderNameKind::Path), ("mbox", FolderNameKind::Mbox)];
    let given: Vec<(FolderNameKind, &Node)> =
        kinds.iter().filter_map(|(key, kind)| Some((*kind, map.take(key)?))).collect();
    match given.as_slice() {
        [] => drop(map.require("folder")),
        [_] => {}
        [_, (_, second), ..] => {
            map.problems().error(second.span, "an action files into one of `folder`, `path` and `mbox`");
            return None;
        }
    }
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let flags = map.take("flags");
    let flags = flags.map_or(Some(Keywords::default()), |node| Keywords::read(node, compiler));
    let (kind, node) = given.first()?;
    let folders = folders(node, compiler);
    Some(Box::new(FileInto { folders: folders?, kind: *kind, flags: flags?, copy }))
}

fn folders(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<Template>> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let templates: Vec<_> = nodes.iter().map(|node| compiler.folder(node)).collect();
    templates.into_iter().collect()
}

/// Reads the value that a script gave. Its names may come from anything, so they are made safe instead of being
/// checked.
pub(in super::super) fn of_script(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<BoxedAction> {
    let (names, flags_node, copy, mbox) = match &node.value {
        Value::Map(_) => {
            let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
            let copy = map.read("copy", reader::flag).unwrap_or(false);
            let mbox = map.take("mbox");
            let folder = map.take("path");
            (mbox.or(folder).or_else(|| map.require("folder"))?, map.take("flags"), copy, mbox.is_some())
        }
        _ => (node, None, false, false),
    };
    let flags = flags_node.map_or(Some(Keywords::default()), |node| Keywords::read(node, compiler))?;
    let names = compiler.made_texts(names, "the name of a folder")?;
    if matches!(names.as_slice(), [name] if name.is_empty()) {
        compiler.problems.error(node.span, "the name of a folder is empty");
        return None;
    }
    let safe = names.iter().map(|name| FolderName::of_user(name));
    let places = safe.map(|folder| if mbox { Place::Mbox(folder) } else { Place::Folder(folder) });
    Some(Box::new(FileAt { places: places.collect(), flags, copy }))
}

#[derive(Debug)]
struct FileAt {
    places: Vec<Place>,
    flags: Keywords,
    copy: bool,
}

impl Verb for FileAt {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let flags = self.flags.of(&run.asking);
        self.places.iter().try_for_each(|place| run.file(place.clone(), &flags, self.copy))
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}

impl Verb for FileInto {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        let flags = self.flags.of(&run.asking);
        for template in &self.folders {
            let place = match self.kind {
                FolderNameKind::Folder => {
                    Place::Folder(template.expand_levels(&|name| names::parts(name, &run.asking)))
                }
                FolderNameKind::Mbox => Place::Mbox(template.expand_levels(&|name| names::parts(name, &run.asking))),
                FolderNameKind::Path => Place::Folder(path(template, run)?),
            };
            run.file(place, &flags, self.copy)?;
        }
        Ok(())
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}

fn path(template: &Template, run: &Run<'_>) -> Result<FolderName, Break> {
    let path = template.expand_path(&|name| names::look_up(name, &run.asking));
    path.ok_or_else(|| Break::Failed("the path names no folder: it has no value".to_owned()))
}
