//! Faults of the disk: at the n-th of some system calls an error, or the end of the process that makes it.
//!
//! `tests/tools/fault-injector.c` does it by ptrace, and is compiled when it is first asked for.
//!
//! ```ignore
//! let Some(injector) = injector() else { return };
//! let fault = Fault { calls: "rename,renameat2".to_owned(), nth: 3, what: "err:EIO".to_owned() };
//! let command = injector.around(&sandbox.command(&["fetch"]), &fault, sandbox.home(), &log);
//! ```

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

pub struct Injector {
    program: PathBuf,
    /// Goes with the test program, which never drops it.
    _folder: TempDir,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// With commas between them. All are counted together, over all threads and processes.
    pub calls: String,
    /// From 1. With 0 nothing happens, and every call is written into the log.
    pub nth: usize,
    /// `err:EIO`, `err:ENOSPC`, `kill`.
    pub what: String,
}

/// Made once. `None`, with a line that says so, where there is no C compiler or ptrace is refused.
pub fn injector() -> Option<&'static Injector> {
    static INJECTOR: OnceLock<Option<Injector>> = OnceLock::new();
    let make = || {
        let folder = TempDir::with_prefix("mailsluice-injector-").unwrap();
        let program = folder.path().join("fault-injector");
        let injector =
            compile(&["-O1"], "fault-injector.c", &program).map(|program| Injector { program, _folder: folder });
        let injector = injector.filter(Injector::works);
        if injector.is_none() {
            println!("SKIPPED: no faults of the disk: there is no C compiler, or ptrace is refused");
        }
        injector
    };
    INJECTOR.get_or_init(make).as_ref()
}

/// A file of `tests/tools`.
pub fn compile(options: &[&str], source: &str, target: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(source);
    let mut compiler = Command::new("cc");
    compiler.args(options).arg("-o").arg(target).arg(source).arg("-ldl").stdout(Stdio::null()).stderr(Stdio::null());
    compiler.status().ok()?.success().then(|| target.to_owned())
}

impl Injector {
    /// The command with this fault. Only calls on files below `prefix` count; what was hit is written into `log`.
    pub fn around(&self, plain: &Command, fault: &Fault, prefix: &Path, log: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-s", &fault.calls, "-n", &fault.nth.to_string(), "-a", &fault.what, "-l"]).arg(log);
        command.arg("-p").arg(prefix).arg("--").arg(plain.get_program()).args(plain.get_args());
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(plain.get_current_dir().unwrap_or(Path::new("/"))).process_group(0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A `cat` whose file cannot be opened must fail.
    fn works(&self) -> bool {
        let fault = Fault { calls: "openat".to_owned(), nth: 1, what: "err:EIO".to_owned() };
        let mut cat = Command::new("cat");
        cat.arg("/proc/version").envs(std::env::vars_os());
        let mut command = self.around(&cat, &fault, Path::new("/proc/version"), Path::new("/dev/null"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.code() == Some(1))
    }
}
