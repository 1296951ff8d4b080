//! `clients.yaml`: by what providers know this program, for whoever has no client id of their own. None is shipped with the program;
//! a distribution may put one into /etc/mailsluice.

use std::path::{Path, PathBuf};

use super::load::read_source;
use super::oauth::{Client, SignIn};
use super::problem::Problems;
use super::providers;
use super::reader::{self, Base, MapReader, Shape, Takes};
use super::secret::{self, Password};
use super::yaml::{Document, Value};
use crate::clean;

const NAME: &str = "clients.yaml";
const OF_SYSTEM: &str = "/etc/mailsluice";

/// One entry of the file: the name of a provider, and this.
pub(super) static SHAPE: Shape = Shape {
    what: "a client in `clients.yaml`",
    keys: &[
        ("client_id", "The id under which this program is registered with the provider.", Takes::Text),
        (
            "client_secret",
            "What belongs to it, if the provider gave one. A desktop program's is no secret: the file may be open to all.",
            Takes::Either(&[Takes::Text, Takes::Section(&secret::SHAPE)]),
        ),
    ],
};

/// The clients of a file, by provider.
#[derive(Debug, Default)]
pub(super) struct Clients(Vec<(String, Client)>);

impl Clients {
    /// Those beside the config file, and for other providers those of the whole machine. What is wrong in a file is reported; one
    /// that is not there has none.
    pub(super) fn beside(config: &Path, base: &Base, problems: &mut Problems) -> Self {
        let mut all = Vec::new();
        for path in paths(base) {
            // In messages it begins as the user wrote the config.
            let is_beside = path.parent() == Some(base.folder());
            let shown = if is_beside { config.with_file_name(NAME) } else { path.clone() };
            all.extend(read(&path, shown, problems));
        }
        Self(all)
    }

    /// The one for that sign-in.
    pub(super) fn of(&self, it: &SignIn) -> Option<Client> {
        let name = it.provider?.name;
        self.0.iter().find(|(known, _)| known == name).map(|(_, client)| client.clone())
    }
}

/// Where such a file is looked for.
pub(super) fn paths(base: &Base) -> Vec<PathBuf> {
    let system = Path::new(OF_SYSTEM);
    let mut folders = vec![base.folder()];
    folders.extend((base.folder() != system).then_some(system));
    folders.into_iter().map(|folder| folder.join(NAME)).collect()
}

fn read(path: &Path, shown: PathBuf, problems: &mut Problems) -> Vec<(String, Client)> {
    let source = match read_source(path, shown) {
        Ok((source, _)) => source,
        Err(error) if error.is_missing() => return Vec::new(),
        Err(error) => {
            problems
                .error_in_file(format!("cannot read {}: {error}", clean::line(path.as_os_str().as_encoded_bytes())));
            return Vec::new();
        }
    };
    let mut own = Problems::new(&source);
    let mut found = Vec::new();
    if let Some(document) = Document::parse(&source, &mut own) {
        let base = Base::of_file(path);
        match (&document.root.value, base) {
            (Value::Map(entries), Ok(base)) => {
                for (key, node) in entries {
                    if !providers::PROVIDERS.iter().any(|provider| provider.name == key.text) {
                        let names: Vec<&str> = providers::PROVIDERS.iter().map(|provider| provider.name).collect();
                        let message = format!("there is no provider `{}`", clean::short(&key.text, 60));
                        own.error(key.span, message).hint(format!("one of {}", names.join(", ")));
                        continue;
                    }
                    let mut map = MapReader::new(node, &SHAPE, &mut own).placed(key.span);
                    let id = map.need("client_id", |n, p| reader::text(n, "a client id", p).map(str::to_owned));
                    let secret = map.read("client_secret", |n, p| Password::read(n, &base, p));
                    found.extend(id.map(|id| (key.text.clone(), Client { id, secret })));
                }
            }
            (Value::Null, _) => {}
            _ => drop(reader::mismatch(&document.root, "a mapping of providers", &mut own)),
        }
    }
    problems.merge(own);
    found
}
