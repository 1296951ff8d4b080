//! The language of the socket, with an example of each order and answer, for `docs/reference.md`.

use jiff::Timestamp;

use super::changes::ConfigChanges;
use super::event::Event;
use super::order::{Answer, Order, Request, VERSION};
use super::status::{AccountStatus, Doing, Status};
use crate::pass::Passed;

/// A line of the language, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The line.
    pub line: String,
    /// What it means.
    pub meaning: &'static str,
}

/// Every order.
pub fn orders() -> Vec<Example> {
    let accounts = || vec!["work".to_owned()];
    let all = [
        Order::Status,
        Order::Poll { accounts: accounts() },
        Order::Fetch { accounts: accounts(), typed: false },
        Order::Pause { accounts: accounts() },
        Order::Resume { accounts: Vec::new() },
        Order::Reload,
        Order::Events,
    ];
    let meaning = |order: &Order| match order {
        Order::Status => "The status of everything, as in `status`.",
        Order::Poll { .. } => {
            "Start a pass over these accounts now, even if a login was refused; `done` when it has started. Without `accounts`, over all."
        }
        Order::Fetch { .. } => {
            "The same, with a `passed` for each account when its pass has ended; `unknown` for an account that this daemon does not fetch. With `typed`, a login that was refused is tried, too."
        }
        Order::Pause { .. } => "Fetch nothing from these accounts until `resume`, even after a restart.",
        Order::Resume { .. } => "Continue; without `accounts`, with everything.",
        Order::Reload => "Read the config again: `reloaded`, or an `error` with the code 78.",
        Order::Events => "Send an `event` for everything that happens, until one side hangs up.",
    };
    let example = |order: Order| {
        let meaning = meaning(&order);
        Example { line: line(&Request { version: VERSION, order }), meaning }
    };
    all.into_iter().map(example).collect()
}

/// Every answer.
pub fn answers() -> Vec<Example> {
    let at = Timestamp::from_second(1_795_435_200).unwrap_or_default();
    let account = AccountStatus {
        name: "work".to_owned(),
        doing: Doing::Waiting,
        last_mail: Some(at),
        push: Some("IDLE on INBOX".to_owned()),
        ..AccountStatus::default()
    };
    let state = "/home/me/.local/state/mailsluice".into();
    let status = Status { process: Some(4711), since: Some(at), accounts: vec![account], state, ..Status::default() };
    let passed = Passed { account: "work".to_owned(), new: 1, ..Passed::default() };
    let all = [
        Answer::Status(Box::new(status)),
        Answer::Passed(Box::new(passed)),
        Answer::Unknown("wrok".to_owned()),
        Answer::Reloaded(Box::new(ConfigChanges { added: vec!["home".to_owned()], ..ConfigChanges::default() })),
        Answer::Event(Event::Paused("work".to_owned(), true).to_json(at)),
        Answer::Missed(3),
        Answer::Error { text: "this is not an order".to_owned(), code: 64 },
        Answer::Done(true),
    ];
    let meaning = |answer: &Answer| match answer {
        Answer::Status(_) => {
            "`doing` is one of `queued`, `fetching`, `waiting`, `resting`, `paused`; `config` says why the changed config is not in force."
        }
        Answer::Passed(_) => "The result of a pass; `code` is the exit code that `fetch` would have.",
        Answer::Unknown(_) => "This daemon fetches no account of that name.",
        Answer::Reloaded(_) => {
            "What changed: accounts by name, and whether rules, relays and maintenance did; the `warnings` about the config."
        }
        Answer::Event(_) => {
            "`event` is one of `passed`, `told`, `maintained`, `paused`, `resumed`, `reloaded`, `not_reloaded`, `noted`; `at` is when it \
             happened."
        }
        Answer::Missed(_) => "This many events were lost, because they were read too slowly.",
        Answer::Error { .. } => "The order was not carried out: the reason and the exit code. The last line.",
        Answer::Done(_) => "The answer is complete. The last line.",
    };
    let example = |answer: Answer| Example { line: line(&answer), meaning: meaning(&answer) };
    all.into_iter().map(example).collect()
}

fn line(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_of_the_language() {
        for Example { line, .. } in orders() {
            let request: Request = serde_json::from_str(&line).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
        for Example { line, .. } in answers() {
            serde_json::from_str::<Answer>(&line).unwrap();
        }
    }
}
