//! Somebody who removes what stands under `tmp/` of the Maildirs: a clean-up that does not ask how old it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::scene::Scene;
use crate::seed::Seed;
use crate::sight::{AWAY, ROOT};

pub fn clean(scene: &Scene, seed: &mut Seed) {
    for _ in 0..seed.between(3, 60) {
        if scene.home().join(AWAY).exists() {
            return;
        }
        clean_below(&scene.home().join(ROOT));
        std::thread::sleep(Duration::from_millis(seed.below(12) as u64));
    }
}

fn clean_below(folder: &Path) {
    let is_tmp = folder.file_name().is_some_and(|name| name == "tmp");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => clean_below(&entry.path()),
            Ok(_) if is_tmp => _ = fs::remove_file(entry.path()),
            _ => {}
        }
    }
}
