//! Identity: which message an id means now. This is checked before anything is deleted that an earlier session fetched,
//! and when an id comes back.
//!
//! | header and size | Message-ID, Date, From, Subject, lowest Received | then |
//! |---|---|---|
//! | equal | | the message that was fetched |
//! | another | equal | the same message with a changed header: servers add Status, X-Keywords, spam fields |
//! | another | another | another message under the old id: new mail |
//! | not known, because the state was rebuilt | | the local file is compared; without a file, nothing is known |

use super::World;
use crate::error::{Error, Result};
use crate::message::{DeliveryName, Key};
use crate::source::{Listed, is_about_size};
use crate::state::RememberedKey;

/// What was found under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// The message that was fetched.
    Same,
    /// The same mail, with a header that the server changed.
    Redressed,
    /// Another message.
    Another,
    /// Not known: nothing is known about the message that was fetched, or about the one that is listed.
    Unknown,
}

/// Compares what is remembered of a key with what the server describes.
pub(super) fn stands(world: &World, key: &Key, known: &RememberedKey, listed: &Listed) -> Result<Stands> {
    let (Some(head), Some(dress)) = (listed.head_hash, listed.dress) else { return Ok(Stands::Unknown) };
    let Some(known_head) = known.head_hash else { return by_file(world, key, listed, head, dress) };
    let is_size_equal = known.announced == 0 || listed.size() == 0 || known.announced == listed.size();
    if known_head == head && is_size_equal {
        return Ok(Stands::Same);
    }
    match known.dress {
        Some(known_dress) if known_dress == dress => Ok(Stands::Redressed),
        Some(_) => Ok(Stands::Another),
        // It was fetched before those fields were remembered.
        None => match by_file(world, key, listed, head, dress)? {
            Stands::Unknown if known_head == head => Ok(Stands::Redressed),
            Stands::Unknown => Ok(Stands::Another),
            found => Ok(found),
        },
    }
}

/// Compares with the local file. A file that rules edited has another header and proves nothing, nor does an incomplete
/// file.
fn by_file(world: &World, key: &Key, listed: &Listed, head: [u8; 16], dress: [u8; 16]) -> Result<Stands> {
    let name = DeliveryName::of(key);
    if let Some(path) = world.walk.file_of(world, &name)? {
        let message = world.read(&path).map_err(|e| Error::disk(format!("reading {}", path.display()), e))?;
        if !is_about_size(message.size(), listed.size()) {
            return Ok(Stands::Unknown);
        }
        if message.head_hash() == head {
            return Ok(Stands::Same);
        }
        return Ok(if message.dress_hash() == dress { Stands::Redressed } else { Stands::Another });
    }
    Ok(Stands::Unknown)
}
