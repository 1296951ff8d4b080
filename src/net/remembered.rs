//! Passwords that come from a program, a keyring or a person. They are asked for once, remembered while the server accepts
//! them, and asked for again when it does not. Only the daemon's memory holds them.

use std::sync::{Arc, Mutex as Plain, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, Semaphore};

use crate::config::secret::Password;
use crate::error::{Error, Kind, Result};

/// How many password programs may run at the same time: each may start an agent, or ask a person.
static PROGRAMS: Semaphore = Semaphore::const_new(4);

/// What is remembered of one password setting.
type Slot = Arc<Mutex<Option<RememberedSecret>>>;

/// A secret, and whether a server has accepted it.
struct RememberedSecret {
    secret: SecretString,
    has_worked: bool,
}

impl RememberedSecret {
    fn is(&self, other: &SecretString) -> bool {
        self.secret.expose_secret() == other.expose_secret()
    }
}

/// The key is the setting, never the secret.
static SLOTS: Plain<Vec<(Password, Slot)>> = Plain::new(Vec::new());

fn slot(password: &Password) -> Slot {
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, slot)) = slots.iter().find(|(known, _)| known == password) {
        return Arc::clone(slot);
    }
    let slot = Slot::default();
    slots.push((password.clone(), Arc::clone(&slot)));
    slot
}

/// The password, remembered or revealed now. Concurrent callers for the same password wait for the first.
pub(super) async fn revealed(password: &Password) -> Result<SecretString> {
    if !password.is_asked_for() {
        return password.reveal().await;
    }
    let slot = slot(password);
    let mut known = slot.lock().await;
    if let Some(known) = &*known {
        return Ok(known.secret.clone());
    }
    let _permit =
        PROGRAMS.acquire().await.map_err(|e| Error::transient(Kind::Busy, "asking for a password").because(e))?;
    let secret = password.reveal().await?;
    *known = Some(RememberedSecret { secret: secret.clone(), has_worked: false });
    Ok(secret)
}

/// A server has accepted this password.
pub(super) async fn worked(password: &Password, taken: &SecretString) {
    if !password.is_asked_for() {
        return;
    }
    if let Some(known) = slot(password).lock().await.as_mut().filter(|known| known.is(taken)) {
        known.has_worked = true;
    }
}

/// A server has refused this password, so the next login asks for it anew. Returns whether a login at once may succeed: when this
/// password had worked before and a different one is given now. A password that was just asked for is not asked for again.
pub(super) async fn another_may_help(password: &Password, refused: &SecretString) -> bool {
    if !password.is_asked_for() {
        return false;
    }
    let had_worked = {
        let slot = slot(password);
        let mut known = slot.lock().await;
        match known.take_if(|known| known.is(refused)) {
            Some(known) => known.has_worked,
            // Another one was asked for since.
            None => return true,
        }
    };
    had_worked && matches!(revealed(password).await, Ok(other) if other.expose_secret() != refused.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that counts in a file how often it was called.
    fn program(folder: &std::path::Path) -> Password {
        let script = format!("echo x >> {0}/asked; echo secret-$(wc -l < {0}/asked)", folder.display());
        Password::Command(["/bin/sh", "-c", &script].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_program_is_asked_once_until_the_server_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let password = program(folder.path());
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        let all = tokio::join!(revealed(&password), revealed(&password), revealed(&password));
        assert!([all.0, all.1, all.2].into_iter().all(|it| it.unwrap().expose_secret() == "secret-1"));
        assert_eq!(asked(), 1);
        assert!(another_may_help(&password, &"another".into()).await, "it was asked for since");
        assert_eq!(revealed(&password).await.unwrap().expose_secret(), "secret-1");
        assert!(!another_may_help(&password, &"secret-1".into()).await, "it never worked: the config is wrong");
        assert_eq!(revealed(&password).await.unwrap().expose_secret(), "secret-2");
        worked(&password, &"secret-2".into()).await;
        assert!(another_may_help(&password, &"secret-2".into()).await, "it was changed");
        assert_eq!((revealed(&password).await.unwrap().expose_secret(), asked()), ("secret-3", 3));
    }

    #[tokio::test]
    async fn what_failed_is_asked_again_and_a_file_is_read_each_time() {
        let failing = Password::Command(["/bin/sh", "-c", "exit 1"].map(str::to_owned).to_vec());
        assert!(revealed(&failing).await.is_err() && revealed(&failing).await.is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let write = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        };
        for text in ["one", "two"] {
            write(text);
            assert_eq!(revealed(&Password::File(path.clone())).await.unwrap().expose_secret(), text);
        }
    }
}
