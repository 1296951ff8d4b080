//! The commands as people see them: in groups, each with examples, and all of them as one manual page.

use std::ffi::OsString;
use std::fmt::Write;

use clap::{Command, CommandFactory, FromArgMatches};

use super::{MAX_COLUMNS, PLAIN_COLUMNS};
use crate::cli::Cli;
use crate::cli::output::Color;
use crate::cli::width::{self, wrapped};

/// The column at which the list of commands says what each is for.
const ABOUT_COLUMN: usize = 15;

/// The column at which the list of options says what each is for.
const OPTION_COLUMN: usize = 24;

/// The commands in the order in which a person needs them.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Start here", &["init", "doctor", "check", "discover", "login", "logout"]),
    ("Every day", &["fetch", "run", "status", "log", "queue"]),
    ("See why", &["explain", "test"]),
    ("Change what is there", &["undo", "refilter", "maintain", "list", "rebuild"]),
    ("While `run` is at work", &["poll", "pause", "resume", "reload", "events"]),
    ("For other programs", &["deliver", "sendmail"]),
    ("Reference", &["help", "filters", "docs", "completions"]),
];

/// What one types, and what it does. The key is the command with the one above it, if there is one.
const EXAMPLES: [(&str, &[(&str, &str)]); 35] = [
    ("fetch", &[("mailsluice fetch", "from all accounts"), ("mailsluice -v fetch work", "from one, a line a message")]),
    ("run", &[("mailsluice run", "until Ctrl-C or SIGTERM")]),
    ("status", &[("mailsluice status", "all accounts"), ("mailsluice status --json", "for programs")]),
    ("poll", &[("mailsluice poll work", "look at one account now")]),
    ("pause", &[("mailsluice pause work", "one account"), ("mailsluice pause", "all of them")]),
    ("resume", &[("mailsluice resume", "all accounts")]),
    ("reload", &[("mailsluice reload", "read the config again")]),
    ("events", &[("mailsluice events", "one JSON object a line")]),
    ("deliver", &[("mailsluice deliver < message.eml", "as a .forward file does: |mailsluice deliver")]),
    ("check", &[("mailsluice check", "the config of the user"), ("mailsluice -c new.yaml check", "another file")]),
    ("init", &[("mailsluice init me@example.com", "the first account"), ("mailsluice init --add", "one more")]),
    ("doctor", &[("mailsluice doctor work", "one account"), ("mailsluice doctor imap.example.com:993", "any server")]),
    ("discover", &[("mailsluice discover me@example.com", "its servers, and lines for the config")]),
    ("explain", &[("mailsluice explain message.eml", "what the rules would do with it, and why")]),
    ("queue", &[("mailsluice queue list", "what waits"), ("mailsluice queue retry", "try all of it now")]),
    ("queue list", &[("mailsluice queue list --all", "also what was sent")]),
    ("queue show", &[("mailsluice queue show 7", "everything about one item")]),
    ("queue run", &[("mailsluice queue run", "what is due")]),
    ("queue retry", &[("mailsluice queue retry 7 8", "two items")]),
    ("queue hold", &[("mailsluice queue hold 7", "until `queue retry 7`")]),
    ("queue drop", &[("mailsluice queue drop 7", "never send it")]),
    ("sendmail", &[("mailsluice sendmail -t < message.eml", "to those in To, Cc and Bcc")]),
    (
        "refilter",
        &[("mailsluice refilter INBOX", "show what would move"), ("mailsluice refilter INBOX --yes", "move it")],
    ),
    ("maintain", &[("mailsluice maintain -n", "show what would be done"), ("mailsluice maintain", "do it")]),
    ("undo", &[("mailsluice undo 42", "the entry 42 of the log")]),
    ("rebuild", &[("mailsluice rebuild", "asks before it does anything")]),
    ("test", &[("mailsluice test", "the tests in the config"), ("mailsluice test rules.yaml", "those of a file")]),
    ("filters", &[("mailsluice filters list", "what comes with the program")]),
    ("docs", &[("mailsluice docs schema > config.schema.json", "for an editor")]),
    ("list", &[("mailsluice list vips", "its entries"), ("mailsluice list vips add ann@example.com", "one more")]),
    ("login", &[("mailsluice login work", "by a browser here"), ("mailsluice login work --paste", "by one elsewhere")]),
    ("logout", &[("mailsluice logout work", "and have the provider revoke it")]),
    (
        "log",
        &[
            ("mailsluice log", "the newest 50"),
            ("mailsluice log --from boss --since 7d", "those that match"),
            ("mailsluice log 42", "everything about one"),
            ("mailsluice log -f", "what comes from now on"),
        ],
    ),
    ("help", &[("mailsluice help", "all pages"), ("mailsluice help vacation", "one of them")]),
    ("completions", &[("source <(mailsluice completions bash)", "for this shell; put it into ~/.bashrc")]),
];

