//! The messages of a world. Each has a token of its own, by which it is known wherever it turns up.

/// What the rules do with it; the Subject says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Keep,
    File,
    Both,
    Mbox,
    Discard,
    Forward,
    ForwardCopy,
    Away,
    Pipe,
    Edit,
    Append,
    Lmtp,
    /// Forwarded and filed, if it comes after the first run. Such stand on the servers before it alone.
    Stood,
    /// Into `inbox`, which is INBOX.
    Inbox,
    /// Into a folder that cannot be made.
    Blocked,
    /// A digest with one message, which bears the token too.
    Split,
    /// Counted, put into a list, numbered, its header sent through a program, and filed.
    Noted,
    /// A rule asks a program about it, and that kills who asks: as the system does when the memory is full. `deliver` alone
    /// is given such.
    Deadly,
}

impl Kind {
    pub const ALL: [Kind; 16] = [
        Kind::Keep,
        Kind::File,
        Kind::Both,
        Kind::Mbox,
        Kind::Discard,
        Kind::Forward,
        Kind::ForwardCopy,
        Kind::Away,
        Kind::Pipe,
        Kind::Edit,
        Kind::Append,
        Kind::Lmtp,
        Kind::Inbox,
        Kind::Blocked,
        Kind::Split,
        Kind::Noted,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Kind::Keep => "keep",
            Kind::File => "file",
            Kind::Both => "both",
            Kind::Mbox => "mbox",
            Kind::Discard => "discard",
            Kind::Forward => "forward",
            Kind::ForwardCopy => "copied",
            Kind::Away => "away",
            Kind::Pipe => "pipe",
            Kind::Edit => "edit",
            Kind::Append => "append",
            Kind::Lmtp => "lmtp",
            Kind::Stood => "stood",
            Kind::Inbox => "inbox",
            Kind::Blocked => "blocked",
            Kind::Split => "split",
            Kind::Noted => "noted",
            Kind::Deadly => "deadly",
        }
    }

    /// In so many places it is filed when all goes well.
    pub fn copies(self) -> usize {
        if self == Kind::Both { 2 } else { 1 }
    }

    /// It is given to somebody, and stands nowhere here.
    pub fn is_only_told(self) -> bool {
        matches!(self, Kind::Forward | Kind::Pipe | Kind::Append | Kind::Lmtp)
    }
}

/// The rules, the same in all worlds: which of them are used is drawn with the mail.
pub const RULES: &str = r#"  - {name: file, if: {subject: {contains: "[file]"}}, do: {fileinto: work/a}}
  - {name: both, if: {subject: {contains: "[both]"}}, do: {fileinto: [lists/a, lists/b]}}
  - {name: mbox, if: {subject: {contains: "[mbox]"}}, do: {fileinto: {mbox: old}}}
  - {name: discard, if: {subject: {contains: "[discard]"}}, do: discard}
  - {name: forward, if: {subject: {contains: "[forward]"}}, do: {redirect: {to: far@far.example, even_old: true}}}
  - {name: copied, if: {subject: {contains: "[copied]"}}, do: {redirect: {to: far@far.example, copy: true, even_old: true}}}
  - {name: stood, if: {subject: {contains: "[stood]"}}, do: {redirect: {to: far@far.example, copy: true}}}
  - {name: away, if: {subject: {contains: "[away]"}}, do: {vacation: {text: "I am away.", days: 365}}}
  - {name: pipe, if: {subject: {contains: "[pipe]"}}, do: {pipe: [~/note]}}
  - {name: edit, if: {subject: {contains: "[edit]"}}, do: [{addheader: {X-Edited: "yes"}}, {fileinto: edited}]}
  - {name: append, if: {subject: {contains: "[append]"}}, do: {imap: {account: archive, folder: Archive}}}
  - {name: lmtp, if: {subject: {contains: "[lmtp]"}}, do: {lmtp: {to: me, relay: store}}}
  - {name: inbox, if: {subject: {contains: "[inbox]"}}, do: {fileinto: inbox}}
  - {name: blocked, if: {subject: {contains: "[blocked]"}}, do: {fileinto: blocked/by/a/file}}
  - {name: split, if: {subject: {contains: "[split]"}}, do: {split: digest}}
  - name: noted
    if: {subject: {contains: "[noted]"}, rate: {per: "${from.addr}", within: 30d, over: 0}}
    do:
      - add_to_list: {list: known, entry: "${message_id}", keep_for: 30d}
      - number: {counter: noted, set: number}
      - filter: {run: [cat], input: headers}
      - fileinto: noted
  - {name: deadly, if: {subject: {contains: "[deadly]"}, run: [~/kill]}, do: {fileinto: work/a}}
