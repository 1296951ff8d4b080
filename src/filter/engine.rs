//! Walks the rules for one message.

use super::action::Verb;
use super::decision::{Action, Decision, Filing};
use super::names::Captures;
use super::reachable;
use super::rule::{Rule, Step};
use super::yaml;
use crate::config::FilterSource;
use crate::config::problem::{Problem, Severity};
use crate::config::template::FolderName;
use crate::message::{Flags, Message, Origin};

/// The compiled rules of one account.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Vec<Rule>,
}

/// What is being decided about.
#[derive(Debug)]
pub(super) struct Subject<'m> {
    pub(super) message: &'m Message,
    origin: &'m Origin,
}

impl Subject<'_> {
    pub(super) fn account(&self) -> &str {
        &self.origin.account
    }

    pub(super) fn folder(&self) -> &str {
        &self.origin.folder
    }
}

impl Engine {
    /// Compiles rules in the order of their files. `Ok` comes with warnings, `Err` with errors and warnings.
    pub fn compile(sources: &[FilterSource]) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut rules = Vec::new();
        let mut problems = Vec::new();
        for FilterSource::Yaml(document) in sources {
            rules.extend(yaml::compile(document, &mut problems));
        }
        if problems.iter().any(|p| p.severity == Severity::Error) {
            return Err(problems);
        }
        problems.extend(reachable::warn(&rules));
        Ok((Self { rules: rules.into_iter().map(|placed| placed.rule).collect() }, problems))
    }

    /// How many rules there are, nested ones not counted.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules: then every message is kept.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides about a message. `flags` are those it has on the server; they are carried over.
    pub fn decide(&self, message: &Message, origin: &Origin, flags: &Flags) -> Decision {
        let mut run = Run {
            subject: Subject { message, origin },
            captures: Captures::default(),
            flags: flags.clone(),
            filings: Vec::new(),
            rules: Vec::new(),
            why: Vec::new(),
            keeps: true,
            discards: false,
            ended: false,
        };
        for rule in &self.rules {
            run.captures.clear();
            run.rule(rule);
            if run.ended {
                break;
            }
        }
        run.decision()
    }
}

/// The state of one walk.
struct Run<'m> {
    subject: Subject<'m>,
    captures: Captures,
    flags: Flags,
    filings: Vec<Filing>,
    rules: Vec<String>,
    why: Vec<String>,
    /// Whether the message is kept when the rules are through: until something files or discards it.
    keeps: bool,
    discards: bool,
    ended: bool,
}

