//! Logging in (RFC 4422): one flow for IMAP, POP3 and SMTP. This module decides what is sent and in which order; each protocol
//! formats its own lines.

use std::future::Future;

use data_encoding::BASE64;
use secrecy::zeroize::Zeroizing;

use super::sasl::{Credentials, Exchange, Mechanism};
use crate::error::{Error, Kind, Result};

/// The most challenges that a server may send in one login.
const MOST_CHALLENGES: usize = 8;

/// A server's reply to one line of a login.
#[derive(Debug)]
pub enum ServerLine {
    /// The server sent a challenge, in base64, and waits for the answer.
    Question(String),
    /// The login is done.
    Accepted,
    /// The login was refused.
    Refused(Error),
    /// The server did not understand the line.
    NotUnderstood(Error),
}

/// Sends the lines of a login in the syntax of one protocol.
pub trait Speaker {
    /// Sends a line that must not appear in any log, and reads the server's reply.
    fn say(&mut self, line: &str) -> impl Future<Output = Result<ServerLine>> + Send;
}

/// How a protocol logs in.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The command before the mechanism.
    pub verb: &'static str,
    /// The longest command line that may carry an initial response; `None` if the server takes no initial response.
    pub initial: Option<usize>,
    /// Whether the connection is encrypted, or local to this machine.
    pub is_private: bool,
}

/// Logs in with the first of the mechanisms. A refused login is not tried again with a weaker mechanism, with one exception:
/// [`has_no_verifier`].
pub async fn log_in(
    speaker: &mut (impl Speaker + Send),
    manner: Manner,
    mechanisms: &[Mechanism],
    who: &Credentials<'_>,
) -> Result<()> {
    let mut refused = Error::permanent(Kind::Auth, "the server offers no login method that mailsluice supports");
    for mechanism in mechanisms {
        let LoginOutcome::Refused { error, asked } = exchange(speaker, manner, *mechanism, who).await? else {
            return Ok(());
        };
        refused = error;
        if !(manner.is_private && has_no_verifier(*mechanism, asked, &refused)) {
            break;
        }
    }
    Err(refused)
}

/// Whether the server offered SCRAM but has no SCRAM verifier for this user. Cyrus with saslauthd, and Dovecot with passwords
/// hashed in another way, refuse before they ask for a proof; so do servers that support another channel binding than we do. The
/// password was not tested then, so another mechanism may be tried.
fn has_no_verifier(mechanism: Mechanism, asked: bool, refused: &Error) -> bool {
    let is_refused = matches!(refused.kind(), Kind::Auth | Kind::Login) && !refused.is_transient();
    let is_scram = matches!(mechanism, Mechanism::ScramSha256Plus | Mechanism::ScramSha256 | Mechanism::ScramSha1);
    is_scram && !asked && is_refused
}

enum LoginOutcome {
    Accepted,
    /// `asked`: the server sent a challenge after our initial response, so it got as far as looking at it.
    Refused {
        error: Error,
        asked: bool,
    },
}

async fn exchange(
    speaker: &mut (impl Speaker + Send),
    manner: Manner,
    mechanism: Mechanism,
    who: &Credentials<'_>,
) -> Result<LoginOutcome> {
    let mut exchange = Exchange::begin(mechanism, who)?;
    let mut unsaid = exchange.first_words().map(|words| Zeroizing::new(BASE64.encode(&words)));
    let command = format!("{} {}", manner.verb, mechanism.name());
    let fits = |words: &Zeroizing<String>| manner.initial.is_some_and(|most| command.len() + words.len() + 3 <= most);
    let mut said = match unsaid.take_if(|words| fits(words)) {
        Some(words) => match speaker.say(&Zeroizing::new(format!("{command} {}", *words))).await? {
            // 163.com announces SASL-IR but rejects initial responses.
            ServerLine::NotUnderstood(_) => {
                unsaid = Some(words);
                speaker.say(&command).await?
            }
            said => said,
        },
        None => speaker.say(&command).await?,
    };
    let (mut asked, mut told) = (false, None);
    for _ in 0..MOST_CHALLENGES {
        let ServerLine::Question(question) = &said else { break };
        let line = match unsaid.take() {
            Some(words) => words,
            None => {
                asked = true;
                let question = if has_free_form_challenges(mechanism) { Vec::new() } else { decoded(question)? };
                told = status_of(mechanism, &question);
                Zeroizing::new(BASE64.encode(&exchange.answer(&question)?))
            }
        };
        said = speaker.say(&line).await?;
    }
    match said {
        ServerLine::Accepted => exchange.done().map(|()| LoginOutcome::Accepted),
        ServerLine::Refused(error) | ServerLine::NotUnderstood(error) => {
            let error = match told {
                Some(status) => error.while_doing(format_args!("status {status} for the access token")),
                None => error,
            };
            Ok(LoginOutcome::Refused { error, asked })
        }
        ServerLine::Question(_) => {
            Err(Error::permanent(Kind::Protocol, "the server sent one login challenge too many"))
        }
    }
}

