//! Composes forwards, in three forms (RFC 5228 4.2, RFC 5322 3.6.6).

use std::io::{self, Read};

use super::{Desk, HeaderWriter, bare};
use crate::decision::{Redirect, RedirectMode};
use crate::message::{Bytes, Edit, Message, REDIRECTED_FROM};

/// The message to send for the action `redirect`.
pub fn redirect(original: &Message, redirect: &Redirect, desk: &Desk<'_>) -> io::Result<Message> {
    Ok(match redirect.mode {
        RedirectMode::Redirect => original.edited(&trace(desk)),
        RedirectMode::Resend => {
            let mut edits = trace(desk);
            edits.extend(resent(redirect, desk));
            original.edited(&edits)
        }
        RedirectMode::Submit => original.edited(&[]),
        RedirectMode::Attach => attached(original, redirect, desk)?,
    })
}

/// The edits of every forward. Existing fields stay unchanged, so that signatures hold. Our trace and the token for loop
/// detection come first; Return-Path is removed, because only the last server may add it (RFC 5321 4.4). Each field is put
/// above the earlier ones.
fn trace(desk: &Desk<'_>) -> Vec<Edit> {
    let add = |name: &str, value: String| Edit::Add { name: name.to_owned(), value, last: false };
    let date = desk.date();
    vec![
        Edit::Delete { name: "Return-Path".to_owned(), only: None },
        add(REDIRECTED_FROM, bare(desk.from)),
        add("Received", format!("by {} (mailsluice) id {}; {date}", super::id_part(desk.host), desk.id)),
    ]
}

/// The block of Resent-From, -To, -Date and -Message-ID, in front of everything.
fn resent(redirect: &Redirect, desk: &Desk<'_>) -> Vec<Edit> {
    let add = |name: &str, value: String| Edit::Add { name: name.to_owned(), value, last: false };
    vec![
        add("Resent-Message-ID", desk.message_id()),
        add("Resent-To", redirect.to.join(", ")),
        add("Resent-Date", desk.date()),
        add("Resent-From", desk.from.to_owned()),
    ]
}

/// A message from the user with the original attached. It passes DMARC, because the From is the user's.
fn attached(original: &Message, redirect: &Redirect, desk: &Desk<'_>) -> io::Result<Message> {
    let mut head = HeaderWriter::default();
    head.add("From", desk.from);
    head.add("To", &redirect.to.join(", "));
    head.add("Subject", &format!("Fwd: {}", original.first("Subject").unwrap_or_default()));
    head.add("Date", &desk.date());
    head.add("Message-ID", &desk.message_id());
    head.add("Auto-Submitted", "auto-generated");
    head.add(REDIRECTED_FROM, &bare(desk.from));
    head.add("MIME-Version", "1.0");
    let mut inside = Vec::new();
    original.reader()?.read_to_end(&mut inside)?;
    let boundary = boundary_for(&inside, desk);
    // An attached message must not be encoded (RFC 2046 5.2.1), so it is declared as 8-bit if it is, and so is the part that
    // contains it (RFC 2045 6.4).
    let encoding = if inside.is_ascii() { "7bit" } else { "8bit" };
    head.add("Content-Transfer-Encoding", encoding);
    let mut mail = format!(
        "{}Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n--{boundary}\nContent-Type: message/rfc822\n\
         Content-Disposition: inline\nContent-Transfer-Encoding: {encoding}\n\n",
        head.0
    )
    .into_bytes();
    mail.append(&mut inside);
    mail.extend_from_slice(format!("\n--{boundary}--\n").as_bytes());
    Ok(Message::new(Bytes::Memory(mail)))
}

/// A boundary that does not occur in the message.
fn boundary_for(inside: &[u8], desk: &Desk<'_>) -> String {
    let mut number = 0_u32;
    loop {
        let boundary = format!("mailsluice-{}-{}-{number}", desk.id, desk.now.timestamp().as_second());
        if memchr::memmem::find(inside, boundary.as_bytes()).is_none() {
            return boundary;
        }
        number += 1;
    }
}
