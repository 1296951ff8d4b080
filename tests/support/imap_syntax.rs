//! The words of an IMAP command, and the ways to write a string in a reply (RFC 3501, section 9).

use super::wire::Conn;
use std::io;

/// Without its literals. Longer is an attack, or a bug of the client.
const MAX_LINE: usize = 64 * 1024;
const MAX_LITERAL: usize = 128 * 1024 * 1024;

/// One command, literals included where they came: `a1 LOGIN {2}\r\nme secret`.
pub async fn read_command(conn: &mut Conn) -> io::Result<Vec<u8>> {
    let mut command = conn.read_line(MAX_LINE).await?;
    while let Some((length, waits)) = literal_at_end(&command) {
        if length > MAX_LITERAL || command.len() > MAX_LITERAL {
            conn.send_now("* BYE literal too big\r\n").await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        if waits {
            conn.send_now("+ go on\r\n").await?;
        }
        command.extend_from_slice(b"\r\n");
        command.extend(conn.read_exact(length).await?);
        command.extend(conn.read_line(MAX_LINE).await?);
    }
    Ok(command)
}

/// The literal this line announces: its length, and whether the client waits for leave to send it (`{5}`) or not
/// (`{5+}`).
fn literal_at_end(line: &[u8]) -> Option<(usize, bool)> {
    let inside = line.strip_suffix(b"}")?;
    let open = inside.iter().rposition(|byte| *byte == b'{')?;
    let number = std::str::from_utf8(&inside[open + 1..]).ok()?;
    let digits = number.strip_suffix('+').unwrap_or(number);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| (digits.parse().unwrap_or(usize::MAX), digits.len() == number.len()))
}

/// A string in a reply: quoted when that is possible, else a literal.
pub fn string(text: &str) -> String {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("{{{}}}\r\n{text}", text.len())
    }
}

/// What is wrong with a command, for `BAD`.
pub type Bad = String;

/// Reads a command from left to right.
pub struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub fn new(command: &'a [u8]) -> Self {
        Words { rest: command }
    }

    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn expect_end(&self) -> Result<(), Bad> {
        if self.at_end() { Ok(()) } else { Err(format!("unexpected {:?}", String::from_utf8_lossy(self.rest))) }
    }

    /// Steps over one space, which need not be there.
    pub fn skip_space(&mut self) {
        self.skip(b' ');
    }

    /// Steps over this byte, if it comes next.
    pub fn skip(&mut self, byte: u8) -> bool {
        let found = self.rest.first() == Some(&byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    pub fn next_is(&self, byte: u8) -> bool {
        self.rest.first() == Some(&byte)
    }

    /// Up to a space or a parenthesis; may be a keyword, a number, a set, a pattern.
    pub fn atom(&mut self) -> Result<String, Bad> {
        let end = self.rest.iter().position(|byte| b" ()".contains(byte)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err("a word is missing".to_owned());
        }
        Ok(self.take(end))
    }

    pub fn keyword(&mut self) -> Result<String, Bad> {
        self.skip_space();
        Ok(self.atom()?.to_ascii_uppercase())
    }

    pub fn number(&mut self) -> Result<u64, Bad> {
        self.skip_space();
        let word = self.atom()?;
        word.parse().map_err(|_| format!("{word:?} is not a number"))
    }

    /// An atom, a quoted string or a literal.
    pub fn string(&mut self) -> Result<String, Bad> {
        String::from_utf8(self.bytes()?).map_err(|_| "a string that is not UTF-8".to_owned())
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, Bad> {
        self.skip_space();
        match self.rest.first() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => self.atom().map(String::into_bytes),
        }
    }

    /// A FETCH item; `BODY[HEADER.FIELDS (TO CC)]<0.9>` is one although it holds spaces.
    pub fn fetch_item(&mut self) -> Result<String, Bad> {
        self.skip_space();
        let mut inside = false;
        let end = self.rest.iter().position(|byte| {
            inside = (inside || *byte == b'[') && *byte != b']';
            !inside && b" ()".contains(byte)
        });
        match end.unwrap_or(self.rest.len()) {
            0 => Err("an item is missing".to_owned()),
            end => Ok(self.take(end).to_ascii_uppercase()),
        }
    }

    /// The words of `(a b c)`, or one word without parentheses.
    pub fn list(&mut self, word: impl Fn(&mut Self) -> Result<String, Bad>) -> Result<Vec<String>, Bad> {
        self.skip_space();
        if !self.skip(b'(') {
            return Ok(vec![word(self)?]);
        }
        let mut words = Vec::new();
        while !self.skip(b')') {
            words.push(word(self)?);
            self.skip_space();
        }
        Ok(words)
    }

    fn take(&mut self, count: usize) -> String {
        let (word, rest) = self.rest.split_at(count);
        self.rest = rest;
        String::from_utf8_lossy(word).into_owned()
    }

    fn quoted(&mut self) -> Result<Vec<u8>, Bad> {
        let mut text = Vec::new();
        let mut bytes = self.rest[1..].iter().copied().enumerate();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.rest = &self.rest[index + 2..];
                    return Ok(text);
                }
                b'\\' => text.extend(bytes.next().map(|(_, escaped)| escaped)),
                byte => text.push(byte),
            }
        }
        Err("a quoted string does not end".to_owned())
    }

    fn literal(&mut self) -> Result<Vec<u8>, Bad> {
        let head = self.rest.windows(3).position(|bytes| bytes == b"}\r\n").ok_or("a broken literal")?;
        let (length, _) = literal_at_end(&self.rest[..head + 1]).ok_or("a broken literal")?;
        let start = head + 3;
        let bytes = self.rest.get(start..start + length).ok_or("a literal that is too short")?.to_vec();
        self.rest = &self.rest[start + length..];
        Ok(bytes)
    }
}