impl Run<'_> {
    fn rule(&mut self, rule: &Rule) {
        let first_filing = self.filings.len();
        let flags_before = self.flags.clone();
        let holds = match &rule.test {
            None => true,
            Some(test) => test.holds(&self.subject, &mut self.captures, &mut self.why),
        };
        let steps = if holds { &rule.then } else { &rule.otherwise };
        if !steps.is_empty() {
            self.rules.extend(rule.name.clone());
        }
        for step in steps {
            match step {
                Step::Do(verb) => self.verb(verb),
                Step::Rule(nested) => self.rule(nested),
            }
            if matches!(step, Step::Do(Verb::Stop)) || (self.ended && matches!(step, Step::Rule(_))) {
                self.ended = true;
                break;
            }
        }
        self.ended |= steps.iter().any(|step| matches!(step, Step::Do(verb) if verb.ends()));
        // A flag counts for every filing of its rule, wherever in the list it stands.
        if self.flags != flags_before {
            for filing in &mut self.filings[first_filing..] {
                filing.flags.extend(&self.flags);
            }
        }
    }

    fn verb(&mut self, verb: &Verb) {
        match verb {
            Verb::FileInto { folders, flags, copy } => {
                for template in folders {
                    let folder = template.expand_folder(&|name| self.captures.look_up(name, &self.subject));
                    self.file(Some(folder), flags);
                }
                self.keeps &= copy;
            }
            Verb::Keep { flags } => {
                self.file(None, flags);
                self.keeps = false;
            }
            Verb::Discard => {
                self.discards = true;
                self.keeps = false;
            }
            Verb::AddFlag(flags) => self.flags.extend(flags),
            Verb::Stop => {}
        }
    }

    /// Several filings into one folder are one.
    fn file(&mut self, folder: Option<FolderName>, flags: &Flags) {
        let mut flags = flags.clone();
        flags.extend(&self.flags);
        match self.filings.iter_mut().find(|filing| filing.folder == folder) {
            Some(filing) => filing.flags.extend(&flags),
            None => self.filings.push(Filing { folder, flags }),
        }
    }

    fn decision(mut self) -> Decision {
        if self.keeps {
            self.file(None, &Flags::default());
        }
        let mut actions: Vec<Action> = self.filings.into_iter().map(Action::File).collect();
        if self.discards && actions.is_empty() {
            actions.push(Action::Discard);
        }
        Decision { actions, rules: self.rules, why: self.why }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::problem::{Problems, Source};
    use crate::config::yaml::Document;
    use crate::message::{Bytes, Flag};

    fn engine(rules: &str) -> Engine {
        let source = Arc::new(Source::new("rules.yaml", format!("rules:\n{rules}")));
        let document = Document::parse(&source, &mut Problems::new(&source)).unwrap();
        match Engine::compile(&[FilterSource::Yaml(document)]) {
            Ok((engine, _)) => engine,
            Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<String>()),
        }
    }

    fn decide(rules: &str, head: &str) -> String {
        let message = Message::new(Bytes::Memory(format!("{head}\n\nbody\n").into_bytes()));
        let origin = Origin { account: "work".into(), folder: "Lists/rust".into(), generation: 1 };
        engine(rules).decide(&message, &origin, &Flags::default()).to_string()
    }

    #[test]
    fn what_files_ends_and_what_marks_goes_on() {
        let rules = "
  - {if: {header: {Subject: {contains: a}}}, do: [{addflag: flagged}]}
  - {if: {header: {Subject: {contains: b}}}, do: [{fileinto: {folder: copies, copy: true}}]}
  - {if: {header: {Subject: {contains: c}}}, do: [{fileinto: C}]}
  - {if: {header: {Subject: {contains: d}}}, do: [discard]}
  - {if: {header: {Subject: {contains: e}}}, do: [stop, {fileinto: never}]}
  - {do: [{fileinto: rest}]}
";
        assert_eq!(decide(rules, "Subject: c d"), "fileinto C");
        assert_eq!(decide(rules, "Subject: a c"), "fileinto C [F]");
        assert_eq!(decide(rules, "Subject: b c"), "fileinto copies, fileinto C");
        assert_eq!(decide(rules, "Subject: b d"), "fileinto copies");
        assert_eq!(decide(rules, "Subject: d"), "discard");
        assert_eq!(decide(rules, "Subject: e"), "keep");
        assert_eq!(decide(rules, "Subject: x"), "fileinto rest");
        assert_eq!(decide("  - {if: {account: home}, do: [discard]}", "Subject: x"), "keep");
    }

    #[test]
    fn a_flag_counts_for_its_rule_wherever_it_stands() {
        assert_eq!(decide("  - {do: [{fileinto: a}, {addflag: seen}]}", "X: y"), "fileinto a [S]");
        assert_eq!(
            decide("  - {do: [{fileinto: {folder: [a, b], flags: flagged}}]}", "X: y"),
            "fileinto a [F], fileinto b [F]"
        );
        assert_eq!(decide("  - {do: [{fileinto: [a, a]}, keep]}", "X: y"), "fileinto a, keep");
    }

    #[test]
    fn nested_rules_else_and_captures() {
        let rules = r#"
  - if: {list_id: {regex: '^(?<repo>[^.]+)\.(?<owner>[^.]+)\.github\.com$'}}
    do:
      - {if: {header: {X-Reason: {in: [mention, assign]}}}, do: [{addflag: flagged}], else: [{addflag: seen}]}
      - fileinto: "gh/${owner}/${repo}/${1}"
    else: [{fileinto: other}]
"#;
        assert_eq!(decide(rules, "List-Id: <app.acme.github.com>\nX-Reason: MENTION"), "fileinto gh/acme/app/app [F]");
        assert_eq!(decide(rules, "List-Id: x <a/../b.acme.github.com>"), "fileinto other");
        assert_eq!(decide(rules, "List-Id: x <..acme.github.com>"), "fileinto other");
        let inner_ends = "  - {do: [{if: {account: work}, do: [{fileinto: a}]}, {fileinto: b}]}";
        assert_eq!(decide(inner_ends, "X: y"), "fileinto a");
    }

    #[test]
    fn a_capture_of_the_branch_not_taken_is_an_empty_part() {
        let rules = r#"
  - if: {any: [{header: {X-A: {regex: "(?<a>.+)"}}}, {header: {X-B: {regex: "(?<b>.+)"}}}]}
    do: [{fileinto: "x/${a}/${b}"}]
"#;
        assert_eq!(decide(rules, "X-B: two"), "fileinto x/_/two");
    }

    #[test]
    fn combinators_parts_and_places() {
        let yes = |test: &str| {
            decide(
                &format!("  - {{if: {test}, do: [discard]}}"),
                "From: Ann <ann@x.example>\nTo: b@y.example, c@z.example\nX: 1",
            ) == "discard"
        };
        assert!(yes("{all: [{account: work}, {folder: {matches: 'lists/*'}}]}"));
        assert!(yes("{none: [{account: home}, {folder: INBOX}]}"));
        assert!(!yes("{not: {account: work}}"));
        assert!(yes("{address: {to: {is: z.example, part: domain}}}"));
        assert!(yes("{address: {from: {is: ann, part: localpart}}}"));
        assert!(yes("{address: {from: {contains: ANN, part: name}}}"));
        assert!(!yes("{address: {from: ann@x.exampl}}"));
        assert!(yes("{account: work, header: {X: '1'}}"));
        assert!(!yes("{account: work, header: {X: '2'}}"));
        assert!(!yes("{header: {X: '1', Y: '1'}}"));
        assert!(yes("{size: {under: 1K}}") && !yes("{size: {over: 1K}}"));
    }

    #[test]
    fn the_reason_names_what_was_seen() {
        let rules =
            "  - {name: r, if: {any: [{header: {X: {is: no}}}, {header: {Subject: {contains: hi}}}]}, do: [discard]}";
        let message = Message::new(Bytes::Memory(b"Subject: oh hi\n\n".to_vec()));
        let origin = Origin { account: "a".into(), folder: "INBOX".into(), generation: 0 };
        let decision = engine(rules).decide(&message, &origin, &Flags::from_iter([Flag::Seen]));
        assert_eq!((decision.rule(), decision.why), ("r".to_owned(), vec!["Subject is \"oh hi\"".to_owned()]));
    }
}
