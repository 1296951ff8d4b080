//! The boundaries of all open multiparts, found in a line by one walk along it however many there are.

/// Boundaries as a tree of what they have in common.
#[derive(Debug, Default)]
pub(super) struct Dividers {
    /// The first is the root.
    nodes: Vec<DividerNode>,
}

#[derive(Debug, Default)]
struct DividerNode {
    /// The innermost level that is divided by the boundary that ends here, if one does.
    level: Option<usize>,
    /// What follows here in longer ones, by its first byte, in order.
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    first: u8,
    /// What they all have behind that byte.
    rest: Vec<u8>,
    node: usize,
}

impl Dividers {
    /// Of boundaries with their levels.
    pub(super) fn of<'b>(all: impl Iterator<Item = (usize, &'b [u8])>) -> Self {
        let mut all: Vec<(&[u8], usize)> = all.map(|(level, boundary)| (boundary, level)).collect();
        all.sort_unstable_by(|one, two| one.0.cmp(two.0).then(two.1.cmp(&one.1)));
        all.dedup_by(|next, kept| next.0 == kept.0);
        let mut dividers = Self::default();
        dividers.add(&all, 0);
        dividers
    }

    /// Adds the node for sorted boundaries that have so many bytes in common.
    fn add(&mut self, sorted: &[(&[u8], usize)], common: usize) -> usize {
        let index = self.nodes.len();
        self.nodes.push(DividerNode::default());
        let ending = sorted.iter().take_while(|(boundary, _)| boundary.len() == common).count();
        let (ending, longer) = sorted.split_at(ending);
        let branches = longer.chunk_by(|one, two| one.0[common] == two.0[common]).filter_map(|group| {
            let (first, last) = (group.first()?.0, group.last()?.0);
            let shared = first.iter().zip(last).take_while(|(one, two)| one == two).count();
            Some(Branch {
                first: first[common],
                rest: first[common + 1..shared].to_vec(),
                node: self.add(group, shared),
            })
        });
        let branches = branches.collect();
        self.nodes[index] = DividerNode { level: ending.first().map(|(_, level)| *level), branches };
        index
    }

    /// Every boundary that the line begins with: its level, and what stands behind it. The shortest comes first.
    pub(super) fn beginning<'l>(&self, line: &'l [u8]) -> impl Iterator<Item = (usize, &'l [u8])> {
        let mut next = self.nodes.first();
        let mut behind = line;
        std::iter::from_fn(move || {
            loop {
                let node = next?;
                let found = node.level.map(|level| (level, behind));
                next = None;
                if let Some((first, rest)) = behind.split_first()
                    && let Ok(at) = node.branches.binary_search_by_key(first, |branch| branch.first)
                    && let Some(rest) = behind_all(rest, &node.branches[at].rest)
                {
                    behind = rest;
                    next = self.nodes.get(node.branches[at].node);
                }
                if found.is_some() {
                    return found;
                }
            }
        })
    }
}

/// What follows the beginning. That is short and mostly empty: a call would take longer than to compare here.
fn behind_all<'l>(line: &'l [u8], beginning: &[u8]) -> Option<&'l [u8]> {
    let (start, behind) = line.split_at_checked(beginning.len())?;
    start.iter().zip(beginning).all(|(one, two)| one == two).then_some(behind)
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
