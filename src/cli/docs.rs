//! `docs`: everything that is generated from the program leaves by this door.

use clap::Subcommand;

use super::output::Output;
use crate::config;
use crate::error::Result;
use crate::filter;

#[derive(Debug, Subcommand)]
pub(super) enum Docs {
    /// JSON Schema for editors, of the config or of rule files
    Schema {
        /// Of what
        #[arg(value_enum, default_value = "config")]
        of: Of,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Of {
    /// config.yaml
    Config,
    /// Rule files
    Rules,
}

pub(super) fn run(docs: &Docs, output: &Output) -> Result<u8> {
    let Docs::Schema { of } = docs;
    let sections = filter::sections();
    let root = match of {
        Of::Config => config::sections()[0],
        Of::Rules => sections[0],
    };
    output.data(format_args!("{:#}", config::schema::of(root, &sections)));
    Ok(0)
}
