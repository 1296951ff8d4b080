//! The outbox: everything that is told leaves from here, through a relay.
//!
//! A row of the outbox is written in the transaction that records the decision. Its states:
//!
//! | state | means | next |
//! |---|---|---|
//! | waiting | its time has not come, or it is due | sending |
//! | sending | somebody is at it; committed before anything is sent | sent, waiting, failed; after a crash see below |
//! | sent | it was told | |
//! | failed | given up: refused for good, or too old | |
//! | held | the user put it aside | waiting |
//!
//! After a crash a row that was being sent is sent again (forwards, programs: at least once, with the same Message-ID),
//! but an answer is given up: it may have gone out, and nobody must be answered twice.
//!
//! [`relay`] says what a relay is asked and answers, [`smtp`] and [`sendmail`] are the ways out, [`retry`] knows when to
//! try again, and [`compose`] makes the mail that is sent.

pub mod address;
pub mod compose;
pub mod relay;
pub mod retry;
pub mod sendmail;
pub mod smtp;
