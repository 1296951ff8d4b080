//! `filters`: the shipped filters.

use std::sync::Arc;

use clap::Subcommand;
use serde_json::json;

use clap_complete::ArgValueCompleter;

use super::help::complete;
use super::output::Output;
use crate::config::filters::{head_of, head_of_script};
use crate::config::library::{self, SHIPPED, Shipped};
use crate::config::parameters::FilterHead;
use crate::config::problem::{Problems, SourceFile};
use crate::config::reader::suggest;
use crate::config::yaml::{Document, Node};
use crate::error::{Error, Kind, Result};

#[derive(Debug, Subcommand)]
pub(super) enum Filters {
    /// Name every shipped filter, with a line about it
    List,
    /// Print one: its parameters, rules and tests
    Show {
        /// Its name, such as lists/by-list-id
        #[arg(add = ArgValueCompleter::new(complete::filters))]
        name: String,
    },
}

pub(super) fn run(filters: &Filters, output: &Output) -> Result<u8> {
    match filters {
        Filters::List => SHIPPED.iter().for_each(|shipped| list(shipped, output)),
        Filters::Show { name } => show(name, output)?,
    }
    Ok(0)
}

fn list(shipped: &Shipped, output: &Output) {
    let head = head(shipped);
    if output.json {
        let parameters = head
            .parameters
            .iter()
            .map(|p| json!({"name": p.name, "about": p.about, "default": p.default.as_ref().map(Node::in_line)}));
        let parameters: Vec<_> = parameters.collect();
        output.json(json!({"name": shipped.name, "about": head.about, "parameters": parameters}));
        return;
    }
    output.data(format_args!("{:<26} {}", shipped.name, head.about));
    for parameter in &head.parameters {
        let default = match &parameter.default {
            Some(default) => format!(" [{}]", default.in_line()),
            None => " (required)".to_owned(),
        };
        output.data(format_args!("    {:<22} {}{default}", parameter.name, parameter.about));
    }
}

fn head(shipped: &Shipped) -> FilterHead {
    let source = Arc::new(SourceFile::new(shipped.file, shipped.text));
    let mut problems = Problems::new(&source);
    if shipped.file.ends_with(".lua") {
        return head_of_script(&source, &mut problems);
    }
    Document::parse(&source, &mut problems).map(|document| head_of(&document, &mut problems)).unwrap_or_default()
}

fn show(name: &str, output: &Output) -> Result<()> {
    let Some(shipped) = library::find(name) else {
        let hint = match suggest(name, SHIPPED.iter().map(|shipped| shipped.name)) {
            Some(near) => format!("; did you mean `{near}`?"),
            None => "; `mailsluice filters list` names them".to_owned(),
        };
        let name = crate::clean::short(name, 60);
        return Err(Error::permanent(Kind::Usage, format!("there is no shipped filter `{name}`{hint}")));
    };
    if output.json {
        output.json(json!({"name": shipped.name, "file": shipped.file, "text": shipped.text, "tests": shipped.tests}));
    } else {
        output.data(shipped.text.trim_end());
    }
    Ok(())
}
