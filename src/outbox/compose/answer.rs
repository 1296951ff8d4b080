//! Composes answers (RFC 3834 3 and RFC 5230 5).

use super::{Desk, HeaderWriter, bare, body};
use crate::decision::{Reject, Reply, ReplyForm, Vacation};
use crate::message::{Bytes, Message};

/// References is cut to this many ids, the first and the last ones. RFC 5322 2.1.1 limits the line, not the list.
const MOST_REFERENCES: usize = 20;
/// Longer ids are dropped, because an id has to fit on one line (RFC 5322 2.1.1).
const LONGEST_ID_BYTES: usize = 900;

/// The answer of the action `vacation`.
pub fn vacation(original: &Message, vacation: &Vacation, desk: &Desk<'_>) -> Message {
    let subject = vacation.subject.clone().unwrap_or_else(|| automatic_subject(original));
    let from = sender(original, vacation.from.as_deref(), &vacation.form, desk);
    let head = head(original, &from, &vacation.to, &subject, desk);
    answer(head, &vacation.text, &vacation.form)
}

/// The answer of the action `reply`.
pub fn reply(original: &Message, reply: &Reply, desk: &Desk<'_>) -> Message {
    let subject = reply.subject.clone().unwrap_or_else(|| {
        let subject = subject(original).unwrap_or("your message");
        let is_reply = subject.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("re:"));
        if is_reply { subject.to_owned() } else { format!("Re: {subject}") }
    });
    let from = sender(original, reply.from.as_deref(), &reply.form, desk);
    let head = head(original, &from, &reply.to, &subject, desk);
    answer(head, &reply.text, &reply.form)
}

/// `Auto: ` and the original Subject (RFC 5230 5.3), or a fixed text.
fn automatic_subject(original: &Message) -> String {
    subject(original).map_or_else(|| "Automated reply".to_owned(), |subject| format!("Auto: {subject}"))
}

fn subject(original: &Message) -> Option<&str> {
    original.first("Subject").map(str::trim).filter(|subject| !subject.is_empty())
}

fn answer(mut head: HeaderWriter, text: &str, form: &ReplyForm) -> Message {
    head.add("MIME-Version", "1.0");
    let body = if form.mime { body::entity_part(text) } else { body::text_part(text) };
    let mail = head.0 + &body;
    Message::new(Bytes::Memory(mail.into_bytes()))
}

/// The sender: the rule's, or else the user's own address that the message was sent to.
fn sender(original: &Message, from: Option<&str>, form: &ReplyForm, desk: &Desk<'_>) -> String {
    from.map_or_else(|| desk.addressed(original, &form.addresses), str::to_owned)
}

fn head(original: &Message, from: &str, to: &str, subject: &str, desk: &Desk<'_>) -> HeaderWriter {
    let mut head = HeaderWriter::default();
    head.add("From", from);
    head.add("To", to);
    head.add("Subject", subject);
    head.add("Date", &desk.date());
    head.add("Message-ID", &desk.message_id());
    head.add_ids("In-Reply-To", own_id(original).as_slice());
    head.add_ids("References", &references(original));
    head.add("Auto-Submitted", "auto-replied");
    // Exchange and older vacation programs check these.
    head.add("X-Auto-Response-Suppress", "All");
    head.add("Precedence", "bulk");
    head
}

/// The References field (RFC 5322 3.6.4): the original's References, or its In-Reply-To if that is a single id, and its
/// Message-ID.
fn references(original: &Message) -> Vec<String> {
    let mut all = ids(original, "References");
    if all.is_empty() {
        all = Some(ids(original, "In-Reply-To")).filter(|ids| ids.len() == 1).unwrap_or_default();
    }
    let own = own_id(original);
    all.retain(|id| Some(id) != own.as_ref());
    all.extend(own);
    if all.len() > MOST_REFERENCES {
        all.drain(1..=all.len() - MOST_REFERENCES);
    }
    all
}

/// The valid ids in angle brackets. Real mail has comments, commas and broken ids between them.
fn ids(original: &Message, field: &str) -> Vec<String> {
    let value = raw(original, field);
    let inside = value.split('<').skip(1).filter_map(|piece| piece.split_once('>'));
    inside.map(|(id, _)| id.to_owned()).filter(|id| is_id(id)).collect()
}

/// The Message-ID, even if its brackets are missing.
fn own_id(original: &Message) -> Option<String> {
    let value = raw(original, "Message-ID");
    let bare = Some(value.trim().to_owned()).filter(|id| is_id(id));
    ids(original, "Message-ID").into_iter().next().or(bare)
}

/// The undecoded value: what looks like an encoded word within an id is not one.
fn raw(original: &Message, field: &str) -> String {
    original.all(field).next().map_or_else(String::new, |field| String::from_utf8_lossy(field.raw()).into_owned())
}

/// Whether the text can be written as an id: it only has to be one ASCII word.
fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
}

/// The answer of the action `reject`: a message disposition notification (RFC 8098), which says that the message was deleted,
/// with the explanation (RFC 5429 2.2).
pub fn reject(original: &Message, reject: &Reject, desk: &Desk<'_>) -> Message {
    let own = desk.addressed(original, &[]);
    let mut head = head(original, &own, &reject.to, "Rejected: your message was not accepted", desk);
    let boundary = format!("mailsluice-{}-{}", desk.id, desk.now.timestamp().as_second());
    head.add("MIME-Version", "1.0");
    let mut report = HeaderWriter::default();
    // The name of this machine is left out, which RFC 8098 3.2.1 permits.
    report.add("Reporting-UA", "mailsluice");
    report.add("Final-Recipient", &format!("rfc822; {}", bare(&own)));
    report.add_ids("Original-Message-ID", own_id(original).as_slice());
    report.add("Disposition", "automatic-action/MDN-sent-automatically; deleted");
    let mail = format!(
        "{}Content-Type: multipart/report; report-type=disposition-notification;\n boundary=\"{boundary}\"\n\n\
         --{boundary}\n{}\n--{boundary}\nContent-Type: message/disposition-notification\n\n{}\n--{boundary}--\n",
        head.0,
        body::text_part(&reject.text),
        report.0,
    );
    Message::new(Bytes::Memory(mail.into_bytes()))
}
