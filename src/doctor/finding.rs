//! The result of one step.

use serde::Serialize;

use crate::error::{Error, Kind};

/// The verdict on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingVerdict {
    /// All is well.
    Ok,
    /// It works, but a person should look at it.
    Warning,
    /// It prevents mail from passing.
    Failed,
}

/// One step: what was examined, what was found, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The account, relay or host; empty for this machine.
    pub about: String,
    /// The step: `name`, `connection`, `TLS`, `login`, …
    pub step: &'static str,
    /// The verdict.
    pub verdict: FindingVerdict,
    /// What was found, in one line.
    pub says: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The exit code (`sysexits.h`) of a failure.
    #[serde(skip)]
    pub code: u8,
}

/// EX_UNAVAILABLE: for a failure without an error.
const UNAVAILABLE: u8 = 69;

/// Reports the findings about one thing as they are made.
pub(super) struct Findings<'t> {
    about: String,
    tell: &'t mut dyn FnMut(&Finding),
    is_well: bool,
}

impl<'t> Findings<'t> {
    pub(super) fn about(about: &str, tell: &'t mut dyn FnMut(&Finding)) -> Self {
        Self { about: about.to_owned(), tell, is_well: true }
    }

    /// Whether no step has failed so far.
    pub(super) fn is_well(&self) -> bool {
        self.is_well
    }

    pub(super) fn well(&mut self, step: &'static str, says: impl Into<String>) {
        self.report(step, FindingVerdict::Ok, says.into(), None, 0);
    }

    pub(super) fn warning(&mut self, step: &'static str, says: impl Into<String>, next: impl Into<String>) {
        self.report(step, FindingVerdict::Warning, says.into(), Some(next.into()), 0);
    }

    pub(super) fn failed(&mut self, step: &'static str, says: impl Into<String>, next: impl Into<String>) {
        self.report(step, FindingVerdict::Failed, says.into(), Some(next.into()), UNAVAILABLE);
    }

    /// Reports a failure with its error. `next` is used if the error has no advice.
    pub(super) fn error(&mut self, step: &'static str, error: &Error, next: &str) {
        let next = error.help().unwrap_or(next).to_owned();
        self.report(step, FindingVerdict::Failed, error.without_help(), Some(next), error.exit_code());
    }

    /// The same for a refused login. `form`: advice about another form of the user name, which may be the cause.
    pub(super) fn login_error(&mut self, error: &Error, form: Option<String>, next: &str) {
        let help = error.help().unwrap_or(next);
        let is_refused = matches!(error.kind(), Kind::Auth | Kind::Login) && !error.is_transient();
        let next = match form.filter(|_| is_refused) {
            Some(form) => format!("{form}; else {help}"),
            None => help.to_owned(),
        };
        self.report("login", FindingVerdict::Failed, error.without_help(), Some(next), error.exit_code());
    }

    /// The same as a warning, because it does no harm yet.
    pub(super) fn warning_of(&mut self, step: &'static str, error: &Error, next: &str) {
        let next = error.help().unwrap_or(next).to_owned();
        self.report(step, FindingVerdict::Warning, error.without_help(), Some(next), 0);
    }

    fn report(&mut self, step: &'static str, verdict: FindingVerdict, says: String, next: Option<String>, code: u8) {
        self.is_well &= verdict != FindingVerdict::Failed;
        let next = next.filter(|next| !next.is_empty());
        (self.tell)(&Finding { about: self.about.clone(), step, verdict, says, next, code });
    }
}
