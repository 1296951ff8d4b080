//! mailsluice
pub mod clean;
pub mod config;
pub mod deliver;
pub mod error;
pub mod filter;
pub mod message;
pub mod net;
pub mod source;
pub mod state;
