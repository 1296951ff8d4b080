//! mailsluice
pub mod clean;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod error;
pub mod filter;
pub mod message;
pub mod net;
pub mod pass;
pub mod pipeline;
pub mod source;
pub mod state;
