//! `explain`: what the rules would decide about a message, rule by rule, with the values they see.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::output::Output;
use super::setup::Setup;
use crate::clean;
use crate::error::{Error, Kind, Result};
use crate::explain::{self, Explanation};
use crate::filter::{Engine, Refusal};
use crate::message::{Bytes, Envelope, Flags, Key, Message, Origin, as_delivered, to_lf};
use crate::pass::World;

/// The largest message that is read, in bytes.
const MAX_MESSAGE_BYTES: u64 = 100 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Messages in files, or Maildirs with all their messages; - is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// With the rules of this account, as though the message came from it
    #[arg(short, long)]
    account: Option<String>,
    /// As though it came from this folder of the server
    #[arg(short, long, default_value = "INBOX")]
    folder: String,
    /// Flags it has there
    #[arg(long, value_delimiter = ',')]
    flags: Vec<String>,
    /// As though it were this time: 2026-12-24 18:00
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Start the programs that rules ask; without it only what would be run is shown
    #[arg(long)]
    run_programs: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    let engine = setup.engine(arguments.account.as_deref())?;
    let at = arguments.at.as_deref().map(moment).transpose()?;
    let mut flags = Flags::default();
    for word in &arguments.flags {
        flags.parse_word(word).map_err(|bad| Error::permanent(Kind::Usage, bad.to_string()))?;
    }
    let world = World { allow_root, ..World::look(&setup.config)? };
    let files = arguments.files.iter().map(|path| messages_in(path)).collect::<Result<Vec<_>>>()?.concat();
    for (i, file) in files.iter().enumerate() {
        let (message, arrived) = read(file)?;
        let message = Arc::new(Message::new(Bytes::Memory(to_lf(&message))).assuming(engine.assumed()));
        let account = arguments.account.clone().unwrap_or_else(|| crate::pipeline::DELIVER.to_owned());
        let origin = Arc::new(Origin { account, folder: arguments.folder.clone(), generation: 0 });
        let arrived = at.as_ref().map_or(arrived, Zoned::timestamp);
        let envelope = Envelope { key: Key::new(&origin, "explain"), arrived, flags: flags.clone(), announced: 0 };
        let explained = explain(&world, &engine, &message, &envelope, arguments, at.clone());
        if output.json {
            output.json(as_json(file, &message, &explained));
        } else {
            let gap = if i > 0 { "\n" } else { "" };
            output.data(format_args!("{gap}{}", as_text(file, &message, &explained).trim_end()));
        }
    }
    Ok(0)
}

fn explain(
    world: &World,
    engine: &Engine,
    message: &Arc<Message>,
    envelope: &Envelope,
    arguments: &Arguments,
    at: Option<Zoned>,
) -> Explanation {
    explain::explain(world, engine, message, envelope, arguments.run_programs, at)
}

/// The message files that a path stands for: itself, or those in `new` and `cur` if it is a Maildir.
fn messages_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let name = clean::line(path.as_os_str().as_encoded_bytes());
    if !path.join("cur").is_dir() {
        let text = format!("{name} is a folder and no Maildir; name the file of a message");
        return Err(Error::permanent(Kind::Usage, text));
    }
    let failed = |e: std::io::Error| Error::permanent(Kind::Usage, format!("reading {name}")).because(e);
    let mut files = Vec::new();
    for part in ["new", "cur"].map(|part| path.join(part)).iter().filter(|part| part.is_dir()) {
        for entry in std::fs::read_dir(part).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
    }
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

