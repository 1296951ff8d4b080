//! The config as text, whole or with one account more; comments and order of what is there stay.

use std::path::Path;

use super::answers::{InitAnswers, SecretSource, WrittenPlace};
use super::language::Language;
use crate::clean;
use crate::cli::output::count;
use crate::config::problem::Severity;
use crate::config::{Account, Config, Examined, is_account_name};
use crate::error::{Error, Kind, Result};
use crate::providers::MailProtocol;

/// The relay that is taken when nobody names one.
const DEFAULT_RELAY: &str = "default";

/// A config for whoever had none.
pub(super) fn whole(answers: &InitAnswers, language: Language) -> String {
    let (about, mail, sort) = match language {
        Language::English => (
            "What mailsluice does with your mail. `mailsluice check` reads it and says what is wrong in it;\n# `mailsluice docs reference` has every key.",
            "Where mail is filed: each folder is a Maildir.",
            "How mail is sorted: these come with the program (`mailsluice filters list`); your own go under `rules`.",
        ),
        Language::Chinese => (
            "mailsluice 的配置文件。`mailsluice check` 可检查错误；`mailsluice docs reference` 列出全部选项。",
            "邮件存放的位置，每个文件夹都是 Maildir。",
            "过滤规则：以下为程序自带（`mailsluice filters list`），自己的规则写在 `rules` 下。",
        ),
    };
    let mut text = format!("# {about}\n\n# {mail}\nmaildir: {}\n\naccounts:\n", scalar(&answers.maildir));
    text += &account(answers, &kept(answers), "  ");
    if !answers.is_known
        && let Some(outgoing) = &answers.outgoing
    {
        text += &format!("\nrelays:\n{}", relay(answers, outgoing, DEFAULT_RELAY, &kept(answers), "  "));
    }
    text += &format!("\n# {sort}\n");
    match answers.filters.is_empty() {
        true => text += "filters: []\n",
        false => {
            text +=
                &format!("filters:\n{}", answers.filters.iter().map(|name| format!("  - {name}\n")).collect::<String>())
        }
    }
    text
}

/// The same for a trial: with a secret that stands nowhere yet.
pub(super) fn for_trial(answers: &InitAnswers) -> String {
    use secrecy::ExposeSecret;
    let secret = match &answers.secret {
        SecretSource::Typed(typed) => format!("password: {}", quoted(typed.expose_secret())),
        SecretSource::File(_) | SecretSource::Command(_) | SecretSource::ClientId(_) => kept(answers),
    };
    let mut text = format!("maildir: {}\naccounts:\n{}", scalar(&answers.maildir), account(answers, &secret, "  "));
    if !answers.is_known
        && let Some(outgoing) = &answers.outgoing
    {
        text += &format!("relays:\n{}", relay(answers, outgoing, DEFAULT_RELAY, &secret, "  "));
    }
    text
}

/// The config that is there, with an account more.
pub(super) fn added(known: &str, answers: &InitAnswers) -> Result<String> {
    // Relays that are written win over those that addresses bring along.
    let outgoing = answers.outgoing.as_ref().filter(|_| !answers.is_known || has_key(known, "relays"));
    let text = inserted(known, "accounts", |indent| {
        let by = if outgoing.is_some() { format!("{indent}{indent}relay: {}\n", answers.name) } else { String::new() };
        account(answers, &kept(answers), indent) + &by
    })?;
    match outgoing {
        Some(outgoing) => {
            inserted(&text, "relays", |indent| relay(answers, outgoing, &answers.name, &kept(answers), indent))
        }
        None => Ok(text),
    }
}

/// The name of the file that a typed secret is kept in, beside the config.
pub(super) fn secret_file(name: &str) -> String {
    format!("{name}.password")
}

fn kept(answers: &InitAnswers) -> String {
    let key = if answers.is_token { "token" } else { "password" };
    match &answers.secret {
        SecretSource::Typed(_) => format!("{key}: {{file: {}}}", scalar(&secret_file(&answers.name))),
        SecretSource::File(path) => format!("{key}: {{file: {}}}", scalar(&path.display().to_string())),
        SecretSource::Command(words) => {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            format!("{key}: {{command: [{}]}}", words.join(", "))
        }
        SecretSource::ClientId(id) => format!("oauth2: {{provider: microsoft, client_id: {}}}", quoted(id)),
    }
}

