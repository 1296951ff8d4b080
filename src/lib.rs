//! mailsluice: placeholder until pipeline lands.
pub mod clean;
pub mod config;
pub mod error;
