//! `doctor` before broken set-ups: the first failed line names the cause, and what helps stands below it.

use std::any::Any;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::imap_server::{ImapOptions, ImapServer};
use crate::support::mailbox::Mailbox;
use crate::support::pop3_server::{Pop3Options, Pop3Server};
use crate::support::sandbox::{Output, Sandbox};
use crate::support::smtp_login::Login;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};
use crate::support::tls::{self, Certificate};
use crate::support::wire::Security;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");
const PASSWORD: &str = "open sesame";

/// A home with a config, and the servers that it names.
struct Patient {
    sandbox: Sandbox,
    config: String,
    servers: Vec<Box<dyn Any>>,
}

impl Patient {
    fn new() -> Self {
        let sandbox = Sandbox::new(PROGRAM);
        tls::write_ca(sandbox.home());
        Self {
            sandbox,
            config: "maildir: ~/Mail\nstate: ~/state\nme: [me@home.example]\n".to_owned(),
            servers: Vec::new(),
        }
    }

    fn top(mut self, lines: &str) -> Self {
        self.config += lines;
        self
    }

    /// An account `work` with these keys; a password is added where none is among them.
    fn account(mut self, keys: &str) -> Self {
        let password = if keys.contains("password:") || keys.contains("token:") || keys.contains("external") {
            String::new()
        } else {
            format!("    password: {PASSWORD}\n")
        };
        let user = if keys.contains("user:") { "" } else { "    user: me\n" };
        let keys: String = keys.split('\n').map(|key| format!("    {key}\n")).collect();
        self.config += &format!("accounts:\n  work:\n{keys}{user}{password}");
        self
    }

    /// The relay `default` with these keys.
    fn relay(mut self, keys: &str) -> Self {
        let keys: String = keys.split('\n').map(|key| format!("    {key}\n")).collect();
        self.config += &format!("relays:\n  default:\n{keys}");
        self
    }

    fn keeping(mut self, server: impl Any) -> Self {
        self.servers.push(Box::new(server));
        self
    }

    fn examined(&self, arguments: &[&str]) -> Output {
        self.sandbox.config(&self.config);
        self.sandbox.run(&[&["doctor"], arguments].concat())
    }

    fn findings(&self) -> Vec<Value> {
        let output = self.examined(&["--json"]);
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output}"))).collect()
    }

    /// The first failed step, and what stands there.
    #[track_caller]
    fn fails_at(&self, case: &str, step: &str, says: &str, next: &str) {
        let findings = self.findings();
        let first =
            findings.iter().find(|it| it["verdict"] == "failed").unwrap_or_else(|| panic!("{case}: {findings:#?}"));
        let text = |key: &str| first[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("step"), step, "{case}: {first:#?}");
        assert!(text("says").contains(says), "{case}: {first:#?}");
        assert!(text("next").contains(next), "{case}: {first:#?}");
        assert!(!format!("{findings:?}").contains(PASSWORD), "{case}: {findings:#?}");
        let output = self.examined(&[]);
        assert!(output.code != 0 && output.stdout.contains("FAILED"), "{case}: {output}");
    }
}

fn mailbox() -> Mailbox {
    let mailbox = Mailbox::new("me", PASSWORD);
    mailbox.add("INBOX", "Subject: hello\n\nworld\n");
    mailbox
}

fn imap(security: Security) -> (ImapServer, u16) {
    let server = ImapServer::start(&mailbox(), ImapOptions::with_security(security));
    let port = server.port();
    (server, port)
}

fn pop3(security: Security) -> (Pop3Server, u16) {
    let server = Pop3Server::start(&mailbox(), Pop3Options::with_security(security));
    let port = server.port();
    (server, port)
}

fn smtp(options: SmtpOptions) -> (SmtpServer, u16) {
    let server = SmtpServer::start(options);
    let port = server.port();
    (server, port)
}

fn with_login() -> SmtpOptions {
    SmtpOptions { login: Some(Login::new("me", PASSWORD)), ..SmtpOptions::default() }.with("AUTH PLAIN LOGIN")
}

/// A port at which nobody listens.
fn closed() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A server that greets, and says one thing to each command, whoever comes: the first of `replies` whose word is in the line.
/// `<tag>` is the first word of the line.
fn parrot(greeting: &'static str, replies: &'static [(&'static str, &'static str)]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // A client that goes is no failure.
            std::thread::spawn(move || talk(client, greeting, replies).ok());
        }
    });
    port
}

