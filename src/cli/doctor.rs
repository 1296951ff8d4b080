//! `doctor`: one line a step, the cause and the next step below those that fail.

use std::path::Path;

use clap_complete::ArgValueCompleter;
use serde_json::json;

use super::help::complete;
use super::output::{Output, count};
use super::setup::{self, Setup};
use super::width;
use crate::config::problem::Severity;
use crate::doctor::{self, Finding, FindingVerdict, Question, Stranger};
use crate::error::Result;

/// EX_CONFIG.
const WRONG_CONFIG: u8 = 78;
/// Where the text of a line begins.
const COLUMN: usize = 24;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An account or a relay of the config, or a server in no config: HOST:PORT
    #[arg(add = ArgValueCompleter::new(complete::accounts_and_relays))]
    what: Option<String>,
    /// Ask relays whether they would take mail for this address; nothing is sent
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Send a message to yourself by each relay, and look for it
    #[arg(long)]
    send: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, output: &Output) -> Result<u8> {
    let mut page = FindingsPage::new(output);
    let only = arguments.what.as_deref();
    let stranger = only.and_then(Stranger::parse);
    // A name of the config comes first; without a config a server can be asked all the same.
    let setup = match Setup::check(config) {
        Ok((setup, warnings)) => Ok((setup, warnings)),
        Err(problems) => match &stranger {
            Some(stranger) => return ask(stranger, page),
            None => Err(problems),
        },
    };
    let (setup, warnings) = match setup {
        Ok(read) => read,
        Err(problems) => {
            let first = problems.iter().find(|problem| problem.severity == Severity::Error);
            let says = first.map_or_else(|| count(&problems), |problem| problem.in_a_line());
            page.tell(&Finding {
                about: String::new(),
                step: "config",
                verdict: FindingVerdict::Failed,
                says,
                next: Some("`mailsluice check` shows each place".to_owned()),
                code: WRONG_CONFIG,
            });
            return Ok(page.end());
        }
    };
    let config_is = |verdict, says: String, next: Option<&str>| Finding {
        about: String::new(),
        step: "config",
        verdict,
        says,
        next: next.map(str::to_owned),
        code: 0,
    };
    if let Some(name) = only.filter(|name| !doctor::knows(&setup.config, name)) {
        if let Some(stranger) = &stranger {
            return ask(stranger, page);
        }
        let error = setup::unknown_account(name, &setup.jobs);
        return Err(error.helped_by("a server in no config is named with its port: imap.example.com:993"));
    }
    page.tell(&match warnings.is_empty() {
        true => config_is(FindingVerdict::Ok, config.display().to_string(), None),
        false => config_is(FindingVerdict::Warning, count(&warnings), Some("`mailsluice check` shows each place")),
    });
    doctor::machine(&setup.config, &mut |finding| page.tell(finding));
    let question = Question { only, to: arguments.to.as_deref(), send: arguments.send };
    setup::block_on(async {
        doctor::examine(&setup.config, question, &mut |finding| page.tell(finding)).await;
        Ok(())
    })?;
    Ok(page.end())
}

fn ask(stranger: &Stranger, mut page: FindingsPage<'_>) -> Result<u8> {
    setup::block_on(async {
        doctor::examine_stranger(stranger, &mut |finding| page.tell(finding)).await;
        Ok(())
    })?;
    Ok(page.end())
}

/// Findings as they are shown.
struct FindingsPage<'o> {
    output: &'o Output,
    columns: usize,
    about: Option<String>,
    code: u8,
    failed: usize,
    warned: usize,
}

impl<'o> FindingsPage<'o> {
    fn new(output: &'o Output) -> Self {
        Self { output, columns: width::of_standard_output(), about: None, code: 0, failed: 0, warned: 0 }
    }

    fn tell(&mut self, finding: &Finding) {
        self.failed += usize::from(finding.verdict == FindingVerdict::Failed);
        self.warned += usize::from(finding.verdict == FindingVerdict::Warning);
        if self.code == 0 {
            self.code = finding.code;
        }
        if self.output.json {
            return self.output.json(json!(finding));
        }
        if self.output.quiet && finding.verdict == FindingVerdict::Ok {
            return;
        }
        if self.about.as_ref() != Some(&finding.about) {
            let title = if finding.about.is_empty() { "this machine" } else { &finding.about };
            let gap = if self.about.is_some() { "\n" } else { "" };
            self.output.data(format_args!("{gap}{title}"));
            self.about = Some(finding.about.clone());
        }
        self.output.data(lines(finding, self.columns).trim_end());
    }

    fn end(self) -> u8 {
        if !self.output.json && !self.output.quiet {
            let steps = |n: usize| format!("{n} step{}", if n == 1 { "" } else { "s" });
            self.output.talk(match (self.failed, self.warned) {
                (0, 0) => "\nall is well".to_owned(),
                (0, n) => format!("\nit works; {} to look at", steps(n)),
                (n, _) => format!("\n{} failed", steps(n)),
            });
        }
        self.code
    }
}

pub(super) fn lines(finding: &Finding, columns: usize) -> String {
    let word = match finding.verdict {
        FindingVerdict::Ok => "ok",
        FindingVerdict::Warning => "warning",
        FindingVerdict::Failed => "FAILED",
    };
    let first = format!("  {word:<8} {}", finding.step);
    let mut text = width::wrapped(&first, COLUMN, &finding.says, columns);
    if let Some(next) = &finding.next {
        text += &width::wrapped("", COLUMN, &format!("-> {next}"), columns);
    }
    text
}
