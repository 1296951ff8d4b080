//! The stage the tests play on: mail servers that can misbehave on request, a home folder to run the program
//! in, and readers that say what became of the mail.
//!
//! Nothing here knows the library under test: servers speak to it over the network, the sandbox runs its binary,
//! and the results are read from disk. So a mistake in the library cannot hide in the tool that looks for it.
//!
//! | to test | take |
//! |---|---|
//! | fetching | [`mailbox::Mailbox`], served by [`imap_server::ImapServer`] or [`pop3_server::Pop3Server`] |
//! | fetching when all goes wrong | [`faults::Faults`] in the options of these servers |
//! | one exact dialog, however strange | [`scripted_server::ScriptedServer`] |
//! | the same against a real server | [`dovecot::Dovecot`], [`courier::Courier`] |
//! | mail that comes to such a server by APPEND | [`imap_writer::ImapWriter`] |
//! | sending over SMTP or LMTP | [`smtp_server::SmtpServer`], which collects mail and can refuse, break and misread |
//! | sending when the line or the server breaks | [`rough_line::RoughLine`] in front of any SMTP server |
//! | the same to a real server | [`smtp_sink::SmtpSink`], and [`postfix::Postfix`] as root |
//! | who looks for servers | [`dns_server::DnsServer`], [`web_server::WebServer`], [`web_server::Greeter`] |
//! | signing in by OAuth2 | [`oauth_server::OauthServer`], which [`dovecot::Dovecot::start_asking`] asks about tokens |
//! | the binary | [`sandbox::Sandbox`] |
//! | the binary on a disk that fails at the n-th call | [`injector::Injector`] |
//! | what was delivered | [`maildir::Maildirs`] |

// Two binaries include this folder (the integration tests and examples/demo.rs) and each uses only a part of it.
#![allow(dead_code)]
// Test code may stop at the first surprise, and says `pub` to its includers without being a library.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

pub mod base64;
pub mod courier;
pub mod date;
pub mod dns_server;
pub mod dovecot;
pub mod faults;
pub mod imap_fetch;
pub mod imap_folders;
pub mod imap_search;
pub mod imap_server;
pub mod imap_syntax;
pub mod imap_writer;
pub mod injector;
pub mod mailbox;
pub mod maildir;
pub mod oauth_server;
pub mod pop3_server;
pub mod postfix;
pub mod rough_line;
pub mod sandbox;
pub mod script;
pub mod scripted_server;
pub mod smtp_login;
pub mod smtp_server;
mod smtp_session;
pub mod smtp_sink;
pub mod terminal;
pub mod tls;
pub mod web_server;
pub mod wire;

#[cfg(test)]
mod imap_server_tests;
#[cfg(test)]
mod pop3_server_tests;
#[cfg(test)]
mod raw_client;