/// Reads a command line.
pub(in crate::cli) fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let color = Color::of_help(&arguments);
    Cli::from_arg_matches(&command().color(color).try_get_matches_from(arguments)?)
}

/// All commands with their groups and examples.
pub(in crate::cli) fn command() -> Command {
    let command = Cli::command().disable_help_subcommand(true);
    let columns = if width::is_terminal() { width::of_standard_output().min(MAX_COLUMNS) } else { PLAIN_COLUMNS };
    let command = with_examples(command, "").term_width(columns);
    let template = format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{}Global options:\n{}{{after-help}}",
        groups(&command, columns),
        options(&command, columns)
    );
    command.help_template(template)
}

fn with_examples(mut command: Command, above: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let path = if above.is_empty() { name.clone() } else { format!("{above} {name}") };
        command = command.mut_subcommand(name, |command| {
            let command = with_examples(command, &path);
            match examples_of(&path) {
                [] => command,
                examples => command.after_help(examples_in_words(examples)),
            }
        });
    }
    command
}

fn examples_of(path: &str) -> &'static [(&'static str, &'static str)] {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, examples)| examples)
}

fn examples_in_words(examples: &[(&str, &str)]) -> String {
    let longest = examples.iter().map(|(typed, _)| typed.len()).max().unwrap_or_default();
    let line = |(typed, does): &(&str, &str)| format!("  {typed:<longest$}  # {does}\n");
    format!("Examples:\n{}", examples.iter().map(line).collect::<String>().trim_end())
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn groups(command: &Command, columns: usize) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        writeln!(text, "{title}:").ok();
        for name in names {
            let about = command.find_subcommand(name).map(about).unwrap_or_default();
            // What is behind the first sentence stands in the help of the command.
            let first = about.split([';', ':']).next().unwrap_or_default();
            text += &wrapped(&format!("  {name}"), ABOUT_COLUMN, first, columns);
        }
        text.push('\n');
    }
    text
}

/// The options of the program itself.
fn options(command: &Command, columns: usize) -> String {
    let mut text = String::new();
    for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
        let short = option.get_short().map_or("   ".to_owned(), |short| format!("-{short},"));
        let value =
            option.get_action().takes_values().then(|| option.get_value_names()).flatten().and_then(<[_]>::first);
        let value = value.map_or(String::new(), |value| format!(" <{value}>"));
        let long = option.get_long().unwrap_or_default();
        let says = option.get_help().map(ToString::to_string).unwrap_or_default();
        let first = format!("  {short} --{long}{value}");
        // A long option has its text on lines of their own.
        if first.len() >= OPTION_COLUMN {
            text += &format!("{first}\n{}", wrapped("", OPTION_COLUMN, &says, columns));
        } else {
            text += &wrapped(&first, OPTION_COLUMN, &says, columns);
        }
    }
    text
}

/// The help of a command, by its name and those below it. `None`: there is no such command.
pub(super) fn page(names: &[String], columns: usize) -> Option<String> {
    let mut command = command().term_width(columns);
    command.build();
    let mut found = &mut command;
    for name in names {
        found = found.find_subcommand_mut(name)?;
    }
    Some(found.clone().term_width(columns).render_long_help().to_string())
}

/// All commands as one document.
pub(super) fn manual() -> String {
    let mut command = command();
    command.build();
    let mut text = "# mailsluice\n\nmailsluice fetches mail from IMAP and POP3 servers, decides about each message by rules, files it \
                    into Maildirs, and sends what rules forward or answer.\n"
        .to_owned();
    text += "\n## Options of all commands\n\n| option | what |\n|---|---|\n";
    command.get_arguments().for_each(|option| text += &option_row(option));
    text += "\n## Commands\n";
    for (_, names) in GROUPS {
        for command in names.iter().filter_map(|name| command.find_subcommand(name)) {
            text += &manual_of(command, command.get_name());
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                text += &manual_of(below, &format!("{} {}", command.get_name(), below.get_name()));
            }
        }
    }
    text + END_OF_MANUAL
}

