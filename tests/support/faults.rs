//! How a server shall misbehave. Shared by the IMAP and the POP3 server, and by them with the test.
//!
//! Commands are counted from 1 over all connections, so a test can walk through a whole run, retries and all:
//!
//! ```ignore
//! for n in 1.. {
//!     let faults = Faults::of([Fault::CutAfter(n)]);
//!     … run until all is quiet …
//!     if faults.commands_seen() < n { break }      // the run ended before the fault
//! }
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Clone, Debug)]
pub enum Fault {
    /// This command is read but not executed; the connection ends.
    CutBefore(usize),
    /// This command is executed; the connection ends before its reply.
    CutAfter(usize),
    /// This command is executed and never answered; the connection stays open.
    HangAt(usize),
    /// The connection ends after this many bytes sent, counted over all connections. Above any TLS.
    CutAtByte(u64),
    /// Each connection ends once so many of its commands were answered.
    DisconnectEvery(usize),
    /// Every byte is written alone, as its own segment or TLS record.
    OneByteSegments,
    /// Waits before each command is executed.
    Delay(Duration),
    /// This line in place of the greeting.
    Greeting(String),
    /// IMAP greets as if the client had logged in already.
    Preauth,
    /// The greeting is a refusal with this text, and the connection ends.
    Bye(String),
    /// `NO` or `-ERR` and this text to every way of logging in: `[AUTHENTICATIONFAILED] no`.
    RefuseLogin(String),
    /// `NO` or `-ERR` and this text to this command: `STARTTLS`, `UID FETCH`, `UIDL`, `QUIT`.
    Refuse(&'static str, String),
    /// Sent in the clear right behind the `OK` to STARTTLS or STLS, in the same segment.
    StarttlsInjection(String),
    /// SELECT does not tell the UIDVALIDITY.
    NoUidvalidity,
    /// SELECT tells so many messages.
    Exists(u32),
    /// A habit of some vendor's servers, by the name that it has in `tests/profiles`.
    Habit(String),
    /// Something is wrong with the message of this UID (over POP3: this UID in INBOX).
    Message(u32, MessageFault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageFault {
    /// `NO` or `-ERR` whenever its body is asked for.
    Refused,
    /// Listed, but FETCH answers nothing about it, and RETR says it is gone.
    NotGiven,
    /// `BODY[] NIL`. Over POP3 an empty message.
    Nil,
    /// Its head and nothing behind it, complete by syntax, while the size of all of it is announced.
    Placeholder,
    /// Neither SEARCH nor UIDL nor LIST names it, nor FETCH where it is asked for UIDs alone.
    Unlisted,
    /// The connection ends after so many bytes of the message (over POP3: of its dot-stuffed form, final dot included).
    CutAt(usize),
    /// The literal (over POP3: the number of octets) is announced as so much longer than what follows.
    AnnouncedLonger(usize),
    /// `RFC822.SIZE` and LIST claim this size.
    Size(usize),
    /// No answer to FETCH has more than so many bytes of its body.
    ShortWindows(usize),
    /// FETCH describes nothing of it, and gives its body.
    NotDescribed,
    /// FETCH answers with another UID.
    Uid(u32),
    /// Not in the UIDL listing.
    NoUidl,
    /// This UIDL: perhaps one that another message has too.
    Uidl(String),
    NoInternaldate,
}

/// What Exchange gives instead of a message that it cannot read, in few words.
pub const PLACEHOLDER: &[u8] = b"Subject: Retrieval failed\r\n\r\n";

/// Cheap to clone; all clones are the same faults and the same counters.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    active: Vec<Fault>,
    hooks: BTreeMap<usize, Hook>,
    gate: Option<Gate>,
    commands: Vec<String>,
    bytes_sent: u64,
}

type Hook = Box<dyn FnOnce() + Send>;
type Gate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What the server does about one command.
#[derive(Default)]
pub struct Order {
    pub cut_before: bool,
    pub cut_after: bool,
    pub hang: bool,
    pub delay: Option<Duration>,
}

impl Faults {
    /// A server that behaves.
    pub fn none() -> Self {
        Self::default()
    }

    pub fn of(faults: impl IntoIterator<Item = Fault>) -> Self {
        let new = Self::default();
        faults.into_iter().for_each(|fault| new.set(fault));
        new
    }

    /// One fault more, from now on.
    pub fn set(&self, fault: Fault) {
        self.lock().active.push(fault);
    }

    pub fn message(&self, uid: u32, fault: MessageFault) {
        self.set(Fault::Message(uid, fault));
    }

    /// The server behaves from now on. The counters go on.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.active.clear();
        inner.hooks.clear();
    }

    /// Does something just before the `n`-th command is executed: add mail, expunge, change UIDVALIDITY.
    pub fn at_command(&self, n: usize, hook: impl FnOnce() + Send + 'static) {
        self.lock().hooks.insert(n, Box::new(hook));
    }

    /// Asks before each command whether it may be executed. If not, the connection ends, as by [`Fault::CutBefore`].
    pub fn gate(&self, allows: impl Fn(&str) -> bool + Send + Sync + 'static) {
        self.lock().gate = Some(Arc::new(allows));
    }

    pub fn commands_seen(&self) -> usize {
        self.lock().commands.len()
    }

    /// Every command as it came, without its line end: proof of what a client did not say.
    pub fn commands(&self) -> Vec<String> {
        self.lock().commands.clone()
    }

    /// Over all connections, above any TLS.
    pub fn bytes_sent(&self) -> u64 {
        self.lock().bytes_sent
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.lock().active.iter().find_map(pick)
    }

    fn has(&self, holds: impl Fn(&Fault) -> bool) -> bool {
        self.find(|fault| holds(fault).then_some(())).is_some()
    }
}

/// What the servers ask.
impl Faults {
    /// Counts the command, runs the test's hook for it and says what to do.
    pub fn begin(&self, command: &str) -> Order {
        let mut inner = self.lock();
        inner.commands.push(command.to_owned());
        let number = inner.commands.len();
        let hook = inner.hooks.remove(&number);
        let gate = inner.gate.clone();
        // The hook may set faults itself.
        drop(inner);
        if let Some(hook) = hook {
            hook();
        }
        let mut order = Order { cut_before: gate.is_some_and(|allows| !allows(command)), ..Order::default() };
        for fault in &self.lock().active {
            match fault {
                Fault::CutBefore(n) => order.cut_before |= *n == number,
                Fault::CutAfter(n) => order.cut_after |= *n == number,
                Fault::HangAt(n) => order.hang |= *n == number,
                Fault::Delay(time) => order.delay = Some(*time),
                _ => {}
            }
        }
        order
    }

