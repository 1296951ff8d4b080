//! Where tokens are kept: one file for each sign-in, 0600 in a folder 0700, replaced as a whole and durably. Whoever makes tokens
//! anew holds the lock beside it.

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

/// What stands there under our name must be ours.
const NO_SYMLINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
/// Whoever makes tokens anew asks a provider for at most half a minute.
const LOCK_PATIENCE: Duration = Duration::from_secs(90);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// An access token is made anew so long before it ends, in seconds.
const EARLY: i64 = 5 * 60;
/// What an access token lives for where nobody says (RFC 6749 5.1), in seconds.
pub(super) const LIFE: u64 = 3600;
/// No access token is believed to live for longer than a day, in seconds.
const LONGEST_LIFE: u64 = 24 * 3600;
/// After this time a sign-in is used, whether anybody needs it or not: Microsoft's ends when it was not for 90 days.
const WEEK: i64 = 7 * 24 * 3600;
/// A token that is younger, in seconds, was not made too long ago, whatever a server says of it.
const YOUNG: i64 = 60;
/// A sign-in that is over is tried again no sooner, in seconds: what a provider says once may be its mistake.
const OVER: i64 = 3600;

/// A text that is wiped, and that nobody sees but the file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden(pub(super) Zeroizing<String>);

impl Hidden {
    pub(super) fn secret(&self) -> SecretString {
        SecretString::from(self.0.as_str())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Zeroizing::new(text)))
    }
}

/// What a file holds. Times are in seconds since 1970 by our own clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Another one for each time that somebody signed in.
    pub(super) id: String,
    /// Who, for people.
    pub(super) user: String,
    /// The account or relay that somebody signed in for. Empty in files of older versions.
    #[serde(default)]
    pub(super) name: String,
    /// What `logout` needs when the config no longer describes this sign-in.
    #[serde(default)]
    pub(super) provider: Provider,
    /// What was asked for.
    pub(super) scope: String,
    /// When somebody signed in.
    pub(super) signed_in: i64,
    /// When the provider gave tokens last.
    pub(super) renewed: i64,
    /// Empty where no person signed in.
    pub(super) refresh_token: Hidden,
    pub(super) access_token: Option<Hidden>,
    /// For how long the access token lives from then on, in seconds.
    pub(super) expires_in: u64,
    /// The provider ended it.
    #[serde(default)]
    pub(super) over: Option<Over>,
}

/// The provider of a sign-in, as the config described it when somebody signed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Provider {
    /// As people call it.
    pub(super) title: String,
    pub(super) client_id: String,
    /// Where a sign-in is revoked (RFC 7009), if the provider has an address for that.
    pub(super) revoke: Option<String>,
}

impl Provider {
    pub(super) fn of(it: &SignIn) -> Self {
        Self {
            title: it.title().to_owned(),
            client_id: it.client.as_ref().map(|client| client.id.clone()).unwrap_or_default(),
            revoke: it.endpoints.revoke.clone(),
        }
    }
}

/// That a provider ended a sign-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Over {
    pub(super) at: i64,
    /// Why, in words.
    pub(super) why: String,
}

impl Kept {
    /// The access token, as long as it need not be made anew.
    pub(super) fn fresh(&self, now: i64) -> Option<&Hidden> {
        let life = self.life();
        self.lives(now, life - EARLY.min(life / 2))
    }

    /// The access token, as long as it is good at all.
    pub(super) fn still_good(&self, now: i64) -> Option<&Hidden> {
        self.lives(now, self.life())
    }

    /// One from the future was made by a clock that was wrong: nobody knows how old it is.
    fn lives(&self, now: i64, life: i64) -> Option<&Hidden> {
        self.access_token.as_ref().filter(|_| (self.renewed..self.renewed.saturating_add(life)).contains(&now))
    }

    fn life(&self) -> i64 {
        i64::try_from(self.expires_in.min(LONGEST_LIFE)).unwrap_or_default()
    }

    /// Whether nobody has used it for so long that the provider may forget it.
    pub(super) fn is_unused(&self, now: i64) -> bool {
        !(self.renewed..self.renewed.saturating_add(WEEK)).contains(&now)
    }

    /// Whether this is the access token that is kept, or was until it was forgotten.
    pub(super) fn has(&self, token: &SecretString) -> bool {
        self.access_token.as_ref().is_none_or(|ours| ours.0.as_str() == token.expose_secret())
    }

