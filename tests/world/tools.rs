//! What the world needs of the machine: a C compiler, ptrace and preloaded libraries. What is refused is left out.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

pub struct Tools {
    /// Makes system calls fail, or kills at one of them.
    pub injector: Option<PathBuf>,
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
        let source = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(name);
        let injector = folder.path().join("fault-injector");
        let clock = folder.path().join("clock.so");
        let injector = compile(&["-O1"], &source("fault-injector.c"), &injector).filter(|path| can_inject(path));
        let clock = compile(&["-shared", "-fPIC", "-O1"], &source("clock.c"), &clock).filter(|path| can_move(path));
        if injector.is_none() {
            println!("world: no faults of the disk: there is no C compiler, or ptrace is refused");
        }
        if clock.is_none() {
            println!("world: the clock is not moved: there is no C compiler, or nothing can be preloaded");
        }
        Tools { injector, clock, _folder: folder }
    })
}

fn compile(options: &[&str], source: &Path, target: &Path) -> Option<PathBuf> {
    let mut compiler = Command::new("cc");
    compiler.args(options).arg("-o").arg(target).arg(source).arg("-ldl").stdout(Stdio::null()).stderr(Stdio::null());
    compiler.status().ok()?.success().then(|| target.to_owned())
}

/// A `cat` whose read fails must fail.
fn can_inject(injector: &Path) -> bool {
    let mut command = Command::new(injector);
    command.args(["-s", "openat", "-n", "1", "-a", "err:EIO", "-p", "/proc/version", "-l", "/dev/null", "--"]);
    command.args(["cat", "/proc/version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.code() == Some(1))
}

fn can_move(clock: &Path) -> bool {
    let output = Command::new("date").arg("+%s").env("LD_PRELOAD", clock).env("WORLD_CLOCK", "-1000000000").output();
    let told = output.ok().and_then(|output| String::from_utf8(output.stdout).ok()?.trim().parse::<u64>().ok());
    told.is_some_and(|seconds| seconds < 1_400_000_000)
}
