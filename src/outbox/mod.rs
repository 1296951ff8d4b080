//! The outbox: everything that is told leaves from here, through a relay.
//!
//! A row of the outbox is written in the transaction that records the decision. Its states:
//!
//! | state | means | next |
//! |---|---|---|
//! | waiting | its time has not come, or it is due | sending, held; failed when it is too old |
//! | sending | somebody is at it; committed before anything is sent | sent, waiting, failed; after a crash see below |
//! | sent | it was told | |
//! | sent, copy owed | it was told, and the copy of it (`fcc`) is not filed yet | sent |
//! | failed | given up: refused for good, too old, or dropped by the user | |
//! | held | the user put it aside | waiting, failed |
//!
//! After a crash a row that was being sent is sent again: a forward with the same Message-ID, an append after a look into
//! the folder. An answer is given up: it may have gone out, and nobody must be answered twice.
//!
//! [`relay`] says what a relay is asked and answers, [`smtp`], [`sendmail`] and [`webhook`] are the ways out, [`outcome`]
//! decides what becomes of a row after an attempt, [`retry`] knows when to try again, [`address`] what may stand in an envelope, and [`compose`] makes the mail that is sent.

pub mod address;
pub mod age;
pub mod compose;
pub mod outcome;
pub mod refusal;
pub mod relay;
pub mod retry;
pub mod sendmail;
pub mod smtp;
pub mod webhook;