    /// Whether the tokens were just made: new ones are no better.
    pub(super) fn is_young(&self, now: i64) -> bool {
        (self.renewed..self.renewed.saturating_add(YOUNG)).contains(&now)
    }

    /// What the provider said when it ended the sign-in, as long as it is not asked again.
    pub(super) fn is_over(&self, now: i64) -> Option<&str> {
        let over = self.over.as_ref()?;
        (over.at..over.at.saturating_add(OVER)).contains(&now).then_some(over.why.as_str())
    }
}

/// Now, by our own clock.
pub(super) fn now() -> i64 {
    Timestamp::now().as_second()
}

/// The file of one sign-in.
#[derive(Clone, Debug)]
pub(super) struct Store {
    path: PathBuf,
}

impl Store {
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

    /// What is kept; `None`: nobody has signed in.
    pub(super) fn read(&self) -> Result<Option<Kept>> {
        let doing = || format!("reading the sign-in {}", self.path.display());
        match read_private(&self.path) {
            Ok(text) => match serde_json::from_str(&text) {
                Ok(kept) => Ok(Some(kept)),
                // What serde says could repeat what stands there.
                Err(_) => Err(Error::permanent(Kind::Auth, format!("{}: the file is damaged", doing()))),
            },
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::disk(doing(), e)),
        }
    }

    /// Keeps others from making tokens anew until it is dropped. It waits for whoever does.
    pub(super) fn lock(&self) -> Result<File> {
        self.make_folder()?;
        let path = self.path.with_extension("lock");
        let doing = format!("locking {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_SYMLINK);
        let file = options.open(&path).map_err(|e| Error::disk(&doing, e))?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until && !is_stopping() => {
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::transient(Kind::Busy, format!("{doing}: another mailsluice asks the provider")));
                }
                Err(TryLockError::Error(e)) => return Err(Error::disk(doing, e)),
            }
        }
    }

    /// Takes the room for what comes, before a provider gives it: a disk that is full is found out in time. Under the lock.
    pub(super) fn reserve(&self) -> Result<()> {
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len()).saturating_mul(2).clamp(4096, MAX_FILE);
        let blank = vec![b' '; usize::try_from(length).unwrap_or(4096)];
        self.write_aside(&blank).map(drop).map_err(|e| Error::disk("making room for new tokens", e))
    }

    /// Replaces the file; what was written is durable when this returns. Under the lock.
    pub(super) fn write(&self, kept: &Kept) -> Result<()> {
        let doing = || format!("writing the sign-in {}", self.path.display());
        let text = serde_json::to_vec(kept).map(Zeroizing::new);
        let text = text.map_err(|e| Error::permanent(Kind::State, doing()).because(e))?;
        let write = || {
            let aside = self.write_aside(&text)?;
            std::fs::rename(aside, &self.path)?;
            sync(self.folder())
        };
        write().map_err(|e| Error::disk(doing(), e))
    }

    /// Forgets it. Under the lock.
    pub(super) fn remove(&self) -> Result<()> {
        let remove = || {
            // What was reserved, too.
            std::fs::remove_file(self.aside()).or_else(unless_missing)?;
            std::fs::remove_file(&self.path).or_else(unless_missing)?;
            sync(self.folder())
        };
        remove().map_err(|e| Error::disk(format!("removing the sign-in {}", self.path.display()), e))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn aside(&self) -> PathBuf {
        self.path.with_extension("new")
    }

    /// Over what is there: its room is kept until all is written.
    fn write_aside(&self, text: &[u8]) -> std::io::Result<PathBuf> {
        let path = self.aside();
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

    fn hidden(text: &str) -> Hidden {
        Hidden(Zeroizing::new(text.to_owned()))
    }

    fn kept(renewed: i64, expires_in: u64) -> Kept {
        Kept {
            id: "1".into(),
            user: "me".into(),
            name: "work".into(),
            provider: Provider::default(),
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
        // One that lives for less is used for half of its life.
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
        assert!(!kept(0, 3600).is_unused(WEEK - 1) && kept(0, 3600).is_unused(WEEK));
    }

    #[test]
    fn what_was_written_is_read_and_private_and_nothing_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { path: folder.path().join("sign-ins/x.json") };
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
        let store = Store { path: folder.path().join("x.json") };
        std::fs::write(&store.path, "{\"refresh_token\": hush-hush").unwrap();
        let said = store.read().unwrap_err().to_string();
        assert!(said.contains("damaged") && !said.contains("hush"), "{said}");
    }
}
