//! A message as a relay takes it: its parts encoded where they must be, its long fields folded.
//!
//! SMTP allows lines of [`LONGEST_LINE`] bytes (RFC 5321 4.5.3.1.6), and bytes beyond ASCII where the server has 8BITMIME
//! (RFC 6152). What exceeds that is encoded part by part (RFC 2045 6): the content stays what it is, and nothing else of the
//! message changes. A message that fits already leaves as it is, byte for byte; nobody asks this module then.
//!
//! `plan` finds out what becomes of each part, `coder` encodes as the bytes pass, `fields` and `words` see to header blocks.
//! Memory is needed for header blocks alone, and time in proportion to the message.
//!
//! What is signed or encrypted is not touched (RFC 1847 2.1), nor is what may not be encoded or was not understood: that is
//! sent as it is, as sendmail and Exim do, and [`Fitted::left`] says why.

mod body;
mod coder;
mod fields;
mod plan;
mod reader;
mod words;

use std::fmt;
use std::io::{self, Read};

use self::coder::Coding;
use super::Message;

/// The longest line in bytes, without its line end.
pub const LONGEST_LINE: usize = 998;

/// How a message goes to a relay.
#[derive(Debug)]
pub struct Fitted {
    steps: Vec<Step>,
    changes: Changes,
    left: Option<Left>,
}

/// What is done with the next bytes of the message.
#[derive(Debug)]
enum Step {
    /// They stay as they are.
    Keep(u64),
    /// They are left out.
    Drop(u64),
    /// These are put in.
    Put(Vec<u8>),
    /// They are encoded.
    Code(u64, Coding),
}

/// What was done to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Changes {
    quoted: bool,
    base64: bool,
    wrapped: bool,
    folded: bool,
    words: bool,
}

/// Why something of a message stays that a relay need not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A part is signed or encrypted.
    Signed,
    /// A part is of a kind or in an encoding that may not be encoded (RFC 2045 6.4).
    Uncodable,
    /// The message is not made so that its parts can be told apart.
    Unclear,
    /// A field of a header block has no place to be folded, or has bytes that cannot be written otherwise.
    Field,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "a part of it is signed or encrypted",
            Self::Uncodable => "a part of it may not be encoded",
            Self::Unclear => "its parts cannot be told apart",
            Self::Field => "a field of its header cannot be written otherwise",
        })
    }
}

impl Message {
    /// The message as it goes to a server that takes lines of [`LONGEST_LINE`] and, if `eight_bit`, bytes beyond ASCII.
    ///
    /// # Errors
    /// The file with the message cannot be read.
    pub fn fitted(&self, eight_bit: bool) -> io::Result<Fitted> {
        plan::plan(self, eight_bit)
    }
}

impl Fitted {
    /// The bytes to be sent, of the message that this was made for.
    ///
    /// # Errors
    /// The file with the message cannot be opened.
    pub fn reader<'a>(&'a self, message: &'a Message) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(Box::new(reader::Reader::new(&self.steps, message.reader()?)))
    }

    /// What was done to it, for people. `None`: nothing.
    pub fn changes(&self) -> Option<String> {
        let Changes { quoted, base64, wrapped, folded, words } = self.changes;
        let all = [
            (quoted, "quoted-printable"),
            (base64, "base64"),
            (wrapped, "lines wrapped"),
            (folded, "fields folded"),
            (words, "fields encoded"),
        ];
        let done: Vec<&str> = all.into_iter().filter(|(is_done, _)| *is_done).map(|(_, what)| what).collect();
        (!done.is_empty()).then(|| done.join(", "))
    }

    /// Why something of it stays that the server need not take. `None`: all of it fits.
    pub fn left(&self) -> Option<Left> {
        self.left
    }
}