fn account(answers: &InitAnswers, secret: &str, indent: &str) -> String {
    let InitAnswers { name, address, incoming, first, .. } = answers;
    let mut keys = vec![format!("address: {}", scalar(address))];
    match (answers.is_known, incoming.mail) {
        (true, MailProtocol::Pop3) => keys.push("protocol: pop3".to_owned()),
        (true, _) => {}
        (false, mail) => {
            keys.push(format!("{}: {}", mail.key(), place(&incoming.place)));
            keys.push(format!("user: {}", scalar(&incoming.user)));
        }
    }
    keys.push(secret.to_owned());
    keys.push(format!("first: {first}"));
    keys.push("retention: keep".to_owned());
    entry(name, &keys, indent)
}

fn relay(answers: &InitAnswers, outgoing: &WrittenPlace, name: &str, secret: &str, indent: &str) -> String {
    let keys = match answers.is_known {
        true => vec![format!("address: {}", scalar(&answers.address)), secret.to_owned()],
        false => vec![
            format!("smtp: {}", place(&outgoing.place)),
            format!("user: {}", scalar(&outgoing.user)),
            secret.to_owned(),
            format!("from: {}", scalar(&answers.address)),
        ],
    };
    entry(name, &keys, indent)
}

fn entry(name: &str, keys: &[String], indent: &str) -> String {
    let keys: String = keys.iter().map(|key| format!("{indent}{indent}{key}\n")).collect();
    format!("{indent}{name}:\n{keys}")
}

/// Puts an entry at the end of a block of the config.
fn inserted(known: &str, key: &str, entry: impl Fn(&str) -> String) -> Result<String> {
    let lines: Vec<&str> = known.lines().collect();
    let is_head = |line: &&str| line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).is_some();
    let Some(head) = lines.iter().position(is_head) else {
        let end = if known.ends_with('\n') || known.is_empty() { "" } else { "\n" };
        return Ok(format!("{known}{end}\n{key}:\n{}", entry("  ")));
    };
    let rest = lines[head][key.len() + 1..].trim();
    if !(rest.is_empty() || rest.starts_with('#')) {
        let text = format!("`{key}` is written in one line, where nothing can be put in");
        return Err(Error::permanent(Kind::Config, text).helped_by(format!("put this there by hand:\n{}", entry("  "))));
    }
    let is_inside = |line: &&&str| line.starts_with([' ', '\t']) || line.trim().is_empty() || line.starts_with('#');
    let block = lines[head + 1..].iter().take_while(is_inside);
    let inside = block.enumerate().filter(|(_, line)| line.starts_with(' ') && !line.trim().starts_with('#'));
    let mut last = head;
    let mut indent = "  ";
    for (at, line) in inside {
        if last == head {
            indent = &line[..line.len() - line.trim_start().len()];
        }
        last = head + 1 + at;
    }
    let (before, behind) = lines.split_at(last + 1);
    let mut text = before.join("\n") + "\n" + &entry(indent) + &behind.join("\n");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn has_key(known: &str, key: &str) -> bool {
    known.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
}

/// A name that no entry has yet.
pub(super) fn free_name(wanted: &str, known: Option<&str>, given: Option<&str>) -> Result<String> {
    let is_taken = |name: &str| {
        let head = format!("{name}:");
        known.is_some_and(|known| {
            known.lines().any(|line| line.starts_with(' ') && line.trim_start().starts_with(&head))
        })
    };
    if let Some(given) = given {
        if !is_account_name(given) {
            let text = format!("`{}` cannot be the name of an account", clean::short(given, 60));
            return Err(Error::permanent(Kind::Usage, text)
                .helped_by("letters and digits of any script, `-`, `_`, `.` and `@`"));
        }
        return match is_taken(given) {
            true => {
                Err(Error::permanent(Kind::Usage, format!("{} stands in the config already", clean::short(given, 60))))
            }
            false => Ok(given.to_owned()),
        };
    }
    let plain = if is_account_name(wanted) { wanted.to_owned() } else { "home".to_owned() };
    let numbered = (2..1000).map(|number| format!("{plain}-{number}"));
    let free = std::iter::once(plain.clone()).chain(numbered).find(|name| !is_taken(name));
    free.ok_or_else(|| {
        Error::permanent(Kind::Usage, "there are too many accounts of that name; give one with `--name`")
    })
}

