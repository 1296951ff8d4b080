//! Where tokens are saved: one file for each sign-in, mode 0600 in a folder of mode 0700, replaced atomically and durably. Who
//! renews tokens holds the lock file beside it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::oauth::{MAX_FILE, SignIn, read_private};
use crate::error::{Error, Kind, Result};
use crate::stop::is_stopping;

// The files must be ours, so symbolic links are not followed.
const NO_SYMLINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
/// How long to wait for another process that renews tokens; it waits for a provider for at most half a minute.
const LOCK_TIMEOUT: Duration = Duration::from_secs(90);
const LOCK_POLL: Duration = Duration::from_millis(20);
/// How long before its end an access token is renewed, in seconds.
const RENEW_BEFORE_END_SECONDS: i64 = 5 * 60;
/// The lifetime of an access token if the provider names none (RFC 6749 5.1), in seconds.
pub(super) const DEFAULT_LIFETIME_SECONDS: u64 = 3600;
/// No access token is believed to be valid for longer than a day, in seconds.
const LONGEST_LIFETIME_SECONDS: u64 = 24 * 3600;
/// A sign-in is used at least this often, in seconds: Microsoft's expires if it was not used for 90 days.
const USE_EVERY_SECONDS: i64 = 7 * 24 * 3600;
/// A younger token, in seconds, is not renewed because a server refuses it: it cannot have expired yet.
const YOUNG_SECONDS: i64 = 60;
/// How long a sign-in that has ended is left alone, in seconds. Then it is tried again: the provider may have made a mistake.
const RETRY_ENDED_AFTER_SECONDS: i64 = 3600;

/// A text that is wiped from memory, and is written to the file only.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HiddenText(pub(super) Zeroizing<String>);

impl HiddenText {
    pub(super) fn secret(&self) -> SecretString {
        SecretString::from(self.0.as_str())
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for HiddenText {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HiddenText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// The content of a file. Times are in seconds since 1970, by our own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptSignIn {
    /// Different for each time that somebody signed in.
    pub(super) id: String,
    /// Whose sign-in it is, for a reader of the file.
    pub(super) user: String,
    /// The account or relay that somebody signed in for. Empty in files of older versions.
    #[serde(default)]
    pub(super) name: String,
    /// What `logout` needs when the config no longer describes this sign-in.
    #[serde(default)]
    pub(super) provider: KeptProvider,
    /// The requested scope.
    pub(super) scope: String,
    /// When somebody signed in.
    pub(super) signed_in: i64,
    /// When the provider last issued tokens.
    pub(super) renewed: i64,
    /// Empty if no person signed in.
    pub(super) refresh_token: HiddenText,
    pub(super) access_token: Option<HiddenText>,
    /// How long the access token is valid after `renewed`, in seconds.
    pub(super) expires_in: u64,
    /// Set when the provider has ended the sign-in.
    #[serde(default)]
    pub(super) over: Option<Over>,
}

/// The provider of a sign-in, as the config described it when somebody signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptProvider {
    /// As people call it.
    pub(super) title: String,
    pub(super) client_id: String,
    /// Where a sign-in is revoked (RFC 7009), if the provider has an address for that.
    pub(super) revoke: Option<String>,
}

impl KeptProvider {
    pub(super) fn of(it: &SignIn) -> Self {
        Self {
            title: it.title().to_owned(),
            client_id: it.client.as_ref().map(|client| client.id.clone()).unwrap_or_default(),
            revoke: it.endpoints.revoke.clone(),
        }
    }
}

/// The end of a sign-in by its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Over {
    pub(super) at: i64,
    /// Why, in words.
    pub(super) why: String,
}

impl KeptSignIn {
    /// The access token, while it need not be renewed.
    pub(super) fn fresh(&self, now: i64) -> Option<&HiddenText> {
        let life = self.life();
        self.lives(now, life - RENEW_BEFORE_END_SECONDS.min(life / 2))
    }

    /// The access token, while it is valid.
    pub(super) fn still_good(&self, now: i64) -> Option<&HiddenText> {
        self.lives(now, self.life())
    }

    /// A token from the future was issued while the clock was wrong, so its age is unknown and it is not used.
    fn lives(&self, now: i64, life: i64) -> Option<&HiddenText> {
        self.access_token.as_ref().filter(|_| (self.renewed..self.renewed.saturating_add(life)).contains(&now))
    }