fn talk(mut client: TcpStream, greeting: &str, replies: &[(&str, &str)]) -> std::io::Result<()> {
    client.write_all(format!("{greeting}\r\n").as_bytes())?;
    for line in BufReader::new(client.try_clone()?).lines() {
        let line = line?;
        let tag = line.split(' ').next().unwrap_or_default();
        let reply = replies.iter().find(|(word, _)| line.contains(word)).map_or("<tag> BAD what?", |(_, reply)| *reply);
        client.write_all(format!("{}\r\n", reply.replace("<tag>", tag)).as_bytes())?;
    }
    Ok(())
}

/// An account over IMAP without TLS at this machine.
fn plain(port: u16) -> String {
    format!("imap: {{host: 127.0.0.1, port: {port}, tls: none}}")
}

fn relay_of(port: u16, more: &str) -> String {
    format!(
        "smtp: {{host: 127.0.0.1, port: {port}, tls: none}}\nuser: me\npassword: {PASSWORD}\nfrom: me@home.example{more}"
    )
}

const IMAP: &str = "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready";

#[test]
fn what_works_is_said_step_by_step() {
    let (imap, imap_port) = imap(Security::Implicit(Certificate::Valid));
    let (smtp, smtp_port) = smtp(with_login());
    let patient = Patient::new();
    let ca = patient.sandbox.home().join("ca.pem").display().to_string();
    let patient = patient
        .account(&format!("imap: {{host: localhost, port: {imap_port}, ca_file: {ca}}}"))
        .relay(&relay_of(smtp_port, ""))
        .keeping(imap);
    let output = patient.examined(&[]);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stderr.contains("all is well"), "{output}");
    for line in [
        "this machine\n  ok       config",
        "\nwork\n  ok       password     it stands in the config",
        "  ok       TLS          TLS 1.3, trusted by `ca_file`; certificate for localhost, signed by CN=mailsluice test CA",
        "  ok       mechanisms   PLAIN",
        "  ok       login        as me",
        "  ok       folders      INBOX with 1 messages",
        "  ok       a message    the newest can be read",
        "\ndefault\n",
        "  ok       sender       me@home.example may send, to me@home.example",
    ] {
        assert!(output.stdout.contains(line), "{line}\n{output}");
    }
    // Nothing was sent, and nothing is here.
    let commands = smtp.commands();
    assert!(commands.iter().any(|line| line.starts_with("RCPT")), "{commands:?}");
    assert!(!commands.iter().any(|line| line == "DATA"), "{commands:?}");
    assert!(!patient.sandbox.home().join("Mail").exists());
}

#[test]
fn this_machine_is_the_cause() {
    let patient = Patient::new();
    fs::remove_file(patient.sandbox.home().join(".config")).ok();
    let output = patient.sandbox.run(&["doctor"]);
    assert!(output.code == 78 && output.stdout.contains("FAILED   config"), "{output}");

    Patient::new().top("acounts: {}\n").fails_at(
        "a key that is none",
        "config",
        "unknown key `acounts`",
        "mailsluice check",
    );
    let patient = Patient::new();
    let config = patient.config.replace("~/Mail", "/proc/nothing/Mail");
    Patient { config, ..patient }.account(&plain(1)).fails_at(
        "a mail root nowhere",
        "mail root",
        "cannot be made",
        "mounted",
    );

    let patient = Patient::new().account(&plain(1));
    fs::create_dir(patient.sandbox.home().join("state")).unwrap();
    fs::write(patient.sandbox.home().join("state/state.db"), "no database at all, but long enough to be looked at")
        .unwrap();
    patient.fails_at("a damaged database", "memory", "`mailsluice rebuild` moves it aside", "");
    if !rustix::process::geteuid().is_root() {
        let patient = Patient::new().account(&plain(1));
        let state = patient.sandbox.home().join("state");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o500)).unwrap();
        patient.fails_at("a state that is read-only", "state", "Permission denied", "chmod u+rwx");
    }
}

