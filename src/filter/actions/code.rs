//! Programs that read code in an argument, such as `sh -c`. A value in such code would let the sender of a mail run
//! code.

use std::path::Path;

/// Which arguments of a program are code, or name a program that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodeArguments {
    /// A shell: the argument after an option with this letter, or else the first argument, which is a script. The rest
    /// are arguments of the script.
    Shell(&'static [char]),
    /// Code may follow several such options; otherwise, the first argument is a script.
    Interpreter(&'static [char]),
    /// This many arguments that are not options: the code, or another program. Short options may take one besides.
    First(usize),
    /// The first argument that is not an option. Short options take no argument.
    Script,
    /// All arguments: they are joined to a command line for a shell.
    All,
}

/// Programs by name, without folders and versions.
const PROGRAMS: [(&[&str], CodeArguments); 9] = [
    (
        &[
            "sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "nu", "pwsh", "python",
            "pypy", "su", "runuser", "script", "flock", "git", "psql",
        ],
        CodeArguments::Shell(&['c']),
    ),
    (
        &["perl", "ruby", "lua", "luajit", "osascript", "Rscript", "mysql", "gp"],
        CodeArguments::Interpreter(&['e', 'E']),
    ),
    (&["node", "nodejs", "deno", "bun"], CodeArguments::Interpreter(&['e', 'p'])),
    (&["php"], CodeArguments::Interpreter(&['r', 'B', 'R', 'E'])),
    (&["expect", "emacs", "vim", "vi", "ex", "ed", "tclsh"], CodeArguments::Interpreter(&['c', 'e', 'f'])),
    (
        &[
            "awk",
            "gawk",
            "mawk",
            "nawk",
            "env",
            "nice",
            "nohup",
            "setsid",
            "ionice",
            "stdbuf",
            "time",
            "xargs",
            "sudo",
            "doas",
            "busybox",
            "toybox",
            "systemd-run",
            "strace",
            "unshare",
            "entr",
            "find",
            "make",
        ],
        CodeArguments::First(1),
    ),
    (&["sed", "bc", "dc"], CodeArguments::Script),
    (&["timeout", "chroot", "chrt", "taskset", "sqlite", "sqlite3"], CodeArguments::First(2)),
    (&["ssh", "eval", "watch", "parallel", "tmux", "screen", "at", "batch"], CodeArguments::All),
];
/// The folders of system programs.
const SYSTEM_FOLDERS: [&str; 6] = ["/bin/", "/sbin/", "/usr/", "/opt/", "/nix/", "/snap/"];
/// The long forms of these options.
const CODE_OPTIONS: [&str; 8] =
    ["--command", "--eval", "--execute", "--print", "--run", "--expression", "--split-string", "--init-command"];

/// The positions of arguments that may be code or another program. If in doubt, an argument counts as code: a value can
/// be passed in a separate argument after it.
pub(in super::super) fn places_of_code<'a>(argv: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut places = Vec::new();
    let mut code: Option<CodeArguments> = None;
    // This many arguments that are not options may be code, or belong to an option before them.
    let mut open = 0_usize;
    let mut has_code = false;
    for (place, argument) in argv.enumerate() {
        let is_option = argument.len() > 1 && argument.starts_with(['-', '+']);
        let is_opened = is_option && code.is_some_and(|code| opens(code, argument));
        if is_opened || open > 0 || code == Some(CodeArguments::All) {
            places.push(place);
        }
        has_code |= is_opened && !matches!(code, Some(CodeArguments::First(_) | CodeArguments::Script));
        match (is_option, code) {
            (true, _) if is_opened => open = open.max(1),
            // `-F :`, `-o pipefail`
            (true, Some(code))
                if open > 0 && code != CodeArguments::Script && argument.len() == 2 && argument != "--" =>
            {
                open += 1
            }
            (true, _) => {}
            (false, Some(CodeArguments::Shell(_))) if has_code && open <= 1 => return places,
            (false, _) => open = open.saturating_sub(1),
        }
        let is_program = !is_option && !has_code && (code.is_none() || matches!(code, Some(CodeArguments::First(_))));
        if let Some(known) = code_of(argument).filter(|_| is_program) {
            code = Some(known);
            open = match known {
                CodeArguments::First(count) => count,
                CodeArguments::Shell(_)
                | CodeArguments::Interpreter(_)
                | CodeArguments::Script
                | CodeArguments::All => 1,
            };
        }
    }
    places
}

