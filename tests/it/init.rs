//! `init` on a terminal: from an empty home to mail that comes and goes, and to nothing where somebody stops.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::dns_server::DnsServer;
use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Sandbox;
use crate::support::smtp_login::Login;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};
use crate::support::terminal::Terminal;
use crate::support::tls::{self, Certificate};
use crate::support::wire::Security;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
const ADDRESS: &str = "me@firm.example";
const PASSWORD: &str = "open sesame ü";

/// A user of a firm of which nobody knows where its servers are, and who has nothing at home.
struct Newcomer {
    sandbox: Sandbox,
    _dns: DnsServer,
    resolver: String,
    smtp: SmtpServer,
    imap: ImapServer,
}

impl Newcomer {
    fn new(language: &str) -> Self {
        let mailbox = Mailbox::new(ADDRESS, PASSWORD);
        mailbox.add("INBOX", "From: ann@x.example\nSubject: welcome\n\nhello\n");
        let security = Security::Implicit(Certificate::Valid);
        let imap = ImapServer::start(&mailbox, ImapOptions::with_security(security));
        let login = Some(Login::new(ADDRESS, PASSWORD));
        let smtp = SmtpServer::start(SmtpOptions { login, security, ..SmtpOptions::default() }.with("AUTH PLAIN"));
        let dns = DnsServer::start(&[]);
        let mut sandbox = Sandbox::new(PROGRAM);
        let ca = tls::write_ca(sandbox.home());
        sandbox.env("SSL_CERT_FILE", ca.to_str().unwrap()).env("LC_ALL", language);
        Self { resolver: dns.address().to_string(), _dns: dns, sandbox, smtp, imap }
    }

    /// The places of the servers, as they are typed.
    fn places(&self) -> [String; 2] {
        [self.imap.port(), self.smtp.port()].map(|port| format!("localhost:{port}"))
    }

    fn begin(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(self.sandbox.command(&[&["init", "--resolver", &self.resolver], arguments].concat()))
    }

    fn config(&self) -> PathBuf {
        self.sandbox.home().join(".config/mailsluice")
    }

