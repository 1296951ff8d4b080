//! Signing in by OAuth2: a provider of ours, a real Dovecot that asks it about tokens, and the real program.

mod apps;
mod canary;
mod dovecot;
mod kill;
mod refusals;
mod renewing;
mod running;
mod signing_in;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use mailsluice::config::Config;
use serde_json::Value;

use crate::support::oauth_server::{OauthOptions, OauthServer, get};
use crate::support::sandbox::{Output, Sandbox};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_mailsluice");

/// A home with one account, `work`, of the user `me`.
pub struct Home {
    pub sandbox: Sandbox,
    pub provider: OauthServer,
}

impl Home {
    /// `server`: like `imap: …`, and what else is to stand in the account.
    pub fn new(options: OauthOptions, server: &str) -> Self {
        Self::with(options, server, "")
    }

    /// With whatever else is to stand in the config; `OAUTH2` in it is the provider.
    pub fn with(options: OauthOptions, server: &str, more: &str) -> Self {
        let provider = OauthServer::start(options);
        let home = Home { sandbox: Sandbox::in_memory(PROGRAM), provider };
        home.configure(server, more);
        home
    }

    pub fn configure(&self, server: &str, more: &str) {
        let oauth2 = self.provider.yaml();
        let more = more.replace("OAUTH2", &oauth2);
        self.sandbox.config(&format!(
            "maildir: ~/Mail\naccounts:\n  work:\n    {server}\n    user: me\n    oauth2: {oauth2}\n{more}"
        ));
    }

    /// Signed in as a person would by a browser.
    pub fn signed_in(self) -> Self {
        let output = self.log_in(&["login", "work"]);
        assert_eq!(output.code, 0, "{output}");
        self
    }

    /// Runs `login` and plays the browser.
    pub fn log_in(&self, arguments: &[&str]) -> Output {
        let mut login = Login::begin(&self.sandbox, arguments);
        let address = login.address();
        get(&self.provider.browse(&address));
        login.end()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.sandbox.run(arguments)
    }

    /// The file of the tokens.
    pub fn file(&self) -> PathBuf {
        let folder = self.sandbox.home().join(".local/state/mailsluice/sign-ins");
        let names = std::fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            names.filter(|path| path.extension().is_some_and(|suffix| suffix == "json")).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    pub fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    pub fn kept_text(&self, field: &str) -> String {
        self.kept()[field].as_str().unwrap_or_default().to_owned()
    }

    /// As if so many seconds had gone by since tokens were given.
    pub fn age(&self, seconds: i64) {
        let mut kept = self.kept();
        kept["renewed"] = (kept["renewed"].as_i64().unwrap() - seconds).into();
        std::fs::write(self.file(), kept.to_string()).unwrap();
    }

    /// As if the provider had ended the sign-in so many seconds before.
    pub fn age_the_end(&self, seconds: i64) {
        let mut kept = self.kept();
        kept["over"]["at"] = (kept["over"]["at"].as_i64().unwrap() - seconds).into();
        std::fs::write(self.file(), kept.to_string()).unwrap();
    }
}

/// `login` at work.
pub struct Login {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    said: String,
}

impl Login {
    pub fn begin(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = sandbox.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Login { child, stdout, said: String::new() }
    }

    /// The next line of standard output.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        self.said += &line;
        line.trim_end().to_owned()
    }

    /// The address for the browser.
    pub fn address(&mut self) -> String {
        loop {
            let line = self.line();
            if line.is_empty() {
                let mut stderr = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("no address: {} {stderr}", self.said);
            }
            if line.starts_with("http") {
                return line;
            }
        }
    }

    pub fn paste(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn end(mut self) -> Output {
        drop(self.child.stdin.take());
        self.stdout.read_to_string(&mut self.said).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Output { code, stdout: std::mem::take(&mut self.said), stderr }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// An account that no test connects to.
pub const NOWHERE: &str = "imap: {host: 127.0.0.1, port: 1, tls: none}";

/// The name of the file of the tokens follows from provider, client and user, and from nothing else.
#[test]
fn account_and_relay_of_one_user_share_one_sign_in() {
    let relay = "relays:\n  out: {smtp: {host: 127.0.0.1, port: 1, tls: none}, user: me, oauth2: OAUTH2}\n  \
                 other: {smtp: {host: 127.0.0.1, port: 1, tls: none}, user: you, oauth2: OAUTH2}\n";
    let home = Home::with(OauthOptions::default(), NOWHERE, relay).signed_in();
    let (config, _) = Config::load(&home.sandbox.home().join(".config/mailsluice/config.yaml")).unwrap();
    let keys: Vec<_> = config.sign_ins().map(|it| it.key().unwrap()).collect();
    assert!(keys[0] == keys[1] && keys[0] != keys[2], "{keys:?}");
    let output = home.log_in(&["login", "out"]);
    assert!(output.stdout.contains("for work, out"), "{output}");
    assert!(home.file().file_name().unwrap().to_str().unwrap().starts_with(&keys[0]));
}
