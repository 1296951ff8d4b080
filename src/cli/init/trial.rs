//! Whether an account works, before anything is written: the steps of `doctor`, over a config that stands nowhere.

use std::path::Path;

use super::answers::InitAnswers;
use super::compose::{self, checked};
use crate::cli::doctor::lines;
use crate::cli::output::Output;
use crate::cli::{setup, width};
use crate::doctor::{Finding, FindingVerdict, Question, examine};
use crate::error::Result;

/// EX_NOPERM, and EX_UNAVAILABLE where the server does not say why: a login was refused.
const REFUSED: [u8; 2] = [77, 69];

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialOutcome {
    Works,
    /// Another secret may help.
    LoginRefused,
    Fails,
}

/// Tries to receive and to send, and shows each step.
pub(super) fn run(path: &Path, answers: &InitAnswers, output: &Output) -> Result<TrialOutcome> {
    let config = checked(path, &compose::for_trial(answers))?;
    let mut outcome = TrialOutcome::Works;
    let mut tell = |finding: &Finding| {
        if finding.verdict == FindingVerdict::Failed && outcome != TrialOutcome::Fails {
            let is_login = finding.step == "login" && REFUSED.contains(&finding.code);
            outcome = if is_login { TrialOutcome::LoginRefused } else { TrialOutcome::Fails };
        }
        if !output.quiet || finding.verdict != FindingVerdict::Ok {
            eprint!("{}", lines(finding, width::of_standard_output()));
        }
    };
    let question = Question { only: None, to: None, send: false };
    setup::block_on(async {
        examine(&config, question, &mut tell).await;
        Ok(())
    })?;
    Ok(outcome)
}
