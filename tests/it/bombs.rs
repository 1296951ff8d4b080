//! Messages that mean harm (the E rows): each is small to say and big to read. `benches/hostile.rs` measures them.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use mailsluice::message::{Bytes, MAX_HEADER, Message};

/// A message by what is wrong with it.
pub struct Bomb {
    pub name: &'static str,
    write: fn(&mut dyn Write) -> io::Result<()>,
}

/// What is larger lies in the spool, as with the program.
const IN_MEMORY: u64 = 256 * 1024;

impl Bomb {
    /// The message, its bytes in `folder` where they are many.
    pub fn message(&self, folder: &Path) -> Arc<Message> {
        let path = folder.join(self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let mut file = io::BufWriter::new(std::fs::File::create(&path).unwrap());
        (self.write)(&mut file).unwrap();
        file.flush().unwrap();
        drop(file);
        let length = std::fs::metadata(&path).unwrap().len();
        if length <= IN_MEMORY {
            return Arc::new(Message::new(Bytes::Memory(std::fs::read(&path).unwrap())));
        }
        let mut head = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(std::fs::File::open(&path).unwrap(), MAX_HEADER as u64), &mut head)
            .unwrap();
        let open = Arc::new(|path: &Path| Ok(Box::new(std::fs::File::open(path)?) as Box<dyn io::Read + Send>));
        Arc::new(Message::with_opener(Bytes::Spooled { head, path, length }, open))
    }
}

fn repeat(out: &mut dyn Write, piece: &str, times: usize) -> io::Result<()> {
    (0..times).try_for_each(|_| out.write_all(piece.as_bytes()))
}

const HEAD: &str = "From: ann@x.example\nTo: me@example.com\nSubject: x\nMIME-Version: 1.0\n";

/// A field of so many pieces in an otherwise ordinary message.
fn field(out: &mut dyn Write, name: &str, piece: &str, times: usize) -> io::Result<()> {
    write!(out, "{name}: ")?;
    repeat(out, piece, times)?;
    write!(out, "\n{HEAD}\nx\n")
}

/// A body of so many pieces with these fields.
fn contents(out: &mut dyn Write, fields: &str, piece: &str, times: usize) -> io::Result<()> {
    write!(out, "{HEAD}{fields}\n\n")?;
    repeat(out, piece, times)
}

