//! Folder names and other strings in commands.

use imap_proto::{MailboxDatum, Response};

use crate::charsets::mutf7;
use crate::error::{Error, Kind, Result};

/// A folder name as a quoted string in modified UTF-7.
pub(super) fn mailbox(folder: &str) -> Result<String> {
    let name = mutf7::encode(folder);
    quoted(&name).ok_or_else(|| {
        let folder = crate::clean::line(folder.as_bytes());
        Error::permanent(Kind::Refused, format!("the folder name {folder} cannot be sent to a server"))
    })
}

/// Replaces `/` between the levels of a name by the server's delimiter.
pub(super) fn with_delimiter(folder: &str, delimiter: Option<char>) -> String {
    delimiter.map_or_else(|| folder.to_owned(), |d| folder.replace('/', d.encode_utf8(&mut [0; 4])))
}

/// The hierarchy delimiter in a LIST reply.
pub(super) fn delimiter_in(list: &Response<'_>) -> Option<char> {
    match list {
        Response::MailboxData(MailboxDatum::List(list)) => list.delimiter.as_deref().and_then(|d| d.chars().next()),
        _ => None,
    }
}

/// Quotes a folder name as the server spelled it. Non-ASCII characters are kept, because the server sent them like that.
pub(super) fn quoted_name(wire: &str) -> Result<String> {
    if wire.len() > 1000 || wire.contains(char::is_control) {
        let folder = crate::clean::line(wire.as_bytes());
        return Err(Error::permanent(Kind::Refused, format!("the folder name {folder} cannot be sent to a server")));
    }
    Ok(format!("\"{}\"", wire.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A quoted string (RFC 3501 9), or `None` for text that needs a literal.
pub(super) fn quoted(text: &str) -> Option<String> {
    let fits = text.len() <= 1000 && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    fits.then(|| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
