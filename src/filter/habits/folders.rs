//! Doubts about the names of folders.

use super::HabitDoubt;
use crate::clean;

pub(super) fn doubt(name: &str) -> Option<HabitDoubt> {
    numbered_value(name)
        .or_else(|| of_a_shell(name))
        .or_else(|| of_a_date(name))
        .or_else(|| levels_with_dots(name))
        .or_else(|| typographic_quotes(name))
}

/// A numbered group: `lists/$1`, `lists/\1`, `lists/%1`.
fn numbered_value(name: &str) -> Option<HabitDoubt> {
    let at = name.find(['$', '\\', '%'])?;
    let number: String = name[at + 1..].chars().take_while(char::is_ascii_digit).collect();
    if number.len() != 1 {
        return None;
    }
    let sign = &name[at..at + 2];
    HabitDoubt::new(format!("`{sign}` is part of the name here"), format!("write `${{{number}}}` for the value"))
}

/// Shell syntax: `$HOME/Mail/lists`, `lists/$(date +%Y)`.
fn of_a_shell(name: &str) -> Option<HabitDoubt> {
    let at = name.find('$')?;
    let is_variable = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = &name[at + 1..];
    if !rest.starts_with(is_variable) && !rest.starts_with('(') {
        return None;
    }
    let word: String = rest.chars().take_while(|c| is_variable(*c) || c.is_ascii_digit()).collect();
    let hint = match word.as_str() {
        "" => "write `${now.year}` for a date, or let `execute` set a variable",
        "HOME" | "MAILDIR" | "MAIL" => "leave it out: folders lie below `maildir`",
        _ => "write `${name}` for a value",
    };
    HabitDoubt::new(format!("`${}` is part of the name here", if word.is_empty() { "(" } else { &word }), hint)
}

/// A date format: `archive/%Y-%m`.
fn of_a_date(name: &str) -> Option<HabitDoubt> {
    let sign = ["%Y", "%m", "%d"].into_iter().find(|sign| name.contains(sign))?;
    let part = match sign {
        "%Y" => "year",
        "%m" => "month",
        _ => "day",
    };
    HabitDoubt::new(
        format!("`{sign}` is part of the name here"),
        format!("write `${{date.{part}}}`, or `${{now.{part}}}`"),
    )
}

/// `INBOX.lists.rust`: the IMAP folder names of Courier.
fn levels_with_dots(name: &str) -> Option<HabitDoubt> {
    let inner = name.get(..6).filter(|begin| begin.eq_ignore_ascii_case("inbox.")).map(|_| &name[6..])?;
    let levels = clean::short(&inner.replace('.', "/"), 60);
    HabitDoubt::new("dots are part of the name; levels are separated by `/`", format!("write `{levels}`"))
}

fn typographic_quotes(name: &str) -> Option<HabitDoubt> {
    if name.chars().count() > 2 && name.starts_with(['“', '„', '‘', '”']) && name.ends_with(['”', '“', '’'])
    {
        return HabitDoubt::new("the quotes are part of the name", "write plain quotes, \" or ', around it, or none");
    }
    None
}
