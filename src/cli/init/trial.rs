//! Whether an account works, before anything is written: the steps of `doctor`, over a config that stands nowhere.

use std::path::Path;

use super::answers::Answers;
use super::compose::{self, checked};
use crate::cli::doctor::lines;
use crate::cli::output::Output;
use crate::cli::{setup, width};
use crate::doctor::{Finding, Question, Verdict, examine};
use crate::error::Result;

/// EX_NOPERM, and EX_UNAVAILABLE where the server does not say why: a login was refused.
const REFUSED: [u8; 2] = [77, 69];

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Works,
    /// Another secret may help.
    LoginRefused,
    Fails,
}

/// Tries to receive and to send, and shows each step.
pub(super) fn run(path: &Path, answers: &Answers, output: &Output) -> Result<Outcome> {
    let config = checked(path, &compose::for_trial(answers))?;
    let mut outcome = Outcome::Works;
    let mut tell = |finding: &Finding| {
        if finding.verdict == Verdict::Failed && outcome != Outcome::Fails {
            let is_login = finding.step == "login" && REFUSED.contains(&finding.code);
            outcome = if is_login { Outcome::LoginRefused } else { Outcome::Fails };
        }
        if !output.quiet || finding.verdict != Verdict::Ok {
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
