//! Who stands under an id now: asked before anything is deleted that an earlier session fetched, and of ids that come back.
//!
//! | header and size | Message-ID, Date, From, Subject, lowest Received | then |
//! |---|---|---|
//! | equal | | the message that was fetched |
//! | another | equal | the same mail in another dress: servers add Status, X-Keywords, spam fields |
//! | another | another | another message under the old id: new mail |
//! | not known, for the state was rebuilt | | the file that stands here is compared; where none stands, nothing is known |

use super::World;
use crate::error::{Error, Result};
use crate::message::{DeliveryName, Key};
use crate::source::{Listed, is_about_size};
use crate::state::Remembered;

/// What was found under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// The message that is here.
    Same,
    /// The same mail, with a header that the server changed.
    Redressed,
    /// Another message.
    Another,
    /// It cannot be told: nothing is known of the one that was fetched, or of the one that stands there.
    Unknown,
}

/// Compares what is remembered of a key with what the server describes.
pub(super) fn stands(world: &World, key: &Key, known: &Remembered, listed: &Listed) -> Result<Stands> {
    let (Some(head), Some(dress)) = (listed.head_hash, listed.dress) else { return Ok(Stands::Unknown) };
    let Some(known_head) = known.head_hash else { return by_file(world, key, listed, head, dress) };
    let is_size_equal = known.announced == 0 || listed.size() == 0 || known.announced == listed.size();
    if known_head == head && is_size_equal {
        return Ok(Stands::Same);
    }
    match known.dress {
        Some(known_dress) if known_dress == dress => Ok(Stands::Redressed),
        Some(_) => Ok(Stands::Another),
        // Fetched before the fields were noted.
        None => match by_file(world, key, listed, head, dress)? {
            Stands::Unknown if known_head == head => Ok(Stands::Redressed),
            Stands::Unknown => Ok(Stands::Another),
            found => Ok(found),
        },
    }
}

/// By the file that stands here. One that rules edited has another header, and is no proof; nor is one that is not whole.
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
