//! Tests of waiting sessions, with a scripted server and a paused clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};

use super::ImapSource;
use super::session::ImapSession;
use crate::net;
use crate::source::{Glance, Heard, PushMethod, Spool};
use crate::state::{RealDisk, Stamp};

/// The server's end of the connection.
struct OtherEnd(UnixStream);

impl OtherEnd {
    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads a line, compares it without its tag, and returns the tag.
    async fn hear(&mut self, expected: &str) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.0.read_u8().await.unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        let tag = line.split(' ').next().unwrap().to_owned();
        let text = line.trim_end();
        let text = if text == "DONE" { text } else { text.split_once(' ').unwrap().1 };
        assert_eq!(text, expected);
        tag
    }

    /// Expects a command and sends an answer, in which `<tag>` is replaced by the tag.
    async fn answer(&mut self, command: &str, answer: &str) -> String {
        let tag = self.hear(command).await;
        self.say(&answer.replace("<tag>", &tag)).await;
        tag
    }

    /// Answers up to the point where the client waits in INBOX.
    async fn idle(&mut self) -> String {
        self.answer("EXAMINE \"INBOX\"", EXAMINED).await;
        self.answer("IDLE", "+ idling\r\n").await
    }
}

const EXAMINED: &str = "* 3 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 4] x\r\n<tag> OK [READ-ONLY] opened\r\n";
/// The status that `EXAMINED` reports.
const SEEN: Glance = Glance { generation: Some(1), uid_next: Some(4), exists: Some(3), modseq: None };
const NINE_MINUTES: Duration = Duration::from_secs(9 * 60);
const SET: &str = "NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))";

/// A session that has seen INBOX, and its server.
async fn session(capabilities: &[&str]) -> (ImapSource, OtherEnd) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let stream = net::connect_unix(&path).await.unwrap();
    let mut session = ImapSession::over(stream, "host");
    session.is_greeted = true;
    session.capabilities = capabilities.iter().map(|name| (*name).to_owned()).collect();
    let mut source =
        ImapSource::over(session, "me", Spool::new(Arc::new(RealDisk), "/nowhere".into(), Stamp::parse("")));
    source.known.record_seen("INBOX", SEEN);
    (source, OtherEnd(listener.accept().await.unwrap().0))
}

fn inbox() -> Vec<String> {
    vec!["INBOX".to_owned()]
}

fn news(folders: &[&str]) -> Heard {
    Heard::News(folders.iter().map(|folder| (*folder).to_owned()).collect())
}

#[tokio::test(start_paused = true)]
async fn idle_is_begun_again_every_nine_minutes() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        let mut tag = server.idle().await;
        for _ in 0..3 {
            let begun = Instant::now();
            // Some servers send this every two minutes. It is not news, and does not postpone the refresh.
            sleep(NINE_MINUTES - Duration::from_secs(1)).await;
            server.say("* OK Still here\r\n").await;
            server.hear("DONE").await;
            assert_eq!(begun.elapsed().as_secs(), NINE_MINUTES.as_secs());
            server.say(&format!("{tag} OK done\r\n")).await;
            tag = server.answer("IDLE", "+ idling\r\n").await;
        }
        server.say("* 4 EXISTS\r\n").await;
    };
    let (heard, ()) = tokio::join!(source.wait(&folders), play);
    assert_eq!(heard.unwrap(), news(&["INBOX"]));
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_and_an_endless_one_is_cut() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.idle().await;
        let begun = Instant::now();
        for count in 4..1_000 {
            server.say(&format!("* {count} EXISTS\r\n* 1 RECENT\r\n")).await;
            sleep(Duration::from_millis(200)).await;
            if begun.elapsed() > Duration::from_secs(6) {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let begun = Instant::now();
    tokio::select! {
        heard = source.wait(&folders) => assert_eq!(heard.unwrap(), news(&["INBOX"])),
        () = play => unreachable!(),
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn flags_and_the_same_number_are_no_news() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.idle().await;
        server.say("* 3 EXISTS\r\n* 1 RECENT\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* FLAGS (a)\r\n* OK hi\r\n").await;
        sleep(Duration::from_secs(60)).await;
        server.say("* 2 EXPUNGE\r\n").await;
    };
    let begun = Instant::now();
    let (heard, ()) = tokio::join!(source.wait(&folders), play);
    assert_eq!(heard.unwrap(), news(&["INBOX"]));
    assert!(begun.elapsed() >= Duration::from_secs(60));
}

/// A server that never stops sending must not keep us busy.
#[tokio::test(start_paused = true)]
async fn what_never_ends_is_read_slowly() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.idle().await;
        for _ in 0..100 {
            server.say(&"* 3 EXISTS\r\n".repeat(1_000)).await;
        }
        server.say("* 4 EXISTS\r\n").await;
    };
    let begun = Instant::now();
    let (heard, ()) = tokio::join!(source.wait(&folders), play);
    assert_eq!(heard.unwrap(), news(&["INBOX"]));
    assert!((8..=12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_end_idle_is_given_up_after_ten_seconds() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.idle().await;
        server.hear("DONE").await;
    };
    let ask = async {
        timeout(Duration::from_secs(5), source.wait(&folders)).await.unwrap_err();
        let begun = Instant::now();
        let error = source.glance(&folders).await.unwrap_err();
        assert_eq!(begun.elapsed(), Duration::from_secs(10), "{error}");
        assert!(error.is_transient(), "{error}");
    };
    tokio::join!(ask, play);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_idle_by_itself_is_asked_again_unless_it_does_so_at_once() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        let tag = server.idle().await;
        sleep(Duration::from_secs(120)).await;
        server.say(&format!("{tag} OK enough\r\n")).await;
        let tag = server.answer("IDLE", "+ idling\r\n").await;
        server.say(&format!("{tag} OK enough\r\n")).await;
    };
    let wait = timeout(Duration::from_secs(3_600), source.wait(&folders));
    assert!(tokio::join!(wait, play).0.is_err());
    assert_eq!(source.pushed(), PushMethod::None);
}