#[test]
fn the_secret_is_the_cause() {
    let at = plain(1);
    let file = Patient::new().account(&format!("{at}\npassword: {{file: ~/secret}}"));
    file.fails_at("no such file", "password", "No such file", "");
    let path = file.sandbox.write("secret", "x\n");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    file.fails_at("a file for all", "password", "is open to others: chmod 600", "");
    for (case, password, says) in [
        ("no variable", "{env: NOT_SET}", "$NOT_SET is not set"),
        ("a program that fails", "{command: ['false']}", "exit status: 1"),
        ("no such program", "{command: [no-such-program-here]}", "no-such-program-here"),
        ("no credential", "{credential: mail}", "$CREDENTIALS_DIRECTORY is not set"),
    ] {
        Patient::new().account(&format!("{at}\npassword: {password}")).fails_at(case, "password", says, "");
    }
    let relay = "smtp: {host: 127.0.0.1, port: 1, tls: none}\nuser: me\npassword: {env: NOT_SET}";
    Patient::new().relay(relay).fails_at("no variable for a relay", "password", "$NOT_SET is not set", "");
}

#[test]
fn the_way_to_the_server_is_the_cause() {
    let at = |host: &str, port: u16| Patient::new().account(&format!("imap: {host}:{port}"));
    at("imap.nothing.invalid", 993).fails_at(
        "no such name",
        "name",
        "looking up imap.nothing.invalid",
        "is the name in the config right",
    );
    at("127.0.0.1", closed()).fails_at("nobody listens", "connection", "refused", "is the port right");
    let relay = format!("smtp: 127.0.0.1:{}", closed());
    Patient::new().relay(&relay).fails_at("no relay listens", "connection", "refused", "is the port right");
    Patient::new().relay("smtp: smtp.nothing.invalid").fails_at(
        "no such relay",
        "name",
        "smtp.nothing.invalid",
        "is the name in the config right",
    );
    Patient::new().relay("lmtp: /nowhere/lmtp").fails_at(
        "no socket",
        "greeting",
        "/nowhere/lmtp",
        "is the server that listens there running",
    );
    let program = "sendmail: /usr/sbin/no-sendmail-here";
    Patient::new().relay(program).fails_at("no sendmail", "program", "does not exist", "install a mail server");
}

#[test]
fn tls_is_the_cause() {
    let ca = |patient: &Patient| patient.sandbox.home().join("ca.pem").display().to_string();
    for (case, certificate, says, next) in [
        ("expired", Certificate::Expired, "expired", "tls_pin"),
        ("not yet valid", Certificate::NotYetValid, "not valid yet", "tls_pin"),
        ("for another name", Certificate::WrongName, "not valid for name", "must be the name in it"),
        ("by nobody", Certificate::SelfSigned, "nobody this machine trusts", "`ca_file` names another authority"),
    ] {
        for (tls, security) in
            [("implicit", Security::Implicit(certificate)), ("starttls", Security::StartTls(certificate))]
        {
            let (server, port) = imap(security);
            let patient = Patient::new();
            let server_keys = format!("imap: {{host: localhost, port: {port}, tls: {tls}, ca_file: {}}}", ca(&patient));
            patient.account(&server_keys).keeping(server).fails_at(case, "TLS", says, next);
        }
    }
    let (server, port) = imap(Security::Implicit(Certificate::Valid));
    let pin = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let pinned = format!("imap: {{host: localhost, port: {port}, tls_pin: {pin}}}");
    Patient::new().account(&pinned).fails_at(
        "another key",
        "TLS",
        "none of the pins in `tls_pin`",
        "somebody intercepts the connection",
    );
    let shown = format!("imap: {{host: localhost, port: {port}, client_cert: ~/no.pem}}\nauth: external");
    Patient::new().account(&shown).fails_at("no certificate to show", "greeting", "client_cert", "");
    // A connection that begins with TLS, asked for in the clear, and the reverse.
    let wrong = format!("imap: {{host: localhost, port: {port}, tls: starttls}}");
    Patient::new().account(&wrong).keeping(server).fails_at("TLS from the start", "TLS", "write `tls: implicit`", "");
    let (server, port) = imap(Security::Plain);
    let wrong = format!("imap: {{host: localhost, port: {port}, tls: implicit}}");
    Patient::new().account(&wrong).keeping(server).fails_at("no TLS", "TLS", "write `tls: starttls`", "");
    let (server, port) = imap(Security::Plain);
    let wrong = format!("imap: {{host: localhost, port: {port}, tls: starttls}}");
    Patient::new().account(&wrong).keeping(server).fails_at("no STARTTLS", "TLS", "STARTTLS", "");
}

