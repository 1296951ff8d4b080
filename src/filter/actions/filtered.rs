//! Which part of a message a `filter` program reads, and how its output replaces that part.

use std::io::{self, Read};
use std::sync::Arc;

use super::super::asking::Break;
use crate::charsets::Charset;
use crate::config::problem::Problems;
use crate::config::reader;
use crate::config::yaml::Node;
use crate::message::{Bytes, Message};

/// The largest body that goes through a program by itself, in bytes.
const MAX_BODY_BYTES: u64 = 100 * 1024 * 1024;

/// What the program reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum FilterInput {
    #[default]
    Message,
    /// The header block with the empty line that ends it, as with procmail's `:0 fhw`.
    Headers,
    /// The body, as with procmail's `:0 fbw`.
    Body,
}

pub(super) fn input(node: &Node, problems: &mut Problems) -> Option<FilterInput> {
    let words = [("message", FilterInput::Message), ("headers", FilterInput::Headers), ("body", FilterInput::Body)];
    reader::choice(node, &words, problems)
}

/// Why the output of a program cannot replace its input.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Lack {
    #[error("no message: what it wrote has no header, or is empty")]
    Header,
    #[error("more than a header: there is a text behind it")]
    Body,
}

impl FilterInput {
    /// The bytes for the program to read.
    pub(super) fn of(self, message: &Arc<Message>) -> Result<Arc<Message>, Break> {
        let bytes = match self {
            Self::Message => return Ok(Arc::clone(message)),
            Self::Headers => message.before_body().to_vec(),
            Self::Body => {
                body(message).map_err(|error| Break::Failed(format!("the message could not be read: {error}")))?
            }
        };
        Ok(Arc::new(Message::new(Bytes::Memory(bytes))))
    }

    /// The message with the output of the program, with LF line ends.
    pub(in super::super) fn put_back(
        self,
        message: &Message,
        came: Vec<u8>,
        assumed: &[Charset],
    ) -> Result<Message, Lack> {
        let new = match self {
            Self::Message => Message::new(Bytes::Memory(came)).assuming(assumed),
            Self::Headers => message.behind(&alone(came)?),
            Self::Body => Message::new(Bytes::Memory([message.before_body(), &came].concat())).assuming(assumed),
        };
        // Users of procmail lost mail because of programs that wrote nothing.
        if new.fields().is_empty() { Err(Lack::Header) } else { Ok(new) }
    }
}

/// A header block that ends with an empty line, whether the program wrote that or not.
fn alone(mut came: Vec<u8>) -> Result<Vec<u8>, Lack> {
    if !came.ends_with(b"\n") {
        came.push(b'\n');
    }
    let header = Message::new(Bytes::Memory(came.clone()));
    if header.fields().is_empty() {
        return Err(Lack::Header);
    }
    if header.body_length() > 0 {
        return Err(Lack::Body);
    }
    if header.before_body().len() == header.head().len() {
        came.push(b'\n');
    }
    Ok(came)
}

fn body(message: &Message) -> io::Result<Vec<u8>> {
    if message.body_length() > MAX_BODY_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its body is larger than 100 MiB"));
    }
    let mut reader = message.reader()?;
    io::copy(&mut (&mut reader).take(message.before_body().len() as u64), &mut io::sink())?;
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::new(Bytes::Memory(text.as_bytes().to_vec()))
    }

    fn bytes(message: &Message) -> String {
        let mut text = String::new();
        message.reader().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_part_goes_in_and_the_rest_stays() {
        let mail = Arc::new(message("A: 1\nB: 2\n\nbody\n\nend\n"));
        assert_eq!(bytes(&FilterInput::Headers.of(&mail).unwrap()), "A: 1\nB: 2\n\n");
        assert_eq!(bytes(&FilterInput::Body.of(&mail).unwrap()), "body\n\nend\n");
        for header in ["C: 3\n\n", "C: 3\n", "C: 3"] {
            let new = FilterInput::Headers.put_back(&mail, header.as_bytes().to_vec(), &[]).unwrap();
            assert_eq!(bytes(&new), "C: 3\n\nbody\n\nend\n", "{header:?}");
        }
        let new = FilterInput::Body.put_back(&mail, b"other\n".to_vec(), &[]).unwrap();
        assert_eq!(bytes(&new), "A: 1\nB: 2\n\nother\n");
    }

    #[test]
    fn what_is_no_header_takes_no_place() {
        let mail = message("A: 1\n\nbody\n");
        for wrong in ["", "\n", "no field\n", "C: 3\n\nand a body\n"] {
            assert!(FilterInput::Headers.put_back(&mail, wrong.as_bytes().to_vec(), &[]).is_err(), "{wrong:?}");
        }
        assert!(FilterInput::Message.put_back(&mail, b"\nbody\n".to_vec(), &[]).is_err());
    }
}
