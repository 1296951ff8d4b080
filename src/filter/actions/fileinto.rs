//! `fileinto`: into a Maildir, or an mbox file.

use super::super::asking::Break;
use super::super::compile::Compiler;
use super::super::names;
use super::super::run::Run;
use super::{Boxed, Verb, Word, flags};
use crate::config::reader::{self, MapReader, Shape, TEXTS, Takes};
use crate::config::template::{FolderName, Template};
use crate::config::yaml::{Node, Value};
use crate::decision::Place;
use crate::message::Flags;

pub(super) static KEYS: Shape = Shape {
    what: "a fileinto action",
    keys: &[
        ("folder", "The folder or folders; `${name}` puts in a value, which is one part of one name.", TEXTS),
        ("mbox", "Instead: an mbox file, or files, below the mail folder.", TEXTS),
        ("flags", "Flags and keywords for this filing: `seen`, `flagged`, `$later`.", TEXTS),
        ("copy", "`true`: filtering goes on.", Takes::Flag),
    ],
};

const FILEINTO_TAKES: Takes = Takes::Either(&[TEXTS, Takes::Section(&KEYS)]);
pub(super) const FILEINTO: Word = Word::new(
    (
        "fileinto",
        "File into a folder, a list of folders, or {folder:, mbox:, flags:, copy:}. Ends filtering unless copy.",
        FILEINTO_TAKES,
    ),
    read,
);

#[derive(Debug)]
struct FileInto {
    folders: Vec<Template>,
    mbox: bool,
    flags: Flags,
    copy: bool,
}

fn read(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    if !matches!(node.value, Value::Map(_)) {
        let folders = folders(node, compiler)?;
        return Some(Box::new(FileInto { folders, mbox: false, flags: Flags::default(), copy: false }));
    }
    let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
    let (folder, mbox) = (map.take("folder"), map.take("mbox"));
    match (folder, mbox) {
        (Some(_), Some(mbox)) => {
            map.problems().error(mbox.span, "an action files into a folder or an mbox, not both");
            return None;
        }
        (None, None) => drop(map.require("folder")),
        _ => {}
    }
    let copy = map.read("copy", reader::flag).unwrap_or(false);
    let flags = map.take("flags");
    let flags = flags.map_or(Some(Flags::default()), |node| flags::read(node, compiler));
    let folders = folder.or(mbox).and_then(|node| folders(node, compiler));
    Some(Box::new(FileInto { folders: folders?, mbox: mbox.is_some(), flags: flags?, copy }))
}

fn folders(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Vec<Template>> {
    let nodes = match &node.value {
        Value::Seq(items) if !items.is_empty() => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let templates: Vec<_> = nodes.iter().map(|node| compiler.folder(node)).collect();
    templates.into_iter().collect()
}

/// Of a script: the names may be made of anything, so they are made safe instead of being checked.
pub(in super::super) fn of_script(node: &Node, compiler: &mut Compiler<'_, '_>) -> Option<Boxed> {
    let (names, flags_node, copy, mbox) = match &node.value {
        Value::Map(_) => {
            let mut map = MapReader::new(node, &KEYS, &mut compiler.problems);
            let copy = map.read("copy", reader::flag).unwrap_or(false);
            let mbox = map.take("mbox");
            (mbox.or_else(|| map.require("folder"))?, map.take("flags"), copy, mbox.is_some())
        }
        _ => (node, None, false, false),
    };
    let flags = flags_node.map_or(Some(Flags::default()), |node| flags::read(node, compiler))?;
    let names = compiler.plain_texts(names, "the name of a folder")?;
    let safe = names.iter().map(|name| FolderName::parse_safe(name, Some('/')));
    let places = safe.map(|folder| if mbox { Place::Mbox(folder) } else { Place::Folder(folder) });
    Some(Box::new(FileAt { places: places.collect(), flags, copy }))
}

#[derive(Debug)]
struct FileAt {
    places: Vec<Place>,
    flags: Flags,
    copy: bool,
}

impl Verb for FileAt {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        self.places.iter().try_for_each(|place| run.file(place.clone(), &self.flags, self.copy))
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}

impl Verb for FileInto {
    fn act(&self, run: &mut Run<'_>) -> Result<(), Break> {
        for template in &self.folders {
            let folder = template.expand_folder(&|name| names::look_up(name, &run.asking));
            let place = if self.mbox { Place::Mbox(folder) } else { Place::Folder(folder) };
            run.file(place, &self.flags, self.copy)?;
        }
        Ok(())
    }

    fn ends(&self) -> bool {
        !self.copy
    }
}