#[test]
fn something_else_answers() {
    let (server, port) = pop3(Security::Plain);
    Patient::new().account(&plain(port)).keeping(server).fails_at("POP3 for IMAP", "greeting", "POP3", "");
    let (server, port) = imap(Security::Plain);
    let other = format!("pop3: {{host: 127.0.0.1, port: {port}, tls: none}}");
    Patient::new().account(&other).keeping(server).fails_at("IMAP for POP3", "greeting", "IMAP", "");
    let (server, port) = smtp(SmtpOptions::default());
    Patient::new().account(&plain(port)).keeping(server).fails_at("SMTP for IMAP", "greeting", "SMTP", "");
    let (server, port) = imap(Security::Plain);
    Patient::new().relay(&relay_of(port, "")).keeping(server).fails_at("IMAP for SMTP", "greeting", "IMAP", "");
    let web = parrot("HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/", &[]);
    Patient::new().account(&plain(web)).fails_at("a web server", "greeting", "", "");
    let busy = parrot("* BYE Maximum number of connections from user+IP exceeded", &[]);
    Patient::new().account(&plain(busy)).fails_at(
        "too many connections",
        "greeting",
        "Maximum number of connections",
        "",
    );
    let blocked = parrot("554 5.7.1 your address is on a list", &[]);
    Patient::new().relay(&relay_of(blocked, "")).fails_at("a list of addresses", "greeting", "554 5.7.1", "");
}

#[test]
fn the_login_is_the_cause() {
    let (server, port) = imap(Security::Plain);
    let wrong = Patient::new().account(&format!("{}\npassword: wrong", plain(port)));
    wrong.keeping(server).fails_at("a wrong password", "login", "", "many providers want an app password");
    let (server, port) = pop3(Security::Plain);
    let wrong = format!("pop3: {{host: 127.0.0.1, port: {port}, tls: none}}\npassword: wrong");
    Patient::new().account(&wrong).keeping(server).fails_at(
        "over POP3",
        "login",
        "",
        "many providers want an app password",
    );
    let says = |reply: &'static [(&'static str, &'static str)]| Patient::new().account(&plain(parrot(IMAP, reply)));
    says(&[("AUTHENTICATE", "<tag> NO LOGIN Login error or password error")]).fails_at(
        "163",
        "login",
        "Login error",
        "授权码",
    );
    says(&[("AUTHENTICATE", "<tag> NO [ALERT] Application-specific password required: https://support.google.com")])
        .fails_at("Gmail", "login", "Application-specific", "app password");
    says(&[("AUTHENTICATE", "<tag> BAD User is authenticated but not connected.")]).fails_at(
        "IMAP switched off at Microsoft",
        "login",
        "not connected",
        "Forwarding and IMAP",
    );
    says(&[("AUTHENTICATE", "<tag> NO [UNAVAILABLE] try later")]).fails_at(
        "later",
        "login",
        "try later",
        "may be temporary",
    );
    let no_way = parrot("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready", &[]);
    Patient::new().account(&plain(no_way)).fails_at("no way in", "login", "offers no login with a password", "");
    let named = parrot(IMAP, &[]);
    Patient::new().account(&format!("{}\nauth: cram-md5", plain(named))).fails_at(
        "a mechanism that is not there",
        "login",
        "does not offer CRAM-MD5",
        "",
    );
    Patient::new().account(&format!("{}\ntoken: {{command: [echo, ya29.x]}}", plain(named))).fails_at(
        "a token where none is taken",
        "login",
        "offers no login with an access token",
        "",
    );
}

#[test]
fn the_mailbox_is_the_cause() {
    let (server, port) = imap(Security::Plain);
    let missing = format!("{}\nfolders: [Archive/2026]", plain(port));
    Patient::new().account(&missing).keeping(server).fails_at(
        "no such folder",
        "folders",
        "Archive/2026",
        "folders: all",
    );
    let (server, port) = imap(Security::Plain);
    let none = format!("{}\nfolders: ['Lists/*']", plain(port));
    Patient::new().account(&none).keeping(server).fails_at("a pattern for nothing", "folders", "Lists/*", "");
}

