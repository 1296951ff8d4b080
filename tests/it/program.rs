//! Programs that rules start: each row of C1 to C9 with a small shell script.

use std::fs;
use std::io::{self, Read};
use std::time::{Duration, Instant};

use mailsluice::program::{Ended, OutputUse, Program, ProgramFailure};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

struct Case {
    folder: TempDir,
    run: Vec<String>,
    timeout: Duration,
    most: usize,
    environment: Vec<(&'static str, String)>,
}

fn script(text: &str) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let text = text.replace("$DIR", folder.path().to_str().unwrap());
    let run = ["/bin/sh", "-c", &text].map(str::to_owned).to_vec();
    Case { folder, run, timeout: MINUTE, most: 64 * 1024, environment: Vec::new() }
}

impl Case {
    fn run(&self, input: Option<&[u8]>) -> Result<Ended, ProgramFailure> {
        match input {
            None => self.program().run(None),
            Some(mut bytes) => self.program().run(Some(&mut bytes)),
        }
    }

    fn program(&self) -> Program<'_> {
        let Self { run, timeout, most, environment, .. } = self;
        Program { run, timeout: *timeout, output: OutputUse::Read(*most), environment, allow_root: true }
    }

    #[track_caller]
    fn prints(&self) -> String {
        let ended = self.run(None).unwrap();
        assert_eq!(ended.code, 0, "{ended:?}");
        String::from_utf8(ended.out).unwrap()
    }

    fn lasting(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The processes whose numbers the script wrote down live no more.
    #[track_caller]
    fn assert_gone(&self) {
        let pids = fs::read_to_string(self.folder.path().join("pids")).unwrap();
        assert!(!pids.is_empty());
        for pid in pids.lines() {
            let is_running = || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
            let until = Instant::now() + Duration::from_secs(5);
            while is_running() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            assert!(!is_running(), "{pid} lives");
        }
    }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn c1_a_program_need_not_read_and_may_write_while_it_reads() {
    let big = vec![b'x'; 10 * 1024 * 1024];
    for (text, code) in [("exit 0", 0), ("exec <&-; sleep 0.1; exit 3", 3), ("head -c 10 >/dev/null; exit 0", 0)] {
        assert_eq!(script(text).run(Some(&big)).unwrap().code, code, "{text}");
    }
    let echo = Case { most: big.len(), ..script("cat") };
    assert_eq!(echo.run(Some(&big)).unwrap().out.len(), big.len());
    assert_eq!(script("cat").run(Some(b"")).unwrap().out, b"");
}

#[test]
fn c1_input_that_cannot_be_read_is_a_failure() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::NotConnected.into())
        }
    }
    let case = script("cat");
    assert!(matches!(case.program().run(Some(&mut Broken)), Err(ProgramFailure::Pipes(..))));
}

