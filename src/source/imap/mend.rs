//! Rewrites replies that the parser would misread or reject.
//!
//! imap-proto keeps the backslashes of quoted strings, does not accept bytes beyond ASCII in them, panics on a NIL date, and
//! rejects a whole reply because of an invalid size or an unknown STATUS item. So such a string is passed on as a literal, a NIL
//! date as an empty one, and invalid sizes and unknown items are left out.

use std::borrow::Cow;

use super::raw;

/// The reply, rewritten if necessary.
pub(super) fn mend(reply: &[u8]) -> Cow<'_, [u8]> {
    let Some(kind) = kind_of(reply) else { return Cow::Borrowed(reply) };
    let begins = |words: &[u8]| reply.get(..words.len()).is_some_and(|word| word.eq_ignore_ascii_case(words));
    let is_status = begins(b"* STATUS ");
    let has_names = is_status || begins(b"* LIST ");
    let mut mender = Mender { reply, has_names, is_status, at: 0, copied: 0, out: Vec::new() };
    mender.run(kind);
    if mender.copied == 0 {
        return Cow::Borrowed(reply);
    }
    mender.out.extend_from_slice(&reply[mender.copied..]);
    Cow::Owned(mender.out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MendKind {
    /// The reply has attributes with values.
    Fetch,
    /// The reply has strings.
    Data,
}

/// `None` for text, in which quotes have no meaning.
fn kind_of(reply: &[u8]) -> Option<MendKind> {
    let data = reply.strip_prefix(b"* ")?;
    let mut words = data.split(|byte| *byte == b' ');
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if ["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|name| is(first, name)) {
        return None;
    }
    let is_number = first.iter().all(u8::is_ascii_digit);
    Some(if is_number && is(second, "FETCH") { MendKind::Fetch } else { MendKind::Data })
}

struct Mender<'a> {
    reply: &'a [u8],
    /// The strings are folder names, in which the parser accepts only UTF-8.
    has_names: bool,
    /// The parentheses contain STATUS items with numbers.
    is_status: bool,
    at: usize,
    /// How much of the reply is in `out` already.
    copied: usize,
    out: Vec<u8>,
}

