//! The boundaries of all open multiparts, found in a line by one search however many there are.

/// Boundaries in order, each once, with the innermost level that it divides.
#[derive(Debug, Default)]
pub(super) struct Dividers {
    sorted: Vec<Divider>,
}

#[derive(Debug)]
struct Divider {
    boundary: Vec<u8>,
    level: usize,
    /// The longest of the others that this one begins with.
    shorter: Option<usize>,
}

impl Dividers {
    /// Of boundaries with their levels.
    pub(super) fn of<'b>(all: impl Iterator<Item = (usize, &'b [u8])>) -> Self {
        let mut all: Vec<(&[u8], usize)> = all.map(|(level, boundary)| (boundary, level)).collect();
        all.sort_unstable_by(|one, two| one.0.cmp(two.0).then(two.1.cmp(&one.1)));
        all.dedup_by(|next, kept| next.0 == kept.0);
        let mut sorted: Vec<Divider> = Vec::with_capacity(all.len());
        for (boundary, level) in all {
            // What it begins with stands before it, and between them nothing that does not begin so.
            let mut shorter = sorted.len().checked_sub(1);
            while let Some(at) = shorter
                && let Some(before) = sorted.get(at)
                && !boundary.starts_with(&before.boundary)
            {
                shorter = before.shorter;
            }
            sorted.push(Divider { boundary: boundary.to_vec(), level, shorter });
        }
        Self { sorted }
    }

    /// Every boundary that the line begins with: its level, and what stands behind it. The longest comes first.
    pub(super) fn beginning<'l>(&self, line: &'l [u8]) -> impl Iterator<Item = (usize, &'l [u8])> {
        let mut next = self.sorted.partition_point(|divider| divider.boundary.as_slice() <= line).checked_sub(1);
        std::iter::from_fn(move || {
            loop {
                let divider = self.sorted.get(next?)?;
                next = divider.shorter;
                if let Some(behind) = line.strip_prefix(divider.boundary.as_slice()) {
                    return Some((divider.level, behind));
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_beginnings_are_found(boundaries in prop::collection::vec("[ab-]{1,4}", 0..12), line in "[ab-]{0,8}") {
            let all = || boundaries.iter().enumerate().map(|(level, boundary)| (level, boundary.as_bytes()));
            let dividers = Dividers::of(all());
            let mut found: Vec<_> = dividers.beginning(line.as_bytes()).map(|(level, behind)| (behind.len(), level)).collect();
            let mut expected: Vec<_> = all()
                .filter_map(|(level, boundary)| Some((line.as_bytes().strip_prefix(boundary)?.len(), level)))
                .collect();
            // Of equal ones the innermost counts.
            expected.sort_unstable_by(|one, two| one.0.cmp(&two.0).then(two.1.cmp(&one.1)));
            expected.dedup_by_key(|(behind, _)| *behind);
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
