//! The names by which the program is called: a link named `sendmail` or `mailq` is that command.

use std::ffi::OsString;
use std::path::Path;

/// Called as `sendmail` or `mailq`, through a link of that name, the program is that command.
pub(super) fn for_sendmail(mut given: Vec<OsString>) -> Vec<OsString> {
    let name =
        given.first().and_then(|name| Path::new(name).file_name()).map(|name| name.to_string_lossy().into_owned());
    match name.as_deref() {
        // Its options are sendmail's alone.
        Some("sendmail") => _ = given.splice(1..1, ["sendmail".into(), "--".into()]),
        Some("mailq") => _ = given.splice(1..1, ["queue".into(), "list".into()]),
        _ => {
            if let Some(at) = sendmail_at(&given) {
                given.insert(at + 1, "--".into());
            }
        }
    }
    given
}

/// Where the command `sendmail` stands: behind options of the program, and before its own, of which `-q` and `-v` mean something
/// else.
fn sendmail_at(given: &[OsString]) -> Option<usize> {
    let mut at = 1;
    loop {
        let word = given.get(at)?.to_str()?;
        match word {
            "-c" | "--config" | "--color" => at += 2,
            option if option.starts_with('-') => at += 1,
            word => return (word == "sendmail").then_some(at),
        }
    }
}
