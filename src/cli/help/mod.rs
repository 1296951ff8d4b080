//! `help`: the pages of the program, in the terminal, as man pages and as completions of a shell. Each page is one text: a document
//! of `docs`, or what the commands and keys of the program say about themselves.

mod command;
pub(super) mod complete;
mod document;
mod roff;
mod terminal;

use std::fmt::Write;

pub(super) use command::{command, parse};

use super::output::Output;
use super::width;
use crate::config::reader::suggest;
use crate::error::{Error, Kind, Result};

/// Where a terminal is wider, lines stay readable.
const MAX_COLUMNS: usize = 100;
/// The width of pages that go to a file or another program.
const PLAIN_COLUMNS: usize = 80;

/// A page that is no command.
struct Topic {
    name: &'static str,
    about: &'static str,
    text: fn() -> String,
}

/// The pages. One more is one more line.
const TOPICS: [Topic; 18] = [
    Topic {
        name: "start",
        about: "the first account, step by step",
        text: || guide(include_str!("../../../docs/guide/first-account.md")),
    },
    Topic {
        name: "first-rules",
        about: "sorting mail with a few rules",
        text: || guide(include_str!("../../../docs/guide/first-rules.md")),
    },
    Topic {
        name: "vacation",
        about: "automatic answers",
        text: || guide(include_str!("../../../docs/guide/vacation.md")),
    },
    Topic {
        name: "forwarding",
        about: "sending mail on",
        text: || guide(include_str!("../../../docs/guide/forwarding.md")),
    },
    Topic { name: "spam", about: "spam filters", text: || guide(include_str!("../../../docs/guide/spam.md")) },
    Topic {
        name: "mutt",
        about: "reading and sending with mutt",
        text: || guide(include_str!("../../../docs/guide/mutt.md")),
    },
    Topic {
        name: "service",
        about: "systemd and cron",
        text: || guide(include_str!("../../../docs/guide/service.md")),
    },
    Topic {
        name: "helpdesk",
        about: "a shared mailbox with ticket numbers",
        text: || guide(include_str!("../../../docs/guide/helpdesk.md")),
    },
    Topic {
        name: "editors",
        about: "completion and checks while you type",
        text: || guide(include_str!("../../../docs/guide/editors.md")),
    },
    Topic {
        name: "coming-from",
        about: "procmail, Sieve, fetchmail and others, and the same here",
        text: || guide(include_str!("../../../docs/coming-from.md")),
    },
    Topic {
        name: "troubleshooting",
        about: "messages, exit codes and what to do",
        text: || guide(include_str!("../../../docs/guide/troubleshooting.md")),
    },
    Topic {
        name: "moving",
        about: "another machine, backup, uninstall, where files are",
        text: || guide(include_str!("../../../docs/guide/moving.md")),
    },
    Topic {
        name: "config",
        about: "every key of the config and of rule files",
        text: || guide(include_str!("../../../docs/reference.md")),
    },
    Topic { name: "rules", about: "the language of rules", text: || guide(include_str!("../../../docs/rules.md")) },
    Topic { name: "lua", about: "rules in Lua", text: || guide(include_str!("../../../docs/lua.md")) },
    Topic {
        name: "relays",
        about: "what goes out: relays, the outbox, who is answered",
        text: || guide(include_str!("../../../docs/sending.md")),
    },
    Topic {
        name: "sign-in",
        about: "OAuth2 for Google, Microsoft and others",
        text: || guide(include_str!("../../../docs/sign-in.md")),
    },
    Topic {
        name: "state",
        about: "what survives a crash, and where it is kept",
        text: || guide(include_str!("../../../docs/durability.md")),
    },
];

/// Other words for pages.
const OTHER_WORDS: [(&str, &str); 14] = [
    ("first-account", "start"),
    ("sending", "relays"),
    ("filters", "first-rules"),
    ("secrets", "config"),
    ("passwords", "config"),
    ("providers", "start"),
    ("folders", "config"),
    ("cron", "service"),
    ("systemd", "service"),
    ("exit-codes", "troubleshooting"),
    ("oauth2", "sign-in"),
    ("procmail", "coming-from"),
    ("durability", "state"),
    ("reference", "config"),
];

