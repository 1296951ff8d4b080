//! A mail reader: marks as read, moves between folders, deletes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ledger::Excuse;
use crate::mail;
use crate::scene::Scene;
use crate::seed::Seed;
use crate::sight::{AWAY, ROOT};

pub fn read(scene: &Scene, seed: &mut Seed) {
    let root = scene.home().join(ROOT);
    for _ in 0..seed.between(3, 40) {
        if scene.home().join(AWAY).exists() {
            return;
        }
        let files = files(&root);
        if !files.is_empty() {
            handle(scene, &root, &files[seed.below(files.len())], seed);
        }
        std::thread::sleep(Duration::from_millis(seed.below(12) as u64));
    }
}

fn handle(scene: &Scene, root: &Path, file: &Path, seed: &mut Seed) {
    let Some(name) = file.file_name().and_then(|name| name.to_str()) else { return };
    let Some(folder) = file.parent().and_then(Path::parent) else { return };
    let unique = name.split(":2,").next().unwrap_or(name);
    let Some((token, _)) = fs::read(file).ok().and_then(|bytes| mail::read(&bytes)) else { return };
    let target = match seed.below(20) {
        0 => {
            scene.ledger.excuse(&token, Excuse::Reader);
            let _ = fs::remove_file(file);
            return;
        }
        1..=6 => {
            let read = root.join("read");
            ["tmp", "new", "cur"].iter().for_each(|sub| _ = fs::create_dir_all(read.join(sub)));
            read.join("cur")
        }
        _ => folder.join("cur"),
    };
    let _ = fs::rename(file, target.join(format!("{unique}:2,S")));
}

/// In `new/` and `cur/` below the root.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if matches!(folder.file_name().and_then(|name| name.to_str()), Some("new" | "cur")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