    fn life(&self) -> i64 {
        i64::try_from(self.expires_in.min(LONGEST_LIFETIME_SECONDS)).unwrap_or_default()
    }

    /// Whether it was not used for so long that the provider may let it expire.
    pub(super) fn is_unused(&self, now: i64) -> bool {
        !(self.renewed..self.renewed.saturating_add(USE_EVERY_SECONDS)).contains(&now)
    }

    /// Whether this is the saved access token. It is also true when none is saved.
    pub(super) fn has(&self, token: &SecretString) -> bool {
        self.access_token.as_ref().is_none_or(|ours| ours.0.as_str() == token.expose_secret())
    }

    /// Whether the tokens were just issued, so that new ones would not be better.
    pub(super) fn is_young(&self, now: i64) -> bool {
        (self.renewed..self.renewed.saturating_add(YOUNG_SECONDS)).contains(&now)
    }

    /// The provider's reason for ending the sign-in, until it is time to ask again.
    pub(super) fn is_over(&self, now: i64) -> Option<&str> {
        let over = self.over.as_ref()?;
        (over.at..over.at.saturating_add(RETRY_ENDED_AFTER_SECONDS)).contains(&now).then_some(over.why.as_str())
    }
}

/// Now, by our own clock.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// The file of one sign-in.
#[derive(Clone, Debug)]
pub(super) struct SignInFile {
    path: PathBuf,
}

impl SignInFile {
    /// `None` without a client id.
    pub(super) fn of(it: &SignIn) -> Option<Self> {
        it.file().map(|path| Self { path })
    }

    /// All files of sign-ins in a folder. A folder that does not exist has none.
    pub(super) fn all_in(folder: &Path) -> Result<Vec<Self>> {
        let doing = || format!("reading the folder {}", folder.display());
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::disk(doing(), e)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| Error::disk(doing(), e))?.path();
            if path.extension().is_some_and(|suffix| suffix == "json") {
                all.push(Self { path });
            }
        }
        all.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(all)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is saved; `None` if nobody has signed in.
    pub(super) fn read(&self) -> Result<Option<KeptSignIn>> {
        let doing = || format!("reading the sign-in {}", self.path.display());
        match read_private(&self.path) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(kept) => Ok(Some(kept)),
                // The text of serde's error could quote the tokens.
                Err(_) => Err(Error::permanent(Kind::Auth, format!("{}: the file is damaged", doing()))),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::disk(doing(), e)),
        }
    }

    /// Keeps other processes from renewing tokens until the result is dropped. Waits for one that does.
    pub(super) fn lock(&self) -> Result<File> {
        self.make_folder()?;
        let path = self.path.with_extension("lock");
        let doing = format!("locking {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_SYMLINK);
        let file = options.open(&path).map_err(|e| Error::disk(&doing, e))?;
        let until = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until && !is_stopping() => {
                    std::thread::sleep(LOCK_POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::transient(
                        Kind::Busy,
                        format!("{doing}: another mailsluice is renewing the tokens"),
                    ));
                }
                Err(TryLockError::Error(e)) => return Err(Error::disk(doing, e)),
            }
        }
    }

    /// Reserves disk space for new tokens before the provider issues them, so that a full disk shows in time. Needs the lock.
    pub(super) fn reserve(&self) -> Result<()> {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len()).saturating_mul(2).clamp(4096, MAX_FILE);
        let blank = vec![b' '; usize::try_from(length).unwrap_or(4096)];
        self.write_new_file(&blank).map(drop).map_err(|e| Error::disk("making room for new tokens", e))
    }

    /// Replaces the file, durably. Needs the lock.
    pub(super) fn write(&self, kept: &KeptSignIn) -> Result<()> {
        let doing = || format!("writing the sign-in {}", self.path.display());
        let text = serde_json::to_vec(kept).map(Zeroizing::new);
        let text = text.map_err(|e| Error::permanent(Kind::State, doing()).because(e))?;
        let write = || {
            let new_file = self.write_new_file(&text)?;
            std::fs::rename(new_file, &self.path)?;
            sync(self.folder())
        };
        write().map_err(|e| Error::disk(doing(), e))
    }

    /// Removes the file. Needs the lock.
    pub(super) fn remove(&self) -> Result<()> {
        let remove = || {
            // The reserved file too.
            std::fs::remove_file(self.new_file()).or_else(unless_missing)?;
            std::fs::remove_file(&self.path).or_else(unless_missing)?;
            sync(self.folder())
        };
        remove().map_err(|e| Error::disk(format!("removing the sign-in {}", self.path.display()), e))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn new_file(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    /// Writes over the reserved file, so that its space is not given up before all is written.
    fn write_new_file(&self, text: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.new_file();
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_SYMLINK).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.set_len(text.len() as u64)?;
        file.sync_all()?;
        Ok(path)
    }

    fn make_folder(&self) -> Result<()> {
        let folder = self.folder();
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            if std::fs::metadata(folder)?.permissions().mode() & 0o077 != 0 {
                std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            }
            sync(folder.parent().unwrap_or(folder))
        };
        make().map_err(|e| Error::disk(format!("making the folder {}", folder.display()), e))
    }
}

