//! How much is requested at once.

use super::Listed;

/// A batch is full when its announced sizes reach this,
pub const BATCH_BYTES: u64 = 4 * 1024 * 1024;
/// or when it has this many messages.
pub const BATCH_MESSAGES: usize = 500;
/// A message above this size is fetched on its own, in windows of this size, into the spool.
pub const WINDOW: u64 = 8 * 1024 * 1024;
/// The largest message that is accepted if the server does not announce its size.
const MOST_UNANNOUNCED_BYTES: u64 = 1024 * 1024 * 1024;

/// The limit for the bytes of one big message. An announced size is only a hint, but no server is off by a factor of four;
/// without a limit a message could fill the disk.
pub(super) fn most_of(message: &Listed) -> u64 {
    message.announced.map_or(MOST_UNANNOUNCED_BYTES, |size| size.max(WINDOW).saturating_mul(4))
}

/// The announced bytes of a batch.
pub(super) fn announced(batch: &[Listed]) -> u64 {
    batch.iter().fold(0, |sum, message| sum.saturating_add(message.size()))
}

/// Divides messages into batches. Messages above [`WINDOW`], and those of unknown size, come last, one by one.
pub(super) fn batches(wanted: &[Listed]) -> (Vec<&[Listed]>, Vec<&Listed>) {
    let mut small: Vec<&[Listed]> = Vec::new();
    let mut big: Vec<&Listed> = Vec::new();
    let mut start = 0;
    let mut bytes = 0;
    for (i, message) in wanted.iter().enumerate() {
        let is_big = message.announced.is_none_or(|size| size > WINDOW);
        let is_full = bytes + message.size().min(WINDOW) > BATCH_BYTES || i - start == BATCH_MESSAGES;
        if (is_big || is_full) && start < i {
            small.push(&wanted[start..i]);
            (start, bytes) = (i, 0);
        }
        if is_big {
            big.push(message);
            start = i + 1;
        } else {
            bytes += message.size();
        }
    }
    if start < wanted.len() {
        small.push(&wanted[start..]);
    }
    (small, big)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(sizes: &[u64]) -> Vec<Listed> {
        let one = |size: &u64| Listed { announced: Some(*size), ..Listed::unknown(Vec::new()) };
        sizes.iter().map(one).collect()
    }

    #[test]
    fn batches_are_bounded_and_big_messages_stand_alone() {
        let all = listed(&[1, 2, WINDOW + 1, 3, BATCH_BYTES, 4]);
        let (small, big) = batches(&all);
        let sizes: Vec<Vec<u64>> = small.iter().map(|b| b.iter().map(Listed::size).collect()).collect();
        assert_eq!(sizes, [vec![1, 2], vec![3], vec![BATCH_BYTES], vec![4]]);
        assert_eq!(big.len(), 1);
        assert_eq!(batches(&listed(&[0; 1201])).0.len(), 3);
        assert!(batches(&[]).0.is_empty());
    }
}
