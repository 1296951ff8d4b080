//! Programs that read code in an argument, such as `sh -c`: a value in it would be code that whoever writes a mail writes.

use std::path::Path;

/// Interpreters, by their names without folders and versions, each with the letters of the options that code follows.
const INTERPRETERS: [(&[&str], &[char]); 4] = [
    (&["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox", "python", "pwsh"], &['c']),
    (&["perl", "ruby", "lua", "osascript"], &['e', 'E']),
    (&["node"], &['e', 'p']),
    (&["php"], &['r', 'B', 'R', 'E']),
];

/// The place of the code among a program and its arguments.
pub(in super::super) fn place_of_code<'a>(argv: impl Iterator<Item = &'a str>) -> Option<usize> {
    // Of the interpreter whose options stand here.
    let mut letters: &[char] = &[];
    let mut is_next = false;
    for (place, argument) in argv.enumerate() {
        if is_next {
            return Some(place);
        }
        let is_option = argument.len() > 1 && argument.starts_with('-');
        match is_option {
            true => is_next = !argument.starts_with("--") && argument.ends_with(letters),
            // Behind the name of a script stand its own options.
            false => letters = letters_of(argument),
        }
    }
    None
}

fn letters_of(argument: &str) -> &'static [char] {
    let name = Path::new(argument).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    INTERPRETERS.iter().find(|(names, _)| names.contains(&name)).map_or(&[], |(_, letters)| letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_behind_its_option() {
        let place = |argv: &str| place_of_code(argv.split(' '));
        assert_eq!(place("sh -c CODE sh x"), Some(2));
        assert_eq!(place("/bin/bash -lc CODE"), Some(2));
        assert_eq!(place("env LANG=C sh -e -c CODE"), Some(4));
        assert_eq!(place("nice -n 5 python3.12 -c CODE"), Some(5));
        assert_eq!(place("perl -e CODE"), Some(2));
        assert_eq!(place("grep -c x"), None);
        assert_eq!(place("sh script.sh -c"), None);
    }
}
