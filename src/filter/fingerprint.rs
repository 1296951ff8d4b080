//! A hash of several texts, by which they are known again.

use sha2::{Digest, Sha256};

/// Lengths go in too, so that no two lists of texts feed the same bytes.
pub(super) fn fingerprint<'t>(texts: impl IntoIterator<Item = &'t str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
