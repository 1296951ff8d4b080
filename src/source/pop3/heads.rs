//! Reads header blocks: with TOP, or with RETR if the server has no TOP.

use super::Pop3Source;
use crate::error::Result;
use crate::message::{MAX_HEADER, head_of};
use crate::net::{BlockEnd, deadline};
use crate::source::whole::is_described;

impl Pop3Source {
    /// Applies `look` to the header blocks of messages, in order. `None` for those that the server does not send. With
    /// `at_all_costs` whole messages are read for their headers if necessary, because TOP is optional (RFC 1939 section 7).
    pub(super) async fn heads<T>(
        &mut self,
        numbers: &[u32],
        at_all_costs: bool,
        look: impl Fn(&[u8]) -> T,
    ) -> Result<Vec<Option<T>>> {
        let mut heads = Vec::with_capacity(numbers.len());
        for chunk in numbers.chunks(self.session.window()) {
            let mut looked: Vec<Option<T>> = match self.has_top {
                Some(false) => chunk.iter().map(|_| None).collect(),
                _ => self.read_heads(chunk, "TOP", &look).await?,
            };
            let refused: Vec<usize> = (0..chunk.len()).filter(|i| looked[*i].is_none()).collect();
            // A server announces TOP in CAPA (RFC 2449), but not every server has CAPA.
            let has_top = refused.len() < chunk.len() || self.session.can("TOP");
            self.has_top.get_or_insert(has_top);
            if at_all_costs && !refused.is_empty() {
                let numbers: Vec<u32> = refused.iter().map(|i| chunk[*i]).collect();
                let read = self.read_heads(&numbers, "RETR", &look).await?;
                refused.iter().zip(read).for_each(|(i, head)| looked[*i] = head);
            }
            heads.append(&mut looked);
        }
        Ok(heads)
    }

    async fn read_heads<T>(
        &mut self,
        numbers: &[u32],
        verb: &str,
        look: &impl Fn(&[u8]) -> T,
    ) -> Result<Vec<Option<T>>> {
        let lines = if verb == "TOP" { " 0" } else { "" };
        let commands: Vec<String> = numbers.iter().map(|n| format!("{verb} {n}{lines}\r\n")).collect();
        self.session.send(&commands).await?;
        let mut heads = Vec::with_capacity(numbers.len());
        let mut is_sure = verb == "TOP";
        for _ in numbers {
            let reply = self.session.reply(deadline::REPLY).await?;
            let head = if reply.is_ok() { self.read_head().await? } else { Vec::new() };
            is_sure &= !reply.is_ok() || is_whole_header(&head);
            heads.push(is_described(&head).then(|| look(head_of(&head))));
        }
        if let (false, Some(last)) = (is_sure, numbers.last()) {
            self.check_in_step_by(*last).await?;
        }
        Ok(heads)
    }

    /// Reads a block and keeps its beginning, up to the longest header.
    async fn read_head(&mut self) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        let keep = |piece: &[u8]| {
            let room = MAX_HEADER.saturating_sub(head.len());
            head.extend_from_slice(&piece[..piece.len().min(room)]);
            Ok(())
        };
        match self.session.lines.block(deadline::REPLY, keep).await? {
            BlockEnd::Sure => Ok(head),
            BlockEnd::Doubtful(error) => Err(error),
        }
    }
}

/// Whether the block is exactly one header block. Without the empty line, a line with a single dot in the message may have ended
/// the block too early. With body lines, which were not requested, one of them may have been such a dot.
fn is_whole_header(head: &[u8]) -> bool {
    head == b"\n" || memchr::memmem::find(head, b"\n\n").is_some_and(|at| at + 2 == head.len())
}