/// LOGIN has no standard: servers send `Username:`, `User Name` or a translation, in base64 or not (patches for qmail, old
/// Exchange, routers), or an empty challenge. So the challenge is not read; its position says what the server wants.
fn has_free_form_challenges(mechanism: Mechanism) -> bool {
    mechanism == Mechanism::Login
}

/// The status by which a server says what is wrong with a token (RFC 7628 3.2.2); the refusal itself often gives no reason.
fn status_of(mechanism: Mechanism, question: &[u8]) -> Option<String> {
    if !matches!(mechanism, Mechanism::OauthBearer | Mechanism::Xoauth2) {
        return None;
    }
    let json: serde_json::Value = serde_json::from_slice(question).ok()?;
    let status = json.get("status")?;
    let text = status.as_str().map_or_else(|| status.to_string(), str::to_owned);
    // Google and Microsoft send numbers, the standard has words.
    let is_plain = (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_plain.then_some(text)
}

fn decoded(question: &str) -> Result<Vec<u8>> {
    let cause = "the server's login challenge is not valid base64";
    BASE64.decode(question.trim().as_bytes()).map_err(|e| Error::permanent(Kind::Protocol, cause).because(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::sasl::Binding;

    /// Answers from a script, and records the lines that it was sent.
    struct Scripted {
        answers: Vec<ServerLine>,
        lines: Vec<String>,
    }

    impl Speaker for Scripted {
        async fn say(&mut self, line: &str) -> Result<ServerLine> {
            self.lines.push(line.to_owned());
            Ok(self.answers.remove(0))
        }
    }

    fn no() -> ServerLine {
        ServerLine::Refused(Error::permanent(Kind::Auth, "no"))
    }

    async fn tried(answers: Vec<ServerLine>, mechanisms: &[Mechanism], is_private: bool) -> (bool, Vec<String>) {
        let secret = "open sesame".into();
        let who = Credentials { user: "me", secret: &secret, host: "h", port: 1, binding: Binding::Impossible };
        let manner = Manner { verb: "AUTH", initial: Some(500), is_private };
        let mut speaker = Scripted { answers, lines: Vec::new() };
        let result = log_in(&mut speaker, manner, mechanisms, &who).await;
        let verbs = speaker.lines.iter().map(|line| line.chars().take(10).collect()).collect();
        (result.is_ok(), verbs)
    }

    #[tokio::test]
    async fn an_initial_response_that_is_not_understood_goes_in_two_steps() {
        let bad = ServerLine::NotUnderstood(Error::permanent(Kind::Refused, "BAD"));
        let answers = vec![bad, ServerLine::Question(String::new()), ServerLine::Accepted];
        let (is_in, lines) = tried(answers, &[Mechanism::Plain], true).await;
        assert!(is_in);
        assert_eq!(lines, ["AUTH PLAIN", "AUTH PLAIN", "AG1lAG9wZW"]);
    }

    #[tokio::test]
    async fn a_server_without_a_verifier_for_scram_gets_the_password_where_nobody_hears_it() {
        let both = [Mechanism::ScramSha256, Mechanism::Plain];
        let (is_in, lines) = tried(vec![no(), ServerLine::Accepted], &both, true).await;
        assert_eq!((is_in, lines.len()), (true, 2));
        let (is_in, lines) = tried(vec![no(), ServerLine::Accepted], &both, false).await;
        assert_eq!((is_in, lines.len()), (false, 1));
        let (is_in, lines) = tried(vec![no(), ServerLine::Accepted], &[Mechanism::Plain, Mechanism::Login], true).await;
        assert_eq!((is_in, lines.len()), (false, 1), "a wrong password is wrong");
    }

    /// The prompts of LOGIN are not standardised. Servers send base64, plain text, other languages, or nothing at all.
    #[tokio::test]
    async fn login_takes_any_prompt() {
        for (first, second) in [
            ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"),
            ("VXNlciBOYW1lAA==", "UGFzc3dvcmQA"),
            ("dXNlcm5hbWU6", "cGFzc3dvcmQ6"),
            ("55So5oi35ZCNOg==", "5a+G56CBOg=="),
            ("", ""),
            ("=", "="),
            ("VXNlcm5hbWU6=", "UGFzc3dvcmQ6="),
            ("Username:", "Password:"),
            ("please log in", "and now the password"),
            ("UGFzc3dvcmQ6", "VXNlcm5hbWU6"),
        ] {
            let answers = vec![
                ServerLine::Question(first.to_owned()),
                ServerLine::Question(second.to_owned()),
                ServerLine::Accepted,
            ];
            let (is_in, lines) = tried(answers, &[Mechanism::Login], true).await;
            assert_eq!(
                (is_in, lines),
                (true, ["AUTH LOGIN", "bWU=", "b3BlbiBzZX"].map(str::to_owned).to_vec()),
                "{first}"
            );
        }
        let again = (0..4).map(|_| ServerLine::Question("VXNlcm5hbWU6".to_owned())).collect();
        assert!(!tried(again, &[Mechanism::Login], true).await.0, "there are two answers");
    }
}