    pub fn refusal(&self, command: &str) -> Option<String> {
        let is_login = ["LOGIN", "AUTHENTICATE", "PASS", "AUTH"].contains(&command);
        self.find(|fault| match fault {
            Fault::Refuse(refused, text) if refused.eq_ignore_ascii_case(command) => Some(text.clone()),
            Fault::RefuseLogin(text) if is_login => Some(text.clone()),
            _ => None,
        })
    }

    pub fn message_fault<T>(&self, uid: u32, pick: impl Fn(&MessageFault) -> Option<T>) -> Option<T> {
        self.find(|fault| match fault {
            Fault::Message(broken, fault) if *broken == uid => pick(fault),
            _ => None,
        })
    }

    pub fn has_any_message_fault(&self, uid: u32) -> bool {
        self.message_fault(uid, |_| Some(())).is_some()
    }

    pub fn has_message_fault(&self, uid: u32, wanted: &MessageFault) -> bool {
        self.message_fault(uid, |fault| (fault == wanted).then_some(())).is_some()
    }

    pub fn has_habit(&self, name: &str) -> bool {
        self.has(|fault| matches!(fault, Fault::Habit(habit) if habit == name))
    }

    pub fn greeting(&self) -> Option<String> {
        self.find(|fault| if let Fault::Greeting(line) = fault { Some(line.clone()) } else { None })
    }

