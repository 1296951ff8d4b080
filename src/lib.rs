//! mailsluice replaces fetchmail or getmail, procmail or Sieve, vacation and msmtp for one person's mail: it **pulls**
//! mail over IMAP and POP3, **decides** about each message by rules, and **acts**: it files the message into Maildirs
//! at once, and sends forwards, answers and notifications through the outbox as soon as a relay accepts them.
//!
//! # The picture
//!
//! ```text
//!  config ──> source ──────> message ──> filter ──────> stage ──> record ──> publish ──> settle
//!  accounts   imap pop3      bytes       yaml rules     files     journal    Maildirs    the server
//!  relays     stdin          + index     lua            in tmp/   + keys
//!                                           │                     + outbox ──> tell: smtp lmtp sendmail
//!                                         facts                                      imap program webhook
//! ```
//!
//! Every arrow is a type, so no step can be skipped:
//!
//! | step | type | made by | means |
//! |---|---|---|---|
//! | fetch | [`source::Fetched`] | [`source::Source`] | the message came whole: ended, not empty, about as large as announced |
//! | decide | [`decision::Decision`] | [`filter::Engine`] | pure: nothing has happened yet |
//! | stage | [`state::Staged`] | [`deliver::Stager`] | the files are complete and durable under `tmp/` |
//! | record | [`state::Recorded`] | a [`state::Store`] | the decision, and what it writes and sends, is committed |
//! | publish | [`state::Published`] | [`deliver::publish()`] | the mail is in its folders, durably |
//! | settle | [`state::Settlement`] | only from a `Published` | the server may delete its copy |
//! | tell | [`state::OutboxRow`] | with the decision, in one transaction | marked as being sent before anything goes out |
//!
//! [`pipeline`] is the program: read it first. [`pass`] holds its steps, one file each; [`tell`] sends outbox items, and
//! [`outbox`] says what becomes of them; [`upkeep`] works on mail that is already filed. The next run finishes what a crash interrupted ([`deliver::recover()`]); a table in [`state`] and in
//! `docs/durability.md` shows what a crash leaves behind at each point.
//!
//! # The order of the listing
//!
//! The modules below are listed in the order of the flow, and import only downwards:
//!
//! ```text
//! cli > doctor > daemon > pipeline > {explain, submit, tell} > upkeep > pass > {source, filter, deliver, outbox} >
//! state > decision > message > discover > {net, program} > config > providers >
//! {charsets, error, clean, refusal, safeguard, secrets}
//! ```
//!
//! The modules in braces do not import each other, except for the last two. [`filter`] uses no file, socket, clock or
//! database: [`pass`] answers the questions of rules, and [`program`] starts programs for it. All access to mail files
//! goes through [`state::Disk`], and everything remembered goes through [`state::Store`]: the crash tests run this same
//! pipeline over a disk that forgets whatever was not synced.

pub mod cli;
pub mod daemon;
pub mod doctor;
pub mod pipeline;

pub mod explain;
pub mod submit;
pub mod tell;

pub mod upkeep;

pub mod pass;

pub mod deliver;
pub mod filter;
pub mod outbox;
pub mod source;

pub mod state;

pub mod decision;

pub mod message;

pub mod discover;

pub mod net;
pub mod program;

pub mod config;

pub mod providers;

pub mod charsets;
pub mod clean;
mod content_lines;
mod descriptors;
pub mod error;
#[cfg(test)]
mod fuzz;
mod ourselves;
pub mod refusal;
pub mod safeguard;
pub mod secrets;
mod stop;
mod terminal;
mod turn;
mod user;
