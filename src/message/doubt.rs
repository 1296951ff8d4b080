//! Messages that mail readers interpret in different ways. A line may end a multipart for one and be text for another;
//! one uses the first of two Content-Type fields and another the last. Malware is hidden in parts that only some
//! readers show.
//!
//! So such a message is read twice. The first reading numbers the parts. The second is as wide as possible: every line
//! that any reader may take for a boundary divides parts, a multipart ends only where its parent ends, and the last of
//! several fields counts. The parts that only the second reading finds are added after those of the first.

use std::collections::HashMap;

use super::headers::Field;
use super::mime::Structure;
use super::part::{Part, Reading};
use super::violations::note;
use super::{Message, Violation};

/// At most this many doubtful parts are kept.
const MAX_DOUBTFUL: usize = 100;
/// At most this many candidates are used for the boundary of one multipart.
const MAX_BOUNDARIES: usize = 4;
/// Fields that a part may have only once (RFC 2045 3).
const SINGLE_FIELDS: [&str; 3] = ["Content-Type", "Content-Disposition", "Content-Transfer-Encoding"];

/// The violations in the header block of a part about which readers disagree.
pub(super) fn of_header(part: &Part, header: &[u8]) -> impl Iterator<Item = Violation> {
    let is_doubled = has_doubled_field(part.fields());
    let is_multipart = part.is_multipart() || is_doubled && is_divided(part);
    let doubts = [
        (is_doubled, Violation::DoubledField),
        (is_multipart && boundaries(part).len() > 1, Violation::DoubtfulBoundary),
        (is_multipart && dashes_in(header).is_some(), Violation::BoundaryInHeader),
        (part.names().are_doubtful(), Violation::DoubtfulName),
        (part.names().is_cut(), Violation::TooManyNames),
    ];
    doubts.into_iter().filter_map(|(is_so, doubt)| is_so.then_some(doubt))
}

fn has_doubled_field(fields: &[Field]) -> bool {
    let content: Vec<&Field> =
        fields.iter().filter(|field| SINGLE_FIELDS.iter().any(|name| field.is_named(name))).collect();
    let differs = |name: &str| {
        let mut values = content.iter().filter(|field| field.is_named(name)).map(|field| field.raw().trim_ascii());
        values.next().is_some_and(|first| values.any(|value| value != first))
    };
    content.len() > 1 && SINGLE_FIELDS.iter().any(|name| differs(name))
}

/// The position of the first line that begins with two dashes, as boundaries do and fields do not.
fn dashes_in(header: &[u8]) -> Option<usize> {
    if header.starts_with(b"--") { Some(0) } else { memchr::memmem::find(header, b"\n--").map(|at| at + 1) }
}

/// The header fields and the start of the body for readers that end a header block at the first line that is not a
/// field.
pub(super) fn header_of(message: &Message) -> (Vec<Field>, u64) {
    match dashes_in(message.head()) {
        Some(at) => {
            let before = message.fields().iter().filter(|field| field.starts_at() < at);
            (before.cloned().collect(), at as u64)
        }
        None => (message.fields().to_vec(), message.body_at()),
    }
}

/// Whether any of its Content-Type fields says multipart.
pub(super) fn is_divided(part: &Part) -> bool {
    part.is_multipart() || types(part).any(|parsed| is_multipart(&parsed.main))
}

/// All texts that a reader may use as its boundary.
pub(super) fn boundaries(part: &Part) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for parsed in types(part).filter(|parsed| is_multipart(&parsed.main)) {
        for reading in parsed.readings("boundary").map(<[u8]>::trim_ascii_end) {
            if all.len() < MAX_BOUNDARIES && !reading.is_empty() && all.iter().all(|known| known != reading) {
                all.push(reading.to_vec());
            }
        }
    }
    all
}

fn types(part: &Part) -> impl Iterator<Item = super::params::Parsed> {
    part.fields().iter().filter(|field| field.is_named("Content-Type")).map(Field::parsed)
}

fn is_multipart(main: &str) -> bool {
    main.starts_with("multipart/")
}

/// The whole body of a multipart as a text part within it.
pub(super) fn whole_as_text(index: usize, part: &Part) -> Part {
    let mut whole = Part::new(Some((index, part)), Vec::new(), Reading::Others);
    whole.header_at = part.body.start;
    whole.body = part.body.clone();
    whole.size = part.size;
    whole
}

/// The same part for readers that use the first of several fields, if that makes a difference.
fn by_first_fields(part: &Part, parent: Option<&Part>) -> Option<Part> {
    if !has_doubled_field(part.fields()) {
        return None;
    }
    let mut first = Part::new(part.parent.zip(parent), part.fields().to_vec(), Reading::Ours);
    first.header_at = part.header_at;
    first.body = part.body.clone();
    first.size = part.size;
    Some(first).filter(|first| !first.is_multipart() && !first.shows(part))
}

/// Our reading, followed by the parts that only other readers show.
pub(super) fn merged(mut ours: Structure, others: Structure) -> Structure {
    let shown = ours.parts.len();
    let mut by_header: HashMap<u64, usize> = HashMap::new();
    ours.parts.iter().enumerate().for_each(|(index, part)| _ = by_header.entry(part.header_at).or_insert(index));
    // The index of each of their parts in the merged list.
    let mut places: Vec<usize> = Vec::with_capacity(others.parts.len());
    for part in others.parts {
        if ours.parts.len() - shown >= MAX_DOUBTFUL {
            note(&mut ours.violations, Violation::TooManyParts);
            break;
        }
        let twin = by_header.get(&part.header_at).copied();
        let parent = part.parent.and_then(|parent| places.get(parent).copied());
        let is_seen = |part: &Part| twin.and_then(|twin| ours.parts.get(twin)).is_some_and(|twin| part.shows(twin));
        let first = by_first_fields(&part, parent.and_then(|at| ours.parts.get(at))).filter(|first| !is_seen(first));
        let is_frame = part.is_container && !part.is_message();
        match twin {
            Some(twin) if is_frame || is_seen(&part) => places.push(twin),
            _ => {
                places.push(ours.parts.len());
                ours.parts.push(part.doubtful(parent));
            }
        }
        ours.parts.extend(first.map(|first| first.doubtful(parent)));
    }
    let is_bound = |violation: &Violation| {
        matches!(
            violation,
            Violation::TooManyParts | Violation::TooDeep | Violation::PartHeaderTooLarge | Violation::Unreadable
        )
    };
    others.violations.into_iter().filter(is_bound).for_each(|violation| note(&mut ours.violations, violation));
    ours
}