impl Mender<'_> {
    fn run(&mut self, kind: MendKind) {
        while let Some(byte) = self.reply.get(self.at) {
            match byte {
                b'"' => self.string(),
                b'{' => self.pass_literal(),
                b' ' | b'(' if kind == MendKind::Fetch => self.attributes(),
                b'(' if self.is_status => self.status_items(),
                b' ' if self.is_extended_data() => self.replace(self.reply.len(), b"\r\n"),
                byte if self.has_names && !byte.is_ascii() => self.raw_atom(),
                _ => self.at += 1,
            }
        }
    }

    fn replace(&mut self, end: usize, with: &[u8]) {
        self.out.extend_from_slice(&self.reply[self.copied..self.at]);
        self.out.extend_from_slice(with);
        (self.at, self.copied) = (end, end);
    }

    /// Whether extended data follows the folder name: an old name, or subscribed folders below it (RFC 5258 6).
    fn is_extended_data(&self) -> bool {
        let begins = |words: &str| {
            let here = self.reply[self.at..].get(..words.len());
            here.is_some_and(|here| here.eq_ignore_ascii_case(words.as_bytes()))
        };
        self.has_names && [" (OLDNAME ", " (\"OLDNAME\" ", " (CHILDINFO ", " (\"CHILDINFO\" "].into_iter().any(begins)
    }

    /// Handles the STATUS items, up to the end of the reply. Exchange sends a blank after them.
    fn status_items(&mut self) {
        let written = &self.reply[self.at..];
        let known = known_items(written);
        match known == written {
            true => self.at = self.reply.len(),
            false => self.replace(self.reply.len(), &known),
        }
    }

    /// Handles a quoted string: it is replaced if its content needs no escaping in a literal but had some here.
    fn string(&mut self) {
        let Some((content, end)) = unquoted(self.reply, self.at + 1) else {
            self.at += 1;
            return;
        };
        let written = &self.reply[self.at + 1..end - 1];
        // A single character is a hierarchy delimiter, which must not be a literal.
        if content.len() > 1 && (content != written || !written.is_ascii()) {
            self.replace_by_literal(end, &content);
        } else {
            self.at = end;
        }
    }

    fn replace_by_literal(&mut self, end: usize, content: &[u8]) {
        let content =
            if self.has_names { Cow::Owned(raw::from_bytes(content).into_bytes()) } else { Cow::Borrowed(content) };
        let literal = [format!("{{{}}}\r\n", content.len()).as_bytes(), &content].concat();
        self.replace(end, &literal);
    }

    /// Handles an unquoted name with bytes beyond ASCII.
    fn raw_atom(&mut self) {
        let is_end = |byte: &u8| b" \r\n".contains(byte);
        let start = self.reply[..self.at].iter().rposition(is_end).map_or(0, |blank| blank + 1);
        let end = self.at + self.reply[self.at..].iter().take_while(|byte| !is_end(byte)).count();
        if start < self.copied {
            self.at = end;
            return;
        }
        self.at = start;
        self.replace_by_literal(end, &self.reply[start..end]);
    }

    /// Skips a literal: `{5}`, CRLF, and five bytes of anything.
    fn pass_literal(&mut self) {
        let rest = &self.reply[self.at + 1..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
        match length {
            Some(length) if rest[digits..].starts_with(b"}\r\n") => {
                let start = self.at + 1 + digits + 3;
                let end = self.reply.len().min(start.saturating_add(length));
                match self.reply.get(start..end) {
                    Some(name) if self.has_names && std::str::from_utf8(name).is_err() => {
                        self.replace_by_literal(end, name);
                    }
                    _ => self.at = end,
                }
            }
            _ => self.at += 1,
        }
    }

    /// Handles the attributes that start after a blank or a parenthesis.
    fn attributes(&mut self) {
        let is_first = self.reply[self.at] == b'(';
        self.at += 1;
        while self.attribute(is_first) {}
    }

    /// Handles one attribute. Returns whether another one starts at the same place, because this one was removed.
    fn attribute(&mut self, is_first: bool) -> bool {
        if let Some(value) = self.value_of("INTERNALDATE ") {
            if self.reply[value..].get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"NIL")) {
                self.replace(value + 3, b"INTERNALDATE \"\"");
            }
            return false;
        }
        if let Some(value) = self.value_of("X-GM-LABELS ") {
            if let Some((list, end)) = labels(self.reply, value) {
                self.replace(end, &list);
            }
            return false;
        }
        let Some(value) = self.value_of("RFC822.SIZE ") else { return false };
        let end = value + self.reply[value..].iter().take_while(|byte| !b" )\r\n(\"{".contains(byte)).count();
        let size = std::str::from_utf8(&self.reply[value..end]).ok();
        let is_size = size.is_some_and(|size| !size.starts_with('+') && size.parse::<u32>().is_ok());
        if is_size || value == end {
            return false;
        }
        // One of the blanks around it is removed too.
        if !is_first {
            self.at -= 1;
            self.replace(end, b"");
            return false;
        }
        let is_followed = self.reply.get(end) == Some(&b' ');
        self.replace(end + usize::from(is_followed), b"");
        is_followed
    }

    /// Where the value starts, if an attribute of this name is at the current position.
    fn value_of(&self, name: &str) -> Option<usize> {
        let here = self.reply[self.at..].get(..name.len())?;
        here.eq_ignore_ascii_case(name.as_bytes()).then_some(self.at + name.len())
    }
}