/// `1,4:6,9:*`: sequence numbers or UIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberSet(Vec<(Number, Number)>);

/// `None` is `*`, the highest there is.
type Number = Option<u32>;

impl NumberSet {
    pub fn parse(text: &str) -> Result<Self, Bad> {
        let number = |word: &str| match word {
            "*" => Ok(None),
            word => match word.parse() {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(format!("{text:?} is not a set of numbers")),
            },
        };
        let range = |part: &str| match part.split_once(':') {
            Some((from, to)) => Ok((number(from)?, number(to)?)),
            None => number(part).map(|only| (only, only)),
        };
        text.split(',').map(range).collect::<Result<_, Bad>>().map(NumberSet)
    }

    /// `highest` is what `*` stands for. Ranges may be written backwards.
    pub fn contains(&self, number: u32, highest: u32) -> bool {
        self.0.iter().any(|(a, b)| {
            let (a, b) = (a.unwrap_or(highest), b.unwrap_or(highest));
            (a.min(b)..=a.max(b)).contains(&number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NumberSet, Words, literal_at_end, string};

    #[test]
    fn strings_come_in_three_forms() {
        let mut words = Words::new(b"plain \"a \\\"b\\\\\" {4}\r\nx\r\ny {2+}\r\nhi end");
        let texts: Vec<String> = (0..5).map(|_| words.string().unwrap()).collect();
        assert_eq!(texts, ["plain", "a \"b\\", "x\r\ny", "hi", "end"]);
        assert!(words.at_end());
        assert!(Words::new(b"\"open").string().is_err());
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line() {
        assert_eq!(literal_at_end(b"a LOGIN {12}"), Some((12, true)));
        assert_eq!(literal_at_end(b"a LOGIN {12+}"), Some((12, false)));
        assert_eq!(literal_at_end(b"a LOGIN \"{12}\""), None);
        assert_eq!(literal_at_end(b"a LOGIN {}"), None);
        assert_eq!(literal_at_end(b"a LOGIN {-1}"), None);
    }

    #[test]
    fn fetch_items_keep_their_brackets_together() {
        let mut words = Words::new(b"(UID BODY.PEEK[HEADER.FIELDS (TO CC)]<0.9> flags)");
        let items = words.list(Words::fetch_item).unwrap();
        assert_eq!(items, ["UID", "BODY.PEEK[HEADER.FIELDS (TO CC)]<0.9>", "FLAGS"]);
        assert_eq!(Words::new(b"BODY[]").list(Words::fetch_item).unwrap(), ["BODY[]"]);
    }

    #[test]
    fn sets_know_ranges_and_the_star() {
        let set = NumberSet::parse("2,7:5,9:*").unwrap();
        let held: Vec<u32> = (1..=12).filter(|n| set.contains(*n, 11)).collect();
        assert_eq!(held, [2, 5, 6, 7, 9, 10, 11]);
        assert!(NumberSet::parse("20:*").unwrap().contains(11, 11), "the star is the last message even below 20");
        for bad in ["", "1,", "0", "a", "1:2:3", "99999999999"] {
            assert!(NumberSet::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replies_quote_what_can_be_quoted() {
        assert_eq!(string("a\"b"), "\"a\\\"b\"");
        assert_eq!(string("a\r\nb"), "{4}\r\na\r\nb");
    }
}
