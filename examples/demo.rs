//! The main job, with nothing to configure: `cargo run --release --example demo`.
//!
//! Starts an IMAP and a POP3 server of our own on loopback, loads a dozen messages into them, runs the real
//! pipeline with the config in `examples/demo/`, and shows where each message went and why.

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mailsluice::config::Config;
use mailsluice::filter::Engine;
use mailsluice::pass::{Report, Silent, Watch, World};
use mailsluice::pipeline::{self, Job};
use mailsluice::state::JournalRow;
use support::imap_server::{ImapOptions, ImapServer};
use support::mailbox::Mailbox;
use support::pop3_server::{Pop3Options, Pop3Server};
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let home = fresh_folder()?;

    let (work, private) = (Mailbox::new("ann@work.example", "demo"), Mailbox::new("ann", "demo"));
    load_messages(&here.join("messages"), &work, &private)?;
    let imap = ImapServer::start(&work, ImapOptions::default());
    let pop3 = Pop3Server::start(&private, Pop3Options::default());
    println!("An IMAP server with {} messages and a POP3 server with {} are running on this machine.", 8, 4);

    let config = config_for(&here, &home, imap.port(), pop3.port())?;
    println!("The config is {}; the same rules are for both accounts.\n", shown(&config));
    let (world, jobs) = prepare(&config)?;

    for job in &jobs {
        tell(&fetch(&world, job).await);
    }
    show_tree(&home.join("Mail"))?;
    show_reasons(&world)?;

    println!("\nA second run finds nothing new, and the POP3 server is empty because `home` says `retention: delete`:");
    for job in &jobs {
        tell(&fetch(&world, job).await);
    }
    let left = work.count("INBOX") + work.count(LIST);
    println!("  left on the IMAP server: {left}, on the POP3 server: {}", private.count("INBOX"));
    println!(
        "\nThe mail is in {}; `mutt -R -f {}` reads it.",
        shown(&home.join("Mail")),
        shown(&home.join("Mail/INBOX"))
    );
    println!("The journal: cargo run --release -- -c {} log", shown(&config));
    Ok(())
}

/// `target/demo`, empty.
fn fresh_folder() -> Outcome<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/demo");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    Ok(home)
}

/// A folder of the IMAP server into which another program sorts a list, as many servers do.
const LIST: &str = "Lists/rust";

/// The file name says where a message goes: `01-imap-boss.eml`, `04-imap-list.eml`.
fn load_messages(folder: &Path, work: &Mailbox, private: &Mailbox) -> Outcome<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    for file in files {
        let mailbox = if shown(&file).contains("-imap-") { work } else { private };
        let folder = if shown(&file).contains("-imap-list") { LIST } else { "INBOX" };
        mailbox.add(folder, fs::read(&file)?);
    }
    Ok(())
}

/// The example's config with the ports that were free.
fn config_for(here: &Path, home: &Path, imap: u16, pop3: u16) -> Outcome<PathBuf> {
    let text = fs::read_to_string(here.join("config.yaml"))?
        .replace("port: 10143", &format!("port: {imap}"))
        .replace("port: 10110", &format!("port: {pop3}"));
    let path = home.join("config.yaml");
    fs::write(&path, text)?;
    // It holds passwords, so it must be its owner's alone.
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(path)
}

fn prepare(path: &Path) -> Outcome<(World, Vec<Job>)> {
    let as_text = |problems: Vec<_>| problems.iter().map(ToString::to_string).collect::<String>();
    let (config, _) = Config::load(path).map_err(as_text)?;
    let (engine, _) = Engine::compile(&config.filters, &config.settings).map_err(as_text)?;
    let engine = Arc::new(engine);
    let job = |account: &_| Job { account: Arc::new(Clone::clone(account)), engine: engine.clone() };
    let jobs = config.accounts.iter().map(job).collect();
    Ok((World::open(&config)?, jobs))
}

async fn fetch(world: &World, job: &Job) -> Report {
    let nobody: Arc<dyn Watch> = Arc::new(Silent);
    pipeline::fetch(world, job, &nobody, &CancellationToken::new()).await
}

fn tell(report: &Report) {
    let (name, new, gone) = (&report.account, report.new, report.settled);
    println!("  {name}: {new} new messages are safe here, {gone} deleted on the server");
    for error in &report.errors {
        println!("  {name}: {error}");
    }
}

fn show_tree(mail: &Path) -> Outcome<()> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for found in support::maildir::Maildirs::at(mail).messages() {
        let (new, read) = counts.entry(found.folder).or_default();
        if found.sub == support::maildir::Sub::New { *new += 1 } else { *read += 1 }
    }
    println!("\n{:<24} {:>4} {:>12}", "FOLDER", "NEW", "WITH FLAGS");
    for (folder, (new, flagged)) in counts {
        println!("{folder:<24} {new:>4} {flagged:>12}");
    }
    Ok(())
}

fn show_reasons(world: &World) -> Outcome<()> {
    println!("\nWHY");
    let rows = world.store.journal(None, 100)?;
    for JournalRow { about, rule, why, outcome, .. } in rows.iter().rev() {
        let because = if why.is_empty() { String::new() } else { format!(", because {why}") };
        let subject = if about.subject.is_empty() { &about.message_id } else { &about.subject };
        println!("  {subject}\n      {outcome}: {rule}{because}");
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
