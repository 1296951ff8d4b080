//! A password that a person types.

use secrecy::SecretString;

use super::Who;
use super::fetched::{checked, wrong};
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::terminal;

/// Asks at the terminal, one question at a time.
///
/// # Errors
///
/// Nobody is there, or nothing was typed.
pub(super) async fn from_person(who: &Who) -> Result<SecretString> {
    if !terminal::is_there() {
        return Err(wrong("the password is to be typed, and nobody is at a terminal")
            .helped_by("`{command: …}`, `{file: …}` or `{keyring: …}` in the place of `prompt` need nobody"));
    }
    let question = format!("Password of {} at {}: ", clean::short(&who.user, 80), clean::short(&who.host, 80));
    let typed = tokio::task::spawn_blocking(move || terminal::ask_secret(&question)).await;
    let typed = typed.map_err(|e| Error::transient(Kind::Busy, "asking for the password").because(e))??;
    checked(secrecy::ExposeSecret::expose_secret(&typed).as_bytes(), "what was typed")
}
