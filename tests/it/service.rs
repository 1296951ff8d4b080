//! The daemon as a service: what systemd is told, what the journal gets, and the units that are given as examples.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::stage::{Account, filled};
use crate::support::faults::{Fault, Faults};
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::maildir::Maildirs;
use crate::support::sandbox::{Running, Sandbox};

const CONFIG: &str = ".config/mailsluice/config.yaml";
/// How long something that has to happen may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The exposure of the system's unit (`systemd-analyze security`), at most: 0 is best, 10 worst.
const EXPOSURE: f32 = 1.5;
/// The one for rules that start programs.
const EXPOSURE_WITH_PROGRAMS: f32 = 6.0;

/// A daemon under a service manager, which notes what it is told.
struct Managed {
    sandbox: Sandbox,
    told: Arc<Mutex<Vec<String>>>,
    _server: ImapServer,
}

impl Managed {
    fn new(faults: &Faults, watchdog: Option<Duration>) -> Self {
        let (mailbox, _) = filled(1);
        let server = ImapServer::start(&mailbox, ImapOptions::with_faults(faults).without("IDLE"));
        let mut sandbox = Account::imap(server.port()).with("poll: 1s").sandbox();
        let path = sandbox.home().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        sandbox.env("NOTIFY_SOCKET", path.to_str().unwrap());
        if let Some(watchdog) = watchdog {
            sandbox.env("WATCHDOG_USEC", &watchdog.as_micros().to_string());
        }
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&told);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                notes.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { sandbox, told, _server: server }
    }

    fn heard(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn count(&self, what: &str) -> usize {
        self.heard().iter().filter(|told| told.contains(what)).count()
    }

    #[track_caller]
    fn until(&self, what: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.count(what) < times {
            assert!(Instant::now() < until, "{times} times {what}: {:#?}", self.heard());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(&self, running: Running) {
        running.signal(Signal::TERM);
        let output = running.wait();
        assert_eq!(output.code, 0, "{output}");
    }
}

#[test]
fn systemd_is_told_when_it_is_ready_reads_its_config_and_stops() {
    let managed = Managed::new(&Faults::none(), None);
    let running = managed.sandbox.spawn(&["run"]);
    managed.until("READY=1", 1);
    // Whoever waited for that can give orders.
    assert_eq!(managed.sandbox.run(&["poll"]).code, 0);
    managed.until("STATUS=1 account: 1 waiting", 1);
    running.signal(Signal::HUP);
    managed.until("READY=1", 2);
    let heard = managed.heard();
    let reloading = heard.iter().position(|told| told.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    assert!(heard[reloading + 1..].contains(&"READY=1\n".to_owned()), "{heard:#?}");
    managed.stop(running);
    managed.until("STOPPING=1", 1);
    assert_eq!(managed.count("WATCHDOG=1"), 0, "nobody asked for it");
}

#[test]
fn systemd_is_told_that_it_is_alive() {
    let managed = Managed::new(&Faults::none(), Some(Duration::from_millis(400)));
    let running = managed.sandbox.spawn(&["run"]);
    managed.until("READY=1", 1);
    let (begun, before) = (Instant::now(), managed.count("WATCHDOG=1"));
    managed.until("WATCHDOG=1", before + 10);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "every 200 ms is enough: {:?}", begun.elapsed());
    // Nor does it forget over that what it waits for: a file has to be calm for longer than the pulse is.
    let config = managed.sandbox.read(CONFIG);
    managed.sandbox.config(&format!("{config}# changed\n"));
    managed.until("RELOADING=1", 1);
    managed.stop(running);
}

#[test]
fn systemd_is_told_which_accounts_fail_and_not_more_than_once_a_second() {
    let managed = Managed::new(&Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]), None);
    let begun = Instant::now();
    let running = managed.sandbox.spawn(&["run"]);
    managed.until("STATUS=1 account: 1 failing (me)", 1);
    std::thread::sleep(Duration::from_secs(2));
    let most = begun.elapsed().as_secs() as usize + 2;
    assert!(managed.count("STATUS=") <= most, "{:#?}", managed.heard());
    let config = managed.sandbox.read(CONFIG);
    managed.sandbox.config(&config.replace("accounts:", "acounts:"));
    managed.until("the changed config cannot be used", 1);
    managed.stop(running);
}

