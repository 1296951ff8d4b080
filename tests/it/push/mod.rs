//! How a kept session learns of news: looks at folders that are not open, IDLE, NOTIFY.

use mailsluice::source::{Glance, Heard, Source};
use mailsluice::state::Stamp;

use crate::stage::{Account, Client};
use crate::support::scripted_server::ScriptedServer;

mod glance;
mod idle;
mod notify;
mod stat;

/// A session, and the home that it needs.
struct Kept {
    source: Source,
    _home: Client,
}

async fn connect(account: Account) -> Kept {
    let home = account.client();
    let (world, job) = home.open();
    let source = Source::connect(&job.account, "me", world.spool(Stamp::parse(""))).await.unwrap();
    Kept { source, _home: home }
}

/// A session with a server that plays `tests/dialogs/NAME.dialog`.
async fn play(name: &str, folders: &str) -> (Kept, ScriptedServer) {
    let server = ScriptedServer::from_file(format!("tests/dialogs/{name}.dialog"));
    let account = Account::imap(server.port()).with(&format!("folders: {folders}"));
    (connect(account).await, server)
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// UIDVALIDITY, UIDNEXT, MESSAGES.
fn glance(generation: u32, uid_next: u32, exists: u32) -> Glance {
    Glance { generation: Some(generation), uid_next: Some(uid_next), exists: Some(exists), modseq: None }
}

fn news(folders: &[&str]) -> Heard {
    Heard::News(names(folders).into_iter().collect())
}