#[test]
fn c2_the_whole_group_ends_at_the_deadline() {
    let text = "echo $$ >>$DIR/pids; (echo hello; sleep 300) & echo $! >>$DIR/pids; echo why >&2; wait";
    let case = script(text).lasting(Duration::from_millis(300));
    let begun = Instant::now();
    let failure = case.run(None).unwrap_err();
    assert!(matches!(&failure, ProgramFailure::TooSlow(_, _, why) if why == ": why"), "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(3), "SIGTERM is enough for it");
    case.assert_gone();
}

#[test]
fn c2_what_ignores_sigterm_is_killed() {
    let text =
        "trap '' TERM; echo $$ >>$DIR/pids; (while :; do sleep 1; done) & echo $! >>$DIR/pids; while :; do wait; done";
    let case = script(text).lasting(Duration::from_millis(300));
    let begun = Instant::now();
    assert!(matches!(case.run(None), Err(ProgramFailure::TooSlow(..))));
    assert!((5..20).contains(&begun.elapsed().as_secs()));
    case.assert_gone();
}

#[test]
fn c2_a_grandchild_that_holds_the_pipe_holds_nobody_up() {
    let case = script("sleep 300 & echo $! >>$DIR/pids; echo done");
    let begun = Instant::now();
    assert_eq!(case.prints(), "done\n");
    case.assert_gone();
    let elsewhere = script("setsid sleep 4 & echo done");
    assert_eq!(elsewhere.prints(), "done\n");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[test]
fn c3_output_is_bounded() {
    let most = 1000;
    let exactly = Case { most, ..script("head -c 1000 /dev/zero") };
    assert_eq!(exactly.run(None).unwrap().out.len(), most);
    for text in ["head -c 1001 /dev/zero", "yes", "yes & echo $! >>$DIR/pids; yes"] {
        let case = Case { most, ..script(text) };
        assert!(matches!(case.run(None), Err(ProgramFailure::TooMuch(_, 1000))), "{text}");
    }
    let complaint =
        script("echo one >&2; printf '\\033[2J\\n' >&2; yes | head -c 10000000 >&2; exit 4").run(None).unwrap();
    assert_eq!(complaint.code, 4);
    assert!(complaint.complaint.starts_with("one; \\u{1b}[2J; y; y"), "{}", complaint.complaint);
    assert!(complaint.complaint.len() < 600);
}

#[test]
fn c4_the_environment_is_small() {
    let case = Case { environment: vec![("MAILSLUICE_SENDER", "() { :; }; echo\nx".to_owned())], ..script("env") };
    let printed = case.prints();
    // The shell adds PWD and its like; a value may have several lines.
    let names: Vec<&str> = printed.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let allowed = ["PATH", "HOME", "LANG", "USER", "MAILSLUICE_SENDER", "PWD", "OLDPWD", "SHLVL", "_"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
    assert!(names.contains(&"PATH") && names.contains(&"MAILSLUICE_SENDER"));
    let home = std::env::var("HOME").unwrap_or_else(|_| "/".into());
    assert_eq!(script("pwd -P").prints().trim(), fs::canonicalize(home).unwrap().to_str().unwrap());
}

/// What whoever started this process left open for every program is not ours to close.
fn inherited() -> Vec<String> {
    let is_inherited = |fd: &String| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("2000000");
        i64::from_str_radix(flags.trim(), 8).unwrap() & 0o2_000_000 == 0
    };
    let names = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(is_inherited).filter(|fd| fd.parse::<u32>().unwrap() > 3).collect()
}

#[test]
fn c5_it_gets_three_descriptors() {
    let _open = fs::File::open("/dev/null").unwrap();
    let listed = script("ls /proc/self/fd").prints();
    let inherited = inherited();
    let own: Vec<&str> = listed.lines().filter(|fd| !inherited.iter().any(|known| known == fd)).collect();
    // The fourth is the folder being listed.
    assert_eq!(own, ["0", "1", "2", "3"]);
    assert_eq!(script("cat").prints(), "", "without input there is nothing to read");
}

#[test]
fn c6_nothing_is_left_of_many() {
    let case = Case { run: vec!["/bin/true".to_owned()], ..script("") };
    case.run(Some(b"input")).unwrap();
    let before = descriptors();
    for _ in 0..300 {
        assert_eq!(case.run(Some(b"input")).unwrap().code, 0);
    }
    // Other tests of this process open files as well.
    assert!(descriptors() < before + 100);
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    assert!(children.split_whitespace().count() < 50, "{children}");
}

#[test]
fn c7_the_exit_code_is_told_and_a_signal_is_none() {
    for code in [0, 1, 75, 255] {
        assert_eq!(script(&format!("exit {code}")).run(None).unwrap().code, code);
    }
    let failure = script("echo so >&2; kill -9 $$").run(None).unwrap_err().to_string();
    assert_eq!(failure, "/bin/sh was ended by signal 9: so");
    // SIGPIPE is not ignored in the child: `yes` dies of it silently.
    assert_eq!(script("yes | head -n 1; exit 0").run(None).unwrap().complaint, "");
}

#[test]
fn what_cannot_be_started_says_why() {
    let of = |run: &[&str]| {
        let case = Case { run: run.iter().map(|word| (*word).to_owned()).collect(), ..script("") };
        case.run(None).unwrap_err()
    };
    assert!(matches!(of(&[]), ProgramFailure::Nothing));
    assert!(matches!(of(&["/nonexistent"]), ProgramFailure::Start(_, e) if e.kind() == io::ErrorKind::NotFound));
    assert!(matches!(of(&["/bin/echo", "a\0b"]), ProgramFailure::Nul(_)));
    assert!(matches!(of(&["/bin/echo", &"x".repeat(4 * 1024 * 1024)]), ProgramFailure::TooLong(_)));
    let case = script("exit 0");
    let as_root = Program { allow_root: false, ..case.program() }.run(None);
    assert_eq!(matches!(as_root, Err(ProgramFailure::Root(_))), rustix_is_root());
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

#[test]
fn c9_it_has_a_group_of_its_own_and_limits() {
    let group = script("ps -o pgid= -p $$ 2>/dev/null || awk '{print $5}' /proc/$$/stat; echo $$").prints();
    let numbers: Vec<&str> = group.split_whitespace().collect();
    assert_eq!(numbers[0], numbers[1], "{group}");
    // The limits are set right after the start.
    assert_eq!(script("sleep 0.3; ulimit -c; ulimit -t").prints(), "0\n120\n");
}
