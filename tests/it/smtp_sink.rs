//! Sending to servers that others wrote.

use mailsluice::outbox::relay::Mail;
use mailsluice::outbox::smtp::SmtpRelay;

use crate::smtp::{ENDS, FROM, addresses, lmtp, message, outcome, send, smtp, words};
use crate::support::postfix::Postfix;
use crate::support::smtp_sink::SmtpSink;

const TEXT: &str = "Subject: x\n\n.\n..dot\n\nend\n\n";

#[tokio::test]
async fn five_hundred_mails_over_one_connection() {
    for options in [&[][..], &["-p"]] {
        let Some(sink) = SmtpSink::start(options) else { return };
        let mut connection = SmtpRelay::connect(&smtp(sink.port)).await.unwrap();
        let to = addresses(&["a@x.example", "b@x.example"]);
        let begun = std::time::Instant::now();
        for number in 0..500 {
            let mail = message(format!("X-Number: {number}\n{TEXT}{}", "text\n".repeat(number)));
            let mail = Mail { from: FROM, to: &to, message: &mail, no_reports: true };
            assert_eq!(words(&connection.send(&mail).await.unwrap()), "sent sent");
        }
        println!("{:.0} mails a second {options:?}", 500.0 / begun.elapsed().as_secs_f64());
        connection.quit().await;
        let mut dumps: Vec<Vec<u8>> = sink.dumps().into_iter().map(|dump| dump.message).collect();
        assert_eq!(dumps.len(), 500);
        dumps.sort();
        let mut sent: Vec<Vec<u8>> =
            (0..500).map(|n| format!("X-Number: {n}\n{TEXT}{}", "text\n".repeat(n)).into_bytes()).collect();
        sent.sort();
        assert!(dumps == sent, "every byte is as it was");
        assert!(sink.dumps().iter().all(|dump| dump.to == to));
    }
}

#[tokio::test]
async fn what_it_refuses() {
    for (options, expected) in [
        (&["-f", "rcpt"][..], "never"),
        (&["-r", "rcpt"], "later"),
        (&["-f", "mail"], "sender"),
        (&["-r", "mail"], "mail later"),
        (&["-r", "data"], "later"),
        (&["-f", "."], "never"),
        (&["-r", "."], "later"),
        (&["-q", "rcpt"], "relay"),
        (&["-q", "."], "unknown"),
        (&["-Q", "rcpt"], "relay"),
        (&["-f", "ehlo"], "sent"),
    ] {
        let Some(sink) = SmtpSink::start(options) else { return };
        let outcome = send(&smtp(sink.port), FROM, &["a@x.example"], TEXT).await;
        assert_eq!(crate::smtp::outcome(&outcome), expected, "{options:?} {outcome:?}");
    }
}

#[tokio::test]
async fn it_speaks_lmtp_too() {
    let Some(sink) = SmtpSink::start(&["-L"]) else { return };
    for _ in 0..10 {
        assert_eq!(outcome(&send(&lmtp(sink.port), "", &["a@x", "b@x", "c@x"], TEXT).await), "sent sent sent");
    }
    assert_eq!(sink.dumps().len(), 10);
}

/// One connection, a recipient of each mail refused, and every byte as it was. Then the table of row I1.
#[tokio::test]
async fn a_real_postfix() {
    let Some(postfix) = Postfix::start() else { return };
    let mut connection = SmtpRelay::connect(&smtp(postfix.port)).await.unwrap();
    let to = addresses(&["a@x.example", "nobody@x.example", "b@x.example"]);
    // With all the fields that Postfix would add.
    let head = "From: me@example.com\nDate: Tue, 1 Jul 2025 10:52:37 +0200\nMessage-ID: <1@example.com>\n";
    let text = |number: usize| format!("{head}X-Number: {number}\n{TEXT}j\u{fc}rgen {number}\n");
    let begun = std::time::Instant::now();
    for number in 0..500 {
        let mail = message(text(number));
        let mail = Mail { from: FROM, to: &to, message: &mail, no_reports: true };
        let verdicts = connection.send(&mail).await.unwrap();
        assert_eq!(words(&verdicts), "sent never sent", "{verdicts:?}");
    }
    println!("{:.0} mails a second into Postfix", 500.0 / begun.elapsed().as_secs_f64());
    for user in ["a", "b"] {
        let mails = postfix.mails(user, 500);
        assert_eq!(mails.len(), 500);
        assert!((0..500).all(|number| mails.iter().any(|mail| mail.ends_with(text(number).as_bytes()))));
    }
    let mut count = 500;
    for end in ENDS.into_iter().filter(|end| !end.contains('\0')) {
        let evil = "MAIL FROM:<evil@x.example>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n\r\nx\r\n.\r\n";
        let mail = message(format!("Subject: x\n\nx{end}{evil}tail"));
        let to = addresses(&["a@x.example"]);
        let mail = Mail { from: FROM, to: &to, message: &mail, no_reports: true };
        assert_eq!(words(&connection.send(&mail).await.unwrap()), "sent");
        count += 1;
    }
    let big = message("x\n".repeat(500_000));
    let mail = Mail { from: FROM, to: &to, message: &big, no_reports: true };
    assert_eq!(outcome(&connection.send(&mail).await), "mail never");
    connection.quit().await;
    let mails = postfix.mails("a", count);
    assert_eq!(mails.len(), count);
    assert_eq!(mails.iter().filter(|mail| mail.ends_with(b"tail\n")).count(), count - 500);
}