/// Runs a command with the journal as standard error, and returns what stands there.
fn in_the_journal(sandbox: &Sandbox, arguments: &[&str], is_another: bool) -> String {
    let path = sandbox.home().join("journal");
    let file = File::create(&path).unwrap();
    let stat = file.metadata().unwrap();
    let inode = stat.ino() + u64::from(is_another);
    let mut command = sandbox.command(arguments);
    command.env("JOURNAL_STREAM", format!("{}:{inode}", stat.dev()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).status().unwrap();
    fs::read_to_string(path).unwrap()
}

#[test]
fn the_journal_gets_priorities_and_one_line_for_each_event() {
    let (mailbox, _) = filled(1);
    let faults = Faults::of([Fault::RefuseLogin("[AUTHENTICATIONFAILED] no".into())]);
    let server = ImapServer::start(&mailbox, ImapOptions::with_faults(&faults));
    let sandbox = Account::imap(server.port()).sandbox();
    let lines = in_the_journal(&sandbox, &["-v", "fetch"], false);
    assert!(lines.lines().any(|line| line.starts_with("<3>me: ") && line.contains("AUTHENTICATIONFAILED")), "{lines}");
    for line in lines.lines() {
        let (priority, text) = line.split_at(3);
        assert!(["<3>", "<4>", "<6>"].contains(&priority), "{lines}");
        assert!(!text.starts_with("20"), "the journal has the time: {lines}");
    }

    let config = sandbox.read(CONFIG);
    sandbox.config(&config.replace("accounts:", "acounts:"));
    let lines = in_the_journal(&sandbox, &["fetch"], false);
    let first = lines.lines().next().unwrap();
    assert!(first.starts_with("<3>") && first.contains("did you mean `accounts`"), "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("<3>") && !line.contains(" | ")), "{lines}");
    // It was systemd's, and is another file now.
    assert!(in_the_journal(&sandbox, &["fetch"], true).contains(" | "));
}

#[test]
fn a_config_that_breaks_is_told_by_one_notice() {
    let managed = Managed::new(&Faults::none(), None);
    let running = managed.sandbox.spawn(&["run"]);
    managed.until("READY=1", 1);
    let config = managed.sandbox.read(CONFIG);
    let notices = || {
        let mail = Maildirs::at(managed.sandbox.maildir()).delivered();
        let texts = mail.into_iter().map(|found| String::from_utf8_lossy(&found.bytes).into_owned());
        texts.filter(|text| text.contains("X-Mailsluice-Notice: config-broken")).collect::<Vec<_>>()
    };
    for (round, wrong) in ["acounts:", "accuonts:"].iter().enumerate() {
        managed.sandbox.config(&config.replace("accounts:", wrong));
        assert_eq!(managed.sandbox.run(&["reload"]).code, 78);
        assert_eq!(notices().len(), 1, "round {round}");
        managed.sandbox.config(&config);
        assert_eq!(managed.sandbox.run(&["reload"]).code, 0);
    }
    let text = notices().remove(0);
    for part in ["Subject: [mailsluice] config: it cannot be used", "did you mean `accounts`", "mailsluice check"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    managed.stop(running);
}

/// The units of a folder of examples, with programs that are there, as `systemd-analyze` takes them.
fn units(folder: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(Path::new("examples").join(folder)).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let there =
            text.replace("%h/.cargo/bin/mailsluice", "/bin/true").replace("/usr/local/bin/mailsluice", "/bin/true");
        fs::write(copy.path().join(entry.file_name()), there).unwrap();
    }
    copy
}

/// `None` where there is no `systemd-analyze`, which is said.
fn analyze(arguments: &[&str], unit: &Path) -> Option<String> {
    let mut command = Command::new("systemd-analyze");
    // The user's manager has a place there.
    command.env("XDG_RUNTIME_DIR", unit.parent().unwrap()).args(arguments).arg(unit);
    match command.output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(output.status.success(), "{arguments:?} {}: {said}", unit.display());
            Some(said)
        }
        Err(e) => {
            assert!(std::env::var_os("MAILSLUICE_REQUIRE_SYSTEMD").is_none(), "systemd-analyze: {e}");
            eprintln!("skipped: systemd-analyze: {e}");
            None
        }
    }
}

#[test]
fn the_units_are_what_systemd_takes() {
    let of_user = ["mailsluice.service", "mailsluice-fetch.service", "mailsluice-fetch.timer"];
    let of_system = ["mailsluice-queue@www-data.service", "mailsluice-queue@www-data.timer"];
    let folder = units("systemd");
    for (units, manager) in [(&of_user[..], "--user"), (&of_system[..], "--system")] {
        for unit in units {
            let said = analyze(&[manager, "--man=no", "verify"], &folder.path().join(unit));
            assert!(said.is_none_or(|said| !said.contains(folder.path().to_str().unwrap())), "{unit}");
        }
    }
    let folder = units("systemd-system");
    for unit in ["mailsluice.service", "mailsluice-programs.service"] {
        let said = analyze(&["--man=no", "verify"], &folder.path().join(unit));
        assert!(said.is_none_or(|said| !said.contains(folder.path().to_str().unwrap())), "{unit}");
    }
}

#[test]
fn the_units_of_the_system_expose_little() {
    let folder = units("systemd-system");
    for (unit, most) in [("mailsluice.service", EXPOSURE), ("mailsluice-programs.service", EXPOSURE_WITH_PROGRAMS)] {
        let threshold = (most * 10.0).to_string();
        let measured = analyze(
            &["security", "--offline=true", "--no-pager", &format!("--threshold={threshold}")],
            &folder.path().join(unit),
        );
        let Some(said) = measured else { continue };
        let level = said.lines().find_map(|line| line.split("service: ").nth(1)).unwrap_or_else(|| panic!("{said}"));
        let level: f32 = level.split(' ').next().unwrap().parse().unwrap();
        assert!(level <= most, "{unit}: {level}");
    }
}

/// What the shell's commands find without being told, the service finds, too.
#[test]
fn the_service_has_its_config_and_state_where_the_shell_has_them() {
    for folder in ["systemd", "systemd-system"] {
        for entry in fs::read_dir(Path::new("examples").join(folder)).unwrap().map(Result::unwrap) {
            let unit = fs::read_to_string(entry.path()).unwrap();
            let has_other_config = unit.contains("ExecStart") && unit.contains(" -c ");
            assert!(!has_other_config, "{}", entry.path().display());
            if let Some((_, state)) = unit.split_once("\nStateDirectory=") {
                let state = format!("state: /var/lib/{}", state.lines().next().unwrap());
                let config = fs::read_to_string(format!("examples/{folder}/config.yaml")).unwrap();
                assert!(config.lines().any(|line| line == state), "{state}");
            }
        }
    }
}
