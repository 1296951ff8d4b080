//! One connection to [`super::smtp_server`]: commands, data and faults.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;

use super::smtp_login;
use super::smtp_server::{Eyes, Shared, Stream, Taken, lock};
use super::wire::Security;

pub(super) struct Session<'s> {
    shared: &'s Shared,
    stream: Stream,
    number: usize,
    received: Vec<u8>,
    /// Between MAIL and the end of the data.
    taken: Option<Taken>,
    authenticated: bool,
    mails: usize,
}

fn end() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

impl<'s> Session<'s> {
    pub(super) fn new(shared: &'s Shared, stream: Stream, number: usize) -> Self {
        Session { shared, stream, number, received: Vec::new(), taken: None, authenticated: false, mails: 0 }
    }

    pub(super) fn run(&mut self) -> io::Result<()> {
        self.answer("greeting", "220 mx.example ESMTP")?;
        loop {
            let line = self.line()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            lock(&self.shared.commands).push(line.clone());
            let ahead = 1 + self.received.iter().filter(|byte| **byte == b'\n').count();
            self.shared.ahead.fetch_max(ahead, Ordering::SeqCst);
            if let Some(hook) = lock(&self.shared.hook).as_mut() {
                hook(&line);
            }
            if !self.command(&line)? {
                return Ok(());
            }
        }
    }

