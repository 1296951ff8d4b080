//! Doubts about header fields, lists and the types of parts.

use super::super::short::ComparedKind;
use super::{ComparedText, Habit, HabitDoubt, How};
use crate::clean;
use crate::config::reader::suggest;
use crate::message::has_addresses;

pub(super) const HABITS: &[Habit] =
    &[name_in_the_value, addresses_as_text, parameters_of_a_type, brackets_of_an_id, list_id, media_type, ending_alone];

/// Fields that rules commonly use. Other names cannot be checked.
const KNOWN: [&str; 38] = [
    "Subject",
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Received",
    "Return-Path",
    "Delivered-To",
    "Envelope-To",
    "Precedence",
    "Priority",
    "Importance",
    "Organization",
    "User-Agent",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Help",
    "List-Subscribe",
    "List-Owner",
    "List-Archive",
    "Content-Type",
    "Content-Language",
    "Content-Disposition",
    "Auto-Submitted",
    "Authentication-Results",
    "Comments",
    "Keywords",
    "Mailing-List",
    "Errors-To",
    "Resent-From",
    "Resent-To",
];

/// A mistyped name: `Sumject`, `List_Id`.
pub(super) fn misspelt(written: &str) -> Option<HabitDoubt> {
    let is_known = KNOWN.iter().any(|known| known.eq_ignore_ascii_case(written));
    if is_known || written.len() < 4 || written.to_ascii_lowercase().starts_with("x-") {
        return None;
    }
    let name = written.replace('_', "-");
    let same = KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(&name));
    let near = same.or_else(|| suggest(&name, KNOWN.iter().copied()))?;
    HabitDoubt::new(
        format!("mail rarely has a field `{}`", clean::short(written, 40)),
        format!("did you mean `{near}`?"),
    )
}

/// A value with the name of its field. procmail and grep search whole lines.
fn name_in_the_value(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let field = match it.about {
        ComparedKind::Subject => "subject",
        ComparedKind::Field(name) => name,
        ComparedKind::Addresses => "from",
        _ => return None,
    };
    let text = it.text.trim_start_matches(['^', '(']).to_ascii_lowercase();
    let names = [field.to_ascii_lowercase(), "subject".to_owned(), "from".to_owned(), "to".to_owned()];
    let is_line = |name: &String| text.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(':'));
    let is_said = it.text.starts_with('^') || it.text.starts_with('(') || is_line(&names[0]);
    if is_said && names.iter().any(is_line) {
        return HabitDoubt::new(
            "the name of the field is no part of its value",
            "leave out what stands up to the colon",
        );
    }
    None
}

fn addresses_as_text(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let ComparedKind::Field(name) = it.about else { return None };
    if it.how == How::Is && has_addresses(name) && it.text.contains('@') && !it.raw {
        return HabitDoubt::new(
            format!("a {name} field may hold a name beside the address, and is compared whole"),
            format!("write {{address: {{{}: {}}}}}", name.to_ascii_lowercase(), clean::short(it.text, 40)),
        );
    }
    None
}

fn parameters_of_a_type(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let ComparedKind::Field(name) = it.about else { return None };
    let has_parameters = ["Content-Type", "Content-Disposition"].iter().any(|other| other.eq_ignore_ascii_case(name));
    if it.how == How::Is && has_parameters && !it.text.contains(';') {
        let text = clean::short(it.text, 40);
        return HabitDoubt::new(
            format!("a {name} field mostly has parameters, and is compared whole"),
            format!("write {{matches: \"{text}*\"}}, or the condition `part`"),
        );
    }
    None
}

fn brackets_of_an_id(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let ComparedKind::Field(name) = it.about else { return None };
    let is_id = ["Message-ID", "In-Reply-To", "References"].iter().any(|other| other.eq_ignore_ascii_case(name));
    if it.how == How::Is && is_id && it.text.contains('@') && !it.text.contains('<') {
        let text = clean::short(it.text, 60);
        return HabitDoubt::new(
            format!("a {name} field has its ids in < >"),
            format!("write {{contains: \"{text}\"}}"),
        );
    }
    None
}

fn list_id(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.about == ComparedKind::ListId && it.how != How::Regex && it.text.contains(['<', '>']) {
        let text = clean::short(it.text.trim_matches(|c| c != '<' && c != '>').trim_matches(['<', '>']), 60);
        return HabitDoubt::new("`list_id` is what stands within the < > of List-Id", format!("write {text}"));
    }
    if it.about == ComparedKind::ListId && it.how == How::Is && it.text.contains('@') {
        return HabitDoubt::new(
            "a list's identity has dots and no @",
            format!("write {}, or the condition `to` for the list's address", it.text.replace('@', ".")),
        );
    }
    None
}

fn media_type(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.about == ComparedKind::MediaType && it.how == How::Is && !it.text.contains('/') && !it.has_value() {
        let text = clean::short(it.text, 40);
        return HabitDoubt::new(
            "a type has two words with a slash between, like application/pdf",
            format!(
                "write {{matches: \"{text}/*\"}}, or {{name: {{matches: \"*.{text}\"}}}} for the ending of the file"
            ),
        );
    }
    None
}

fn ending_alone(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_ending = it.text.starts_with('.') && !it.text[1..].contains('.');
    if it.about == ComparedKind::FileName && it.how == How::Is && is_ending {
        return HabitDoubt::new(
            "this is the whole name of a file",
            format!("write {{matches: \"*{}\"}}", clean::short(it.text, 20)),
        );
    }
    None
}
