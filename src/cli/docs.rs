//! `docs`: everything that is generated from the program leaves by this door.

use clap::Subcommand;

use super::output::Output;
use crate::config;
use crate::error::Result;
use crate::filter;
use crate::providers;

#[derive(Debug, Subcommand)]
pub(super) enum Docs {
    /// JSON Schema for editors, of the config or of rule files
    Schema {
        /// Of what
        #[arg(value_enum, default_value = "config")]
        of: Of,
    },
    /// What is known of providers of mail, as Markdown
    Providers,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Of {
    /// config.yaml
    Config,
    /// Rule files
    Rules,
}

pub(super) fn run(docs: &Docs, output: &Output) -> Result<u8> {
    let of = match docs {
        Docs::Schema { of } => of,
        Docs::Providers => {
            output.data(providers::document().trim_end());
            return Ok(0);
        }
    };
    let sections = filter::sections();
    let root = match of {
        Of::Config => config::sections()[0],
        Of::Rules => sections[0],
    };
    output.data(format_args!("{:#}", config::schema::of(root, &sections)));
    Ok(0)
}