fn manual_of(command: &Command, path: &str) -> String {
    let mut text = format!("\n### mailsluice {path}\n\n{}.\n", about(command));
    let usage = command.clone().render_usage().to_string();
    write!(text, "\n```\n{}\n```\n", usage.trim_start_matches("Usage: ").trim()).ok();
    let own = command.get_arguments().filter(|option| !option.is_global_set() && option.get_id() != "help");
    let rows: String = own.map(option_row).collect();
    if !rows.is_empty() {
        write!(text, "\n| option | what |\n|---|---|\n{rows}").ok();
    }
    for (typed, does) in examples_of(path) {
        write!(text, "\n```\n{typed}    # {does}\n```\n").ok();
    }
    text
}

fn option_row(option: &clap::Arg) -> String {
    let says = option.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let value = option.get_action().takes_values().then(|| option.get_value_names()).flatten().and_then(<[_]>::first);
    let value = value.map_or(String::new(), |value| format!(" {value}")).replace('|', "\\|");
    let name = match (option.get_short(), option.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        (Some(short), None) => format!("-{short}{value}"),
        (None, None) => value.trim().to_owned(),
    };
    format!("| `{name}` | {says} |\n")
}

const END_OF_MANUAL: &str = "
## Exit codes

| code | what |
|---|---|
| 0 | done, also when there was no mail |
| 1 | `test`: a test failed; `log`: nothing matches |
| 64 | wrong use: an option, a name or a number |
| 65 | a message cannot be sent as it is |
| 69 | a server refused something for good |
| 74 | a disk failed |
| 75 | something is to be tried again: the next run does |
| 76 | a server does not speak as its protocol says |
| 77 | a login was refused |
| 78 | the config is wrong |

## Files

| file | what |
|---|---|
| `~/.config/mailsluice/config.yaml` | the config; else `/etc/mailsluice/config.yaml` |
| `~/.local/state/mailsluice` | the state: what was fetched, the log, the outbox, sign-ins |

## Environment

| variable | what |
|---|---|
| `XDG_CONFIG_HOME`, `XDG_STATE_HOME` | other places for both |
| `NO_COLOR` | no colour, unless `--color always` is given |

## See also

`mailsluice-config`(5), `mailsluice-rules`(5), `mailsluice-lua`(5)
";

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    /// All commands, each with its path.
    fn all() -> Vec<(String, Command)> {
        let mut command = command().term_width(80);
        command.build();
        let mut all = Vec::new();
        for one in command.get_subcommands() {
            all.push((one.get_name().to_owned(), one.clone()));
            let below = one.get_subcommands().filter(|below| below.get_name() != "help");
            all.extend(below.map(|below| (format!("{} {}", one.get_name(), below.get_name()), below.clone())));
        }
        all
    }

    #[test]
    fn every_command_is_in_a_group_and_has_an_example() {
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut names: Vec<String> =
            command().get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect();
        grouped.sort_unstable();
        names.sort_unstable();
        assert_eq!(grouped, names);
        for name in names {
            assert!(!examples_of(&name).is_empty(), "{name} has no example");
        }
        for (path, _) in EXAMPLES {
            assert!(all().iter().any(|(name, _)| name == path), "{path} is no command");
        }
    }

    /// What a page shows, one can type.
    #[test]
    fn every_example_is_read() {
        for (path, examples) in EXAMPLES {
            for (typed, _) in examples {
                let words = typed.split('<').next().unwrap().split_whitespace().skip_while(|word| *word == "source");
                let words: Vec<OsString> =
                    words.filter(|word| !word.ends_with('>') || word.len() == 1).map(OsString::from).collect();
                if words.first().is_some_and(|word| word == "mailsluice") {
                    let words = words.into_iter().take_while(|word| word != ">").collect();
                    let words = crate::cli::called::for_sendmail(words);
                    assert!(command().try_get_matches_from(words).is_ok(), "{path}: {typed}");
                }
            }
        }
    }

    #[test]
    fn the_help_of_every_command_fits_eighty_columns() {
        let too_wide = |text: &str| text.lines().find(|line| line.width() > 80).map(str::to_owned);
        let root = command().term_width(80).render_help().to_string();
        assert_eq!(too_wide(&root), None);
        for (path, command) in all() {
            let text = command.clone().term_width(80).render_long_help().to_string();
            assert_eq!(too_wide(&text), None, "{path}");
        }
    }

    #[test]
    fn options_are_described_alike() {
        for (path, command) in all() {
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                let says = option.get_help().map(ToString::to_string).unwrap_or_default();
                let is_good = says.starts_with(|c: char| c.is_uppercase() || c == '`') && !says.ends_with('.');
                assert!(is_good, "{path} {}: {says:?}", option.get_id());
            }
        }
    }
}
