//! A password that the keyring of the desktop keeps: GNOME's, KDE's or KeePassXC's, by the Secret Service, asked through
//! secret-tool(1). A library would bring a D-Bus of its own.

use secrecy::SecretString;

use super::command::{DEADLINE, from_command};
use crate::clean;
use crate::error::Result;

/// The attribute by which our entries are found.
const ATTRIBUTE: &str = "mailsluice";

/// What is kept under that name.
///
/// # Errors
///
/// Transient where the keyring is locked or not there, or knows no such name: it does not say which.
pub(super) async fn from_keyring(name: &str) -> Result<SecretString> {
    let lookup = ["secret-tool", "lookup", ATTRIBUTE, name].map(str::to_owned);
    from_command(&lookup, DEADLINE).await.map_err(|error| {
        let name = clean::short(name, 60);
        error.helped_by(format!(
            "is the keyring unlocked? `secret-tool store --label=mail {ATTRIBUTE} {name}` puts the password there (package libsecret-tools)"
        ))
    })
}
