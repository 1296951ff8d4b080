//! Sign-ins that are kept although nothing in the config uses them any more: the account was removed or renamed, or it has another
//! client id, provider or scope now. Their refresh tokens still open a mailbox, so a user must be able to find and revoke them.

use std::path::PathBuf;

use super::forget_blocking;
use super::store::{KeptProvider, SignInFile};
use crate::config::Config;
use crate::error::{Error, Result};

/// A kept sign-in that the config does not use.
#[derive(Clone, Debug)]
pub struct Unused {
    /// The account or relay that somebody signed in for; the name of the file, where that is not known.
    pub name: String,
    /// The login name; empty where the file cannot be read.
    pub user: String,
    /// As people call the provider.
    pub title: String,
    provider: KeptProvider,
    store: SignInFile,
}

/// All sign-ins in the state folder that no account or relay of the config uses.
///
/// # Errors
/// The folder cannot be read.
pub fn unused(config: &Config) -> Result<Vec<Unused>> {
    let used: Vec<PathBuf> = config.sign_ins().filter_map(|it| it.file()).collect();
    let all = SignInFile::all_in(&config.sign_in_folder())?;
    Ok(all.into_iter().filter(|store| !used.iter().any(|path| path == store.path())).map(described).collect())
}

fn described(store: SignInFile) -> Unused {
    let file = store.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // A damaged file may still hold a token that somebody can read: it is listed, too.
    let (name, user, provider) = match store.read() {
        Ok(Some(kept)) => (kept.name, kept.user, kept.provider),
        _ => (String::new(), String::new(), KeptProvider::default()),
    };
    let name = if name.is_empty() { file } else { name };
    let title = if provider.title.is_empty() { "its provider".to_owned() } else { provider.title.clone() };
    Unused { name, user, title, provider, store }
}

/// Removes it from this machine and asks the provider to revoke it. `Some`: why the provider could not be asked.
///
/// # Errors
/// The file cannot be removed.
pub async fn forget_unused(it: Unused) -> Result<Option<Error>> {
    let forget = move || forget_blocking(&it.store, &it.provider, Ok(None));
    crate::net::http::aside("sign-in", forget).await?.map(|(_, trouble)| trouble)
}
