//! What the world needs of the machine: a C compiler and preloaded libraries. What is refused is left out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::support::injector::compile;

pub struct Tools {
    /// Moves the clock.
    pub clock: Option<PathBuf>,
    /// Goes with the test program, which never drops it.
    _folder: TempDir,
}

/// Made once, for all worlds.
pub fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let folder = TempDir::with_prefix("mailsluice-tools-").unwrap();
        let clock = folder.path().join("clock.so");
        let clock = compile(&["-shared", "-fPIC", "-O1"], "clock.c", &clock).filter(|path| can_move(path));
        if clock.is_none() {
            println!("world: the clock is not moved: there is no C compiler, or nothing can be preloaded");
        }
        Tools { clock, _folder: folder }
    })
}

fn can_move(clock: &Path) -> bool {
    let output = Command::new("date").arg("+%s").env("LD_PRELOAD", clock).env("WORLD_CLOCK", "-1000000000").output();
    let told = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse::<u64>().ok());
    told.is_some_and(|seconds| seconds < 1_400_000_000)
}
