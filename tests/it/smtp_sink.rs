//! Sending to servers that others wrote.

use mailsluice::outbox::relay::Mail;
use mailsluice::outbox::smtp::SmtpRelay;

use crate::smtp::{FROM, addresses, lmtp, message, outcome, send, smtp, words};
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
