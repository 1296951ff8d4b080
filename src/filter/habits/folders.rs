//! Doubts about the names of folders.

use super::Doubt;
use crate::clean;

pub(super) fn doubt(name: &str) -> Option<Doubt> {
    numbered_value(name).or_else(|| levels_with_dots(name)).or_else(|| typographic_quotes(name))
}

/// `lists/$1`, `lists/\1`, `lists/%1`.
fn numbered_value(name: &str) -> Option<Doubt> {
    let at = name.find(['$', '\\', '%'])?;
    let number: String = name[at + 1..].chars().take_while(char::is_ascii_digit).collect();
    if number.len() != 1 {
        return None;
    }
    let sign = &name[at..at + 2];
    Doubt::new(format!("`{sign}` is part of the name here"), format!("write `${{{number}}}` for the value"))
}

/// `INBOX.lists.rust`: how Courier names folders over IMAP.
fn levels_with_dots(name: &str) -> Option<Doubt> {
    let inner = name.get(..6).filter(|begin| begin.eq_ignore_ascii_case("inbox.")).map(|_| &name[6..])?;
    let levels = clean::short(&inner.replace('.', "/"), 60);
    Doubt::new("dots are part of the name; levels are separated by `/`", format!("write `{levels}`"))
}

fn typographic_quotes(name: &str) -> Option<Doubt> {
    if name.chars().count() > 2 && name.starts_with(['“', '„', '‘', '”']) && name.ends_with(['”', '“', '’'])
    {
        return Doubt::new("the quotes are part of the name", "write plain quotes, \" or ', around it, or none");
    }
    None
}
