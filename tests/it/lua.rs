//! What a script sees and what it can ask for: each test is a script, and what is decided.

use std::collections::BTreeMap;

use mailsluice::config::Settings;
use mailsluice::decision::Decision;
use mailsluice::filter::FactAnswer;
use mailsluice::filter::trial::ToldFacts;

use crate::engine::{body, decided, envelope, failure, lua, message, settings, shown, yaml};

const MESSAGE: &str = "\
Return-Path: <ann+work@Mail.example>
Delivered-To: me+shop@example.com
Authentication-Results: mx.example.com; dkim=pass header.d=mail.example; spf=fail; dmarc=pass
From: =?utf-8?Q?J=C3=B6rg?= <ann+work@Mail.example>, Second <two@mail.example>
Sender: list@mail.example
Reply-To: reply@mail.example
To: me+shop@example.com, Bob <bob@build.example>
Cc: carol@build.example
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= and more
Date: Tue, 24 Dec 2025 18:30:00 +0900
Message-ID: <1@mail.example>
In-Reply-To: <0@example.com>
References: <00@example.com> <0@example.com>
List-Id: Rust users <rust.lists.example>
X-Spam-Score: 7.5
X-Spam-Flag: YES
X-Twice: one
X-Twice: two
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

The text.
--b
Content-Type: application/pdf; name=a.pdf
Content-Disposition: attachment; filename=\"report one.pdf\"

x
--b--
";

/// The expression is true of the message.
#[track_caller]
fn holds(expression: &str) {
    let decision = decided(&body(&format!("assert({expression}, 'it does not hold')")), MESSAGE);
    assert!(decision.failures.is_empty(), "{expression}: {:?}", decision.failures);
}

/// What the statements decide, in the words of the log.
#[track_caller]
fn does(statements: &str) -> Decision {
    let decision = decided(&body(statements), MESSAGE);
    assert!(decision.failures.is_empty(), "{statements}: {:?}", decision.failures);
    decision
}

#[track_caller]
fn decides(statements: &str, expected: &str) {
    assert_eq!(does(statements).to_string(), expected, "{statements}");
}

/// The statements fail, the message is kept, and the failure says this.
#[track_caller]
fn fails(statements: &str, says: &str) {
    let decision = decided(&body(statements), MESSAGE);
    assert!(failure(&decision).contains(says), "{statements}: {}", failure(&decision));
    assert!(failure(&decision).starts_with("script.lua:1: "), "{}", failure(&decision));
}

#[test]
fn fields_of_the_message() {
    for expression in [
        "m.subject == 'Grüße and more'",
        "m.from.addr == 'ann+work@Mail.example' and m.from.name == 'Jörg'",
        "m.from.localpart == 'ann+work' and m.from.user == 'ann' and m.from.detail == 'work'",
        "m.from.domain == 'Mail.example'",
        "#m.to == 2 and m.to[2].name == 'Bob' and m.to[2].detail == nil",
        "m.cc[1].addr == 'carol@build.example' and #m.bcc == 0",
        "m.reply_to[1].addr == 'reply@mail.example' and m.sender[1].addr == 'list@mail.example'",
        "#m.recipients == 3",
        "m.envelope.from == 'ann+work@Mail.example' and m.envelope.to == 'me+shop@example.com'",
        "m.date.year == 2025 and m.date.month == 12 and m.date.day == 24 and m.date.hour == 18 and m.date.min == 30",
        "m.now.year == 2026 and m.now.weekday == 1 and m.now.hour == 12",
        "m.age == 0 and m.size > 500 and m.size < 2 * KB",
        "m.account == 'work' and m.folder == 'INBOX' and #m.flags == 0",
        "m.list_id == 'rust.lists.example' and m.message_id == '1@mail.example'",
        "#m.references == 2 and m.references[1] == '0@example.com'",
        "m.kind == 'list'",
        "m.auth.dkim == 'pass' and m.auth.spf == 'fail' and m.auth.dmarc == 'pass'",
        "m.spam.score == 7.5 and m.spam.flag == true",
    ] {
        holds(expression);
    }
}

