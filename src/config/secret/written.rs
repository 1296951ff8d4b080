//! A password as the config has it.

use secrecy::SecretString;

use super::{Password, SHAPE};
use crate::config::oauth;
use crate::config::problem::Problems;
use crate::config::reader::{self, Base, MapReader};
use crate::config::yaml::{Node, Span, Value};

impl Password {
    /// Reads a password in its short form (the text itself) or its long form (exactly one key of [`SHAPE`]).
    ///
    /// Nothing is shown of a text that cannot be a password, and problems point at places, not at values.
    pub fn read(node: &Node, base: &Base, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, .. } => read_plain(node, text, problems),
            Value::Map(_) => read_long(node, base, problems),
            Value::Null | Value::Seq(_) | Value::File(_) => {
                reader::mismatch(node, "a password", problems)
                    .hint("write the text, or {command: [pass, show, NAME]}, {env: NAME}, {file: PATH}");
                None
            }
        }
    }
}

/// By what a login is made: one of them.
const WAYS: [&str; 3] = ["password", "token", "oauth2"];

/// What is said to log in: `password`, or `token` or `oauth2` in its place. The second part: whether it is an access token.
pub(in crate::config) fn read_either(map: &mut MapReader<'_, '_>, base: &Base) -> Option<(Password, bool)> {
    let password = map.read("password", |n, p| Password::read(n, base, p));
    let token = map.read("token", |n, p| read_token(n, base, p));
    let sign_in = map.read("oauth2", |n, p| oauth::read(n, base, p));
    let written: Vec<&str> = WAYS.into_iter().filter(|way| map.take(way).is_some()).collect();
    if let [first, second, ..] = written.as_slice() {
        let at = map.key_span(second).unwrap_or(map.place());
        map.problems().error(at, format!("a login has either `{first}` or `{second}`, not both"));
        return None;
    }
    let token = token.or(sign_in.map(|it| Password::SignIn(Box::new(it))));
    password.map(|password| (password, false)).or(token.map(|token| (token, true)))
}

/// Where it is written.
pub(in crate::config) fn span_of_either(map: &MapReader<'_, '_>) -> Option<Span> {
    WAYS.into_iter().find_map(|way| map.key_span(way))
}

/// Tokens are made anew every hour, so none is written down.
fn read_token(node: &Node, base: &Base, problems: &mut Problems) -> Option<Password> {
    if node.as_text().is_some() {
        problems
            .error(node.span, "an access token lives for about an hour")
            .hint("name the program that gives one: {command: [oama, access, me@example.com]}");
        return None;
    }
    Password::read(node, base, problems)
}

fn read_plain(node: &Node, text: &str, problems: &mut Problems) -> Option<Password> {
    if text.is_empty() {
        problems.error(node.span, "the password is empty");
        return None;
    }
    if text.contains(['\0', '\r', '\n']) {
        problems.error(node.span, "a password must be one line");
        return None;
    }
    Some(Password::Plain(SecretString::from(text)))
}

fn read_long(node: &Node, base: &Base, problems: &mut Problems) -> Option<Password> {
    let mut map = MapReader::new(node, &SHAPE, problems);
    let known = SHAPE.names().filter(|key| map.take(key).is_some()).count();
    let written = if let Value::Map(entries) = &node.value { entries.len() } else { 0 };
    if known > 1 || written == 0 {
        map.problems()
            .error(node.span, "a password comes from exactly one place: `command`, `env`, `file`, `credential`, `netrc`, `keyring` or `prompt`");
        return None;
    }
    let command = map.read("command", read_command).map(Password::Command);
    let env = map.read("env", |n, p| reader::text(n, "the name of an environment variable", p));
    let file = map.read("file", |n, p| reader::path(n, base, p)).map(Password::File);
    let credential = map.read("credential", read_credential).map(Password::Credential);
    let netrc = map.read("netrc", |n, p| reader::path(n, base, p)).map(|path| Password::Netrc(path, Box::default()));
    let keyring = map.read("keyring", read_keyring).map(Password::Keyring);
    let prompt = map.read("prompt", read_prompt).map(|()| Password::Prompt(Box::default()));
    let env = env.map(|name| Password::Env(name.to_owned()));
    command.or(env).or(file).or(credential).or(netrc).or(keyring).or(prompt)
}

fn read_command(node: &Node, problems: &mut Problems) -> Option<Vec<String>> {
    if let Some(text) = node.as_text() {
        // What stands there may be the password itself, in the wrong place: of one word nothing is shown.
        let words: Vec<&str> = text.split_whitespace().collect();
        let shown = if words.len() > 1 { words.join(", ") } else { "PROGRAM, ARGUMENT, …".to_owned() };
        problems
            .error(node.span, "expected a program and its arguments as a list, found a text")
            .hint(format!("no shell is involved: write [{shown}]"));
        return None;
    }
    let items = reader::list(node, "a program and its arguments as a list", problems)?;
    if items.is_empty() {
        problems.error(node.span, "expected a program and its arguments, found an empty list");
        return None;
    }
    let read: Vec<_> = items.iter().map(|item| read_argument(item, problems)).collect();
    read.into_iter().collect()
}

/// An argument may be empty or have several lines, but no program can be given a NUL.
fn read_argument(node: &Node, problems: &mut Problems) -> Option<String> {
    let text = node.as_text().filter(|text| !text.contains('\0'));
    if text.is_none() {
        reader::mismatch(node, "an argument (a text)", problems);
    }
    text.map(str::to_owned)
}

fn read_keyring(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = reader::text(node, "the name under which the keyring has it", problems)?;
    if name.is_empty() || name.starts_with('-') || name.contains('\0') {
        reader::mismatch(node, "the name under which the keyring has it", problems).hint("like `work`");
        return None;
    }
    Some(name.to_owned())
}

fn read_prompt(node: &Node, problems: &mut Problems) -> Option<()> {
    let is_asked = reader::flag(node, problems)?;
    if !is_asked {
        problems.error(node.span, "where is the password then?").hint("`prompt: true` asks for it at the terminal");
        return None;
    }
    Some(())
}

fn read_credential(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = reader::text(node, "the name of a credential", problems)?;
    if !is_credential_name(name) {
        problems.error(node.span, "the name of a credential is a file name, without `/`").hint("for a path use `file`");
        return None;
    }
    Some(name.to_owned())
}

pub(super) fn is_credential_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != ".."
}
