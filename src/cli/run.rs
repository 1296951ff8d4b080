//! `run`: every account again and again, until SIGTERM.

use std::path::Path;

use super::output::Output;
use super::setup::{self, Setup};
use super::signals;
use crate::daemon;
use crate::error::Result;
use crate::pass::World;

pub(super) fn run(config: &Path, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    setup::warn_of_root(output);
    let world = World { allow_root, ..World::open(&setup.config)? };
    let output = *output;
    setup::runtime()?.block_on(async {
        let stop = signals::stop_token()?;
        daemon::run(&world, setup.jobs, stop, move |report| output.report(report)).await;
        Ok(0)
    })
}
