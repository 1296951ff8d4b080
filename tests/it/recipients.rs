//! To whom `mailsluice sendmail` sends: whoever is named, or nobody.

use crate::outbox::User;
use crate::support::maildir::Maildirs;
use crate::support::sandbox::Output;
use crate::support::smtp_server::{SmtpOptions, SmtpServer, Taken};

/// One user, and the server that his mail goes to.
pub struct Seat {
    pub user: User,
    pub server: SmtpServer,
}

impl Seat {
    pub fn new() -> Self {
        let server = SmtpServer::start(SmtpOptions::default());
        Self { user: User::with_relay("  - {name: none, do: keep}", &server), server }
    }

    pub fn run(&self, options: &[&str], message: &str) -> Output {
        self.user.sandbox.run_with_stdin(&[&["--allow-root", "sendmail"], options].concat(), message)
    }

    /// What the server got for it.
    pub fn sent(&self, options: &[&str], message: &str) -> Vec<Taken> {
        let before = self.server.count();
        let output = self.run(options, message);
        assert_eq!(output.code, 0, "{message}: {output}");
        self.user.until("it is sent", |rows| rows.iter().all(|row| row["state"] == "sent"));
        self.server.mails().split_off(before)
    }

    /// To whom a message with this To goes.
    fn to(&self, to: &str) -> Vec<String> {
        let mut taken = self.sent(&["-t"], &format!("From: me@home.example\nTo: {to}\nSubject: x\n\nx\n"));
        assert_eq!(taken.len(), 1, "{to}");
        taken.remove(0).to
    }

    pub fn is_refused(&self, options: &[&str], message: &str, code: i32, says: &str) {
        let output = self.run(options, message);
        assert_eq!(output.code, code, "{options:?} {message}: {output}");
        assert!(output.stderr.contains(says), "{options:?} {message}: {says}: {output}");
        assert_eq!((self.user.rows().len(), self.server.count()), (0, 0), "{message}");
    }
}

fn message(fields: &str) -> String {
    format!("From: me@home.example\n{fields}\nSubject: x\n\nx\n")
}

#[test]
fn b1_m55_m71_a_quoted_local_part_is_one_address() {
    let seat = Seat::new();
    for (to, sent) in [
        ("\"a@b.example\"@example.net", &["\"a@b.example\"@example.net"][..]),
        ("\"taro..x\"@docomo.example, bob@example.net", &["\"taro..x\"@docomo.example", "bob@example.net"]),
        ("\"ann\"@example.net", &["ann@example.net"]),
        ("\"john.doe\"@y.example, root, b@y.example", &["john.doe@y.example", "me@home.example", "b@y.example"]),
        ("user@example.net(x), b@y.example", &["user@example.net", "b@y.example"]),
        ("ann@example.net, , bob@example.net,", &["ann@example.net", "bob@example.net"]),
        ("<@a.example:ann@example.net>", &["ann@example.net"]),
        ("Friends: ann@example.net, Bob <bob@example.net>;", &["ann@example.net", "bob@example.net"]),
        ("Doe Miller, Jane <jane@example.net>", &["jane@example.net"]),
        ("ann@bücher.example", &["ann@xn--bcher-kva.example"]),
    ] {
        assert_eq!(seat.to(to), sent, "{to}");
    }
    for to in ["\"taro..x\"@docomo.example", "Taro <\"taro..x\"@docomo.example>"] {
        let taken = seat.sent(&[to], "Subject: x\n\nx\n");
        assert_eq!(taken[0].to, ["\"taro..x\"@docomo.example"], "{to}");
    }
}

