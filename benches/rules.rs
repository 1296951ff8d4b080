//! How fast the rules decide: `cargo bench --bench rules`.
//!
//! One thread, messages in memory. Half of what is printed as µs is what one core needs for one message, the other
//! the same as messages per second. Each figure is the best of several rounds: what the program needs, without what the
//! machine did beside it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, dead_code, missing_docs)]

#[path = "../tests/it/engine.rs"]
mod engine;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailsluice::filter::Engine;
use mailsluice::filter::trial::ToldFacts;
use mailsluice::message::{Bytes, Envelope, Message};

/// Field and text of the 20 rules, each with a folder of its own, as in the side-by-side benchmark.
const RULES: [(&str, &str); 20] = [
    ("List-Id", "<rust-users.lists.example>"),
    ("List-Id", "<kernel.lists.example>"),
    ("List-Id", "<debian-devel.lists.example>"),
    ("List-Id", "<notmuch.lists.example>"),
    ("List-Id", "<emacs-devel.lists.example>"),
    ("From", "<news@shop.example>"),
    ("From", "<billing@host.example>"),
    ("From", "<alerts@monitor.example>"),
    ("From", "<no-reply@social.example>"),
    ("From", "<boss@work.example>"),
    ("Subject", "[JIRA]"),
    ("Subject", "[CI]"),
    ("Subject", "Invoice"),
    ("Subject", "Backup report"),
    ("To", "<root@server.example>"),
    ("To", "<postmaster@server.example>"),
    ("To", "<sales@work.example>"),
    ("To", "<me+shop@example.com>"),
    ("Cc", "<team@work.example>"),
    ("X-Spam-Flag", "YES"),
];

/// The header of an ordinary message: 25 fields, 2.6 KB.
const HEADER: &str = "\
Return-Path: <ann.example@mail.example>
Delivered-To: me@example.com
Received: from mx.example.com (mx.example.com [192.0.2.1])\n\tby imap.example.com (Dovecot) with LMTP id 4bQmXk2vZ9z\n\tfor <me@example.com>; Mon, 23 Nov 2026 11:59:59 +0100 (CET)
Received: from out3.mail.example (out3.mail.example [198.51.100.7])\n\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits))\n\tby mx.example.com (Postfix) with ESMTPS id 4bQmXk0Yq9z3xQ\n\tfor <me@example.com>; Mon, 23 Nov 2026 11:59:58 +0100 (CET)
Received: from [10.0.0.7] (dsl-17.provider.example [203.0.113.4])\n\tby out3.mail.example (Postfix) with ESMTPSA id 0C1D2E3F40\n\tfor <me@example.com>; Mon, 23 Nov 2026 11:59:57 +0100 (CET)
Authentication-Results: mx.example.com; dkim=pass header.d=mail.example;\n\tspf=pass smtp.mailfrom=ann.example@mail.example; dmarc=pass header.from=mail.example
ARC-Seal: i=1; a=rsa-sha256; t=1795431598; cv=none; d=mx.example.com; s=arc;\n\tb=QHk2mN1p7rT0vXyZ3aBcD5eFgH8iJkL9mN0oPqR2sTuV4wXyZ6aBcD8eFgH0iJkLmNoPq
ARC-Authentication-Results: i=1; mx.example.com; dkim=pass header.d=mail.example
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=mail.example; s=2026;\n\tt=1795431597; h=from:to:subject:date:message-id:mime-version:content-type;\n\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\n\tb=a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2g3H4i5J6\n\tk7L8m9N0o1P2q3R4s5T6u7V8w9X0y1Z2a3B4c5D6e7F8g9H0i1J2k3L4m5N6o7P8q9R0s1T2
From: Ann Example <ann.example@mail.example>
To: Me <me@example.com>, Bob Builder <bob@build.example>
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= from the mountains, and a question about Thursday
Date: Mon, 23 Nov 2026 11:59:57 +0100
Message-ID: <20261123115957.12345.abcdef@mail.example>
In-Reply-To: <20261122080000.54321.fedcba@example.com>
References: <20261120080000.1.a@mail.example> <20261121080000.2.b@example.com>\n <20261122080000.54321.fedcba@example.com>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
User-Agent: Mutt/2.2.13
X-Mailer: none
Accept-Language: de, en
X-Originating-IP: [203.0.113.4]
X-Spam-Status: No, score=-2.1 required=5.0 tests=BAYES_00,DKIM_SIGNED
Thread-Index: AQHb1234567890abcdefghijklmnopqrstuv
";

const BODY: &str = "Dear all,\n\nthe pass is open again, and the huts have room.\n\n";

/// A filter as people write it: a list, an address, a size.
const LUA: &str = r#"return function(m, act)
  if m.list_id == "rust-users.lists.example" then return act.fileinto("lists/rust") end
  if m.from.domain == "work.example" then return act.fileinto("work") end
  if m.size > 10 * MB then return act.fileinto("big") end
end"#;