#[test]
fn methods_of_the_message() {
    for expression in [
        "m:header('x-twice') == 'one' and m:header('X-None') == nil",
        "table.concat(m:headers('X-Twice'), ' ') == 'one two' and #m:headers('X-None') == 0",
        "m:raw_header('Subject') == '=?utf-8?Q?Gr=C3=BC=C3=9Fe?= and more'",
        "#m:addresses('From') == 2 and m:addresses('From')[2].user == 'two'",
        "m:exists_any('X-None', 'List-Id') and not m:exists_any('X-None')",
        "m:body() == 'The text.' and m:body(3) == 'The'",
        "m:raw_body():find('--b', 1, true) == 1",
        "#m:parts() == 3 and m:parts()[2].type == 'text/plain' and m:part_text(2) == 'The text.'",
        "#m:attachments() == 1 and m:attachments()[1].filename == 'report one.pdf'",
        "m:attachments()[1].type == 'application/pdf' and m:attachments()[1].size == 1",
        "m:in_list('me', 'me+shop@example.com') and not m:in_list('me', m.from.addr)",
        "not m:duplicate() and not m:duplicate{key = m.subject, keep_for = '14d'}",
        "m:matches{subject = {contains = 'GRÜSSE'}} == false and m:matches{subject = {contains = 'GRÜßE'}}",
        "m:matches{any = {{size = {over = '1M'}}, {attachment = {name = {matches = '*.pdf'}}}}}",
    ] {
        holds(expression);
    }
}

#[test]
fn expressions_and_paths() {
    holds("re.match([=[^(?<list>[^.]+)[.]]=], m.list_id).list == 'rust'");
    holds("re.match('(GR)', m.subject)[1] == 'Gr' and re.match('none', m.subject) == nil");
    holds("path('a/b') == 'a_b'");
    decides("act.fileinto('by/' .. path('../../x'))", "fileinto by/%2E._.._x");
    fails("re.match('(', 'x')", "unclosed group");
}

#[test]
fn filing() {
    decides("act.fileinto('a/b')", "fileinto a/b");
    decides("act.fileinto{'a', 'b'}", "fileinto a, fileinto b");
    decides("act.fileinto({'a', 'b'}, {flags = 'seen'})", "fileinto a [S], fileinto b [S]");
    decides("act.fileinto('a', {copy = true})", "fileinto a, keep");
    decides("act:fileinto('a')", "fileinto a");
    decides("act.fileinto{mbox = 'old/box'}", "fileinto mbox old/box");
    decides("act.addflag('flagged') act.addflag{'seen', '$x'} act.removeflag('seen') act.keep()", "keep [F $x]");
    decides("act.fileinto{'by/a\\nb', 'c'}", "fileinto by/a%0Ab, fileinto c");
    decides("if m:matches{subject = {is = {'a\\nb', ''}}} then act.discard() end", "keep");
    decides("return act.discard()", "discard");
    decides("", "keep");
    decides("act.stop()", "keep");
    fails("act.fileinto('a', 'b')", "several are a table");
    fails("act.addflag('seen', 'flagged')", "several are a table");
    fails("act.addflag('seen', {copy = true})", "takes no options");
    fails("act.fileinto('a', {cop = true})", "did you mean `copy`?");
    fails("act.filinto('a')", "there is no action act.filinto");
}

#[test]
fn telling() {
    decides("act.redirect('you@phone.example', {copy = true, even_spam = true})", "redirect you@phone.example, keep");
    decides("act.redirect('you@phone.example', {copy = true})", "keep");
    decides("act.pipe{run = {'import', m.subject}}", "pipe import Grüße and more, at most 1m");
    decides(
        "for _, p in ipairs(m:attachments()) do act.pipe{run = {'import', '--', p.filename}, part = p, copy = true} end act.keep()",
        "pipe import -- report one.pdf, at most 1m, keep",
    );
    let decision = does("act.pipe{run = {'x'}, part = m:attachments()[1]}");
    assert!(format!("{decision:?}").contains("input: Part(3)"), "{decision:?}");
    decides("act.notify('hello')", "notify desktop, keep");
    decides("act.notify('hello', {mail = 'me@phone.example'})", "notify me@phone.example, keep");
    fails("act.notify('hello', {mail = m.from.addr})", "a message cannot choose where it goes");
    decides("act.lmtp{to = 'me@example.com', relay = 'dovecot'}", "lmtp me@example.com");
    fails("act.lmtp{to = 'me', relay = 'dovecot'}", "me has no domain, and is no parameter of this script");
    fails("act.redirect(m.from.addr)", "a message cannot choose where it goes");
    fails("act.reply{template = 'x.txt'}", "a script has no templates");
}