fn opens(code: CodeArguments, option: &str) -> bool {
    if option.starts_with("--") {
        return CODE_OPTIONS.iter().any(|known| option.starts_with(known));
    }
    match code {
        CodeArguments::Shell(letters) | CodeArguments::Interpreter(letters) => {
            option.starts_with('-') && option.contains(letters)
        }
        // `sed -ne`, `env -S`, `find -exec`
        CodeArguments::First(_) | CodeArguments::Script => {
            ["-e", "-ne", "-ie"].contains(&option) || ["-S", "-exec", "-ok"].iter().any(|it| option.starts_with(it))
        }
        CodeArguments::All => true,
    }
}

/// The kind of a program with a bare name or in a system folder. Programs elsewhere do not count, because a program of
/// the user may be called `script`.
fn code_of(argument: &str) -> Option<CodeArguments> {
    if argument.contains('/') && !SYSTEM_FOLDERS.iter().any(|folder| argument.starts_with(folder)) {
        return None;
    }
    let name = Path::new(argument).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let whole = PROGRAMS.iter().find(|(names, _)| names.contains(&name));
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    whole.or_else(|| PROGRAMS.iter().find(|(names, _)| names.contains(&plain))).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_programs_have_none() {
        for argv in [
            "grep -c VALUE",
            "lp -d VALUE",
            "sh script.sh VALUE",
            "python3 script.py --to VALUE",
            "procmail -m VALUE",
            "nice -n 5 logger VALUE",
            "timeout 5 logger VALUE",
            "notify-send VALUE",
            "~/bin/script VALUE",
            "/home/me/bin/at VALUE",
        ] {
            let places = places_of_code(argv.split(' '));
            let is_hit = |(place, word): (usize, &str)| word == "VALUE" && places.contains(&place);
            assert!(!argv.split(' ').enumerate().any(is_hit), "{argv}: {places:?}");
        }
    }

    /// `CODE` marks arguments in which a value would be code, `VALUE` those in which it would not.
    #[test]
    fn code_is_found_in_whatever_form() {
        for argv in [
            "sh -c CODE sh VALUE",
            "/bin/bash -lc CODE",
            "bash -o pipefail -c CODE",
            "sh -ce CODE",
            "sh -c -- CODE sh VALUE",
            "env LANG=C sh -e -c CODE",
            "nice -n 5 python3.12 -W ignore -c CODE",
            "perl -I lib -e CODE",
            "perl -MEncode -e CODE VALUE",
            "perl -eCODE",
            "node --eval=CODE",
            "node --eval CODE VALUE",
            "xargs -n 1 sh -c CODE",
            "find . -exec sh -c CODE",
            "awk CODE VALUE",
            "gawk -F : CODE",
            "sed -n CODE VALUE",
            "sed -e CODE VALUE",
            "ssh host CODE CODE",
            "sudo -u me ssh host CODE",
            "sh CODE",
            "env CODE",
            "env -S CODE",
            "xargs -a /dev/null CODE",
            "bash -euo pipefail -c CODE x VALUE",
            "sh +e -c CODE",
            "sh -c -e CODE",
            "python3 -cCODE",
            "perl -e 1 -e CODE",
            "flock FILE -c CODE",
            "script -qc CODE",
            "su -c CODE root",
            "git -c CODE x",
            "bash --rcfile x -c CODE",
        ] {
            let words: Vec<&str> = argv.split(' ').collect();
            let places = places_of_code(words.iter().copied());
            for (place, word) in words.iter().enumerate() {
                assert!(places.contains(&place) || !word.contains("CODE"), "{argv}: {place} in {places:?}");
                assert!(!places.contains(&place) || !word.contains("VALUE"), "{argv}: {place} in {places:?}");
            }
        }
    }
}