    pub fn bye(&self) -> Option<String> {
        self.find(|fault| if let Fault::Bye(text) = fault { Some(text.clone()) } else { None })
    }

    pub fn is_preauth(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::Preauth))
    }

    pub fn hides_uidvalidity(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::NoUidvalidity))
    }

    pub fn exists(&self) -> Option<u32> {
        self.find(|fault| if let Fault::Exists(count) = fault { Some(*count) } else { None })
    }

    pub fn starttls_injection(&self) -> Option<String> {
        self.find(|fault| if let Fault::StarttlsInjection(text) = fault { Some(text.clone()) } else { None })
    }

    pub fn disconnects_after(&self, answered: usize) -> bool {
        self.has(|fault| matches!(fault, Fault::DisconnectEvery(n) if answered >= *n))
    }

    pub fn one_byte_segments(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::OneByteSegments))
    }

    /// Counts the bytes as sent; says how many of them may really go, and whether the connection ends there.
    pub fn allow_bytes(&self, wanted: usize) -> (usize, bool) {
        let mut inner = self.lock();
        let sent = inner.bytes_sent;
        let limit = inner.active.iter().find_map(|fault| match fault {
            // Once passed it is over: later connections are whole.
            Fault::CutAtByte(n) if *n > sent || (*n == 0 && sent == 0) => Some((n - sent) as usize),
            _ => None,
        });
        // All of them are counted even when few go, or the same cut would come again.
        inner.bytes_sent += wanted as u64;
        match limit {
            Some(limit) if limit <= wanted => (limit, true),
            _ => (wanted, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, MessageFault};

    #[test]
    fn commands_are_counted_and_the_named_one_is_hit() {
        let faults = Faults::of([Fault::CutBefore(2), Fault::CutAfter(3)]);
        let cuts: Vec<(bool, bool)> = ["a", "b", "c", "d"]
            .map(|command| faults.begin(command))
            .map(|order| (order.cut_before, order.cut_after))
            .to_vec();
        assert_eq!(cuts, [(false, false), (true, false), (false, true), (false, false)]);
        assert_eq!((faults.commands_seen(), faults.commands().join(" ")), (4, "a b c d".to_owned()));
    }

    #[test]
    fn a_hook_runs_once_and_may_set_faults() {
        let faults = Faults::none();
        let inside = faults.clone();
        faults.at_command(1, move || inside.set(Fault::CutAfter(1)));
        assert!(faults.begin("first").cut_after);
        assert!(!faults.begin("second").cut_after);
    }

    #[test]
    fn a_gate_decides_for_each_command() {
        let faults = Faults::none();
        faults.gate(|command| command != "DELE 1");
        assert!(!faults.begin("RETR 1").cut_before);
        assert!(faults.begin("DELE 1").cut_before);
    }

    #[test]
    fn bytes_are_cut_once() {
        let faults = Faults::of([Fault::CutAtByte(5)]);
        assert_eq!([3, 3, 3].map(|n| faults.allow_bytes(n)), [(3, false), (2, true), (3, false)]);
        let exact = Faults::of([Fault::CutAtByte(3)]);
        assert_eq!([3, 3].map(|n| exact.allow_bytes(n)), [(3, true), (3, false)]);
        assert_eq!(Faults::of([Fault::CutAtByte(0)]).allow_bytes(3), (0, true));
    }

    #[test]
    fn faults_of_a_message_stay_with_it() {
        let faults = Faults::none();
        faults.message(7, MessageFault::Nil);
        assert!(faults.has_message_fault(7, &MessageFault::Nil));
        assert!(!faults.has_message_fault(8, &MessageFault::Nil));
        assert!(!faults.has_message_fault(7, &MessageFault::NotGiven));
    }
}
