//! The outbox: everything that is sent out leaves from here, through a relay.
//!
//! An outbox item is written in the transaction that records the decision. Its states:
//!
//! | state | meaning | next state |
//! |---|---|---|
//! | waiting | it is due, or not yet | sending, held; failed when it is too old |
//! | sending | a process is sending it; committed before anything is sent | sent, waiting, failed; after a crash see below |
//! | sent | it was sent | |
//! | sent, copy owed | it was sent, but its copy (`fcc`) is not filed yet | sent |
//! | failed | given up: permanently refused, too old, or dropped by the user | |
//! | held | the user has put it on hold | waiting, failed |
//!
//! After a crash an item in the state "sending" is sent again: a forward with the same Message-ID, an append after a search in
//! the folder. An answer is given up, because it may have been sent, and nobody must get an answer twice.
//!
//! [`relay`] defines the interface of a relay; [`smtp`], [`sendmail`] and [`webhook`] are the ways to send; [`outcome`]
//! decides what happens to an item after an attempt, and [`retry`] when to try again; [`address`] checks what is written into
//! an envelope, and [`compose`] composes the mail that is sent.

pub mod address;
pub mod age;
pub mod compose;
pub mod outcome;
pub mod refusal;
pub mod relay;
mod relays;
pub mod retry;
pub mod sendmail;
pub mod smtp;
pub mod webhook;

pub use relays::Relays;