/// Unknown replies come every few minutes, for days, and the session goes on.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_does_not_end_a_session_that_waits() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        let mut tag = server.idle().await;
        for _ in 0..300 {
            server.say(&"* XPING what\r\n* LIST what\r\n".repeat(10)).await;
            server.hear("DONE").await;
            server.say(&format!("{tag} OK done\r\n")).await;
            tag = server.answer("IDLE", "+ idling\r\n").await;
        }
        server.say("* 4 EXISTS\r\n").await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        heard = source.wait(&folders) => assert_eq!(heard.unwrap(), news(&["INBOX"])),
        () = play => unreachable!(),
    }
    assert!(source.session.take_unreadable_lists().is_empty());
}

/// A message that another client deletes is news, even if it is reported during another command. One that we removed is not.
#[tokio::test(start_paused = true)]
async fn only_what_we_took_away_is_no_news() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.answer("EXAMINE \"INBOX\"", EXAMINED).await;
        server.answer("UID SEARCH ALL", "* SEARCH 1 2 3\r\n* 1 EXPUNGE\r\n<tag> OK\r\n").await;
        let tag = server.answer("IDLE", "+ idling\r\n").await;
        server.hear("DONE").await;
        server.say(&format!("{tag} OK done\r\n")).await;
        server.answer("STATUS \"b\" (MESSAGES UIDNEXT UIDVALIDITY)", "* 1 EXPUNGE\r\n<tag> NO\r\n").await;
        server.answer("IDLE", "+ idling\r\n").await;
    };
    let wait = async {
        source.open("INBOX").await.unwrap();
        timeout(Duration::from_secs(5), source.wait(&folders)).await.unwrap_err();
        assert!(source.glance(&["b".to_owned()]).await.unwrap().is_empty());
        assert_eq!(source.wait(&folders).await.unwrap(), news(&["INBOX"]));
    };
    tokio::join!(wait, play);
}