/// All of them.
pub const BOMBS: &[Bomb] = &[
    Bomb {
        name: "E4 1,000,000 fields",
        write: |out| {
            repeat(out, "X-Field: value\n", 1_000_000)?;
            write!(out, "{HEAD}\nx\n")
        },
    },
    Bomb {
        name: "E4 20,000 To fields in 250 KB",
        write: |out| {
            repeat(out, "To: a@b.c\n", 20_000)?;
            write!(out, "{HEAD}\nx\n")
        },
    },
    Bomb { name: "E4 no empty line in 100 MB", write: |out| repeat(out, "no field at all\n", 6_000_000) },
    Bomb { name: "E5 one field of 100 MB", write: |out| field(out, "Subject", "xxxxxxxxxx", 10_000_000) },
    Bomb { name: "E5 a Subject of 250 KB, folded", write: |out| field(out, "Subject", "x\n ", 83_000) },
    Bomb {
        name: "E6 multiparts 1,000,000 deep",
        write: |out| {
            write!(out, "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n")?;
            repeat(out, "--b\nContent-Type: multipart/mixed; boundary=b\n\n", 1_000_000)
        },
    },
    Bomb {
        name: "E6 multiparts 100,000 deep, each its own boundary",
        write: |out| {
            write!(out, "{HEAD}Content-Type: multipart/mixed; boundary=b0\n\n")?;
            (1..100_000).try_for_each(|i| write!(out, "--b{}\nContent-Type: multipart/mixed; boundary=b{i}\n\n", i - 1))
        },
    },
    Bomb {
        name: "E6 1,000,000 parts",
        write: |out| {
            contents(
                out,
                "Content-Type: multipart/mixed; boundary=b",
                "--b\nContent-Type: text/plain\n\nx\n",
                1_000_000,
            )
        },
    },
    Bomb {
        name: "E6 1,000,000 boundaries",
        write: |out| contents(out, "Content-Type: multipart/mixed; boundary=b", "--b\n", 1_000_000),
    },
    Bomb {
        name: "E6 message/rfc822 300,000 deep",
        write: |out| {
            write!(out, "{HEAD}")?;
            repeat(out, "Content-Type: message/rfc822\n\n", 300_000)
        },
    },
    Bomb {
        name: "E6 lines that are nearly boundaries",
        write: |out| {
            contents(
                out,
                "Content-Type: multipart/mixed; boundary=\"bbbbbbbbbbbbbbbbbbbbbbbbbbbb\"",
                "--bbbbbbbbbbbbbbbbbbbbbbbbbbb\n",
                1_000_000,
            )
        },
    },
    Bomb {
        name: "E7 RFC 2231 100,000 continuations",
        write: |out| {
            write!(out, "{HEAD}Content-Type: application/x; name*0=a")?;
            (1..100_000).try_for_each(|i| write!(out, ";\n name*{i}=a"))?;
            write!(out, "\n\nx\n")
        },
    },
    Bomb {
        name: "E7 10,000 parameters",
        write: |out| {
            write!(out, "{HEAD}Content-Type: application/x")?;
            (1..10_000).try_for_each(|i| write!(out, "; p{i}=\"a\\\"\""))?;
            write!(out, "\n\nx\n")
        },
    },
    Bomb { name: "E8 addresses ;;;;", write: |out| field(out, "To", ";", 250_000) },
    Bomb { name: "E8 addresses ((((", write: |out| field(out, "To", "(", 250_000) },
    Bomb { name: "E8 addresses <a@b,", write: |out| field(out, "To", "<a@b,", 50_000) },
    Bomb { name: "E8 addresses a@b,", write: |out| field(out, "To", "a@b,", 60_000) },
    Bomb { name: "E8 addresses \"\\", write: |out| field(out, "To", "\"\\", 120_000) },
    Bomb { name: "E8 groups a:b:c:", write: |out| field(out, "To", "a:", 120_000) },
    Bomb { name: "E8 addresses <<<<", write: |out| field(out, "To", "<", 250_000) },
    Bomb { name: "E8 addresses @@@@", write: |out| field(out, "To", "@", 250_000) },
    Bomb { name: "E9 encoded words without end", write: |out| field(out, "Subject", "=?utf-8?Q?a?=", 19_000) },
    Bomb { name: "E9 encoded words that never end", write: |out| field(out, "Subject", "=?utf-8?Q?", 25_000) },
    Bomb {
        name: "E9 1,000 fields of encoded words",
        write: |out| {
            repeat(out, "Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= =?gb18030?Q?=81=30?= =?utf-7?Q?+AOk-?=\n", 2_500)?;
            write!(out, "{HEAD}\nx\n")
        },
    },
    Bomb {
        name: "E9 base64 of 100 MB",
        write: |out| {
            contents(
                out,
                "Content-Transfer-Encoding: base64",
                "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n",
                1_700_000,
            )
        },
    },
    Bomb {
        name: "E9 quoted-printable of 100 MB",
        write: |out| {
            contents(out, "Content-Transfer-Encoding: quoted-printable", "=3D=3D=3D=3D=3D=3D=3D=3D=\n", 4_000_000)
        },
    },
    Bomb {
        name: "E9 quoted-printable on one line",
        write: |out| contents(out, "Content-Transfer-Encoding: quoted-printable", " = = = =", 4_000_000),
    },
    Bomb {
        name: "E9 uuencode of 50 MB",
        write: |out| {
            contents(
                out,
                "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 x",
                "M0D%\"04)!0D%\"04)!0D%\"04)!0D%\"04)!0D%\"04)!0D%\"04)!0D%\"04)!0D%\"\n",
                800_000,
            )
        },
    },
    Bomb {
        name: "E9 ISO-2022-JP escapes",
        write: |out| contents(out, "Content-Type: text/plain; charset=iso-2022-jp", "\u{1b}$B\u{1b}(B", 3_000_000),
    },
    Bomb {
        name: "E9 UTF-7",
        write: |out| contents(out, "Content-Type: text/plain; charset=utf-7", "+AOk-", 4_000_000),
    },
    Bomb {
        name: "E9 GB18030",
        write: |out| contents(out, "Content-Type: text/plain; charset=gb18030", "\u{81}0", 8_000_000),
    },
    Bomb {
        name: "E9 UTF-16",
        write: |out| contents(out, "Content-Type: text/plain; charset=utf-16", "\u{1}", 20_000_000),
    },
    Bomb {
        name: "E9 combining marks",
        write: |out| contents(out, "Content-Type: text/plain; charset=utf-8", "\u{315}\u{300}\u{5ae}", 3_000_000),
    },
    Bomb { name: "E9 HTML of open tags", write: |out| contents(out, "Content-Type: text/html", "<a <b <", 4_000_000) },
    Bomb {
        name: "E9 HTML of entities",
        write: |out| contents(out, "Content-Type: text/html", "&amp;&#x41;&", 2_500_000),
    },
    Bomb {
        name: "E9 HTML of hidden parts that never end",
        write: |out| contents(out, "Content-Type: text/html", "<script>", 4_000_000),
    },
    Bomb {
        name: "E9 HTML of comments that never end",
        write: |out| contents(out, "Content-Type: text/html", "<!--", 8_000_000),
    },
    Bomb {
        name: "E9 1,000 big base64 parts",
        write: |out| {
            write!(out, "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n")?;
            (0..1_000).try_for_each(|_| {
                write!(out, "--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n")?;
                repeat(out, "PGI+QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\n", 1_500)
            })
        },
    },
    Bomb {
        name: "E6 50 multiparts in doubt, 100 MB of dashes",
        write: |out| {
            write!(
                out,
                "{HEAD}Content-Type: multipart/mixed; boundary=b0\nContent-Type: multipart/mixed; boundary=c0\n\n"
            )?;
            (1..49).try_for_each(|i| {
                write!(
                    out,
                    "--b{}\nContent-Type: multipart/mixed; boundary=b{i} (c{i}); boundary=d{i}; boundary=e{i}\n\n",
                    i - 1
                )
            })?;
            repeat(out, "--b\n--b-\n", 11_000_000)
        },
    },
    Bomb {
        name: "E6 boundaries that begin with each other, 100 MB of dashes",
        write: |out| {
            let boundary = |number: usize| "b".repeat(number + 1);
            let types = |level: usize| {
                let [a, b, c, d] = [0, 1, 2, 3].map(|i| boundary(level * 4 + i));
                format!("Content-Type: multipart/mixed; boundary={a} ({b}); boundary={c}; boundary={d}\n\n")
            };
            write!(out, "{HEAD}{}", types(0))?;
            (1..49).try_for_each(|level| write!(out, "--{}\n{}", boundary(level * 4 - 4), types(level)))?;
            repeat(out, "--bc\n", 20_000_000)
        },
    },
    Bomb {
        name: "E6 1,000 parts in doubt with headers of 60 KB",
        write: |out| {
            write!(out, "{HEAD}Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n")?;
            (0..1_000).try_for_each(|_| {
                write!(out, "--b\nX: ")?;
                repeat(out, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 2_000)?;
                write!(out, "\n\nx\n")
            })
        },
    },
    Bomb {
        name: "E6 header lines of dashes in doubt",
        write: |out| {
            write!(out, "{HEAD}Content-Type: text/plain\nContent-Type: multipart/digest; boundary=b\n\n")?;
            repeat(out, "--b\n--c\n--d\n", 3_000_000)
        },
    },
    Bomb {
        name: "E9 100 texts of 1 MB with two types",
        write: |out| {
            write!(out, "{HEAD}Content-Type: multipart/mixed; boundary=b\n\n")?;
            (0..100).try_for_each(|_| {
                write!(out, "--b\nContent-Type: text/html\nContent-Type: text/plain\n\n")?;
                repeat(out, "<p>some text in it\n", 55_000)
            })
        },
    },
    Bomb {
        name: "E9 ISO-2022-KR shifts",
        write: |out| contents(out, "Content-Type: text/plain; charset=iso-2022-kr", "\u{e}0\u{f}0", 8_000_000),
    },
    Bomb { name: "E9 HZ", write: |out| contents(out, "Content-Type: text/plain; charset=hz", "~{0~}", 6_000_000) },
    Bomb {
        name: "E9 code page 437",
        write: |out| contents(out, "Content-Type: text/plain; charset=cp437", "\u{e9}", 15_000_000),
    },
    Bomb {
        name: "E9 UTF-32",
        write: |out| contents(out, "Content-Type: text/plain; charset=utf-32le", "\u{1}\0\0\0", 8_000_000),
    },
    Bomb {
        name: "E9 8-bit text that nobody labels",
        write: |out| {
            writeln!(out, "{HEAD}")?;
            (0..1_000_000).try_for_each(|_| out.write_all(b"\xe9\xc3 a\xb1\xa8\xbc\xdb\x80 \xff\xe3\x81\n\x1b$"))
        },
    },
    Bomb {
        name: "E9 8-bit fields that nobody labels",
        write: |out| {
            (0..1_000).try_for_each(|_| {
                out.write_all(b"Subject: \xe9\xc3 =?x?Q?\xe9?= \xb1\xa8\xbc\xdb\x80 =?y?Q?\xe9=?= \xff\x1b$B\n")
            })?;
            write!(out, "{HEAD}")?;
            (0..20_000).try_for_each(|_| out.write_all(b" \xe9=?x?Q?\xe9?="))?;
            write!(out, "\n\nx\n")
        },
    },
    Bomb {
        name: "E9 text of full width",
        write: |out| contents(out, "Content-Type: text/plain; charset=utf-8", "Ａ　ｶﾞ", 2_500_000),
    },
    Bomb { name: "E10 text against (a+)+$", write: |out| contents(out, "", "aaaaaaaaaaaaaaaa", 1_000_000) },
    Bomb { name: "E11 a Date of comments", write: |out| field(out, "Date", "(", 250_000) },
    Bomb { name: "E12 References of 100,000 ids", write: |out| field(out, "References", "<a@b> ", 40_000) },
    Bomb {
        name: "E12 Authentication-Results of 250 KB",
        write: |out| field(out, "Authentication-Results", "mx.example.com; spf=pass (", 9_500),
    },
    Bomb { name: "NUL bytes", write: |out| contents(out, "", "\0", 5_000_000) },
    Bomb { name: "nothing", write: |_| Ok(()) },
    Bomb { name: "only line ends", write: |out| repeat(out, "\n", 1_000_000) },
];
