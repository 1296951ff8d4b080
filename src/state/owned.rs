//! Ownership of a name space: which process may write now, and how a later owner knows what an earlier one left.
//!
//! A name space is what one process at a time may write for: an account, one of the slots of `deliver`, `refilter` with
//! `undo` and `maintain`, the outbox. A lock of the kernel protects it and ends with its holder. The state numbers the
//! owners, and refuses what an earlier owner writes after a later one took over.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::rand::SecureRandom;

use super::{Lock, Registry};
use crate::error::{Error, Kind, Result};
use crate::message::space_tag;
use crate::safeguard::Safeguard;

/// The start of the part of a staged file's name that says who staged it.
const STAMP: &str = ",O=";

/// Who staged a file: the name space, the process, and the number of its ownership. It is the end of the file's name
/// while the file is staged, and is dropped when the file is published.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(String);

impl Stamp {
    fn new(space: &str, incarnation: &str, generation: u64) -> Self {
        Self(format!("{STAMP}{}-{incarnation}-{generation}", space_tag(space)))
    }

    /// The stamp in the state or in a file name; empty for files of versions without stamps.
    pub fn parse(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Splits the name of a staged file into its later name and the stamp.
    pub fn split(file: &str) -> (&str, Self) {
        match file.rfind(STAMP) {
            Some(at) => (&file[..at], Self(file[at..].to_owned())),
            None => (file, Self::default()),
        }
    }

    /// Whether a file with this stamp was staged for that name space, or `None` for a file without a stamp.
    pub fn is_of(&self, space: &str) -> Option<bool> {
        let tag = self.0.strip_prefix(STAMP)?.split('-').next()?;
        Some(tag == space_tag(space))
    }

    /// The stamp as the end of a name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The proof that this process owns a name space now. Every writing call of the [`Store`], and staging, publishing and
/// recovering ask for one. Dropping it releases the name space.
#[derive(Debug)]
pub struct Owned {
    space: String,
    incarnation: String,
    generation: u64,
    lock: Option<Lock>,
    /// A previous owner may have left files that no row names.
    left: AtomicBool,
    /// This owner may leave such files, until its batch is published.
    staging: AtomicBool,
}

impl Owned {
    /// Takes the name space, waits up to `patience` for its owner, or says which process owns it.
    pub fn take(store: &dyn Registry, locks: &Path, space: &str, patience: Duration) -> Result<Self> {
        let lock = match Lock::take(locks, space, patience) {
            Err(e) if e.kind() == Kind::Busy && !Safeguard::RecoverOnlyTheDead.is_on() => {
                return Self::beside(space);
            }
            lock => lock?,
        };
        let incarnation = incarnation()?;
        let generation = store.take_over(space, &incarnation)?;
        let left = AtomicBool::new(lock.is_left());
        let staging = AtomicBool::new(false);
        Ok(Self { space: space.to_owned(), incarnation, generation, lock: Some(lock), left, staging })
    }

    /// Takes it without the lock, although another process has it: only a test build can make this mistake.
    fn beside(space: &str) -> Result<Self> {
        let mut owned = Self::private(space)?;
        space.clone_into(&mut owned.space);
        Ok(owned)
    }

    /// A name space that no other process can name, for work that leaves nothing to recover.
    pub fn private(purpose: &str) -> Result<Self> {
        let incarnation = incarnation()?;
        let space = format!("{purpose}-{incarnation}");
        let (left, staging) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { space, incarnation, generation: 0, lock: None, left, staging })
    }

    /// The name.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// The random number of this process's ownership, in hex.
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// How often the name space has been taken, or 0 for a private one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The end of the names of staged files.
    pub fn stamp(&self) -> Stamp {
        Stamp::new(&self.space, &self.incarnation, self.generation)
    }

    /// Whether there may be files that no row names: the previous owner died, or the machine was started since.
    pub fn may_have_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    /// Says that what was left is dealt with.
    pub fn is_cleared(&self) {
        self.left.store(false, Ordering::SeqCst);
    }

    /// Says whether files are being written that no row names yet.
    pub fn is_staging(&self, staging: bool) {
        self.staging.store(staging, Ordering::SeqCst);
    }

    /// Whether this owner may have written files that no row names.
    pub fn has_staged(&self) -> bool {
        self.staging.load(Ordering::SeqCst)
    }

    /// The lock that protects it.
    pub fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Some(lock) = self.lock.take() {
            match *self.left.get_mut() || *self.staging.get_mut() {
                true => lock.release_unsettled(),
                false => drop(lock),
            }
        }
    }
}

fn incarnation() -> Result<String> {
    let mut random = [0; 8];
    let filled = ring::rand::SystemRandom::new().fill(&mut random);
    filled.map_err(|_| Error::transient(Kind::State, "the system gives no random bytes"))?;
    Ok(HEXLOWER.encode(&random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_told_from_the_name_before_it() {
        let stamp = Stamp::new("work", "0123456789abcdef", 7);
        let file = format!("1700000000.x-y.host,R=12{}", stamp.as_str());
        let (name, found) = Stamp::split(&file);
        assert_eq!((name, &found), ("1700000000.x-y.host,R=12", &stamp));
        assert_eq!((found.is_of("work"), found.is_of("home")), (Some(true), Some(false)));
        let (name, none) = Stamp::split("1700000000.x-y.host");
        assert_eq!((name, none.is_of("work")), ("1700000000.x-y.host", None));
    }

    #[test]
    fn no_two_private_name_spaces_are_the_same() {
        assert_ne!(Owned::private("x").unwrap().space(), Owned::private("x").unwrap().space());
    }
}
