//! `docs`: everything that is generated from the program leaves by this door.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::help::man_pages;
use super::output::Output;
use crate::config;
use crate::error::{Error, Result};
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
    /// Write the manual pages into a folder, for `man`
    Man {
        /// The folder, such as ~/.local/share/man; each page goes to its section in it
        folder: PathBuf,
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
    let of = match docs {
        Docs::Schema { of } => of,
        Docs::Man { folder } => return write_manual(folder, output),
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

/// `FOLDER/man1/mailsluice.1` and the others.
fn write_manual(folder: &Path, output: &Output) -> Result<u8> {
    for (name, text) in man_pages() {
        let section = name.rsplit('.').next().unwrap_or_default();
        let folder = folder.join(format!("man{section}"));
        let path = folder.join(name);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&path, &text)
        };
        write().map_err(|e| Error::disk(format!("writing {}", path.display()), e))?;
        output.data(path.display());
    }
    Ok(0)
}