/// Mail may arrive between the listing and NOTIFY, and the wait may be dropped between NOTIFY and the status of all folders.
#[tokio::test(start_paused = true)]
async fn a_look_that_was_dropped_is_taken_again() {
    let (mut source, mut server) = session(&["NOTIFY"]).await;
    let folders = inbox();
    let status = "STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)";
    let told = "* STATUS INBOX (MESSAGES 4 UIDNEXT 5 UIDVALIDITY 1)\r\n<tag> OK\r\n";
    let play = async {
        server.answer("NOTIFY NONE", "<tag> OK\r\n").await;
        server.answer(SET, "<tag> OK\r\n").await;
        let tag = server.hear(status).await;
        sleep(Duration::from_secs(8)).await;
        server.say(&told.replace("<tag>", &tag)).await;
        server.answer(status, told).await;
    };
    let wait = async {
        timeout(Duration::from_secs(5), source.wait(&folders)).await.unwrap_err();
        assert_eq!(source.wait(&folders).await.unwrap(), news(&["INBOX"]));
    };
    tokio::join!(wait, play);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_that_notifies_is_asked_and_given_up() {
    let (mut source, mut server) = session(&["NOTIFY"]).await;
    let folders = inbox();
    let play = async {
        server.answer("NOTIFY NONE", "<tag> OK\r\n").await;
        server.answer(SET, "<tag> OK\r\n").await;
        let told = "* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1)\r\n<tag> OK\r\n";
        server.answer("STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)", told).await;
        let begun = Instant::now();
        server.answer("NOOP", "<tag> OK\r\n").await;
        assert_eq!(begun.elapsed().as_secs(), NINE_MINUTES.as_secs());
        server.hear("NOOP").await;
        std::future::pending::<()>().await;
    };
    let begun = Instant::now();
    tokio::select! {
        heard = source.wait(&folders) => assert!(heard.unwrap_err().is_transient()),
        () = play => unreachable!(),
    }
    assert_eq!(begun.elapsed().as_secs(), 2 * NINE_MINUTES.as_secs() + 30);
}

/// Dovecot 2.3 answers OK to every second SET but then sends no notifications, unless `NOTIFY NONE` comes between them.
#[tokio::test(start_paused = true)]
async fn after_an_overflow_a_server_is_asked_again_from_the_beginning() {
    let (mut source, mut server) = session(&["NOTIFY"]).await;
    let folders = inbox();
    let play = async {
        for round in 0..2 {
            server.answer("NOTIFY NONE", "<tag> OK\r\n").await;
            server.answer(SET, "<tag> OK\r\n").await;
            let told = "* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1)\r\n<tag> OK\r\n";
            server.answer("STATUS \"INBOX\" (MESSAGES UIDNEXT UIDVALIDITY)", told).await;
            sleep(Duration::from_secs(61)).await;
            if round == 0 {
                server.say("* OK [NOTIFICATIONOVERFLOW] stopped\r\n").await;
            }
        }
        server.say("* STATUS INBOX (MESSAGES 4 UIDNEXT 5)\r\n").await;
    };
    let wait = async {
        assert_eq!(source.wait(&folders).await.unwrap(), Heard::Anywhere);
        assert_eq!(source.wait(&folders).await.unwrap(), news(&["INBOX"]));
        assert_eq!(source.pushed(), PushMethod::Notify);
    };
    tokio::join!(wait, play);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_answer_is_not_alive() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        let tag = server.idle().await;
        server.hear("DONE").await;
        server.say(&format!("{tag} OK done\r\n")).await;
        server.answer("NOOP", "<tag> BAD what\r\n").await;
        server.hear("NOOP").await;
    };
    let ask = async {
        timeout(Duration::from_secs(5), source.wait(&folders)).await.unwrap_err();
        assert!(source.is_alive(Duration::from_secs(10)).await, "an answer is one whatever it says");
        assert!(!source.is_alive(Duration::from_secs(10)).await);
    };
    tokio::join!(ask, play);
}

/// Answers every command, one byte at a time.
async fn trickle(mut server: UnixStream) {
    let mut line = Vec::new();
    loop {
        let Ok(byte) = server.read_u8().await else { return };
        line.push(byte);
        if byte != b'\n' {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut line)).unwrap();
        let (tag, command) = text.trim_end().split_once(' ').unwrap_or(("", "DONE"));
        let answer = match command {
            "IDLE" => {
                line = format!("{tag} ").into_bytes();
                "+ idling\r\n* OK Still here\r\n".to_owned()
            }
            command if command.ends_with("DONE") => format!("{tag} OK done\r\n"),
            "EXAMINE \"INBOX\"" => EXAMINED.replace("<tag>", tag),
            command if command.starts_with("STATUS") => {
                format!("* STATUS INBOX (MESSAGES 3 UIDNEXT 4 UIDVALIDITY 1)\r\n{tag} OK\r\n")
            }
            command if command.starts_with("NOTIFY SET") => format!("* 1 RECENT\r\n{tag} OK\r\n"),
            _ => format!("{tag} OK\r\n"),
        };
        for byte in answer.bytes() {
            server.write_u8(byte).await.unwrap();
            tokio::task::yield_now().await;
        }
    }
}

