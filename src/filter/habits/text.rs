//! Doubts about texts of any kind.

use super::super::short::ComparedKind;
use super::{ComparedText, Habit, HabitDoubt, How};
use crate::clean;

pub(super) const HABITS: &[Habit] = &[
    control_character,
    typographic_quotes,
    wide_list,
    numbered_value,
    lone_star,
    star,
    begins_with_caret,
    anything_within,
    bound_as_text,
    alternatives_in_a_text,
    alternatives_in_words,
    search_of_a_web_mailer,
    encoded_word,
    entity,
    blank_at_the_end,
    no_wildcard,
    slashes,
    macro_of_procmail,
    match_of_procmail,
    case_class,
    empty_alternative,
    everything,
    start_of_the_text,
    line_end,
];

fn shown(it: &ComparedText<'_>) -> String {
    clean::short(it.text, 40)
}

fn is_plain(it: &ComparedText<'_>) -> bool {
    matches!(it.how, How::Is | How::Contains | How::Below)
}

/// A control character: YAML reads `"\b"` as a backspace.
fn control_character(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let letters = [('\u{8}', 'b'), ('\u{b}', 'v'), ('\u{c}', 'f'), ('\u{7}', 'a'), ('\u{1b}', 'e')];
    let (_, letter) = letters.into_iter().find(|(control, _)| it.text.contains(*control))?;
    HabitDoubt::new(
        format!("in double quotes `\\{letter}` is a control character, which no message has"),
        "write the text in single quotes, where a backslash is a backslash",
    )
}

/// Typographic quotes from a word processor or a web page.
fn typographic_quotes(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let pairs = ["“”", "„“", "”“", "””", "‘’", "’’", "«»", "»«", "「」", "『』", "＂＂", "＇＇"];
    let is_quoted = pairs.iter().any(|pair| {
        let mut pair = pair.chars();
        let (first, last) = (pair.next(), pair.next());
        it.text.chars().count() > 1 && it.text.chars().next() == first && it.text.chars().next_back() == last
    });
    // Japanese quotes occur in many subjects.
    let is_ordinary = it.text.starts_with(['「', '『']) && it.how == How::Contains;
    if is_quoted && !is_ordinary {
        return HabitDoubt::new(
            format!("the quotes of {} are part of the text", shown(it)),
            "write plain quotes, \" or ', around a text, or none",
        );
    }
    None
}

fn wide_list(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.text.starts_with('［') && it.text.ends_with('］') && it.text.contains(['，', '、']) {
        return HabitDoubt::new(
            format!("{} is one text, with its brackets and commas", shown(it)),
            "write a list with the ASCII characters [ , ]",
        );
    }
    None
}

/// A numbered group: `$1` of the shell and procmail, `\1` of sed, `%1` of fdm.
fn numbered_value(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let number = it.text.strip_prefix(['$', '\\', '%'])?;
    if it.how != How::Regex && number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return HabitDoubt::new(format!("`{}` is taken as it stands", shown(it)), format!("write `${{{number}}}`"));
    }
    None
}

fn lone_star(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if is_plain(it) && it.text == "*" {
        return HabitDoubt::new(
            "a `*` is no wildcard here",
            "write `exists: [FIELD]` for a field that is there at all",
        );
    }
    None
}

/// A star outside a pattern. Rows of stars are tags and levels of spam filters, so they are accepted.
fn star(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_wildcard = |text: &str| match it.how {
        How::Contains => {
            (text.starts_with('*') && !text.starts_with("**")) || (text.ends_with('*') && !text.ends_with("**"))
        }
        _ => text.contains('*') && !text.contains("**"),
    };
    if is_plain(it) && !it.text.starts_with('^') && !it.text.contains(".*") && is_wildcard(it.text) {
        return HabitDoubt::new(
            "a `*` is no wildcard here",
            format!("write {{matches: \"{}\"}}, or leave the `*` out", shown(it)),
        );
    }
    None
}