#[test]
fn b1_m43_m70_m72_s1_what_is_no_address_is_sent_to_nobody() {
    let seat = Seat::new();
    for (to, part) in [
        ("\"ann b\"@example.net, bob@example.net", "\"ann b\"@example.net"),
        ("\"foo@psres.example> ORCPT=admin@admin.example\"@test.example", "ORCPT=admin@admin.example"),
        ("\"xc@gmail.example x\"@internal.example", "xc@gmail.example"),
        ("user@good-corp.example(x)evil.example", "user@good-corp.example(x)evil.example"),
        ("Foo Bar, a@y.example", "`Foo Bar` cannot be read"),
        ("<broken, a@y.example", "`<broken` cannot be read"),
        ("a@y.example, broken@", "`broken@` cannot be read"),
        ("<bob@y.example> <evil@z.example>", "`<bob@y.example>` cannot be read"),
        ("webmaster, Ann <a@y.example>", "`webmaster` may be a recipient or a part of the name"),
        ("a@b..c, b@y.example", "a@b..c"),
    ] {
        seat.is_refused(&["-t"], &message(&format!("To: {to}")), 65, part);
        seat.is_refused(&["-t"], &message(&format!("To: c@y.example\nBcc: {to}")), 65, "in Bcc");
    }
}

/// Behind its first 256 KiB a header was left as it was, with its Bcc.
#[test]
fn a_header_that_is_not_read_whole_is_not_sent() {
    let seat = Seat::new();
    let many: String = (0..16_000).map(|n| format!("\n a{n}@list.example,")).collect();
    let message = format!("From: me@home.example\nTo: x@y.example,{many}\n z@y.example\nBcc: secret@x.example\n\nx\n");
    seat.is_refused(&["bob@x.example"], &message, 65, "over 256 KiB");
}

#[test]
fn s12_one_argument_is_one_address() {
    let seat = Seat::new();
    for argument in [
        "bob@y.example>\r\nRCPT TO:<evil@z.example",
        "<bob@y.example> <evil@z.example>",
        "a@y.example, b@y.example",
        "a@x b@x",
        "",
        "a@",
        "Foo Bar",
        "-x@y.example",
        "\"foo@psres.example> ORCPT=admin@admin.example\"@test.example",
    ] {
        seat.is_refused(&["--", argument, "c@y.example"], "Subject: x\n\nx\n", 64, "sendmail: ");
    }
    for sender in ["a@y.example, b@y.example", "me@home.example>\r\nRCPT TO:<evil@z.example"] {
        seat.is_refused(&["-f", sender, "c@y.example"], "Subject: x\n\nx\n", 64, "the sender");
    }
}

#[test]
fn s1_all_of_five_thousand_recipients_are_sent_to() {
    let seat = Seat::new();
    let all: Vec<String> = (0..5_000).map(|number| format!("person{number}@y.example")).collect();
    let taken = seat.sent(&["-t"], &message(&format!("Bcc: {}", all.join(",\n "))));
    assert_eq!(taken.len(), 5, "a thousand in each transaction");
    let to: Vec<&String> = taken.iter().flat_map(|mail| &mail.to).collect();
    let sorted = |mut list: Vec<&String>| {
        list.sort_unstable();
        list.into_iter().cloned().collect::<Vec<_>>()
    };
    assert!(sorted(to) == sorted(all.iter().collect()), "everybody once");
    assert!(taken.iter().all(|mail| !String::from_utf8_lossy(&mail.message()).contains("person")));
    // The header is read so far, and what stands behind that is not left out.
    let more = message(&format!("Bcc: {}", all.join(",\n ").repeat(4)));
    assert!(more.len() > 256 * 1024);
    let output = seat.run(&["-t"], &more);
    assert!(output.code == 65 && output.stderr.contains("256 KiB"), "{output}");
}