#[test]
fn headers() {
    let header = |statements: &str, name: &str| {
        let decision = does(&format!("{statements} act.keep()"));
        let message = message(MESSAGE);
        let values: Vec<String> =
            decision.version(&message, 1).all(name).map(|field| field.value().to_owned()).collect();
        values.join("|")
    };
    assert_eq!(header("act.setheader('Subject', '[x] ' .. m.subject)", "Subject"), "[x] Grüße and more");
    assert_eq!(header("act.setheader{Subject = 'a ${subject} $$'}", "Subject"), "a ${subject} $$");
    assert_eq!(header("act.addheader('X-Twice', 'three')", "X-Twice"), "three|one|two");
    assert_eq!(header("act.deleteheader('X-Twice')", "X-Twice"), "");
    assert_eq!(header("act.deleteheader('X-Twice', {contains = 'two'})", "X-Twice"), "one");
    fails("act.addheader('X: y\\r\\nBcc', 'x')", "is no header field name");
    fails("act.setheader('Received', 'x')", "cannot be changed");
}

#[test]
fn logging() {
    let notes = |statements: &str| does(statements).notes.join("|");
    assert_eq!(notes("act.log('plain %d')"), "plain %d");
    assert_eq!(notes("act.log('x %d %s', 3, m.list_id)"), "x 3 rust.lists.example");
    assert_eq!(notes("act.log(m.size > 3)"), "true");
    assert_eq!(notes("act.log(setmetatable({}, {__tostring = function() return m.account end}))"), "work");
    assert_eq!(notes("act:log('x')"), "x");
    fails("act.log('%d', 'x')", "number expected, got string");
}

#[test]
fn programs() {
    let programs = BTreeMap::from([("next".to_owned(), FactAnswer::Ended { code: 0, out: b"17\n".to_vec() })]);
    let told = ToldFacts { programs, ..ToldFacts::default() };
    let script =
        body("local r = act.execute{run = {'next'}, timeout = 10} if r.code == 0 then act.fileinto('t/' .. r.out) end");
    let decision = script.decide(&message(MESSAGE), &envelope(), &told).unwrap();
    assert_eq!(decision.to_string(), "fileinto t/17");
    fails("act.execute{run = {m.account}}", "does not stand in this script");
    fails("act.execute{run = {'next', '-' .. m.account}}", "would be taken for an option");
    fails("m:matches{run = {'next', '-' .. m.account}}", "would be taken for an option");
    fails("m:matches{any = {{run = {run = {m.account}}}}}", "does not stand in this script");
}

#[test]
fn lists_and_writes() {
    let text = "
lists: {muted: {database: true}}
rules:
  - do: {lua: 'if m:in_list(\"muted\", m.from.addr) then act.discard() else act.add_to_list(\"muted\", m.from.addr) end'}
";
    let engine = yaml(text);
    let decision = decided(&engine, MESSAGE);
    assert_eq!((decision.to_string().as_str(), decision.writes.len()), ("keep", 1), "{decision:?}");
    let lists = [("muted".to_owned(), [("ann+work@mail.example".to_owned(), None)].into())].into();
    let told = ToldFacts { lists, ..ToldFacts::default() };
    let decision = engine.decide(&message(MESSAGE), &envelope(), &told).unwrap();
    assert_eq!(decision.to_string(), "discard");
    fails("m:in_list('mee', 'x')", "did you mean `me`?");
}

#[test]
fn expressions_in_a_rule_file() {
    let engine = yaml(
        "rules: [{if: {lua: 'm.from.domain:lower() == \"mail.example\" and #m:attachments() == 1'}, do: {fileinto: x}}]",
    );
    assert_eq!(decided(&engine, MESSAGE).to_string(), "fileinto x");
    assert_eq!(decided(&engine, "From: a@mail.example\n\nx\n").to_string(), "keep");
}

#[test]
fn a_missing_header_is_no_error() {
    let script = body(
        "act.log(m.subject .. '|' .. m.from.addr .. '|' .. #m.to .. '|' .. tostring(m.list_id) .. '|' .. m.kind .. '|' .. m:body())",
    );
    assert_eq!(decided(&script, "\n").notes, ["||0|nil|personal|"]);
}

