//! `mailsluice sendmail` in the seat of sendmail: what it makes of what programs give it. The entries are those of a review
//! (S: the sending of mail, B: what other programs got reported).

use crate::outbox::{User, from, text};
use crate::recipients::Seat;
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

const RELAY_OF_NOBODY: &str = "relays: {default: {smtp: {host: 127.0.0.1, port: 1, tls: none}}}\n";

fn one(seat: &Seat, options: &[&str], message: &str) -> Taken {
    let mut taken = seat.sent(options, message);
    assert_eq!(taken.len(), 1, "{message}");
    taken.remove(0)
}

/// S-2, S-3, B6: resent mail went to those whom it was for at first, from its author.
#[test]
fn s2_s3_b6_resent_mail_is_that_of_whoever_resends_it() {
    let seat = Seat::new();
    let original = "From: ann@x.example\nTo: orig@x.example\nCc: orig2@x.example\nSubject: x\n\nx\n";
    for (resent, to) in [
        ("Resent-From: me@home.example\nResent-To: r@y.example\n", &["r@y.example"][..]),
        ("Resent-From: me@home.example\nResent-Cc: r@y.example\n", &["r@y.example"]),
        ("Resent-From: me@home.example\nResent-Bcc: r@y.example\n", &["r@y.example"]),
        ("Resent-Sender: me@home.example\nResent-From: ann@x.example\nResent-To: r@y.example\n", &["r@y.example"]),
        ("Resent-From: bob@z.example\nResent-To: r@y.example\n", &["r@y.example"]),
        (
            "Resent-From: me@home.example\nResent-To: a@y.example\nResent-Cc: b@y.example\nReceived: from old\n\
             Resent-From: old@x.example\nResent-To: old2@x.example\n",
            &["a@y.example", "b@y.example"],
        ),
    ] {
        let taken = one(&seat, &["-t"], &format!("{resent}{original}"));
        assert_eq!(
            (from(&taken), &taken.to[..]),
            ("me@home.example", &to.iter().map(|to| (*to).to_owned()).collect::<Vec<_>>()[..]),
            "{resent}"
        );
        assert!(!text(&taken).contains("Resent-Bcc"), "{resent}");
    }
    // mutt's bounce names its recipient as an argument.
    let taken = one(&seat, &["--", "r@y.example"], &format!("Resent-From: me@home.example\n{original}"));
    assert_eq!((from(&taken), &taken.to[..]), ("me@home.example", &["r@y.example".to_owned()][..]));
    Seat::new().is_refused(&["-t"], &format!("Resent-From: me@home.example\n{original}"), 64, "there is no recipient");
}

/// S-3: any From was taken for the envelope sender, and Sender was not looked at.
#[test]
fn s3_the_envelope_sender_is_ones_own() {
    let seat = Seat::new();
    for (fields, sender) in [
        ("From: me@home.example\n", "me@home.example"),
        ("From: Me <Me+lists@Home.example>\n", "Me+lists@Home.example"),
        ("From: ann@x.example\n", "me@home.example"),
        ("From: ann@x.example, me+b@home.example\n", "me+b@home.example"),
        ("From: ann@x.example, bob@x.example\nSender: me+c@home.example\n", "me+c@home.example"),
    ] {
        let taken = one(&seat, &["a@y.example"], &format!("{fields}Subject: x\n\nx\n"));
        assert_eq!(from(&taken), sender, "{fields}");
        assert!(text(&taken).contains(fields), "the header says what it said: {fields}");
    }
    let read = one(&seat, &["--read-envelope-from", "a@y.example"], "From: ann@x.example\nSubject: x\n\nx\n");
    assert_eq!(from(&read), "ann@x.example", "who asks for it has it");
    let named = one(&seat, &["-f", "ann@x.example", "a@y.example"], "From: me@home.example\nSubject: x\n\nx\n");
    assert_eq!(from(&named), "ann@x.example");
}

