//! The files of mail that is already filed: their names, and where they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::World;
use super::plan::Here;
use crate::deliver::files_named;
use crate::error::Result;
use crate::message::{DeliveryName, Key, MOVED, lasting_name};
use crate::state::Target;

/// Where the files of a row are now: in their folders, with any flags, or wherever a mail reader or `refilter` moved
/// them.
pub(crate) fn files_of(world: &World, targets: &[Target]) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    for target in targets {
        let here = files_named(&*world.disk, &target.maildir, &target.staged, 0)?;
        let here = match here.is_empty() {
            true => files_named(&*world.disk, world.folders.root(), &target.staged, usize::MAX)?,
            false => here,
        };
        found.extend(here);
    }
    Ok(found.into_iter().collect())
}

/// The name of a file without its flags.
pub(crate) fn name_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.split(":2,").next().unwrap_or_default().to_owned()
}

/// The name that a moved file gets. The unique part stays, because a lost state recognises the file by it. The new
/// ending distinguishes the file from the one that it comes from.
pub(crate) fn moved_name(file_name: &str, key: &Key, now: Timestamp) -> String {
    let plain = lasting_name(file_name);
    let digest = Sha256::digest(format!("{key} {}", now.as_nanosecond()));
    format!("{plain}{MOVED}{}", data_encoding::HEXLOWER.encode(&digest[..4]))
}

/// The place of a message whose only copy was in the spool. It leaves no file, and keeps the name by which a lost state
/// recognises it.
pub(crate) fn out_of_spool(world: &World, spooled: &Path, key: &Key, arrived: Timestamp) -> Option<Here> {
    let (name, _) = DeliveryName::of_spooled(spooled)?;
    let plain = format!("{}.{}.{}", arrived.as_second().max(0), name.as_str(), world.host);
    Some(Here { name: moved_name(&plain, key, world.now()), leaves: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Origin;

    #[test]
    fn a_moved_file_is_still_recognised_and_its_name_does_not_grow() {
        let origin = Arc::new(Origin { account: "work".into(), folder: "INBOX".into(), generation: 1 });
        let key = Key::new(&origin, "7");
        let name = DeliveryName::of(&key);
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let once = moved_name(&format!("1700000000.{}.host:2,S", name.as_str()), &key, now);
        let twice = moved_name(&format!("{once}:2,FS"), &key, now);
        assert_eq!(once, twice);
        let file = format!("{twice}:2,S");
        assert_eq!(DeliveryName::of_anybody(&file).map(|(name, _)| name), Some(name));
    }
}