#[test]
fn mistakes_name_file_and_line() {
    fails("m.subjct:lower()", "a message has no subjct; did you mean subject?");
    fails("m.subject = 'x'", "the message cannot be changed");
    fails("act.x = 1", "act cannot be changed");
    fails("local x = nil + 1", "arithmetic");
    let three = lua("return function(m, act)\n  local x\n  x.y = 1\nend");
    assert!(failure(&decided(&three, MESSAGE)).starts_with("script.lua:3: "), "{:?}", decided(&three, MESSAGE));
    let deep = lua("local function f(m)\n  return m:header(nil)\nend\nreturn function(m, act)\n  f(m)\nend");
    assert!(failure(&decided(&deep, MESSAGE)).starts_with("script.lua:2: "), "{:?}", decided(&deep, MESSAGE));
    let none = lua("local x = 1");
    assert!(failure(&decided(&none, MESSAGE)).contains("a filter returns a function"));
    let problems = crate::engine::lua_with("return function(m, act)\n  if x the\nend", &settings()).unwrap_err();
    assert!(shown(&problems).contains("script.lua:2:"), "{}", shown(&problems));
}

#[test]
fn the_time_of_a_program_is_not_the_script_s() {
    let short = Settings { script_time: std::time::Duration::from_millis(100), ..settings() };
    let engine =
        crate::engine::lua_with("return function(m, act) act.execute{run = {'slow'}} act.fileinto('x') end", &short)
            .unwrap();
    let slow = Slow(ToldFacts::default());
    let decision = engine.decide(&message(MESSAGE), &envelope(), &slow).unwrap();
    assert_eq!(decision.to_string(), "fileinto x", "{decision:?}");
}

/// A world whose programs take their time.
struct Slow(ToldFacts);

impl mailsluice::filter::Facts for Slow {
    fn now(&self) -> jiff::Zoned {
        self.0.now()
    }

    fn holds(&self, fact: &mailsluice::decision::Fact) -> Result<bool, mailsluice::filter::Unanswered> {
        self.0.holds(fact)
    }

    fn counted(&self, of: &mailsluice::decision::Counted) -> Result<u64, mailsluice::filter::Unanswered> {
        self.0.counted(of)
    }

    fn last_number(&self, counter: &str) -> Result<Option<u64>, mailsluice::filter::Unanswered> {
        self.0.last_number(counter)
    }

    fn list(&self, origin: &mailsluice::config::lists::EntriesOrigin) -> mailsluice::filter::KnownList {
        self.0.list(origin)
    }

    fn ask(&self, question: &mailsluice::filter::Ask<'_>) -> FactAnswer {
        std::thread::sleep(std::time::Duration::from_millis(300));
        self.0.ask(question)
    }
}

/// A mistyped name is an error at any depth, with the one that was meant; what is not there this time is nil.
#[test]
fn a_wrong_name_is_an_error_on_every_table() {
    for (statements, says) in [
        ("return m.subjct", "a message has no subjct; did you mean subject?"),
        ("return m.from.adr", "an address has no adr; did you mean addr?"),
        ("return m.to.addr", "a list of addresses has no addr: its first address is [1], as in m.to[1].addr"),
        ("return m.to[1].domian", "an address has no domian; did you mean domain?"),
        ("return m:addresses('To').addr", "a list of addresses has no addr"),
        ("return m.date.yaer", "a date has no yaer; did you mean year?"),
        ("return m.now.minute", "a date has no minute; did you mean min?"),
        ("return m.envelope.form", "an envelope has no form; did you mean from?"),
        ("return m.spam.socre", "m.spam has no socre; did you mean score?"),
        ("return m.auth.dmrac", "m.auth has no dmrac; did you mean dmarc?"),
        ("return m.flags.seen", "a list has no seen: its first item is [1], and ipairs walks it"),
        ("return m:attachments().name", "a list has no name"),
        ("return m:parts()[1].filname", "a part has no filname; did you mean filename?"),
        ("return m:parts()[1].names.x", "a list has no x"),
        ("return act.fileInto('x')", "there is no action act.fileInto; did you mean fileinto?"),
        ("return act.execute{run = {'true'}}.output", "the answer of a program has no output; did you mean out?"),
        ("return param.foldr", "this script has no parameter foldr"),
        ("return forlder .. 'x'", "there is no forlder: nothing gives this name a value"),
        ("foo(1)", "there is no foo"),
        ("tosting(1)", "there is no tosting: nothing gives this name a value; did you mean tostring?"),
        ("print('x')", "there is no print here: act.log(…) writes a line into the journal"),
        ("return os.time()", "there is no os here: the time is m.now"),
        ("return io.open('x')", "there is no io here: a script reaches no files"),
        ("return require('x')", "there is no require here: a script is one file"),
        ("act.fileinto('')", "the name of a folder is empty"),
    ] {
        fails(statements, says);
    }
    for expression in [
        "m.to[3] == nil and m.to[2].detail == nil and m:parts()[9] == nil and m.flags[1] == nil",
        "m:parts()[1].filename == nil and m:parts()[1].parent == nil",
        "rawget(m.from, 'adr') == nil and (function() for i, a in ipairs(m.to) do if i == 2 then return a.name end end end)() == 'Bob'",
    ] {
        holds(expression);
    }
    let fails = |text: &str, says: &str| {
        let decision = decided(&lua(text), MESSAGE);
        assert!(failure(&decision).contains(says), "{}", failure(&decision));
    };
    fails(
        "return function(m, act) return 'lists' end",
        "a filter returns nothing: to file into lists, call act.fileinto(\"lists\")",
    );
    fails(
        "local x = m.subject return function(m, act) end",
        "there is no m here: it is the first argument of the function",
    );
}

