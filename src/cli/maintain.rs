//! `maintain`: the items of `maintenance` in the config, now; and what `fetch` and `run` do with those whose time has come.

use std::path::Path;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::setup::{self, Setup};
use super::{fetch, refilter};
use crate::clean;
use crate::config::reader::suggest;
use crate::error::{Error, Kind, Result};
use crate::pass::World;
use crate::upkeep::{self, Maintained, Upkeep};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The names of items in the config; without any, all of them
    names: Vec<String>,
    /// Only show what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(super) fn run(config: &Path, arguments: &Arguments, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    let chosen = choose(setup.upkeeps, &arguments.names)?;
    setup::warn_of_root(output);
    let act = !arguments.dry_run;
    let world = if act { World::open(&setup.config)? } else { World::look(&setup.config)? };
    let world = World { allow_root, ..world };
    let mut code = 0;
    for upkeep in &chosen {
        let maintained = upkeep::maintain(&world, upkeep, act, &mut |one| refilter::show(one, output))?;
        for folder in maintained.missing.iter().filter(|_| !output.json && !output.quiet) {
            let (name, folder) = (clean::short(&maintained.name, 60), clean::short(folder, 80));
            output.talk(format_args!("{name}: there is no folder {folder} here yet"));
        }
        code = fetch::worse(code, maintained.exit_code());
        // What rules said has been shown with the messages.
        let maintained = Maintained { remarks: Vec::new(), ..maintained };
        if act { report(&maintained, true, output) } else { would(&maintained, output) }
    }
    Ok(code)
}

fn choose(upkeeps: Vec<Upkeep>, names: &[String]) -> Result<Vec<Upkeep>> {
    let known = || upkeeps.iter().map(|upkeep| upkeep.item.name.as_str());
    if known().next().is_none() {
        let text = "there is no `maintenance:` in the config; docs/rules.md shows how it is written";
        return Err(Error::permanent(Kind::Usage, text));
    }
    if let Some(unknown) = names.iter().find(|name| !known().any(|known| known == **name)) {
        let hint = match suggest(unknown, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the items are: {}", known().collect::<Vec<_>>().join(", ")),
        };
        let text = format!("there is no item `{}` in `maintenance:`; {hint}", clean::short(unknown, 60));
        return Err(Error::permanent(Kind::Usage, text));
    }
    Ok(upkeeps.into_iter().filter(|upkeep| names.is_empty() || names.contains(&upkeep.item.name)).collect())
}

fn would(maintained: &Maintained, output: &Output) {
    if !output.json && !output.quiet {
        let Maintained { name, moved, stay, .. } = maintained;
        output.talk(format_args!("{}: {moved} would move or change, {stay} stay", clean::short(name, 60)));
    }
    errors(maintained, output);
}

/// What came of an item. Silence means, unless `always`: nothing to do and nothing wrong.
pub(super) fn report(maintained: &Maintained, always: bool, output: &Output) {
    let Maintained { name, moved, stay, remarks, errors: failures, .. } = maintained;
    let something = always || *moved > 0;
    if output.json {
        if something || !remarks.is_empty() || !failures.is_empty() {
            let failures: Vec<_> =
                failures.iter().map(|e| json!({"error": e.to_string(), "transient": e.is_transient()})).collect();
            let all =
                json!({"maintenance": name, "moved": moved, "stay": stay, "remarks": remarks, "errors": failures});
            output.data(all);
        }
        return;
    }
    let name = clean::short(name, 60);
    if something && !output.quiet {
        let line = format!("maintenance of {name}: {moved} moved or changed, {stay} stay");
        if always { output.talk(line) } else { output.data(line) }
    }
    remarks.iter().for_each(|remark| output.warn(format_args!("maintenance of {name}: {remark}")));
    errors(maintained, output);
}

fn errors(maintained: &Maintained, output: &Output) {
    for error in &maintained.errors {
        output.complain(format_args!("maintenance of {}: {error}", clean::short(&maintained.name, 60)));
    }
}

/// The items whose time has come. Returns the exit code.
pub(super) async fn due(world: &World, upkeeps: Vec<Upkeep>, stop: &CancellationToken, output: &Output) -> Result<u8> {
    let (world, stop, output) = (world.clone(), stop.clone(), *output);
    let work = move || {
        let mut code = 0;
        upkeep::maintain_due(&world, &upkeeps, &|| stop.is_cancelled(), &mut |maintained| {
            report(&maintained, false, &output);
            code = fetch::worse(code, maintained.exit_code());
        });
        code
    };
    let worker = tokio::task::spawn_blocking(work);
    worker.await.map_err(|e| Error::transient(Kind::Busy, "the maintenance ended unexpectedly").because(e))
}