/// The bytes and when they were written; what comes on standard input arrived now.
fn read(file: &Path) -> Result<(Vec<u8>, Timestamp)> {
    let name = clean::line(file.as_os_str().as_encoded_bytes());
    let failed = |e: std::io::Error| Error::permanent(Kind::Usage, format!("reading {name}")).because(e);
    let mut bytes = Vec::new();
    let arrived = if file == Path::new("-") {
        std::io::stdin().lock().take(MAX_MESSAGE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        Timestamp::now()
    } else {
        let opened = std::fs::File::open(file).map_err(failed)?;
        let modified = opened.metadata().and_then(|m| m.modified()).ok().and_then(|at| Timestamp::try_from(at).ok());
        opened.take(MAX_MESSAGE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        modified.unwrap_or_else(Timestamp::now)
    };
    if bytes.len() as u64 > MAX_MESSAGE_BYTES {
        return Err(Error::permanent(Kind::Usage, format!("{name} is larger than 100 MiB")));
    }
    Ok((as_delivered(&bytes), arrived))
}

/// `2026-12-24 18:00`, local time; a day alone is its noon.
fn moment(text: &str) -> Result<Zoned> {
    let full = if text.len() == 10 { format!("{text}T12:00") } else { text.replace(' ', "T") };
    let at = full.parse::<DateTime>().and_then(|at| at.to_zoned(TimeZone::system()));
    at.map_err(|_| {
        let text = clean::short(text, 40);
        Error::permanent(Kind::Usage, format!("`{text}` is no time; write it like `2026-12-24 18:00`"))
    })
}

fn as_text(file: &Path, message: &Message, explained: &Explanation) -> String {
    let field = |name: &str| clean::short(message.first(name).unwrap_or("(none)"), 100);
    let mut text = format!("{}\n", clean::line(file.as_os_str().as_encoded_bytes()));
    text += &format!("  From:    {}\n  Subject: {}\n\n", field("From"), field("Subject"));
    text += &explained.trace.to_string().lines().map(|line| format!("  {line}\n")).collect::<String>();
    text.push('\n');
    match &explained.decision {
        Ok(decision) => {
            text += &format!(
                "  decision  {}\n  by        {}\n",
                clean::line(decision.to_string().as_bytes()),
                clean::line(decision.rule().as_bytes())
            );
            for note in &decision.notes {
                text += &format!("  note      {}\n", clean::line(note.as_bytes()));
            }
            for failure in &decision.failures {
                text += &format!(
                    "  failed    {}: {}\n",
                    clean::short(&failure.rule, 60),
                    clean::line(failure.cause.as_bytes())
                );
            }
        }
        Err(deferral) => {
            text += &format!(
                "  decision  none now: {} asked for it to be decided later: {}\n",
                clean::short(&deferral.rule, 60),
                clean::line(deferral.cause.as_bytes())
            );
        }
    }
    text += &format!("  answers   {}\n", clean::line(answers(explained).as_bytes()));
    for violation in message.violations() {
        text += &format!("  broken    {violation}\n");
    }
    text
}

/// What becomes of an answer: what was decided, or else what would be.
fn answers(explained: &Explanation) -> String {
    if let Ok(decision) = &explained.decision {
        let told =
            decision.tellings().find(|telling| telling.way.is_answer()).map(|telling| format!("as decided: {telling}"));
        let refused = decision.notes.iter().find(|note| note.starts_with("no reply:"));
        if let Some(decided) = told.or_else(|| refused.map(|note| format!("as decided: {note}"))) {
            return decided;
        }
    }
    match (&explained.vacation, &explained.reply) {
        (Ok(to), _) => format!("an automatic reply would go to {}", clean::short(to, 100)),
        (Err(refusal), Ok(to)) => format!(
            "`reply` would go to {}, for it answers whatever its rule matched; `vacation` answers only what is addressed to an \
             own address: {refusal}",
            clean::short(to, 100)
        ),
        (Err(_), Err(refusal)) => refusal.to_string(),
    }
}

fn as_json(file: &Path, message: &Message, explained: &Explanation) -> Value {
    let decision = match &explained.decision {
        Ok(decision) => json!({
            "actions": decision.actions.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "rules": decision.rules,
            "why": decision.why,
            "notes": decision.notes,
            "failures": decision.failures.iter().map(|f| json!({"rule": f.rule, "cause": f.cause})).collect::<Vec<_>>(),
        }),
        Err(deferral) => json!({"deferred": {"rule": deferral.rule, "cause": deferral.cause}}),
    };
    json!({
        "file": file.to_string_lossy(),
        "from": message.first("From"),
        "subject": message.first("Subject"),
        "decision": decision,
        "trace": explained.trace.to_json(),
        "answer": answer(&explained.vacation),
        "answers": {"vacation": answer(&explained.vacation), "reply": answer(&explained.reply)},
        "violations": message.violations().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn answer(asked: &std::result::Result<String, Refusal>) -> Value {
    match asked {
        Ok(to) => json!({"to": to}),
        Err(refusal) => json!({"no_reply": refusal.row, "why": refusal.why}),
    }
}