#[test]
fn without_a_name_there_is_none() {
    let decision = |from: &str| {
        let engine = body("act.fileinto('people/' .. path(m.from.name or m.from.addr))");
        decided(&engine, format!("From: {from}\n\nx\n")).to_string()
    };
    assert_eq!(decision("Ann <a@x.example>"), "fileinto people/Ann");
    assert_eq!(decision("a@x.example"), "fileinto people/a@x.example");
    assert_eq!(decision("\"\" <a@x.example>"), "fileinto people/a@x.example");
}

#[test]
fn texts_and_all_matches_of_an_expression() {
    for expression in [
        "text.lower('ÄRGER') == 'ärger' and text.upper('straße') == 'STRASSE' and text.title('rust users') == 'Rust Users'",
        "text.trim('  x ') == 'x' and text.length('Grüße') == 5",
        "(function() local n = 0 for l in re.gmatch([[(\\w)(?<b>\\w)]], 'abcde') do n = n + 1 assert(l.b == (n == 1 and 'b' or 'd')) end return n end)() == 2",
        "re.gsub('[./]', 'a.b/c', '_') == 'a_b_c'",
        "select(2, re.gsub('X', 'xxx', 'y', 2)) == 2 and re.gsub('X', 'xxx', 'y', 2) == 'yyx'",
        "re.gsub([[(\\w+) (?<last>\\w+)]], 'ann example', '${last}, ${1} $$') == 'example, ann $'",
        "re.gsub([[\\w+]], 'a b', function(c) return c[0] == 'a' and 'x' or nil end) == 'x b'",
        "re.gsub([[\\w]], 'a b', {a = '1'}) == '1 b'",
        "re.gsub('x*', 'axb', '-') == '-a-b-'",
        "re.gsub('ü', 'Grüße', 'ue') == 'Grueße'",
        "(function() local first, last, found = re.find('(l+)', 'hello') return first == 3 and last == 4 and found[1] == 'll' end)()",
        "re.find('x', 'hello') == nil and re.find('l', 'hello', 4) == 4 and re.find('^l', 'hello', 4) == nil",
    ] {
        holds(expression);
    }
}

#[test]
fn json_in_and_out() {
    for expression in [
        "json.decode('{\"host\": \"web\", \"n\": 3, \"ok\": true, \"none\": null, \"list\": [1, null, \"x\"]}').host == 'web'",
        "json.decode('{\"n\": 3}').n == 3 and json.decode('[1, null, 2]')[2] == json.null and #json.decode('[1, null, 2]') == 3",
        "json.decode('{\"a\": null}').a == nil and json.decode(' 7 ') == 7 and json.decode('\"ü\"') == 'ü'",
        "json.encode({b = 1, a = {1, 2.5, 'x', false, json.null}}) == '{\"a\":[1,2.5,\"x\",false,null],\"b\":1}'",
        "json.encode(json.decode('{\"a\":[{\"b\":\"\\\\u00fc\"}]}')) == '{\"a\":[{\"b\":\"ü\"}]}'",
    ] {
        holds(expression);
    }
}

#[test]
fn all_fields_of_the_header() {
    holds(
        "table.concat(m:header_names(), ' '):find('Return-Path Delivered-To Authentication-Results From Sender', 1, true) == 1",
    );
    holds(
        "(function() local n, raw = 0 for name, value, written in m:fields() do if name == 'X-Twice' then n = n + 1 end if name == 'Subject' then raw = written assert(value == 'Grüße and more') end end return n == 2 and raw == m:raw_header('Subject') end)()",
    );
    decides(
        "for name, value in m:fields() do if value:find('rust') then act.fileinto('rust') end end",
        "fileinto rust",
    );
}