    /// Says whether the session goes on.
    fn command(&mut self, line: &str) -> io::Result<bool> {
        let options = &self.shared.options;
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" if !options.lmtp && !options.only_helo => _ = self.hello(line)?,
            "LHLO" if options.lmtp => _ = self.hello(line)?,
            "HELO" if !options.lmtp => _ = self.answer(line, "250 mx.example")?,
            "STARTTLS" => _ = self.start_tls(line)?,
            "AUTH" => _ = self.auth(line)?,
            "RSET" => {
                self.taken = None;
                self.answer(line, "250 as before")?;
            }
            "QUIT" => {
                self.answer(line, "221 bye")?;
                return Ok(false);
            }
            "MAIL" if options.login.is_some() && !self.authenticated => {
                _ = self.answer(line, "530 5.7.0 log in first")?
            }
            "MAIL" if self.taken.is_some() => _ = self.answer(line, "503 one at a time")?,
            "MAIL" => {
                if self.answer(line, "250 sender ok")? {
                    self.taken = Some(Taken { mail: line.to_owned(), connection: self.number, ..Taken::default() });
                }
            }
            "RCPT" if self.taken.is_none() => _ = self.answer(line, "503 MAIL first")?,
            "RCPT" if self.has_enough_recipients() => {
                let (_, reply) = self.shared.options.recipients_per_mail.unwrap_or_default();
                _ = self.answer(line, reply)?;
            }
            "RCPT" => {
                if self.answer(line, "250 recipient ok")? {
                    let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    self.taken.as_mut().unwrap().to.push(address);
                }
            }
            "DATA" => _ = self.data(line)?,
            _ => _ = self.answer(line, "500 what?")?,
        };
        Ok(true)
    }

    fn has_enough_recipients(&self) -> bool {
        let taken = self.taken.as_ref().map_or(0, |taken| taken.to.len());
        self.shared.options.recipients_per_mail.is_some_and(|(most, _)| taken >= most)
    }

    fn hello(&mut self, line: &str) -> io::Result<bool> {
        let mut lines = vec!["250-mx.example".to_owned()];
        lines.extend(self.shared.options.capabilities.iter().map(|line| format!("250-{line}")));
        if matches!(self.shared.options.security, Security::StartTls(_)) && !self.stream.is_tls() {
            lines.push("250-STARTTLS".to_owned());
        }
        let all = lines.join("\r\n") + "\r\n250 HELP";
        self.taken = None;
        self.answer(line, &all)
    }

    fn start_tls(&mut self, line: &str) -> io::Result<bool> {
        let text = format!("220 go\r\n{}", self.shared.options.injection);
        let began = self.answer(line, text.trim_end_matches("\r\n"))?;
        if began {
            self.received.clear();
            self.stream.start_tls(self.shared.options.security);
        }
        Ok(began)
    }

    fn auth(&mut self, line: &str) -> io::Result<bool> {
        let Some(login) = self.shared.options.login.clone() else { return self.answer(line, "502 no login here") };
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        if self.reply_to(line).is_some() {
            return self.answer(line, "");
        }
        let (mechanism, initial) = (words.next().unwrap_or_default(), words.next());
        let accepted = smtp_login::serve(&login, &mechanism, initial, self.stream.exported(), |question| {
            self.stream.write(format!("334 {question}\r\n").as_bytes())?;
            let answer = self.line()?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        })?;
        self.authenticated = accepted;
        self.answer(line, if accepted { "235 welcome" } else { "535 5.7.8 wrong user or password" })
    }

    fn data(&mut self, line: &str) -> io::Result<bool> {
        if self.taken.as_ref().is_none_or(|taken| taken.to.is_empty())
            && !self.shared.options.replies.contains_key("DATA")
        {
            return self.answer(line, "554 no valid recipients");
        }
        let reply = self.choose(line, "354 go on");
        self.say(&reply)?;
        if !reply.starts_with('3') {
            return Ok(true);
        }
        let wire = self.message()?;
        let mut taken = self.taken.take().unwrap_or_default();
        taken.wire = wire;
        // A server that took a message has it, whatever becomes of the client now.
        if let Some(hook) = lock(&self.shared.hook).as_mut() {
            hook(".");
        }
        let count = if self.shared.options.lmtp { taken.to.len() } else { 1 };
        for number in 1..=count {
            let name = if number > 1 { format!(".{number}") } else { ".".to_owned() };
            let is_long = |line: &[u8]| line.strip_suffix(b"\r").unwrap_or(line).len() > 998;
            let is_refused =
                self.shared.options.refuses_long_lines && taken.wire.split(|byte| *byte == b'\n').any(is_long);
            let usual = if is_refused { "500 5.6.0 line too long" } else { "250 2.0.0 taken" };
            let reply = self.choose(&name, usual);
            if number == 1 && (reply.starts_with('2') || reply == "taken") && !taken.to.is_empty() {
                // Before the reply: the test looks as soon as that has come.
                lock(&self.shared.mails).push(taken.clone());
            }
            self.say(&reply)?;
        }
        self.mails += 1;
        if self.shared.options.mails_per_connection.is_some_and(|most| self.mails >= most) {
            Err(end())
        } else {
            Ok(true)
        }
    }

    fn message(&mut self) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        let mut is_start = true;
        loop {
            let (text, line_end) = self.data_line()?;
            let seen: Vec<u8> = match self.shared.options.eyes {
                Eyes::DropsNul => text.iter().copied().filter(|byte| *byte != 0).collect(),
                _ => text.clone(),
            };
            let is_strict_end = line_end == b"\r\n" && (is_start || message.ends_with(b"\r\n"));
            if seen == b"." && (self.shared.options.eyes != Eyes::Strict || is_strict_end) {
                return Ok(message);
            }
            is_start = false;
            message.extend(text);
            message.extend(line_end);
        }
    }

    /// A line and its end, as these eyes see lines.
    fn data_line(&mut self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let with_cr = self.shared.options.eyes == Eyes::LaxCr;
        let mut from = 0;
        loop {
            let is_end = |byte: &u8| *byte == b'\n' || (with_cr && *byte == b'\r');
            let found = self.received[from..].iter().position(is_end).map(|at| from + at);
            let length = match found {
                Some(at) if self.received[at] == b'\n' => Some(at + 1),
                // A LF may follow.
                Some(at) if at + 1 < self.received.len() => Some(at + 1 + usize::from(self.received[at + 1] == b'\n')),
                _ => None,
            };
            if let Some(length) = length {
                let line: Vec<u8> = self.received.drain(..length).collect();
                let text = line.strip_suffix(b"\n").unwrap_or(&line);
                let text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
                let line_end = line[text.len()..].to_vec();
                return Ok((text, line_end));
            }
            from = found.unwrap_or(self.received.len());
            self.read_more()?;
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=at).collect();
                return Ok(line.trim_ascii_end().to_vec());
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let read = self.stream.reader().read(&mut buffer)?;
        self.received.extend_from_slice(&buffer[..read]);
        if read == 0 { Err(end()) } else { Ok(()) }
    }

    fn reply_to(&self, command: &str) -> Option<String> {
        let moods = lock(&self.shared.moods).clone();
        Self::reply_in(&moods, command).or_else(|| Self::reply_in(&self.shared.options.replies, command))
    }

    fn reply_in(replies: &BTreeMap<String, String>, command: &str) -> Option<String> {
        // `.` is not the beginning of `.2`.
        let fits =
            |key: &&String| if command.starts_with('.') { *key == command } else { command.starts_with(&***key) };
        replies.keys().filter(fits).max_by_key(|key| key.len()).map(|key| replies[key].clone())
    }

    /// The usual reply or another one.
    fn choose(&self, command: &str, usual: &str) -> String {
        self.reply_to(command).unwrap_or_else(|| usual.to_owned())
    }

    /// Says whether the command was taken.
    fn answer(&mut self, command: &str, usual: &str) -> io::Result<bool> {
        let reply = self.choose(command, usual);
        self.say(&reply)
    }

    fn say(&mut self, reply: &str) -> io::Result<bool> {
        std::thread::sleep(self.shared.options.delay);
        let number = self.shared.replies.fetch_add(1, Ordering::SeqCst) + 1;
        if self.shared.options.cut_at_reply == Some(number) {
            if self.shared.options.half_a_reply {
                self.stream.write(&reply.as_bytes()[..reply.len() / 2])?;
            }
            return Err(end());
        }
        match reply {
            "close" | "taken" => return Err(end()),
            "hang" => loop {
                self.read_more()?;
            },
            text => self.stream.write(format!("{text}\r\n").as_bytes())?,
        }
        Ok(reply.starts_with('2'))
    }
}