/// Rewrites Gmail's labels into forms that the parser knows: system labels as flags, user labels as quoted strings, with `_` for
/// what would need escaping. Gmail writes `"\\\\Inbox"`, and a label with a quote in it as a literal. Also returns where
/// the list ends.
fn labels(reply: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let mut at = at + usize::from(*reply.get(at)? == b'(');
    let mut list = b"X-GM-LABELS (".to_vec();
    loop {
        let (label, end) = match reply.get(at)? {
            b')' => break,
            b' ' => {
                at += 1;
                continue;
            }
            b'"' => unquoted(reply, at + 1)?,
            b'{' => {
                let digits = reply[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                let length: usize = std::str::from_utf8(&reply[at + 1..at + 1 + digits]).ok()?.parse().ok()?;
                let start = at + 1 + digits + b"}\r\n".len();
                let end = start.checked_add(length)?;
                (reply.get(start..end)?.to_vec(), end)
            }
            _ => {
                let length = reply[at..].iter().take_while(|byte| !b" )\r\n".contains(byte)).count();
                (reply[at..at + length].to_vec(), at + length)
            }
        };
        if list.last() != Some(&b'(') {
            list.push(b' ');
        }
        let is_own = label.first() == Some(&b'\\') && label[1..].iter().all(u8::is_ascii_alphanumeric);
        match is_own && label.len() > 1 {
            true => list.extend(label),
            false => {
                let plain =
                    label.iter().map(|byte| if b"\"\\\r\n".contains(byte) || !byte.is_ascii() { b'_' } else { *byte });
                list.push(b'"');
                list.extend(plain);
                list.push(b'"');
            }
        }
        at = end;
    }
    list.push(b')');
    Some((list, at + 1))
}

/// The STATUS items that the parser knows and that have a valid number.
fn known_items(list: &[u8]) -> Vec<u8> {
    let is_between = |byte: &u8| b" ()\r\n".contains(byte);
    let words: Vec<&str> = list
        .split(is_between)
        .filter(|word| !word.is_empty())
        .filter_map(|word| std::str::from_utf8(word).ok())
        .collect();
    let most = |item: &str| match item.to_ascii_uppercase().as_str() {
        "MESSAGES" | "RECENT" | "UIDNEXT" | "UIDVALIDITY" | "UNSEEN" => Some(u64::from(u32::MAX)),
        "HIGHESTMODSEQ" => Some(u64::MAX),
        _ => None,
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let item = |pair: &[&str]| {
        let (name, number) = (pair[0], pair[1].parse::<u64>().ok().filter(|_| is_number(pair[1]))?);
        most(name).filter(|most| number <= *most).map(|_| format!("{name} {number}"))
    };
    let items: Vec<String> = words.windows(2).filter_map(item).collect();
    format!("({})\r\n", items.join(" ")).into_bytes()
}

/// The content of a quoted string, without its backslashes, and where the string ends. `start`: after the opening quote.
fn unquoted(reply: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut content = Vec::new();
    let mut at = start;
    loop {
        match *reply.get(at)? {
            b'"' => return Some((content, at + 1)),
            b'\r' | b'\n' => return None,
            b'\\' => {
                content.push(*reply.get(at + 1)?);
                at += 2;
            }
            byte => {
                content.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(reply: &str) -> String {
        String::from_utf8(mend(reply.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn quoted_strings_lose_their_backslashes() {
        assert_eq!(
            mended("* 1 FETCH (BODY[] \"a \\\"b\\\" \\\\c\" UID 1)\r\n"),
            "* 1 FETCH (BODY[] {8}\r\na \"b\" \\c UID 1)\r\n"
        );
        assert_eq!(mended("* LIST () \"/\" \"Gr\u{fc}n\"\r\n"), "* LIST () \"/\" {5}\r\nGr\u{fc}n\r\n");
    }

    #[test]
    fn dates_that_are_nil_are_empty_and_sizes_that_are_none_are_left_out() {
        for (reply, expected) in [
            ("* 1 FETCH (UID 1 INTERNALDATE NIL)\r\n", "* 1 FETCH (UID 1 INTERNALDATE \"\")\r\n"),
            (
                "* 1 FETCH (X-GM-LABELS (\"\\\\Inbox\" \\Sent Work \"To do\" {3}\r\na\"b) UID 1)\r\n",
                "* 1 FETCH (X-GM-LABELS (\\Inbox \\Sent \"Work\" \"To do\" \"a_b\") UID 1)\r\n",
            ),
            ("* 1 FETCH (UID 1 X-GM-LABELS ())\r\n", "* 1 FETCH (UID 1 X-GM-LABELS ())\r\n"),
            ("* 1 FETCH (UID 1 RFC822.SIZE -1 FLAGS ())\r\n", "* 1 FETCH (UID 1 FLAGS ())\r\n"),
            ("* 1 FETCH (RFC822.SIZE NIL UID 1)\r\n", "* 1 FETCH (UID 1)\r\n"),
            ("* 1 FETCH (RFC822.SIZE 5368709120 INTERNALDATE nil)\r\n", "* 1 FETCH (INTERNALDATE \"\")\r\n"),
            ("* 1 fetch (UID 1 rfc822.size 18446744073709551615)\r\n", "* 1 fetch (UID 1)\r\n"),
        ] {
            assert_eq!(mended(reply), expected);
        }
    }

    #[test]
    fn items_of_status_that_nobody_knows_are_left_out() {
        for (reply, expected) in [
            ("* STATUS a (MESSAGES 3 SIZE 5368709120 UIDNEXT 4)\r\n", "* STATUS a (MESSAGES 3 UIDNEXT 4)\r\n"),
            ("* status \"a (b\" (mailboxid (F1) uidnext 4) \r\n", "* status \"a (b\" (uidnext 4)\r\n"),
            ("* STATUS a (MESSAGES -1 UIDNEXT +7 UNSEEN 2)\r\n", "* STATUS a (UNSEEN 2)\r\n"),
            ("* STATUS a (UIDVALIDITY 4294967296 UIDNEXT  9)\r\n", "* STATUS a (UIDNEXT 9)\r\n"),
            ("* STATUS a (HIGHESTMODSEQ 18446744073709551616)\r\n", "* STATUS a ()\r\n"),
            ("* STATUS Gr\u{fc}n (MESSAGES 1 X y)\r\n", "* STATUS {5}\r\nGr\u{fc}n (MESSAGES 1)\r\n"),
        ] {
            assert_eq!(mended(reply), expected);
        }
        assert!(matches!(mend(b"* STATUS a (MESSAGES 1 UIDNEXT 2)\r\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_stands_behind_a_name_is_left_out() {
        for (reply, expected) in [
            ("* LIST () \"/\" new (\"OLDNAME\" (\"old\"))\r\n", "* LIST () \"/\" new\r\n"),
            ("* LIST () \"/\" \"a b\" (childinfo (subscribed))\r\n", "* LIST () \"/\" \"a b\"\r\n"),
            ("* LIST () \"/\" old (mail)\r\n", "* LIST () \"/\" old (mail)\r\n"),
        ] {
            assert_eq!(mended(reply), expected);
        }
    }

    /// In every form in which a server may send a name.
    #[test]
    fn bugs_b8_names_that_are_no_utf8_are_kept_as_private_characters() {
        for reply in [&b"* LIST () \"/\" \"a \xf6\"\r\n"[..], b"* LIST () \"/\" {3}\r\na \xf6\r\n"] {
            assert_eq!(String::from_utf8_lossy(&mend(reply)), "* LIST () \"/\" {5}\r\na \u{f7f6}\r\n");
        }
        let atom = mend(b"* LIST () \"/\" Gel\xf6scht\r\n").into_owned();
        assert_eq!(String::from_utf8(atom).unwrap(), "* LIST () \"/\" {10}\r\nGel\u{f7f6}scht\r\n");
        assert_eq!(mended("* LIST () \".\" Gr\u{fc}n\r\n"), "* LIST () \".\" {5}\r\nGr\u{fc}n\r\n");
    }

    #[test]
    fn what_is_well_stays_as_it_is() {
        for reply in [
            "* 1 FETCH (UID 1 RFC822.SIZE 18 INTERNALDATE \"01-Nov-2026 10:00:00 +0000\")\r\n",
            "* 1 FETCH (BODY[] {35}\r\n\"a\\b\" INTERNALDATE NIL RFC822.SIZE x UID 1)\r\n",
            "* OK say \"a\\\"\r\n",
            "m1 NO \"\\x\"\r\n",
            "* LIST () \"\\\\\" INBOX\r\n",
            "* LIST () \"/\" \"open\r\n",
        ] {
            assert!(matches!(mend(reply.as_bytes()), Cow::Borrowed(_)), "{reply}");
        }
    }
}