fn guide(text: &str) -> String {
    text.to_owned()
}

/// Prints the page of a topic or of a command; without a name, what pages there are.
pub(super) fn run(names: &[String], output: &Output) -> Result<u8> {
    let columns = width::of_standard_output().min(MAX_COLUMNS);
    let columns = if columns == MAX_COLUMNS && !width::is_terminal() { PLAIN_COLUMNS } else { columns };
    let Some(first) = names.first() else {
        output.data(command().term_width(columns).render_help().to_string().trim_end());
        output.data(format_args!("\n{}", topics().trim_end()));
        return Ok(0);
    };
    if let Some(page) = command::page(names, columns) {
        output.data(page.trim_end());
        return Ok(0);
    }
    let name = OTHER_WORDS.iter().find(|(other, _)| other == first).map_or(first.as_str(), |(_, name)| name);
    let Some(topic) = TOPICS.iter().find(|topic| topic.name == name) else { return Err(unknown(first)) };
    output.data(terminal::page(&document::read(&(topic.text)()), columns).trim_end());
    Ok(0)
}

/// What `help` lists beside the commands.
fn topics() -> String {
    let mut text = "Topics (`mailsluice help TOPIC`):\n".to_owned();
    for topic in &TOPICS {
        writeln!(text, "  {:<16} {}", topic.name, topic.about).ok();
    }
    text
}

fn unknown(name: &str) -> Error {
    let commands: Vec<String> = command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let names = commands.iter().map(String::as_str).chain(TOPICS.iter().map(|topic| topic.name));
    let hint = match suggest(name, names) {
        Some(near) => format!("did you mean `mailsluice help {near}`?"),
        None => "`mailsluice help` lists commands and topics".to_owned(),
    };
    let shown = crate::clean::short(name, 40);
    Error::permanent(Kind::Usage, format!("there is no help about `{shown}`")).helped_by(hint)
}

/// The manual pages: the name of each file and its text in roff.
pub(super) fn man_pages() -> Vec<(&'static str, String)> {
    let of = |name, section, about, text: &str| roff::page(name, section, about, &document::read(text));
    vec![
        ("mailsluice.1", of("mailsluice", 1, "fetches, filters and answers mail", &command::manual())),
        (
            "mailsluice-config.5",
            of("mailsluice-config", 5, "the config of mailsluice", include_str!("../../../docs/reference.md")),
        ),
        (
            "mailsluice-rules.5",
            of("mailsluice-rules", 5, "the rules of mailsluice", include_str!("../../../docs/rules.md")),
        ),
        (
            "mailsluice-lua.5",
            of("mailsluice-lua", 5, "rules of mailsluice in Lua", include_str!("../../../docs/lua.md")),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn every_page_fits_the_terminal() {
        for topic in &TOPICS {
            let page = terminal::page(&document::read(&(topic.text)()), 80);
            let too_wide =
                page.lines().find(|line| line.width() > 80 && line.trim().contains(' ') && !line.starts_with("    "));
            assert_eq!(too_wide, None, "{}: only examples and single words may be wider", topic.name);
            assert!(page.lines().count() > 10, "{}", topic.name);
        }
        assert!(topics().lines().all(|line| line.width() <= 80));
    }

    #[test]
    fn other_words_lead_to_pages() {
        for (other, name) in OTHER_WORDS {
            assert!(TOPICS.iter().any(|topic| topic.name == name), "{other}");
            assert!(!TOPICS.iter().any(|topic| topic.name == other), "{other} has a page of its own");
        }
    }

    #[test]
    fn a_wrong_word_has_a_hint() {
        assert!(unknown("vacatoin").to_string().contains("mailsluice help vacation"));
        assert!(unknown("xyzzy").to_string().contains("lists commands and topics"));
    }
}