/// The relay is chosen by who sends, and by who resends.
#[test]
fn s3_the_relay_is_that_of_the_sender() {
    let servers = [(); 2].map(|()| SmtpServer::start(SmtpOptions::default()));
    let user = User::without_relay("  - {name: none, do: keep}");
    let relay = |n: usize| format!("smtp: {{host: 127.0.0.1, port: {}, tls: none}}", servers[n].port());
    user.config(&format!("relays:\n  default: {{{}}}\n  work: {{{}, from: me@work.example}}\n", relay(0), relay(1)));
    let send = |options: &[&str], message: &str| {
        let output = user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], options].concat(), message);
        assert_eq!(output.code, 0, "{output}");
        user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
    };
    let to = "To: a@y.example\nSubject: x\n\nx\n";
    send(&["-t"], &format!("From: me@home.example\n{to}"));
    send(&["-t"], &format!("From: Me <me@work.example>\n{to}"));
    send(&["-t"], &format!("Resent-From: me@work.example\nResent-To: b@y.example\nFrom: ann@x.example\n{to}"));
    send(&["-t", "-a", "work"], &format!("From: me@home.example\n{to}"));
    send(&["-t"], &format!("From: me+list@work.example\n{to}"));
    assert_eq!(servers.each_ref().map(|server| server.count()), [1, 4]);
    let output = user.sandbox.run_with_stdin(&["--allow-root", "sendmail", "-t", "--account=home"], to);
    assert!(output.code == 78 && output.stderr.contains("no relay `home`"), "{output}");
    let looked = user.sandbox.run(&["--allow-root", "sendmail", "-bv", "-f", "me@work.example", "a@y.example", "root"]);
    assert_eq!(
        (looked.code, looked.stdout.as_str()),
        (0, "a@y.example: by the relay `work`\nme@home.example: by the relay `work`\n")
    );
    let looked = user.sandbox.run(&["--allow-root", "sendmail", "-bv", "no one"]);
    assert_eq!(looked.code, 64, "{looked}");
}

/// S-4, B5: lines of the text stood in the header, and people who were quoted in it got the mail.
#[test]
fn s4_b5_the_header_ends_at_the_first_line_that_is_no_field() {
    let seat = Seat::new();
    for (message, body) in [
        ("Subject: backup done\nall is well\nTo: quoted@x.example\n", "\n\nall is well\nTo: quoted@x.example\n"),
        ("To: a@y.example\nSubject: x\nHello Ann\nBcc: quoted@x.example\n", "\n\nHello Ann\nBcc: quoted@x.example\n"),
        ("Error: disk is full\nPlease look\n", "\n\nPlease look\n"),
        ("Subject: x\r\n\r\nCRLF\r\nand no end", "\n\nCRLF\nand no end"),
        (">From ann Mon Jan  1 00:00:00 2026\nSubject: x\n\nfrom an mbox\n", "\n\nfrom an mbox\n"),
    ] {
        let taken = one(&seat, &["-t", "a@y.example"], message);
        let got = text(&taken);
        assert_eq!(taken.to, ["a@y.example"], "{message}");
        let (head, rest) = got.split_at(got.find("\n\n").unwrap());
        assert_eq!(rest.trim_end(), body.trim_end(), "{message}");
        assert!(["From: ", "Date: ", "Message-ID: "].iter().all(|field| head.contains(field)), "{got}");
    }
}

/// B11: cron's and PHP's fields without a domain, which Amazon's servers refuse for good.
#[test]
fn b11_every_address_has_a_domain() {
    let seat = Seat::new();
    let message = "From: root (Cron Daemon)\nTo: root\nCc: Web <www-data>, staff@x.example\nReply-To: help-desk\n\
                   Sender: no.body\nSubject: x\n\nx\n";
    let got = text(&one(&seat, &["-i", "root"], message));
    for field in [
        "From: \"Cron Daemon\" <me@home.example>\n",
        "To: root <me@home.example>\n",
        "Cc: Web <me@home.example>, staff@x.example\n",
        "Reply-To: help-desk@home.example\n",
        "Sender: no.body@home.example\n",
    ] {
        assert!(got.contains(field), "{field}: {got}");
    }
}

/// mutt writes the name of this machine behind a login.
#[test]
fn a_login_at_this_machine_is_the_owner() {
    let seat = Seat::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let taken = one(&seat, &[&format!("root@{host}"), "www-data@localhost", "a@y.example"], "Subject: x\n\nx\n");
    assert_eq!(taken.to, ["me@home.example", "a@y.example"]);
    assert_eq!(one(&seat, &["nobody.here@box.local"], "Subject: x\n\nx\n").to, ["nobody.here@box.local"]);
}

