//! UID sets in commands, with ranges, split so that no command is too long for the server.

use super::session::ImapSession;

/// The most UIDs in one command.
const MOST_UIDS: usize = 1_000;
/// The longest command, in octets, that every server accepts (RFC 2683 3.2.1.5).
const SHORT_COMMAND_BYTES: usize = 1_000;
/// The longest command for a server with CONDSTORE or QRESYNC (RFC 7162 4 says 8,192).
const LONG_COMMAND_BYTES: usize = 8_000;
/// The octets for the tag, blanks and the line end.
const COMMAND_OVERHEAD_BYTES: usize = 20;
/// The octets for UIDs that every command has, however long its other words are.
const MIN_SET_BYTES: usize = 64;

impl ImapSession {
    /// How many octets of UIDs fit into a command besides these words.
    pub(super) fn room_beside(&self, words: &[&str]) -> usize {
        let most = if self.can("CONDSTORE") || self.can("QRESYNC") { LONG_COMMAND_BYTES } else { SHORT_COMMAND_BYTES };
        let others: usize = words.iter().map(|word| word.len() + 1).sum();
        most.saturating_sub(others + COMMAND_OVERHEAD_BYTES).max(MIN_SET_BYTES)
    }
}

/// UIDs as a sequence set with ranges: `1:4,7`.
pub(super) fn uid_set(uids: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let text = |(first, last): (u32, u32)| if first == last { first.to_string() } else { format!("{first}:{last}") };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// Splits messages in ascending order of their UIDs into pieces whose sets fit into `room` octets.
pub(super) fn pieces<T>(messages: &[T], room: usize, uid_of: impl Fn(&T) -> Option<u32>) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    let mut rest = messages;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(fitting(rest, room, &uid_of));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// How many of the first messages fit. At least one.
fn fitting<T>(messages: &[T], room: usize, uid_of: &impl Fn(&T) -> Option<u32>) -> usize {
    let mut closed = 0;
    let mut range: Option<(u32, u32)> = None;
    for (count, message) in messages.iter().enumerate().take(MOST_UIDS) {
        let Some(uid) = uid_of(message) else { continue };
        range = match range {
            Some((first, last)) if last.checked_add(1) == Some(uid) => Some((first, uid)),
            before => {
                closed += before.map_or(0, length);
                Some((uid, uid))
            }
        };
        if closed + range.map_or(0, length) > room {
            return count.max(1);
        }
    }
    messages.len().min(MOST_UIDS)
}

/// The length of a range, with a comma.
fn length((first, last): (u32, u32)) -> usize {
    let digits = |uid: u32| uid.checked_ilog10().map_or(1, |exponent| exponent as usize + 1);
    digits(first) + 1 + if first == last { 0 } else { digits(last) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_ranges() {
        assert_eq!(uid_set([1, 2, 3, 7, 9, 10].into_iter()), "1:3,7,9:10");
        assert_eq!(uid_set([u32::MAX].into_iter()), "4294967295");
        assert_eq!(uid_set(std::iter::empty()), "");
    }

    #[test]
    fn no_set_is_longer_than_a_server_takes() {
        let gaps: Vec<u32> = (0..2_500).map(|n| 4_000_000_000 + n * 2).collect();
        for (room, most) in [(7_000, 5), (900, 40)] {
            let cut = pieces(&gaps, room, |uid| Some(*uid));
            assert_eq!(cut.concat(), gaps);
            let longest = cut.iter().map(|piece| uid_set(piece.iter().copied()).len()).max();
            assert!(cut.len() < most && longest.is_some_and(|length| length <= room), "{longest:?}");
        }
        let row: Vec<u32> = (1..=2_000).collect();
        assert_eq!(pieces(&row, 900, |uid| Some(*uid)).len(), 2, "a range is short");
        assert!(pieces(&[] as &[u32], 900, |uid| Some(*uid)).is_empty());
    }
}