"#;

/// Rules for `refilter`: they move what lies in a folder, back and forth.
pub const SORT: [(&str, &str); 2] = [
    ("sort-a.yaml", "rules:\n  - {if: {subject: {regex: '\\[(keep|away|copied)\\]'}}, do: {fileinto: sorted/a}}\n"),
    (
        "sort-b.yaml",
        "rules:\n  - {if: {subject: {regex: '\\[(keep|edit|inbox|blocked)\\]'}}, do: [{addheader: {X-Sorted: b}}, {fileinto: sorted/b}]}\n  \
         - {if: {subject: {contains: '[file]'}}, do: {fileinto: {mbox: sold}}}\n",
    ),
];

/// One message.
#[derive(Clone, Debug)]
pub struct Mail {
    pub token: String,
    pub kind: Kind,
    pub bytes: Vec<u8>,
}

/// `size` lines of body. Of `twin`s, the bodies are equal.
pub fn mail(token: String, kind: Kind, sender: &str, size: usize, twin: bool) -> Mail {
    let line = if twin { "the same line in each of them\n".to_owned() } else { format!("a line of {token}\n") };
    let end = if twin { String::new() } else { format!("{}{token}\n", END) };
    let head = format!(
        "Return-Path: <{sender}>\nReceived: from far.example by home.example; Mon, 23 Nov 2026 12:00:00 +0000\n\
         From: Ann <{sender}>\nTo: me@home.example\nMessage-ID: <{token}@world.example>\n{MARK}{token}\n\
         Subject: [{}] {token}\n",
        kind.word()
    );
    let body = format!("{}{end}{LAST}", line.repeat(size));
    let text = match kind {
        Kind::Split => format!(
            "{head}MIME-Version: 1.0\nContent-Type: multipart/digest; boundary=world\n\n--world\n\nFrom: Ann <{sender}>\n\
             Message-ID: <{token}.within@world.example>\n{MARK}{token}\nSubject: [within] {token}\n\n{body}\n--world--\n{LAST}"
        ),
        _ => format!("{head}\n{body}"),
    };
    Mail { token, kind, bytes: text.into_bytes() }
}

const MARK: &str = "X-World: ";
const END: &str = "end of ";
const LAST: &str = "--- the last line of this message\n";

/// Whose message this is, and whether it is whole.
pub fn read(bytes: &[u8]) -> Option<(String, bool)> {
    let text = String::from_utf8_lossy(bytes);
    let head = text.split("\n\n").next().and_then(|head| head.split("\r\n\r\n").next())?;
    let token = head.lines().find_map(|line| line.strip_prefix(MARK))?.trim().to_owned();
    let is_whole = text.trim_end().ends_with(LAST.trim_end());
    Some((token, is_whole))
}

#[cfg(test)]
mod tests {
    use super::{Kind, mail, read};

    #[test]
    fn a_message_is_known_by_its_token_and_half_of_it_as_half() {
        let mail = mail("w1x7".to_owned(), Kind::Both, "a@b.example", 3, false);
        assert_eq!(read(&mail.bytes), Some(("w1x7".to_owned(), true)));
        assert_eq!(read(&mail.bytes[..mail.bytes.len() - 9]), Some(("w1x7".to_owned(), false)));
        assert_eq!(read(b"Subject: w1x7\n\nX-World: w1x7\n"), None, "a notice tells of it");
    }
}