fn begins_with_caret(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if is_plain(it) && it.text.starts_with('^') && it.text.len() > 1 {
        return HabitDoubt::new("`^` is a plain character here", format!("write {{regex: '{}'}}", shown(it)));
    }
    None
}

fn anything_within(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if is_plain(it) && it.text.contains(".*") {
        return HabitDoubt::new("`.*` is plain text here", format!("write {{regex: '{}'}}", shown(it)));
    }
    None
}

/// A bound written as text: `">5"`.
fn bound_as_text(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let (key, rest) = [(">=", "at_least"), ("<=", "at_most"), (">", "over"), ("<", "under")]
        .into_iter()
        .find_map(|(sign, key)| Some((key, it.text.strip_prefix(sign)?.trim())))?;
    if it.how != How::Regex && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return HabitDoubt::new(format!("`{}` is compared as a text", shown(it)), format!("write {{{key}: {rest}}}"));
    }
    None
}

/// Alternatives: `invoice|receipt`. A bar with blanks around it is accepted, because it occurs in many subjects.
fn alternatives_in_a_text(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_word = |word: &str| !word.is_empty() && !word.starts_with(' ') && !word.ends_with(' ');
    let words: Vec<&str> = it.text.split('|').collect();
    if is_plain(it) && words.len() > 1 && words.iter().all(|word| is_word(word)) {
        let list = clean::short(&words.join(", "), 60);
        return HabitDoubt::new("`|` is a plain character here", format!("write a list: [{list}]"));
    }
    None
}

/// Alternatives as in a search: `invoice OR receipt`.
fn alternatives_in_words(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if !is_plain(it) {
        return None;
    }
    if it.text.contains(" OR ") {
        let list = clean::short(&it.text.split(" OR ").map(str::trim).collect::<Vec<_>>().join(", "), 60);
        return HabitDoubt::new("`OR` is a word of the text here", format!("write a list: [{list}]"));
    }
    if it.text.contains(" AND ") {
        return HabitDoubt::new("`AND` is a word of the text here", "write an `all:` with a condition for each");
    }
    None
}

fn search_of_a_web_mailer(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let (word, rest) = it.text.split_once(':')?;
    let is_word = ["from", "to", "has", "is", "label", "larger", "older_than", "filename"].contains(&word);
    if it.about == ComparedKind::Subject && is_plain(it) && is_word && !rest.is_empty() && !rest.starts_with(' ') {
        let hint = match word {
            "from" | "to" => format!("write the condition `{word}: {}`", clean::short(rest, 40)),
            "has" | "filename" => "write the condition `attachment`".to_owned(),
            "larger" => "write the condition `size: {over: …}`".to_owned(),
            "older_than" => "write the condition `age: {over: …}`".to_owned(),
            _ => "write the condition `flag` or `folder`".to_owned(),
        };
        return HabitDoubt::new(format!("`{word}:` is text here, looked for in the subject"), hint);
    }
    None
}

fn encoded_word(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if !it.raw && it.text.contains("=?") && it.text.contains("?=") {
        return HabitDoubt::new(
            "fields are decoded before they are compared, so no encoded word is left",
            "write the text as a mail reader shows it, or add `raw: true`",
        );
    }
    None
}

fn entity(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let known = [("&amp;", "&"), ("&nbsp;", "a blank"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\"")];
    let (entity, means) = known.into_iter().find(|(entity, _)| it.text.contains(entity))?;
    if it.about == ComparedKind::Text && !it.raw {
        return HabitDoubt::new(
            format!("text is compared as it is shown, without `{entity}`"),
            format!("write {means}"),
        );
    }
    None
}

fn blank_at_the_end(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.how == How::Is && it.about != ComparedKind::Value && it.text.trim() != it.text && !it.text.trim().is_empty() {
        return HabitDoubt::new("no value begins or ends with a blank", "write it without");
    }
    None
}

fn no_wildcard(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.how == How::Matches && !it.text.contains(['*', '?']) {
        return HabitDoubt::new(
            "there is no `*` in this pattern, so it is the whole value",
            format!("write {{contains: {0}}} or {{matches: \"*{0}*\"}}, or {{is: {0}}}", shown(it)),
        );
    }
    None
}

