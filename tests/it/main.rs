//! The tests of the whole program: one binary, one harness (`tests/support`).

// Test code may stop at the first surprise; `pub` here is for the other modules of this binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod addresses;
mod answered_once;
mod answers;
mod append;
mod asked_last;
mod bad_configs;
mod bombs;
mod callers;
mod carry;
mod charsets;
mod cli;
mod corpus;
mod courier;
mod crash;
mod docs;
mod doubts;
mod engine;
mod fetch;
mod filters;
mod first_look;
mod folder_names;
mod forwards;
mod hostile;
mod hostile_mail;
mod imap;
mod imap_replies;
mod injected;
mod injection;
mod kill;
mod lanes;
mod layers;
mod logins;
mod lua;
mod maintenance;
mod mistaken_ports;
mod noted;
mod notifications;
mod numbers;
mod old_mail;
mod oracle;
mod outbox;
mod pop3;
mod pop3_replies;
mod profiles;
mod program;
mod proofs;
mod queue;
mod recipients;
mod refilter;
mod refusals;
mod renumbered;
mod replies;
mod retention;
mod rule_files;
mod rules;
mod scripts;
mod sendmail;
mod smtp;
mod smtp_faults;
mod smtp_login;
mod smtp_sink;
mod stage;
mod state;
mod storm;
mod submission;
mod takeover;
mod tls;
mod two_away;
mod undo;
mod whole;
