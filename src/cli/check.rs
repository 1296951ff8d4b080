//! `check`: every problem in the config and the rules, at once.

use std::path::Path;

use super::output::{Output, count};
use super::setup::Setup;
use crate::config::problem::Severity;
use crate::error::Result;

/// EX_CONFIG.
const WRONG: u8 = 78;

pub(super) fn run(config: &Path, output: &Output) -> Result<u8> {
    let (setup, problems) = match Setup::check(config) {
        Ok((setup, warnings)) => (Some(setup), warnings),
        Err(problems) => (None, problems),
    };
    output.problems(&problems, true);
    let wrong = problems.iter().any(|p| p.severity == Severity::Error);
    if !output.json && !output.quiet {
        match &setup {
            Some(setup) if problems.is_empty() => {
                let accounts = setup.config.accounts.len();
                output.talk(format_args!(
                    "{}: in order ({accounts} account{}, {} rules)",
                    config.display(),
                    if accounts == 1 { "" } else { "s" },
                    setup.rules.len()
                ));
            }
            _ => output.talk(format_args!("\n{}", count(&problems))),
        }
    }
    Ok(if wrong { WRONG } else { 0 })
}