/// Slashes around an expression, as in Perl and JavaScript: `/^foo/i`.
fn slashes(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let inside = it.text.strip_prefix('/')?;
    let end = inside.rfind('/')?;
    if it.how == How::Regex && end > 0 && inside[end + 1..].bytes().all(|byte| b"imsxug".contains(&byte)) {
        let inside = clean::short(&inside[..end], 40);
        return HabitDoubt::new(
            "the slashes are part of the expression",
            format!("write '{inside}'; case never counts"),
        );
    }
    None
}

fn macro_of_procmail(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let known = [
        ("^TO_", "write the condition `to`, which looks at all recipients"),
        ("^TO", "write the condition `to`, which looks at all recipients"),
        ("^FROM_DAEMON", "write `kind: [bounce, automated, list]`"),
        ("^FROM_MAILER", "write `kind: bounce`"),
    ];
    let (name, hint) = known.into_iter().find(|(name, _)| it.text.trim_start_matches('(').starts_with(name))?;
    let is_macro = name != "^TO" || !it.text[..].starts_with("^TO:");
    if it.how == How::Regex && is_macro && it.text.contains(name) {
        return HabitDoubt::new(format!("`{name}` is a macro of procmail and plain text here"), hint);
    }
    None
}

fn match_of_procmail(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.how == How::Regex && it.text.contains(r"\/") && !it.text.contains("//") && !it.text.contains(r"\/\/") {
        return HabitDoubt::new(
            r"`\/` is a slash here; in procmail it begins what MATCH becomes",
            "write a group with a name, `(?<name>…)`, and use `${name}`; for a slash write `/`",
        );
    }
    None
}

/// A class of upper-case letters. Every comparison ignores case, so `[A-Z]` also matches lower-case letters.
fn case_class(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let upper_alone = it.text.contains("[A-Z") && !it.text.contains("a-z");
    let no_lower = it.text.contains("[^a-z") && !it.text.contains("A-Z");
    let is_meant = it.text.contains("(?-i") || it.text.contains("0-9") || it.text.contains(r"\d");
    if it.how == How::Regex && (upper_alone || no_lower) && !is_meant {
        return HabitDoubt::new(
            "case never counts, so capital and small letters are one here",
            format!("write `(?-i)` at the beginning: '(?-i){}'", shown(it)),
        );
    }
    None
}

fn empty_alternative(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let ends = it.text.ends_with('|') && !it.text.ends_with(r"\|");
    if it.how == How::Regex && (ends || it.text.starts_with('|') || it.text.contains("||")) {
        return HabitDoubt::new("one alternative is empty, so this is found in every value", "leave the extra `|` out");
    }
    None
}

fn everything(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_regex = it.how == How::Regex && [".*", "^.*$", "^.*", ".*$", "^", "$", ".?"].contains(&it.text);
    if is_regex && !matches!(it.about, ComparedKind::Value) {
        return HabitDoubt::new(
            "this holds for every value",
            "write `exists: [FIELD]` for a field that is there at all",
        );
    }
    None
}

/// `^` in the text of a message. Without `(?m)`, it matches only at the beginning of the whole text.
fn start_of_the_text(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    if it.how == How::Regex && it.about == ComparedKind::Text && it.text.starts_with('^') {
        return HabitDoubt::new(
            "`^` is the beginning of the whole text, not of a line",
            format!("write '(?m){}' for every line, or `\\A` for the beginning of the text", shown(it)),
        );
    }
    None
}

fn line_end(it: &ComparedText<'_>) -> Option<HabitDoubt> {
    let is_field = matches!(
        it.about,
        ComparedKind::Subject | ComparedKind::Field(_) | ComparedKind::Addresses | ComparedKind::ListId
    );
    if it.how == How::Regex && is_field && !it.raw && it.text.contains(r"\n") {
        return HabitDoubt::new("fields are unfolded before they are compared, so no line end is left", "write `\\s+`");
    }
    None
}