#[test]
fn names_without_a_domain_are_the_owners_or_have_his() {
    let seat = Seat::new();
    assert_eq!(seat.to("root, a@y.example"), ["me@home.example", "a@y.example"]);
    assert_eq!(seat.to("root, Ann <a@y.example>"), ["me@home.example", "a@y.example"]);
    assert_eq!(seat.to("Cron Daemon <root>"), ["me@home.example"]);
    assert_eq!(seat.to("daemon"), ["me@home.example"], "a login of the machine");
    assert_eq!(seat.to("webmaster.x, a@y.example"), ["webmaster.x@home.example", "a@y.example"]);
    let taken = seat.sent(&["root", "webmaster.x", "daemon"], "Subject: x\n\nx\n");
    assert_eq!(taken[0].to, ["me@home.example", "webmaster.x@home.example"]);
    let port = seat.server.port();
    let relay = format!("relays: {{default: {{smtp: {{host: 127.0.0.1, port: {port}, tls: none}}}}}}\n");
    seat.user.config(&format!("{relay}domain: Work.example\n"));
    assert_eq!(seat.to("root, webmaster.x"), ["me@home.example", "webmaster.x@work.example"]);
    seat.user.config(&format!("{relay}domain: \"work.example, x\"\n"));
    let output = seat.user.sandbox.run(&["check"]);
    assert!(output.code == 78 && output.stdout.contains("a domain like `example.com`"), "{output}");
}

/// cron and at throw away what is said: what a daemon had to say must not vanish.
#[test]
fn with_oem_what_cannot_be_sent_is_in_the_inbox() {
    let seat = Seat::new();
    let text = message("To: Foo Bar, a@y.example");
    for (options, code) in [(&["-t", "-i", "-oem"][..], 65), (&["-FCronDaemon", "-i", "-oem", "a@x b@x"], 64)] {
        let output = seat.run(options, &text);
        assert!(output.code == code && output.stderr.contains("it is in the inbox"), "{output}");
    }
    let inbox = seat.user.inbox();
    assert_eq!(inbox.iter().filter(|mail| **mail == text).count(), 2, "{inbox:#?}");
    let notices: Vec<&String> = inbox.iter().filter(|mail| mail.contains("X-Mailsluice-Notice: not-sent")).collect();
    assert_eq!((inbox.len(), notices.len()), (4, 2), "{inbox:#?}");
    assert!(notices.iter().any(|notice| notice.contains("`Foo Bar` cannot be read")), "{notices:#?}");
    assert!(notices.iter().any(|notice| notice.contains("`a@x b@x`")), "{notices:#?}");
    let output = seat.run(&["-t", "-oi"], &text);
    assert!(output.code == 65 && seat.user.inbox().len() == 4, "whoever reads what is said gets no mail: {output}");
}

#[test]
fn b1_m82_m61_the_sender_is_one_address() {
    let seat = Seat::new();
    let sent = |from: &str| seat.sent(&["a@y.example"], &format!("From: {from}\nSubject: x\n\nx\n")).remove(0);
    assert!(sent("\"x@evil.example y\"@example.org").mail.starts_with("MAIL FROM:<me@home.example>"));
    let taken = sent("\"me.\"@example.org");
    assert!(String::from_utf8_lossy(&taken.message()).starts_with("From: \"me.\"@example.org"), "as it was written");
}

/// It passed as the boss, together with what DMARC says of another domain.
#[test]
fn b1_sp00_a_quoted_boss_is_none() {
    let user = User::without_relay(
        "  - {name: boss, if: {from: boss@work.example}, do: {fileinto: boss}}\n\
         \x20 - {name: work, if: {from: {is: work.example, part: domain}}, do: {fileinto: boss}}\n\
         \x20 - {name: ann, if: {from: ann@example.net}, do: {fileinto: ann}}\n\
         \x20 - {name: taro, if: {from: taro..x@docomo.example}, do: {fileinto: taro}}",
    );
    for from in [
        "\"boss@work.example\"@evil.example",
        "<\"boss@work.example\"@evil.example>",
        "boss@work.example(x)evil.example",
        "\"ann\"@example.net",
        "Taro <\"taro..x\"@docomo.example>",
        "Cannes, Sud <ann@example.net>",
    ] {
        user.deliver(format!("From: {from}\nTo: me@home.example\nSubject: {from}\n\nx\n"));
    }
    let mails = |folder: &str| Maildirs::at(user.sandbox.maildir()).in_folder(folder).len();
    assert_eq!((mails("boss"), mails("ann"), mails("taro"), mails("INBOX")), (0, 2, 1, 3));
}
