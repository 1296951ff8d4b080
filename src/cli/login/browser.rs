//! Signing in by a browser, of this machine or another one.

use std::io::BufRead;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use secrecy::zeroize::Zeroizing;
use serde_json::json;

use super::Output;
use crate::config::oauth::SignIn;
use crate::error::{Error, Kind, Result};
use crate::net::http::aside;
use crate::net::oauth::{self, BrowserReturn, CallbackPage, Lasts, Listener, SIGN_IN_TIMEOUT, SignInRequest};

/// How long a person may take to copy the address.
const PASTING: Duration = Duration::from_secs(15 * 60);
/// The longest address that is read, in bytes.
const MAX_LINE: u64 = 16 * 1024;

/// Google gives a refresh token with the first consent alone, so it is asked to have it given once more where none came. Not each
/// time: each one is another of the hundred that it keeps, and the oldest of them ends.
pub(super) async fn sign_in(it: &SignIn, by_paste: bool, output: &Output) -> Result<()> {
    for more in [&[][..], &[("prompt", "consent")]] {
        let (asking, code) = asked(it, by_paste, more, output).await?;
        match asking.finish(it, code).await? {
            Lasts::Open => return Ok(()),
            Lasts::For(time) => {
                say_when_it_ends(it, time, output);
                return Ok(());
            }
            Lasts::Not => {}
        }
        if it.provider.is_none_or(|provider| provider.name != "google") {
            break;
        }
        output.talk(
            "Google gave no lasting sign-in, for it gave one before; it is asked once more, with a page of consent",
        );
    }
    let text = format!(
        "{} gave no lasting sign-in (no refresh token), and one that ends within the hour is of no use",
        it.title()
    );
    Err(Error::permanent(Kind::Refused, text).helped_by("look at `scope`: many want `offline_access` in it"))
}

/// Google says so of a client that is still in "Testing".
fn say_when_it_ends(it: &SignIn, time: Duration, output: &Output) {
    let end = Timestamp::now().saturating_add(SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX));
    let day = end.map_or_else(
        |_| "some day".to_owned(),
        |end| end.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string(),
    );
    output.warn(format_args!("{} says that this sign-in ends on {day}", it.title()));
    if it.provider.is_some_and(|provider| provider.name == "google") {
        output.warn("publish your app (\"In production\") where the client id is registered, and sign in once more");
    }
}

async fn asked(
    it: &SignIn,
    by_paste: bool,
    more: &[(&str, &str)],
    output: &Output,
) -> Result<(SignInRequest, Zeroizing<String>)> {
    let port = oauth::loopback_port(&it.redirect);
    let listener = match port {
        Some(port) => Some(Listener::open(port)?),
        None => None,
    };
    let redirect = match &listener {
        Some(listener) => oauth::redirect_at(&it.redirect, listener.port()),
        None => it.redirect.clone(),
    };
    let asking = SignInRequest::new(redirect)?;
    let address = asking.address(it, more);
    match (listener, by_paste) {
        (Some(listener), false) => {
            show_address(&address, Some(listener.port()), output);
            listen(it.clone(), listener, asking).await
        }
        // The port is closed: the browser ends on a page that cannot be reached, and its address is what counts.
        (listener, _) => {
            drop(listener);
            show_address(&address, None, output);
            paste(it.clone(), asking, output).await
        }
    }
}

fn show_address(address: &str, port: Option<u16>, output: &Output) {
    if output.json {
        output.json(json!({"open": address, "port": port}));
        return;
    }
    output.talk("open this address in a browser:");
    output.data(address);
    match port {
        Some(port) if std::env::var_os("SSH_CONNECTION").is_some() => {
            output.talk(format_args!(
                "the browser is to come back to this machine: on the one with the browser, run first\n    ssh -L {port}:localhost:{port} {}",
                own_address()
            ));
            output.talk("or stop this and take `--paste`");
        }
        Some(_) => output.talk("waiting for the browser to come back (5 minutes)"),
        None => output.talk(
            "then paste the address on which the browser ends here (the page itself may not be there), or the code that is shown:",
        ),
    }
}

/// By what this machine was reached.
fn own_address() -> String {
    let connection = std::env::var("SSH_CONNECTION").unwrap_or_default();
    let address = connection.split_ascii_whitespace().nth(2).unwrap_or("HOST");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '%');
    if address.chars().all(is_plain) { address.to_owned() } else { "HOST".to_owned() }
}

async fn listen(it: SignIn, listener: Listener, asking: SignInRequest) -> Result<(SignInRequest, Zeroizing<String>)> {
    let wait = move || {
        let page = |path: &str| match asking.came(&it, path, false) {
            BrowserReturn::Code(code) => CallbackPage::Answer(Ok(code)),
            BrowserReturn::No(error) => CallbackPage::Answer(Err(error)),
            BrowserReturn::Other => CallbackPage::Other,
        };
        let code = listener.wait(SIGN_IN_TIMEOUT, page)??;
        Ok((asking, code))
    };
    aside("browser", wait).await?
}

async fn paste(it: SignIn, asking: SignInRequest, output: &Output) -> Result<(SignInRequest, Zeroizing<String>)> {
    let output = *output;
    let read = move || loop {
        let mut line = Zeroizing::new(String::new());
        let read = std::io::Read::take(std::io::stdin().lock(), MAX_LINE).read_line(&mut line);
        if read.map_err(|e| Error::transient(Kind::Data, "reading the address").because(e))? == 0 {
            return Err(Error::permanent(Kind::Usage, "no address was pasted"));
        }
        match asking.came(&it, &line, true) {
            BrowserReturn::Code(code) => return Ok((asking, code)),
            BrowserReturn::No(error) => return Err(error),
            BrowserReturn::Other => {
                output.talk("this is not the address that belongs to the one above; paste all of it:")
            }
        }
    };
    let late = |_| Error::transient(Kind::Usage, "no address was pasted in time");
    tokio::time::timeout(PASTING, aside("browser", read)).await.map_err(late)??
}
