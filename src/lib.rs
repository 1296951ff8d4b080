//! mailsluice takes the seat of fetchmail or getmail, procmail or Sieve, vacation and msmtp around a person's mail: it
//! **pulls** mail over IMAP and POP3, **decides** about each message by rules, and **acts**: files it into Maildirs, here
//! and now, and tells others through the outbox, as soon as a relay takes it.
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
//! Every arrow is a type that cannot be skipped:
//!
//! | step | type | made by | means |
//! |---|---|---|---|
//! | fetch | [`source::Fetched`] | [`source::Source`] | it came whole: ended, not empty, about as large as announced |
//! | decide | [`decision::Decision`] | [`filter::Engine`] | pure: nothing has happened yet |
//! | stage | [`state::Staged`] | [`deliver::Stager`] | the files are complete and durable under `tmp/` |
//! | record | [`state::Recorded`] | a [`state::Store`] | the decision, and what it writes and tells, is committed |
//! | publish | [`state::Published`] | [`deliver::publish()`] | the mail stands in its folders, durably |
//! | settle | [`state::Settlement`] | from a `Published` alone | the server may delete its copy |
//! | tell | [`state::OutboxRow`] | with the decision, in one transaction | marked as being sent before anything goes out |
//!
//! [`pipeline`] is the program: read it first; [`outbox`] says what becomes of what is told. [`pass`] holds the steps it
//! calls, one file each. A crash at any point is finished by the next run ([`deliver::recover()`]); what each point leaves
//! behind is a table in [`state`] and in `docs/durability.md`.
//!
//! # The order of the listing
//!
//! The modules below stand in the order of the flow, and import only downwards:
//! `cli > doctor > daemon > pipeline > pass > {source, filter, deliver, outbox} > state > decision > message > discover > {net, program} >
//! config > providers > {charsets, error, clean, refusal, safeguard, secrets}`. Those in braces do not know each other, but for the last two. [`filter`] reaches no file, socket, clock or database: what rules
//! may ask is answered by [`pass`], with programs started by [`program`]. Everything that touches mail files goes
//! through [`state::Disk`], everything remembered through [`state::Store`]: the crash tests run this same pipeline
//! over a disk that forgets whatever was not synced.

pub mod cli;
pub mod daemon;
pub mod doctor;
pub mod pipeline;

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