#[test]
fn the_relay_is_the_cause() {
    let relay = |options: SmtpOptions, more: &str| {
        let (server, port) = smtp(options);
        Patient::new().relay(&relay_of(port, more)).keeping(server)
    };
    let refuses = |reply: &str| with_login().reply("AUTH", reply);
    relay(refuses("535 5.7.8 Error: authentication failed"), "").fails_at(
        "a wrong password",
        "login",
        "535 5.7.8",
        "many providers want an app password",
    );
    relay(refuses("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."), "")
        .fails_at("a policy of the tenant", "login", "5.7.139", "administrator can enable it");
    relay(refuses("550 5.7.30 Basic authentication is not supported for Client Submission."), "").fails_at(
        "no password any more",
        "login",
        "5.7.30",
        "token",
    );
    relay(SmtpOptions::default(), "").fails_at(
        "no login at all",
        "login",
        "offers no login with a password",
        "remove `user`",
    );
    relay(with_login().reply("MAIL", "553 Mail from must equal authorized user"), "").fails_at(
        "another sender",
        "sender",
        "553 Mail from must equal",
        "`from` of the relay",
    );
    relay(with_login().reply("RCPT", "554 5.7.1 relay access denied"), "").fails_at(
        "no relaying",
        "sender",
        "relay access denied",
        "",
    );
    let (server, port) = smtp(SmtpOptions { security: Security::Implicit(Certificate::Valid), ..with_login() });
    let wrong = format!("smtp: {{host: localhost, port: {port}, tls: starttls}}\nuser: me\npassword: {PASSWORD}");
    Patient::new().relay(&wrong).keeping(server).fails_at("TLS from the start", "TLS", "write `tls: implicit`", "");
}

/// The answers of a relay that takes mail from its own user alone go out otherwise, which is no failure.
#[test]
fn what_works_in_another_way_is_a_warning() {
    let (imap, imap_port) = imap(Security::Plain);
    let (relay, relay_port) = smtp(with_login().reply("MAIL FROM:<>", "553 Mail from must equal authorized user"));
    let patient =
        Patient::new().account(&plain(imap_port)).relay(&relay_of(relay_port, "")).keeping(imap).keeping(relay);
    let output = patient.examined(&[]);
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stdout.contains("warning  null sender"), "{output}");
    assert!(output.stderr.contains("it works; 1 step to look at"), "{output}");
}

#[test]
fn mail_that_comes_and_does_not_go_is_said() {
    let (imap, port) = imap(Security::Plain);
    let patient = Patient::new().account(&plain(port)).relay(&relay_of(closed(), "")).keeping(imap);
    let findings = patient.findings();
    let last = findings.last().unwrap();
    assert_eq!(
        (last["step"].as_str(), last["says"].as_str()),
        (Some("altogether"), Some("mail can be received but not sent"))
    );
    let one = patient.examined(&["work"]);
    assert!(one.code == 0 && !one.stdout.contains("default"), "{one}");
    let nobody = patient.examined(&["wrok"]);
    assert!(nobody.code == 64 && nobody.stderr.contains("did you mean `work`?"), "{nobody}");
}

/// A server that files what is sent to it into the mailbox that is looked at.
#[test]
fn a_test_is_sent_and_found() {
    let mailbox = mailbox();
    let imap = ImapServer::start(&mailbox, ImapOptions::default());
    let (relay, port) = smtp(with_login());
    let patient = Patient::new().account(&plain(imap.port())).relay(&relay_of(port, "")).keeping(imap);
    patient.sandbox.config(&patient.config);
    let running = patient.sandbox.spawn(&["doctor", "--send"]);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while relay.count() == 0 && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let sent = relay.mails();
    mailbox.add("INBOX", String::from_utf8_lossy(&sent[0].wire).replace("\r\n", "\n"));
    let output = running.wait();
    assert_eq!(output.code, 0, "{output}");
    assert!(
        output.stdout.contains("was sent to me@home.example") && output.stdout.contains("has arrived in work"),
        "{output}"
    );
    assert_eq!(sent[0].to, ["me@home.example"]);
}

/// Without any config, as whoever has none yet.
#[test]
fn a_server_in_no_config_is_asked() {
    let patient = Patient::new();
    let (_server, port) = imap(Security::Plain);
    let output = patient.sandbox.run(&["doctor", &format!("localhost:{port}")]);
    assert!(output.stdout.contains("FAILED   TLS") && output.stdout.contains("tls: starttls"), "{output}");
    let gone = patient.sandbox.run(&["doctor", &format!("localhost:{}", closed())]);
    assert!(gone.code == 75 && gone.stdout.contains("FAILED   connection"), "{gone}");
}