/// The config that the text is, or what is wrong with it.
pub(super) fn checked(path: &Path, text: &str) -> Result<Config> {
    let Examined { config, problems, .. } = Config::examine_text(path, text);
    config.ok_or_else(|| {
        let errors: Vec<_> = problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect();
        let first = errors.first().map(|problem| problem.in_a_line()).unwrap_or_default();
        Error::permanent(Kind::Config, format!("the config would have {}: {first}", count(&errors)))
            .helped_by("nothing was written")
    })
}

/// Refuses an account that fetches what another one fetches: its mail would be here twice.
pub(super) fn check_is_new(config: &Config, name: &str) -> Result<()> {
    let Some(new) = config.accounts.iter().find(|account| account.name == name) else { return Ok(()) };
    let is_twin = |other: &&Account| {
        other.name != new.name && other.user == new.user && other.server.host.eq_ignore_ascii_case(&new.server.host)
    };
    match config.accounts.iter().find(is_twin) {
        Some(twin) => {
            Err(Error::permanent(Kind::Usage, format!("the account `{}` fetches that mailbox already", twin.name))
                .helped_by("nothing was written"))
        }
        None => Ok(()),
    }
}

/// A host, `host:port`, or a mapping, as it is.
fn place(text: &str) -> String {
    if text.starts_with('{') { text.to_owned() } else { scalar(text) }
}

/// A text as YAML has it; in double quotes where it could mean anything else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '~' | '/'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-@/~:".contains(c))
        && text.contains(['@', '.', '/', '~'])
        && !text.ends_with(':');
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// In double quotes, as JSON writes it, which YAML reads.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_goes_to_the_end_of_its_block() {
        let known = "# mine\nmaildir: ~/Mail\naccounts:   # two\n    a:\n        imap: h\n\n# rules\nrules: []\n";
        let text = inserted(known, "accounts", |indent| format!("{indent}b:\n{indent}{indent}imap: i\n")).unwrap();
        let expected = "# mine\nmaildir: ~/Mail\naccounts:   # two\n    a:\n        imap: h\n    b:\n        imap: i\n\n# rules\nrules: []\n";
        assert_eq!(text, expected);
        let text = inserted("maildir: ~/Mail", "accounts", |_| "  b: {}\n".to_owned()).unwrap();
        assert_eq!(text, "maildir: ~/Mail\n\naccounts:\n  b: {}\n");
        let error = inserted("accounts: {a: {imap: h}}\n", "accounts", |_| "  b: {}\n".to_owned()).unwrap_err();
        assert!(error.to_string().contains("put this there by hand:\n  b: {}"), "{error}");
    }

    #[test]
    fn names_are_free_and_plain() {
        let known = "accounts:\n  gmail:\n    address: me@gmail.com\n";
        assert_eq!(free_name("gmail", Some(known), None).unwrap(), "gmail-2");
        assert_eq!(free_name("gmail", None, None).unwrap(), "gmail");
        assert_eq!(free_name("公司", None, None).unwrap(), "公司");
        assert_eq!(free_name("a b", None, None).unwrap(), "home");
        assert!(free_name("x", None, Some("a b")).is_err());
        assert!(free_name("x", Some(known), Some("gmail")).is_err());
    }

    #[test]
    fn texts_mean_themselves() {
        for plain in ["me@example.com", "~/Mail", "/home/me/x.password", "imap.example.com:143"] {
            assert_eq!(scalar(plain), plain);
        }
        assert_eq!(scalar("a: b"), "\"a: b\"");
        assert_eq!(scalar("yes"), "\"yes\"");
    }
}