/// The messages of the bench: one for each of the first 20 rules, and one for none.
fn messages() -> Vec<Vec<u8>> {
    let fits = RULES.iter().map(|(field, text)| {
        let others = HEADER.split_inclusive('\n');
        let prefix = format!("{field}:");
        let head: String = others.filter(|line| !line.starts_with(&prefix)).collect();
        format!("{head}{field}: {text}\n\n{}", BODY.repeat(30)).into_bytes()
    });
    let none = format!("{HEADER}\n{}", BODY.repeat(30)).into_bytes();
    fits.chain([none]).collect()
}

/// So many rules; the 20 are the last, so that all are asked.
fn rules(count: usize) -> Engine {
    let mut text = String::from("rules:\n");
    for i in 0..count {
        let (field, what) = RULES[i % RULES.len()];
        let what = if i + RULES.len() >= count { what.to_owned() } else { format!("{what}-{i}") };
        text +=
            &format!("  - {{if: {{header: {{{field}: {{contains: \"{what}\"}}}}}}, do: {{fileinto: \"f/{i}\"}}}}\n");
    }
    engine::yaml(&text)
}

/// So many rules as a grown rule set has them, in files of a thousand: every address and list by itself.
fn addresses(count: usize) -> Vec<String> {
    let rule = |i: usize| match i % 4 {
        0 => format!("{{from: {{is: person{i}@example{i}.org}}}}"),
        1 => format!("{{list_id: {{contains: list-{i}.example}}}}"),
        2 => format!("{{subject: {{contains: \"[topic-{i}]\"}}}}"),
        _ => format!("{{to: {{is: me+shop{i}@example.com}}}}"),
    };
    let file = |start: usize| {
        let rules =
            (start..count.min(start + 1000)).map(|i| format!("  - {{if: {}, do: {{fileinto: f/{i}}}}}\n", rule(i)));
        format!("rules:\n{}", rules.collect::<String>())
    };
    (0..count).step_by(1000).map(file).collect()
}

/// Twenty rules whose comparisons have values in them.
fn valued() -> Engine {
    let mut text = String::from("rules:\n");
    for i in 0..20 {
        text += &format!(
            "  - {{if: {{from: {{regex: '^(?<who>[^@]+)@(?<at>.+)$'}}, subject: {{contains: \"${{who}}-{i}\"}}}}, do: {{fileinto: \"f/{i}\"}}}}\n"
        );
    }
    engine::yaml(&text)
}

fn index(bytes: &[u8]) -> Arc<Message> {
    Arc::new(Message::new(Bytes::Memory(bytes.to_vec())))
}

fn main() {
    let raw = messages();
    let indexed: Vec<Arc<Message>> = raw.iter().map(|bytes| index(bytes)).collect();
    let (envelope, told) = (engine::envelope(), ToldFacts::default());
    let world = World { envelope: &envelope, told: &told };
    let (twenty, many) = (rules(20), rules(200));
    let (empty, script) = (engine::body(""), engine::lua(LUA));
    let folders: std::collections::BTreeSet<String> =
        indexed.iter().map(|message| world.decide(&twenty, message)).collect();
    assert_eq!(folders.len(), raw.len(), "each message goes elsewhere: {folders:?}");

    println!("{:<58} {:>9} {:>12}", "", "µs each", "messages/s");
    measure("20 header rules, message indexed", &indexed, |message| world.decide(&twenty, message));
    measure("index alone (header block into fields)", &raw, |bytes| index(bytes).fields().len());
    measure("index and 20 header rules", &raw, |bytes| world.decide(&twenty, &index(bytes)));
    measure("200 header rules, message indexed", &indexed, |message| world.decide(&many, message));
    measure("empty Lua filter: a fresh environment", &indexed, |message| world.decide(&empty, message));
    measure("Lua filter with three tests", &indexed, |message| world.decide(&script, message));
    let with_values = valued();
    measure("20 rules with values in their comparisons", &indexed, |message| world.decide(&with_values, message));
    for count in [2_000, 10_000] {
        let files = addresses(count);
        measure(&format!("reading {count} rules"), &[()], |()| engine::files(&files).len());
        let engine = engine::files(&files);
        measure(&format!("{count} rules, message indexed"), &indexed, |message| world.decide(&engine, message));
    }
    measure("20 header rules, explained", &indexed, |message| twenty.explain(message, &envelope, &told).1.lines.len());
}

struct World<'a> {
    envelope: &'a Envelope,
    told: &'a ToldFacts,
}

impl World<'_> {
    fn decide(&self, engine: &Engine, message: &Arc<Message>) -> String {
        engine.decide(message, self.envelope, self.told).unwrap().to_string()
    }
}

/// Prints the best of several rounds.
fn measure<M, T>(what: &str, messages: &[M], work: impl Fn(&M) -> T) {
    let round = |times: usize| {
        let start = Instant::now();
        for message in messages.iter().cycle().take(times) {
            black_box(work(black_box(message)));
        }
        start.elapsed()
    };
    let mut times = messages.len();
    while round(times) < Duration::from_millis(100) {
        times *= 2;
    }
    let best = (0..7).map(|_| round(times)).min().unwrap().as_secs_f64() / times as f64;
    println!("{what:<58} {:>9.2} {:>12.0}", best * 1e6, 1.0 / best);
}