    /// What stands below the home, but for the certificate of the test.
    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        walk(self.sandbox.home(), &mut found);
        found.retain(|path| !path.ends_with("ca.pem"));
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

#[test]
fn from_an_empty_home_to_the_first_message_in_and_out() {
    let newcomer = Newcomer::new("C.UTF-8");
    let mut terminal = newcomer.begin(&[]);
    terminal.expect("Your address: ").type_line(ADDRESS);
    let [imap, smtp] = newcomer.places();
    terminal.expect("No servers were found").expect("IMAP server").type_line(&imap);
    terminal.expect("SMTP server").type_line(&smtp);
    terminal.expect("Password (not shown").type_line("wrong");
    terminal.expect("FAILED   login").expect("The server refuses it. Once more:");
    terminal.expect("Password (not shown").type_line(PASSWORD);
    terminal.expect("ok       sender");
    terminal.expect("Fetch how far back").type_line("soon");
    terminal.expect("That is not understood.").expect("Fetch how far back").type_line("30d");
    terminal.expect("Filters to begin with").expect(": ").type_line("1,3");
    terminal.expect("Who fetches").type_line("c");
    terminal.expect("-q fetch");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert!(!terminal.shown().contains(PASSWORD), "{}", terminal.shown());

    let text = fs::read_to_string(newcomer.config().join("config.yaml")).unwrap();
    for line in
        ["address: me@firm.example", "first: {since: 30d}", "  - lists/by-list-id", "password: {file: firm.password}"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let secret = newcomer.config().join("firm.password");
    assert_eq!(fs::read_to_string(&secret).unwrap(), format!("{PASSWORD}\n"));
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let check = newcomer.sandbox.run(&["check"]);
    assert!(check.code == 0 && check.stderr.contains("in order"), "{check}");

    let fetched = newcomer.sandbox.run(&["fetch"]);
    assert_eq!(fetched.code, 0, "{fetched}");
    assert_eq!(Maildirs::at(newcomer.sandbox.home().join("Mail")).in_folder("INBOX").len(), 1);
    let sent = newcomer.sandbox.run_with_stdin(&["sendmail", "-t"], "To: bob@y.example\nSubject: hi\n\nhello\n");
    assert_eq!(sent.code, 0, "{sent}");
    let run = newcomer.sandbox.run(&["queue", "run"]);
    assert_eq!(run.code, 0, "{run}");
    let commands = newcomer.smtp.commands();
    assert!(commands.iter().any(|line| line.starts_with("MAIL FROM:<me@firm.example>")), "{commands:?}");
    assert!(commands.iter().any(|line| line.starts_with("RCPT TO:<bob@y.example>")), "{commands:?}");
}

#[test]
fn in_chinese_where_the_locale_says_so() {
    let newcomer = Newcomer::new("zh_CN.UTF-8");
    let mut terminal = newcomer.begin(&[]);
    let [imap, smtp] = newcomer.places();
    terminal.expect("您的邮箱地址：").type_line(ADDRESS);
    terminal.expect("IMAP 服务器").type_line(&imap);
    terminal.expect("SMTP 服务器").type_line(&smtp);
    terminal.expect("密码或授权码").type_line(PASSWORD);
    terminal.expect("收取多久以前的邮件").type_line("");
    terminal.expect("初始过滤规则").expect("\n：").type_line("");
    terminal.expect("由谁收信").type_line("");
    terminal.expect("配置已写入");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    assert_eq!(newcomer.sandbox.run(&["check"]).code, 0);
}

/// At each question, and in the middle of the secret.
#[test]
fn whoever_stops_has_nothing_more_than_before() {
    let questions = [
        "Your address: ",
        "IMAP server",
        "SMTP server",
        "Password (not shown",
        "Fetch how far back",
        "Filters to begin with",
        "Who fetches",
    ];
    for stop in 0..questions.len() {
        let newcomer = Newcomer::new("C.UTF-8");
        let mut terminal = newcomer.begin(&[]);
        for (number, question) in questions.iter().enumerate() {
            terminal.expect(question);
            if number == stop {
                terminal.type_keys("ab\x03");
                break;
            }
            let [imap, smtp] = newcomer.places();
            terminal.type_line([ADDRESS, &imap, &smtp, PASSWORD, "", "", ""][number]);
        }
        let code = terminal.end();
        assert!(code != 0, "{stop}: {}", terminal.shown());
        assert_eq!(newcomer.files(), Vec::<PathBuf>::new(), "{stop}: {}", terminal.shown());
    }
}

/// What providers want is said before the secret is asked for; nobody is asked for more than five things.
#[test]
fn what_providers_want_is_said_first() {
    for (address, language, says) in [
        ("me@gmail.com", "C.UTF-8", "Gmail wants an app password"),
        ("me@qq.com", "zh_CN.UTF-8", "授权码"),
        ("me@163.com", "zh_CN.UTF-8", "授权码"),
        ("me@icloud.com", "C.UTF-8", "an app password"),
        ("me@web.de", "C.UTF-8", "must be enabled"),
    ] {
        let newcomer = Newcomer::new(language);
        let mut terminal =
            newcomer.begin(&[address, "--no-test", "--first", "new", "--filter", "none", "--service", "nobody"]);
        let asked = if language.starts_with("zh") { "密码或授权码" } else { "Password (not shown" };
        terminal.expect(says).expect(asked).type_line("abcd efgh");
        assert_eq!(terminal.end(), 0, "{}", terminal.shown());
        let check = newcomer.sandbox.run(&["check"]);
        assert!(check.code == 0 && check.stderr.contains("in order"), "{address}: {check}");
        let text = fs::read_to_string(newcomer.config().join("config.yaml")).unwrap();
        assert!(text.contains(&format!("address: {address}")) && text.contains("first: new"), "{text}");
    }
}

/// Microsoft takes no password: somebody signs in once the config is there.
#[test]
fn where_no_password_is_taken_somebody_signs_in() {
    let newcomer = Newcomer::new("C.UTF-8");
    let mut terminal = newcomer.begin(&["me@outlook.com", "--first", "new", "--filter", "none", "--service", "nobody"]);
    terminal.expect("OAuth2: no password").expect("Client id").type_line("00000000-1111-2222-3333-444444444444");
    terminal.expect("`mailsluice login outlook` signs in");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
    let check = newcomer.sandbox.run(&["check"]);
    assert!(check.code == 0 && check.stdout.contains("mailsluice login outlook"), "{check}");
    let doctor = newcomer.sandbox.run(&["doctor", "outlook"]);
    assert!(doctor.stdout.contains("FAILED   token") && doctor.stdout.contains("mailsluice login outlook"), "{doctor}");
}

/// Mail of the first account went out through the second one's server.
#[test]
fn a_second_account_leaves_the_first_its_way_out() {
    let newcomer = Newcomer::new("C.UTF-8");
    let run = |arguments: &[&str]| {
        newcomer.sandbox.run(&[&["init", "--resolver", &newcomer.resolver, "--yes", "--no-test"], arguments].concat())
    };
    let first = run(&["me@gmail.com", "--password-command", "pass show gmail"]);
    assert_eq!(first.code, 0, "{first}");
    let [imap, smtp] = newcomer.places();
    let second = run(&[ADDRESS, "--add", "--imap", &imap, "--smtp", &smtp, "--password-command", "pass show firm"]);
    assert_eq!(second.code, 0, "{second}");
    let check = newcomer.sandbox.run(&["check"]);
    assert!(
        check.stderr.contains("gmail: imap at imap.gmail.com port 993 as me@gmail.com, and out by smtp.gmail.com"),
        "{check}"
    );
    let text = fs::read_to_string(newcomer.config().join("config.yaml")).unwrap();
    assert!(text.contains("relay: firm") && text.contains(&format!("smtp: \"{smtp}\"")), "{text}");
    let twice = run(&["me@gmail.com", "--add", "--password-command", "pass show gmail"]);
    assert!(twice.code == 64 && twice.stderr.contains("`gmail` fetches that mailbox already"), "{twice}");
}

#[test]
fn scripts_answer_by_options() {
    let newcomer = Newcomer::new("C.UTF-8");
    let run =
        |arguments: &[&str]| newcomer.sandbox.run(&[&["init", "--resolver", &newcomer.resolver], arguments].concat());
    let [imap, smtp] = newcomer.places();
    let given = ["--imap", imap.as_str(), "--smtp", smtp.as_str()];
    let run = |arguments: &[&str]| run(&[&given, arguments].concat());
    let asked = run(&[ADDRESS]);
    assert!(asked.code == 64 && asked.stderr.contains("nobody is at a terminal"), "{asked}");
    let secretless = run(&[ADDRESS, "--yes"]);
    assert!(secretless.code == 64 && secretless.stderr.contains("--password-file"), "{secretless}");
    let path = newcomer.sandbox.write("secret", format!("{PASSWORD}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = run(&[ADDRESS, "--yes", "--password-command", "echo wrong"]);
    assert!(wrong.code == 69 && wrong.stderr.contains("nothing was written"), "{wrong}");
    assert_eq!(newcomer.files().len(), 1, "the secret of the test alone");
    let made = run(&[ADDRESS, "--yes", "--password-file", "secret", "--name", "work"]);
    assert_eq!(made.code, 0, "{made}");
    let again = run(&[ADDRESS, "--yes", "--password-file", "secret"]);
    assert!(again.code == 64 && again.stderr.contains("init --add"), "{again}");

    // The second account goes beside the first, and comments stay.
    let config = newcomer.config().join("config.yaml");
    let before = fs::read_to_string(&config).unwrap().replace("accounts:", "accounts: # mine");
    fs::write(&config, &before).unwrap();
    let added = run(&["me@gmail.com", "--add", "--yes", "--no-test", "--password-command", "pass show mail/gmail"]);
    assert_eq!(added.code, 0, "{added}");
    let text = fs::read_to_string(&config).unwrap();
    for line in before.lines() {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("password: {command: [\"pass\", \"show\", \"mail/gmail\"]}"), "{text}");
    let check = newcomer.sandbox.run(&["check"]);
    assert!(check.code == 0, "{check}");
    let fetched = newcomer.sandbox.run(&["fetch", "work"]);
    assert_eq!(fetched.code, 0, "{fetched}");
}

/// Where a server takes tokens alone, a script gives a client id or a program that prints them; a password is refused beforehand.
#[test]
fn scripts_sign_in_where_no_password_is_taken() {
    let newcomer = Newcomer::new("C.UTF-8");
    let run = |arguments: &[&str]| {
        newcomer.sandbox.run(&[&["init", "--resolver", &newcomer.resolver, "--yes", "--no-test"], arguments].concat())
    };
    for (wrong, says) in [
        (&["me@outlook.com"][..], "--client-id"),
        (&["me@outlook.com", "--password-command", "pass show x"], "takes no password"),
        (&["me@outlook.com", "--password-file", "nowhere"], "nowhere"),
        (&["me@outlook.com", "--client-id", "x", "--name", "a b"], "cannot be the name"),
        (&["me@outlook.com", "--client-id", "x", "--first", "soon"], "--first"),
        (&["me@gmail.com", "--client-id", "x"], "not known for this provider"),
    ] {
        let output = run(wrong);
        assert!(output.code != 0 && output.stderr.contains(says), "{wrong:?}: {output}");
        assert!(newcomer.files().is_empty(), "{wrong:?}");
    }
    let made = run(&["me@outlook.com", "--client-id", "1234-5678", "--name", "公司"]);
    assert!(made.code == 0 && made.stderr.contains("mailsluice login 公司"), "{made}");
    let text = fs::read_to_string(newcomer.config().join("config.yaml")).unwrap();
    assert!(text.contains("公司:") && text.contains("client_id: \"1234-5678\""), "{text}");
    assert_eq!(newcomer.sandbox.run(&["check"]).code, 0);
    let added = run(&["you@outlook.com", "--add", "--token-command", "oama access you@outlook.com"]);
    assert_eq!(added.code, 0, "{added}");
    let text = fs::read_to_string(newcomer.config().join("config.yaml")).unwrap();
    assert!(text.contains("token: {command: [\"oama\""), "{text}");
}
