//! The boundaries of all open multiparts, as a prefix tree. One pass over a line finds all boundaries it begins with.

/// A prefix tree of boundaries.
#[derive(Debug, Default)]
pub(super) struct Dividers {
    /// The first is the root.
    nodes: Vec<DividerNode>,
}

#[derive(Debug, Default)]
struct DividerNode {
    /// The innermost level whose boundary ends at this node, if one does.
    level: Option<usize>,
    /// The continuations of longer boundaries, sorted by their first byte.
    branches: Vec<Branch>,
}

#[derive(Debug)]
struct Branch {
    first: u8,
    /// The bytes after `first` that all boundaries of this branch share.
    rest: Vec<u8>,
    node: usize,
}

impl Dividers {
    /// Builds the tree of boundaries and their levels.
    pub(super) fn of<'b>(all: impl Iterator<Item = (usize, &'b [u8])>) -> Self {
        let mut all: Vec<(&[u8], usize)> = all.map(|(level, boundary)| (boundary, level)).collect();
        all.sort_unstable_by(|one, two| one.0.cmp(two.0).then(two.1.cmp(&one.1)));
        all.dedup_by(|next, kept| next.0 == kept.0);
        let mut dividers = Self::default();
        dividers.add(&all, 0);
        dividers
    }

    /// Adds the node for sorted boundaries whose first `common` bytes are equal.
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

    /// All boundaries that the line begins with, shortest first: the level and the rest of the line.
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

/// The rest of the line after `beginning`. The loop is faster than a call, because `beginning` is short and usually
/// empty.
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
            // Of equal boundaries, the innermost counts.
            expected.sort_unstable_by(|one, two| one.0.cmp(&two.0).then(two.1.cmp(&one.1)));
            expected.dedup_by_key(|(behind, _)| *behind);
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
