//! Produces the bytes to be sent while they are read.

use std::io::{self, Read};

use super::FitStep;
use super::coder::Coder;

/// How much of the message is read at a time.
const READ_BUFFER_BYTES: u64 = 32 * 1024;

/// Reads the message once and applies the steps.
pub(super) struct MessageReader<'a> {
    steps: std::slice::Iter<'a, FitStep>,
    message: Box<dyn Read + Send + 'a>,
    at_work: ReaderStep,
    out: Vec<u8>,
    given: usize,
}

/// What is done with the next bytes of the message, and how many there are.
enum ReaderStep {
    None,
    Keep(u64),
    Code(u64, Coder),
}

impl<'a> MessageReader<'a> {
    pub(super) fn new(steps: &'a [FitStep], message: Box<dyn Read + Send + 'a>) -> Self {
        Self { steps: steps.iter(), message, at_work: ReaderStep::None, out: Vec::new(), given: 0 }
    }

    /// Produces more output. Returns `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.out.clear();
        self.given = 0;
        match &mut self.at_work {
            ReaderStep::Keep(left) => {
                *left -= piece(&mut self.message, *left, &mut self.out)?;
                if *left == 0 {
                    self.at_work = ReaderStep::None;
                }
            }
            ReaderStep::Code(0, coder) => {
                coder.end(&mut self.out);
                self.at_work = ReaderStep::None;
            }
            ReaderStep::Code(left, coder) => {
                let mut bytes = Vec::new();
                *left -= piece(&mut self.message, *left, &mut bytes)?;
                coder.feed(&bytes, &mut self.out);
            }
            ReaderStep::None => match self.steps.next() {
                None => return Ok(false),
                Some(FitStep::Keep(0)) => {}
                Some(FitStep::Keep(length)) => self.at_work = ReaderStep::Keep(*length),
                Some(FitStep::Code(length, coding)) => self.at_work = ReaderStep::Code(*length, Coder::new(*coding)),
                Some(FitStep::Put(bytes)) => self.out.extend_from_slice(bytes),
                Some(FitStep::Drop(length)) => {
                    let dropped = io::copy(&mut (&mut self.message).take(*length), &mut io::sink())?;
                    if dropped < *length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            },
        }
        Ok(true)
    }
}

/// Reads some of the next `left` bytes, at least one.
fn piece(message: &mut dyn Read, left: u64, out: &mut Vec<u8>) -> io::Result<u64> {
    let read = message.take(left.min(READ_BUFFER_BYTES)).read_to_end(out)? as u64;
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

impl Read for MessageReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.out.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let count = into.len().min(self.out.len() - self.given);
        into[..count].copy_from_slice(&self.out[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}