/// S-8: Debian's `mail` names the user at this machine, which no relay takes.
#[test]
fn s8_a_sender_at_this_machine_is_ones_own() {
    let seat = Seat::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    for sender in ["me", "me@localhost", "me@box.localdomain", &format!("me@{host}")] {
        let taken = one(&seat, &["-f", sender, "a@y.example"], &format!("From: Me <{sender}>\nSubject: x\n\nx\n"));
        assert_eq!(from(&taken), "me@home.example", "{sender}");
        assert!(text(&taken).contains("From: \"Me\" <me@home.example>\n"), "{sender}: {}", text(&taken));
    }
}

/// S-5: it said nothing and 0, and the mail waited for five days.
#[test]
fn s5_without_a_relay_nothing_is_taken() {
    let user = User::without_relay("  - {name: none, do: keep}");
    let run = |options: &[&str]| {
        user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], options].concat(), "Subject: x\n\nx\n")
    };
    let output = run(&["a@y.example"]);
    assert!(output.code == 78 && output.stderr.contains("there is no relay"), "{output}");
    assert!(user.inbox().is_empty() && user.rows().is_empty());
    let output = run(&["-oem", "root"]);
    assert!(output.code == 78 && output.stderr.contains("it is in the inbox"), "{output}");
    assert_eq!((user.inbox().len(), user.rows().len()), (2, 0), "the message and a notice");
    // A command line that cannot be read has no message, and the daemon has one.
    let output = run(&["-oem", "-bs", "root"]);
    assert!(output.code == 64 && output.stderr.contains("dead.letter"), "{output}");
    assert!(user.sandbox.read("dead.letter").contains("\nSubject: x\n\nx\n"));
}

/// Whoever calls with -oem throws the exit code away.
#[test]
fn without_a_config_a_daemons_message_is_a_dead_letter() {
    let user = User::without_relay("  - {name: none, do: keep}");
    std::fs::remove_dir_all(user.sandbox.home().join(".config")).unwrap();
    let run = |options: &[&str]| {
        let message = "Subject: x\n\nFrom a text\n";
        user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], options].concat(), message)
    };
    assert!(run(&["root"]).code == 78 && !user.sandbox.home().join("dead.letter").exists());
    for count in [1, 2] {
        let output = run(&["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"]);
        assert!(output.code == 78 && output.stderr.contains("dead.letter"), "{output}");
        let letters = user.sandbox.read("dead.letter");
        assert_eq!(letters.matches("\nSubject: x\n\n>From a text\n\n").count(), count, "{letters}");
    }
}

/// `mailsluice sendmail -q` was read as `--quiet`, and waited for a message.
#[test]
fn s7_the_options_behind_sendmail_are_its_own() {
    let seat = Seat::new();
    seat.user.config(RELAY_OF_NOBODY);
    assert_eq!(seat.run(&["-t", "-v"], "To: a@y.example\nSubject: x\n\nx\n").code, 0);
    seat.user.settled();
    let listed = seat.run(&["-bp"], "");
    assert!(listed.code == 0 && listed.stdout.contains("a@y.example"), "{listed}");
    seat.user.relay(seat.server.port());
    seat.user.queue(&["retry"]);
    assert_eq!(seat.run(&["-q"], "").code, 0);
    assert_eq!(seat.server.count(), 1);
    let other = seat.user.sandbox.home().join("other.yaml");
    std::fs::write(&other, "maildir: ~/Mail\nstate: ~/state\nme: [other@home.example]\n").unwrap();
    let output = seat.run(&["-C", other.to_str().unwrap(), "a@y.example"], "Subject: x\n\nx\n");
    assert!(output.code == 78 && output.stderr.contains("there is no relay"), "{output}");
    assert!(seat.run(&["--help"], "").stdout.contains("-oem"));
    // It was taken for no option, and the file for a recipient.
    let output = seat.run(&["-c", other.to_str().unwrap(), "a@y.example"], "Subject: x\n\nx\n");
    assert!(output.code == 64 && output.stderr.contains("mailsluice -c FILE sendmail"), "{output}");
    assert_eq!(seat.run(&["../evil"], "Subject: x\n\nx\n").code, 64);
}