fn unless_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> HiddenText {
        HiddenText(Zeroizing::new(text.to_owned()))
    }

    fn kept(renewed: i64, expires_in: u64) -> KeptSignIn {
        KeptSignIn {
            id: "1".into(),
            user: "me".into(),
            name: "work".into(),
            provider: KeptProvider::default(),
            scope: "mail".into(),
            signed_in: 0,
            renewed,
            refresh_token: hidden("refresh-me"),
            access_token: Some(hidden("access-me")),
            expires_in,
            over: None,
        }
    }

    #[test]
    fn an_access_token_is_made_anew_five_minutes_before_it_ends() {
        let it = kept(1000, 3600);
        assert!(it.fresh(1000).is_some() && it.fresh(1000 + 3299).is_some());
        assert!(it.fresh(1000 + 3300).is_none() && it.still_good(1000 + 3599).is_some());
        assert!(it.still_good(1000 + 3600).is_none());
        assert!(it.fresh(999).is_none(), "the clock went back");
        // A token with a short lifetime is used for half of it.
        assert!(kept(0, 60).fresh(29).is_some() && kept(0, 60).fresh(30).is_none());
        assert!(kept(0, u64::MAX).still_good(24 * 3600).is_none(), "nothing lives for ever");
    }

    #[test]
    fn a_refused_token_is_made_anew_unless_it_was_just_made() {
        let it = kept(1000, 3600);
        assert!(it.is_young(1059) && !it.is_young(1060) && !it.is_young(999));
        assert!(it.has(&"access-me".into()) && !it.has(&"before".into()));
    }

    #[test]
    fn what_is_over_is_asked_for_again_after_an_hour() {
        let mut it = kept(0, 3600);
        it.over = Some(Over { at: 100, why: "no".into() });
        assert_eq!(it.is_over(3699), Some("no"));
        assert_eq!(it.is_over(3700), None);
    }

    #[test]
    fn a_sign_in_is_used_once_a_week() {
        assert!(!kept(0, 3600).is_unused(USE_EVERY_SECONDS - 1) && kept(0, 3600).is_unused(USE_EVERY_SECONDS));
    }

    #[test]
    fn what_was_written_is_read_and_private_and_nothing_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = SignInFile { path: folder.path().join("sign-ins/x.json") };
        assert_eq!(store.read().unwrap(), None);
        let lock = store.lock().unwrap();
        let mut it = kept(1, 2);
        store.reserve().unwrap();
        store.write(&it).unwrap();
        it.refresh_token = hidden(&"r".repeat(9000));
        store.reserve().unwrap();
        store.write(&it).unwrap();
        assert_eq!(store.read().unwrap(), Some(it.clone()));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&store.path), mode(store.folder())), (0o600, 0o700));
        let shown = format!("{it:?}");
        assert!(!shown.contains("rrr") && !shown.contains("access-me"), "{shown}");
        store.reserve().unwrap();
        store.remove().unwrap();
        drop(lock);
        let names: Vec<_> =
            std::fs::read_dir(store.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["x.lock"]);
    }

    #[test]
    fn a_damaged_file_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let store = SignInFile { path: folder.path().join("x.json") };
        std::fs::write(&store.path, "{\"refresh_token\": hush-hush").unwrap();
        let said = store.read().unwrap_err().to_string();
        assert!(said.contains("damaged") && !said.contains("hush"), "{said}");
    }
}
