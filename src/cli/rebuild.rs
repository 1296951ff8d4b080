//! `rebuild`: the state and the mail root are taken as they are now, after a question.

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::output::Output;
use super::setup::Setup;
use crate::error::{Error, Kind, Result};
use crate::pass::World;
use crate::state::SqliteStore;
use crate::upkeep::{self, RebuildDoubt};

/// Sets a damaged database aside, and accepts a mail root that moved or was emptied on purpose.
pub(super) fn run(config: &Path, yes: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, &Output { quiet: true, ..*output })?;
    let state = &setup.config.state;
    let mut did = false;
    if let Some(damage) = SqliteStore::damage(state)? {
        output.talk(format_args!("{damage}"));
        let question = "Set the database aside and make a new one from the Maildirs?";
        if !agreed(question, yes, output)? {
            return Ok(1);
        }
        let aside = SqliteStore::set_damaged_aside(state)?;
        output.data(format_args!("the damaged database is in {} now", aside.display()));
        did = true;
    }
    let world = World::open(&setup.config)?;
    for RebuildDoubt::Root(why) in upkeep::doubts(&world)? {
        output.talk(format_args!("{why}"));
        let root = setup.config.maildir.path.display();
        let question = format!("Take {root} as it is now? Mail that is missing there is not fetched again.");
        if !agreed(&question, yes, output)? {
            return Ok(1);
        }
        upkeep::rebuild(&world)?;
        output.data(format_args!("{root} is the mail root now"));
        did = true;
    }
    if !did {
        output.data("the state and the mail root are in order; nothing was done");
    }
    Ok(0)
}

fn agreed(question: &str, yes: bool, output: &Output) -> Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let text = format!("{question} Run it on a terminal, or say --yes");
        return Err(Error::permanent(Kind::Usage, text));
    }
    write!(std::io::stderr(), "{question} [y/N] ").ok();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.map_err(|e| Error::transient(Kind::Usage, "reading the answer").because(e))?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        output.talk("nothing was done");
    }
    Ok(yes)
}
