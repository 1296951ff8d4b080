//! `run`: every account again and again, until SIGTERM.

use std::path::Path;

use super::maintain;
use super::output::Output;
use super::queue;
use super::setup::{self, Setup};
use super::signals;
use crate::daemon;
use crate::error::Result;
use crate::pass::{Maintained, Relays, Told, World};
use crate::pipeline;

pub(super) fn run(config: &Path, allow_root: bool, output: &Output) -> Result<u8> {
    let setup = Setup::load(config, output)?;
    setup::warn_of_root(output);
    let world = World { allow_root, ..World::open(&setup.config)? };
    pipeline::enrol(&world, &setup.jobs);
    let output = *output;
    setup::runtime()?.block_on(async {
        let stop = signals::stop_token()?;
        let relays = Relays::of(&setup.config);
        let told = move |told: &Told| queue::report(told, &output);
        let tell = move |report: &_| output.report(report);
        let maintained = move |maintained: &Maintained| maintain::report(maintained, false, &output);
        let tellers = daemon::Tellers { tell, told, maintained };
        daemon::run(&world, setup.jobs, setup.upkeeps, relays, stop, tellers).await;
        Ok(0)
    })
}
