//! A hash that identifies several texts.

use sha2::{Digest, Sha256};

/// The hash of these texts. Their lengths are hashed too, so that no two lists of texts give the same input.
pub(super) fn fingerprint<'t>(texts: impl IntoIterator<Item = &'t str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