/// Drops `wait` after this number of polls. Returns whether that happened before the server had nothing more to send.
async fn dropped_after(polls: usize, capabilities: &[&str]) -> bool {
    let (mut source, OtherEnd(server)) = session(capabilities).await;
    let folders = inbox();
    let ask = async {
        let mut left = polls;
        let mut wait = Box::pin(timeout(Duration::from_secs(60), source.wait(&folders)));
        let is_dropped = std::future::poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(true);
            }
            left -= 1;
            wait.as_mut().poll(cx).map(|heard| {
                assert!(heard.is_err(), "{heard:?}");
                false
            })
        })
        .await;
        drop(wait);
        let seen = source.glance(&folders).await.unwrap_or_else(|error| panic!("after {polls} polls: {error}"));
        assert_eq!(seen, HashMap::from([("INBOX".to_owned(), SEEN)]), "after {polls} polls");
        timeout(Duration::from_secs(60), source.wait(&folders)).await.unwrap_err();
        assert!(source.is_alive(Duration::from_secs(10)).await, "after {polls} polls");
        is_dropped
    };
    tokio::select! {
        is_dropped = ask => is_dropped,
        () = trickle(server) => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_moment_the_next_command_is_answered() {
    for capabilities in [&["IDLE"][..], &["NOTIFY", "IDLE"]] {
        let mut polls = 1;
        while dropped_after(polls, capabilities).await {
            polls += 1;
        }
        assert!(polls > 20, "{polls}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_takes_little_memory() {
    let (mut source, mut server) = session(&["IDLE"]).await;
    let folders = inbox();
    let play = async {
        server.idle().await;
        std::future::pending::<()>().await;
    };
    let wait = timeout(Duration::from_secs(5), source.wait(&folders));
    tokio::select! { heard = wait => drop(heard.unwrap_err()), () = play => unreachable!() }
    assert!(source.session.replies.memory() < 4 * 1024, "{}", source.session.replies.memory());
}

/// Compresses as a server does, with a sync flush at the end.
fn deflated(text: &str) -> Vec<u8> {
    use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
    let mut state = CompressorOxide::new(create_comp_flags_from_zip_params(6, -15, 0));
    let mut room = vec![0; text.len() + 1000];
    let done =
        miniz_oxide::deflate::stream::deflate(&mut state, text.as_bytes(), &mut room, miniz_oxide::MZFlush::Sync);
    assert_eq!(done.bytes_consumed, text.len());
    room.truncate(done.bytes_written);
    room
}

/// Reads a command that comes in a stored block.
async fn hear_stored(server: &mut OtherEnd) -> String {
    let mut head = [0; 5];
    server.0.read_exact(&mut head).await.unwrap();
    let length = u16::from_le_bytes([head[1], head[2]]);
    assert_eq!((head[0], u16::from_le_bytes([head[3], head[4]])), (0, !length));
    let mut text = vec![0; usize::from(length)];
    server.0.read_exact(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn what_comes_behind_the_ok_to_compress_is_compressed() {
    let (mut source, mut server) = session(&["COMPRESS=DEFLATE"]).await;
    let serve = async {
        let tag = server.hear("COMPRESS DEFLATE").await;
        // Both are sent in one write.
        let ok = format!("{tag} OK from here on\r\n").into_bytes();
        let text = "* 4 EXISTS\r\nm2 OK done\r\n";
        server.0.write_all(&[ok, deflated(text)].concat()).await.unwrap();
        assert_eq!(hear_stored(&mut server).await, "m2 NOOP\r\n");
    };
    let work = async {
        source.session.compress().await.unwrap();
        let mut counted = 0;
        let count = |reply: &imap_proto::Response<'_>| {
            counted += u32::from(matches!(reply, imap_proto::Response::MailboxData(_)));
            Ok(())
        };
        source.session.run("NOOP", count).await.unwrap();
        assert_eq!(counted, 1);
    };
    tokio::join!(serve, work);
}

#[tokio::test]
async fn who_does_not_compress_is_spoken_to_as_before() {
    for (capability, refusal) in [("COMPRESS=DEFLATE", Some("NO [COMPRESSIONACTIVE] no")), ("COMPRESS=LZ4", None)] {
        let (mut source, mut server) = session(&[capability]).await;
        let serve = async {
            if let Some(refusal) = refusal {
                server.answer("COMPRESS DEFLATE", &format!("<tag> {refusal}\r\n")).await;
            }
            server.answer("NOOP", "<tag> OK done\r\n").await;
        };
        let work = async {
            source.session.compress().await.unwrap();
            source.session.run("NOOP", |_| Ok(())).await.unwrap();
        };
        tokio::join!(serve, work);
    }
}

/// A line of 64 MB compresses to 64 KB. The limit for a reply also applies after inflating.
#[tokio::test]
async fn a_bomb_is_a_reply_that_is_too_long() {
    let (mut source, mut server) = session(&["COMPRESS=DEFLATE"]).await;
    let bomb = deflated(&format!("* OK {}", "x".repeat(64 << 20)));
    assert!(bomb.len() < 100_000);
    let serve = async {
        server.answer("COMPRESS DEFLATE", "<tag> OK\r\n").await;
        server.0.write_all(&bomb).await.ok();
    };
    let work = async {
        source.session.compress().await.unwrap();
        source.session.run("NOOP", |_| Ok(())).await.unwrap_err();
        assert!(source.session.replies.memory() < 32 << 20);
    };
    tokio::join!(serve, work);
}
