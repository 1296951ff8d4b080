//! Where the servers of an address are: from whom it is known, what is believed, and what liars achieve.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use mailsluice::config::Config;
use mailsluice::discover::{DiscoverOptions, DiscoveryPorts, Found, Offer, config_lines, discover};
use mailsluice::error::Kind;
use mailsluice::providers::MailProtocol;
use rustls::ServerConfig;
use sha2::{Digest, Sha256};

use crate::support::dns_server::{DnsServer, Record};
use crate::support::sandbox::Sandbox;
use crate::support::smtp_server::{SmtpOptions, SmtpServer};
use crate::support::tls::{self, Certificate};
use crate::support::web_server::{Answer, Greeter, WebServer};
use crate::support::wire::Security;

const ADDRESS: &str = "ann+x@firm.example";
const HOSTS: [&str; 6] = [
    "autoconfig.firm.example",
    "firm.example",
    "ua-auto-config.firm.example",
    "database.example",
    "imap.firm.example",
    "smtp.firm.example",
];

fn certificate() -> Arc<ServerConfig> {
    tls::server_config_for(&HOSTS)
}

/// The world in which is looked: nothing is asked that is not in it.
struct World {
    _home: tempfile::TempDir,
    options: DiscoverOptions,
}

impl World {
    fn new(dns: &DnsServer) -> Self {
        let home = tempfile::tempdir().unwrap();
        let ca_file = Some(tls::write_ca(home.path()));
        // Port 1 refuses.
        let ports = DiscoveryPorts { https: 1, http: 1, imap: 1, pop3: 1, smtp: 1, submission: 1 };
        let deadline = Duration::from_secs(60);
        let options = DiscoverOptions { resolver: Some(dns.address()), ca_file, deadline, ports, database: None };
        Self { _home: home, options }
    }

    fn with_web(dns: &DnsServer, web: &WebServer) -> Self {
        let mut world = Self::new(dns);
        world.options.ports.https = web.port();
        world
    }

    fn look(&self) -> Found {
        self.look_for(ADDRESS)
    }

    fn look_for(&self, address: &str) -> Found {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let found = runtime.block_on(discover(address, &self.options)).unwrap();
        runtime.shutdown_background();
        found
    }
}

fn autoconfig(host: &str) -> Answer {
    Answer::text(format!(
        "<?xml version=\"1.0\"?><clientConfig version=\"1.1\"><emailProvider id=\"firm.example\">
         <incomingServer type=\"imap\"><hostname>{host}</hostname><port>993</port><socketType>SSL</socketType>
           <username>%EMAILLOCALPART%</username></incomingServer>
         <outgoingServer type=\"smtp\"><hostname>smtp.firm.example</hostname><port>587</port>
           <socketType>STARTTLS</socketType><username>%EMAILADDRESS%</username></outgoingServer>
         </emailProvider></clientConfig>"
    ))
}

fn shown(offer: Option<&Offer>) -> (&str, u16, &str, bool, &'static str) {
    let offer = offer.expect("a server");
    (offer.host.as_str(), offer.port, offer.user.as_str(), offer.is_confirmed(), offer.origin.word())
}

fn why<'f>(found: &'f Found, source: &str) -> &'f str {
    found.tried.iter().find(|tried| tried.source == source).map_or("", |tried| tried.why.as_str())
}

const LOOPBACK: [(&str, Record); 6] = [
    (HOSTS[0], Record::Loopback),
    (HOSTS[1], Record::Loopback),
    (HOSTS[2], Record::Loopback),
    (HOSTS[3], Record::Loopback),
    (HOSTS[4], Record::Loopback),
    (HOSTS[5], Record::Loopback),
];

/// A name server that knows our hosts, and more.
fn names(more: &[(&'static str, Record)]) -> DnsServer {
    DnsServer::start(&[&LOOPBACK, more].concat())
}

#[test]
fn a_provider_of_the_table_is_known_without_asking_anybody() {
    let dns = names(&[]);
    let found = World::new(&dns).look_for("ann@ME.com");
    assert_eq!(found.provider.unwrap().name, "iCloud");
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.mail.me.com", 993, "ann", true, "table"));
    assert_eq!(shown(found.best(MailProtocol::Smtp)), ("smtp.mail.me.com", 587, "ann@ME.com", true, "table"));
    assert!(dns.asked().is_empty(), "{:?}", dns.asked());
}

#[test]
fn a_server_in_doubt_is_connected_to_before_it_is_named() {
    let dns = names(&[]);
    let found = World::new(&dns).look_for("ann@mailbox.org");
    assert_eq!(dns.asked().first().map(String::as_str), Some("pop3.mailbox.org"));
    assert!(found.best(MailProtocol::Pop3).is_none() && found.best(MailProtocol::Imap).is_some(), "{found:?}");
    assert_eq!(why(&found, "pop3.mailbox.org"), "it is not verified, and it does not answer");
}

#[test]
fn domains_of_customers_are_known_by_their_exchangers() {
    for (exchanger, provider, host, is_token_only) in [
        ("ASPMX.L.Google.com", "Gmail", "imap.gmail.com", false),
        ("firm-example.mail.protection.outlook.com", "Microsoft 365", "outlook.office365.com", true),
        ("mx00.kundenserver.de", "IONOS", "imap.ionos.de", false),
    ] {
        let dns =
            names(&[("firm.example", Record::Mx(20, "mx.other.example")), ("firm.example", Record::Mx(10, exchanger))]);
        let found = World::new(&dns).look();
        assert_eq!(found.provider.unwrap().name, provider);
        assert_eq!(shown(found.best(MailProtocol::Imap)), (host, 993, ADDRESS, false, "mx"), "DNS is not signed");
        assert_eq!(found.best(MailProtocol::Imap).unwrap().is_token_only, is_token_only);
    }
}

#[test]
fn autoconfig_of_the_domain_is_confirmed_and_goes_before_dns() {
    for place in [
        "autoconfig.firm.example/mail/config-v1.1.xml",
        "firm.example/.well-known/autoconfig/mail/config-v1.1.xml",
        "autoconfig.firm.example/.well-known/mail-v1.xml",
    ] {
        let dns = names(&[("firm.example", Record::Mx(10, "aspmx.l.google.com"))]);
        let web = WebServer::start(Some(certificate()), &[(place, autoconfig("imap.firm.example"))]);
        let found = World::with_web(&dns, &web).look();
        assert_eq!(
            shown(found.best(MailProtocol::Imap)),
            ("imap.firm.example", 993, "ann+x", true, "autoconfig"),
            "{place}"
        );
        assert_eq!(shown(found.best(MailProtocol::Smtp)), ("smtp.firm.example", 587, ADDRESS, true, "autoconfig"));
        assert!(found.provider.is_none(), "the servers are not Google's");
        assert!(
            web.requests().contains(&format!("{place}?emailaddress=ann%2Bx%40firm.example")),
            "{:?}",
            web.requests()
        );
    }
}

#[test]
fn autoconfig_over_http_is_not_confirmed() {
    let dns = names(&[]);
    let web =
        WebServer::start(None, &[("autoconfig.firm.example/mail/config-v1.1.xml", autoconfig("imap.evil.example"))]);
    let mut world = World::new(&dns);
    world.options.ports.http = web.port();
    let found = world.look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.evil.example", 993, "ann+x", false, "autoconfig-http"));
}

#[test]
fn a_certificate_that_does_not_hold_confirms_nothing() {
    let dns = names(&[]);
    let documents = [("autoconfig.firm.example/mail/config-v1.1.xml", autoconfig("imap.evil.example"))];
    for certificate in [tls::server_config_for(&["other.example"]), tls::server_config(Certificate::SelfSigned)] {
        let web = WebServer::start(Some(certificate), &documents);
        let found = World::with_web(&dns, &web).look();
        assert!(found.offers.is_empty() && web.requests().is_empty(), "{found:?}");
    }
}

const PACC: &str = r#"{"protocols": {"imap": {"host": "imap.firm.example"}, "submit": {"host": "smtp.firm.example"}}, "authentication": {"password": true}}"#;

/// The record of a document.
fn record_of(document: &str) -> Record {
    let hash = BASE64.encode(&Sha256::digest(document.as_bytes()));
    Record::Txt(String::leak(format!("v=UAAC1; a=sha256; d={hash}")))
}

#[test]
fn pacc_counts_with_its_hash_alone() {
    let name = "_ua-auto-config.firm.example";
    let place = "ua-auto-config.firm.example/.well-known/user-agent-configuration.json";
    let (right, wrong) = (record_of(PACC), record_of("another"));
    for (records, is_believed) in [
        (vec![(name, right)], true),
        (vec![(name, wrong), (name, right)], true),
        (vec![(name, wrong)], false),
        (vec![(name, Record::Txt("v=UAAC1; a=sha256; d=%"))], false),
        (vec![], false),
    ] {
        let dns = names(&records);
        let web = WebServer::start(Some(certificate()), &[(place, Answer::text(PACC))]);
        let found = World::with_web(&dns, &web).look();
        assert_eq!(found.best(MailProtocol::Imap).is_some(), is_believed, "{records:?} {found:?}");
        if is_believed {
            assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 993, ADDRESS, true, "pacc"));
            assert_eq!(shown(found.best(MailProtocol::Smtp)), ("smtp.firm.example", 465, ADDRESS, true, "pacc"));
        }
    }
}

#[test]
fn services_of_dns_are_not_confirmed() {
    let dns = names(&[
        ("_imaps._tcp.firm.example", Record::Srv(10, 0, 993, "second.firm.example")),
        ("_imaps._tcp.firm.example", Record::Srv(5, 1, 1993, "imap.firm.example")),
        ("_imap._tcp.firm.example", Record::Srv(0, 0, 143, "imap.firm.example")),
        ("_pop3s._tcp.firm.example", Record::Srv(0, 0, 0, ".")),
        ("_submission._tcp.firm.example", Record::Srv(0, 0, 587, "smtp.firm.example")),
        ("_submissions._tcp.firm.example", Record::Srv(0, 0, 465, "not_a host.example")),
    ]);
    let found = World::new(&dns).look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 1993, ADDRESS, false, "srv"));
    assert!(found.best(MailProtocol::Pop3).is_none(), "a target that is the root means that there is none");
    assert_eq!(shown(found.best(MailProtocol::Smtp)), ("smtp.firm.example", 587, ADDRESS, false, "srv"));
    assert_eq!(found.offers.len(), 3, "{found:?}");
}

#[test]
fn mozillas_database_is_asked_by_the_domain_and_by_the_exchanger() {
    for (place, is_confirmed, origin) in [
        ("database.example/v1.1/firm.example", true, "ispdb"),
        ("database.example/v1.1/hoster.example", false, "ispdb-by-mx"),
    ] {
        let dns = names(&[("firm.example", Record::Mx(10, "mx1.in.hoster.example"))]);
        let web = WebServer::start(Some(certificate()), &[(place, autoconfig("imap.firm.example"))]);
        let mut world = World::with_web(&dns, &web);
        world.options.database = Some(format!("https://database.example:{}/v1.1/", web.port()));
        assert_eq!(
            shown(world.look().best(MailProtocol::Imap)),
            ("imap.firm.example", 993, "ann+x", is_confirmed, origin)
        );
        let of_database = web.requests().into_iter().filter(|asked| asked.starts_with("database"));
        assert!(of_database.clone().all(|asked| !asked.contains("ann")), "it learns the domain alone");
        assert!(of_database.count() >= 1);
    }
}

#[test]
fn usual_names_are_taken_where_a_server_greets_behind_tls() {
    let dns = names(&[]);
    let imap = Greeter::start(certificate(), "* OK ready\r\n");
    let mut world = World::new(&dns);
    world.options.ports.imap = imap.port();
    // What greets as another protocol is no server of this one.
    world.options.ports.smtp = imap.port();
    let found = world.look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", imap.port(), ADDRESS, false, "guess"));
    assert!(found.best(MailProtocol::Smtp).is_none(), "{found:?}");
    let other = Greeter::start(tls::server_config_for(&["other.example"]), "* OK ready\r\n");
    world.options.ports.imap = other.port();
    assert!(world.look().offers.is_empty(), "a certificate for another name");
}

#[test]
fn a_usual_name_may_begin_tls_later_and_must_begin_it() {
    let dns = names(&[]);
    let mut world = World::new(&dns);
    for (security, is_taken) in [
        (Security::StartTls(Certificate::Firm), true),
        (Security::StartTls(Certificate::WrongName), false),
        (Security::Plain, false),
    ] {
        let server = SmtpServer::start(SmtpOptions { security, ..SmtpOptions::default() });
        world.options.ports.submission = server.port();
        let found = world.look();
        assert_eq!(found.best(MailProtocol::Smtp).is_some(), is_taken, "{security:?} {found:?}");
        if is_taken {
            assert_eq!(
                shown(found.best(MailProtocol::Smtp)),
                ("smtp.firm.example", server.port(), ADDRESS, false, "guess")
            );
        }
    }
}

#[test]
fn the_order_is_the_one_of_trust() {
    let dns = names(&[
        ("firm.example", Record::Mx(10, "aspmx.l.google.com")),
        ("_imaps._tcp.firm.example", Record::Srv(0, 0, 993, "srv.firm.example")),
    ]);
    let web = WebServer::start(
        Some(certificate()),
        &[
            ("autoconfig.firm.example/mail/config-v1.1.xml", autoconfig("own.firm.example")),
            ("database.example/firm.example", autoconfig("database.firm.example")),
        ],
    );
    let mut world = World::with_web(&dns, &web);
    world.options.database = Some(format!("https://database.example:{}/", web.port()));
    let found = world.look();
    let hosts: Vec<&str> =
        found.offers.iter().filter(|offer| offer.mail == MailProtocol::Imap).map(|offer| offer.host.as_str()).collect();
    assert_eq!(hosts, ["own.firm.example", "database.firm.example", "imap.gmail.com", "srv.firm.example"]);
}

/// What stands at the domain's first place, and what is said of it then. Nothing of it is believed.
#[track_caller]
fn lie(answer: impl FnOnce(u16) -> Vec<(String, Answer)>) -> String {
    let dns = names(&[]);
    let web = WebServer::start_with(Some(certificate()), answer);
    let found = World::with_web(&dns, &web).look();
    assert!(found.offers.is_empty(), "{found:?}");
    assert!(!found.tried.iter().any(|tried| tried.why.contains(char::is_control)), "{found:?}");
    why(&found, "autoconfig").to_owned()
}

/// All three places have the same.
fn everywhere(answer: Answer) -> Vec<(String, Answer)> {
    let places = [
        "autoconfig.firm.example/mail/config-v1.1.xml",
        "firm.example/.well-known/autoconfig/mail/config-v1.1.xml",
        "autoconfig.firm.example/.well-known/mail-v1.xml",
    ];
    places.iter().map(|place| ((*place).to_owned(), answer.clone())).collect()
}

#[test]
fn lies_over_https_are_not_believed() {
    let bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><clientConfig><emailProvider>&b;</emailProvider></clientConfig>";
    assert!(lie(|_| everywhere(Answer::text(bomb))).contains("cannot be read"));
    let large = lie(|_| everywhere(Answer::Long(10 * 1024 * 1024)));
    assert!(large.contains("limit"), "{large}");
}

#[test]
fn a_host_that_is_none_is_left_out_and_the_others_stay() {
    let dns = names(&[]);
    for host in ["a&#10;imap: evil.example", "imap&#9;.firm.example", "10.0.0.1", "imap.firm.example#"] {
        let web = WebServer::start_with(Some(certificate()), |_| everywhere(autoconfig(host)));
        let found = World::with_web(&dns, &web).look();
        assert!(
            found.best(MailProtocol::Imap).is_none() && found.best(MailProtocol::Smtp).is_some(),
            "{host} {found:?}"
        );
    }
}

#[test]
fn redirections_stay_within_https_and_end() {
    let dns = names(&[]);
    let unprotected = WebServer::start(None, &[("autoconfig.firm.example/x", autoconfig("imap.evil.example"))]);
    let http = unprotected.port();
    let down = lie(|_| everywhere(Answer::Moved(format!("http://autoconfig.firm.example:{http}/x"))));
    assert_eq!(down, "it redirects from https to http");
    assert!(unprotected.requests().is_empty());
    let round = lie(|port| {
        let own = format!("https://autoconfig.firm.example:{port}/mail/config-v1.1.xml");
        everywhere(Answer::Moved(own))
    });
    assert_eq!(round, "it redirects too often");
    assert_eq!(lie(|_| everywhere(Answer::Moved("/elsewhere".to_owned()))), "it answered 404");
    for place in ["file:///etc/passwd", "//evil.example/x", "elsewhere"] {
        assert_eq!(
            lie(|_| everywhere(Answer::Moved(place.to_owned()))),
            "it redirects to something that is not a web address"
        );
    }
    let good = WebServer::start_with(Some(certificate()), |port| {
        let moved = Answer::Moved(format!("https://firm.example:{port}/mail.xml"));
        let mut all = everywhere(moved);
        all.push(("firm.example/mail.xml".to_owned(), autoconfig("imap.firm.example")));
        all
    });
    let found = World::with_web(&dns, &good).look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 993, "ann+x", true, "autoconfig"));
}

#[test]
fn who_does_not_answer_holds_up_nobody() {
    let dns = names(&[
        ("_imaps._tcp.firm.example", Record::Srv(0, 0, 993, "imap.firm.example")),
        ("_ua-auto-config.firm.example", Record::Silence),
    ]);
    let web = WebServer::start_with(Some(certificate()), |_| everywhere(Answer::Silence));
    let mut world = World::with_web(&dns, &web);
    world.options.deadline = Duration::from_secs(1);
    let found = world.look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 993, ADDRESS, false, "srv"));
    assert_eq!(why(&found, "PACC"), "it did not answer in time");
    assert!(!why(&found, "autoconfig").is_empty(), "{found:?}");
}

#[test]
fn a_place_that_is_silent_does_not_take_the_others_along() {
    let dns = names(&[]);
    let start = |silent: usize| {
        WebServer::start_with(Some(certificate()), |_| {
            let mut all = everywhere(autoconfig("imap.firm.example"));
            all[silent].1 = Answer::Silence;
            all
        })
    };
    // The first one answers: what comes behind it is not waited for.
    let found = World::with_web(&dns, &start(2)).look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 993, "ann+x", true, "autoconfig"));
    let web = start(0);
    let mut world = World::with_web(&dns, &web);
    world.options.deadline = Duration::from_secs(2);
    let found = world.look();
    assert_eq!(shown(found.best(MailProtocol::Imap)), ("imap.firm.example", 993, "ann+x", true, "autoconfig"));
    assert!(found.offers[0].origin.to_string().contains(".well-known/autoconfig"), "{found:?}");
}

#[test]
fn exchangers_that_lead_in_circles_lead_nowhere() {
    let dns = names(&[("firm.example", Record::Mx(10, "firm.example"))]);
    let web = WebServer::start(Some(certificate()), &[]);
    let mut world = World::with_web(&dns, &web);
    world.options.database = Some(format!("https://database.example:{}/", web.port()));
    assert_eq!(why(&world.look(), "mail exchangers"), "they belong to no known provider");
    let dns = names(&[
        ("_imaps._tcp.firm.example", Record::Cname("a.firm.example")),
        ("a.firm.example", Record::Cname("b.firm.example")),
        ("b.firm.example", Record::Cname("a.firm.example")),
    ]);
    assert!(World::new(&dns).look().offers.is_empty());
}

#[test]
fn what_is_no_address_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for text in
        ["ann", "ann@", "@firm.example", "ann@firm example", "ann@-x.example", "ann@[127.0.0.1]", "a\nb@firm.example"]
    {
        let error = runtime.block_on(discover(text, &DiscoverOptions::default())).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{text}");
    }
}

/// Writes the lines into a config and loads it.
fn pasted(lines: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("config.yaml");
    std::fs::write(&path, format!("maildir: /m\nstate: /s\n{lines}")).unwrap();
    Config::load(&path).unwrap_or_else(|problems| panic!("{problems:?}\n{lines}")).0
}

#[test]
fn the_lines_to_paste_are_a_config() {
    let dns = names(&[]);
    for address in ["me@gmail.com", "ann@me.com", "me@hotmail.com"] {
        let lines = config_lines(&World::new(&dns).look_for(address)).unwrap();
        let config = pasted(&lines);
        assert_eq!((config.accounts.len(), config.relays.len()), (1, 1), "{lines}");
    }
    let web = WebServer::start_with(Some(certificate()), |_| everywhere(autoconfig("imap.firm.example")));
    let config = pasted(&config_lines(&World::with_web(&dns, &web).look()).unwrap());
    let account = &config.accounts[0];
    assert_eq!(
        (account.name.as_str(), account.user.as_str(), account.server.host.as_str()),
        ("firm", "ann+x", "imap.firm.example")
    );
    assert_eq!(config.relays[0].from.as_deref(), Some(ADDRESS));
}

#[test]
fn the_command_shows_what_was_found_and_from_where() {
    let dns = names(&[
        ("firm.example", Record::Mx(10, "aspmx.l.google.com")),
        ("_imaps._tcp.other.example", Record::Srv(0, 0, 1993, "imap.other.example")),
    ]);
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    let resolver = dns.address().to_string();
    let run = |address: &str, more: &[&str]| {
        sandbox.run(&[&["discover", address, "--resolver", &resolver, "--no-database"], more].concat())
    };
    let known = run("me@gmail.com", &[]);
    assert_eq!(known.code, 0, "{known:?}");
    assert!(
        known.stdout.contains("Gmail wants an app password") && known.stdout.contains("address: me@gmail.com"),
        "{known:?}"
    );
    let by_exchanger = run("ann@firm.example", &[]);
    assert!(
        by_exchanger.stdout.contains("by the mail exchanger aspmx.l.google.com (not confirmed)"),
        "{by_exchanger:?}"
    );
    assert!(by_exchanger.stdout.contains("Not confirmed: imap.gmail.com, smtp.gmail.com."), "{by_exchanger:?}");
    let as_json = run("ann@other.example", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&as_json.stdout).unwrap();
    assert_eq!(
        (&json["servers"][0]["host"], &json["servers"][0]["confirmed"]),
        (&"imap.other.example".into(), &false.into())
    );
    assert!(json["config"].as_str().unwrap().contains("imap: {host: imap.other.example, port: 1993, tls: implicit}"));
    let nothing = run("ann@nowhere.example", &[]);
    assert_eq!(nothing.code, 69, "{nothing:?}");
    assert!(nothing.stderr.contains("no server to fetch from was found"), "{nothing:?}");
    assert_eq!(run("ann", &[]).code, 64);
}

#[test]
fn check_shows_what_follows_from_an_address() {
    let sandbox = Sandbox::new(env!("CARGO_BIN_EXE_mailsluice"));
    sandbox.config("maildir: ~/Mail\naccounts: {apple: {address: ann@me.com, password: {env: X}}}\n");
    let said = sandbox.run(&["check"]);
    let line = "apple: imap at imap.mail.me.com port 993 as ann, and out by smtp.mail.me.com port 587 as ann@me.com";
    assert!(said.code == 0 && said.stderr.contains(line), "{said:?}");
    let json: serde_json::Value = serde_json::from_str(sandbox.run(&["check", "--json"]).stdout.trim()).unwrap();
    assert_eq!((&json["imap"]["user"], &json["smtp"]["user"]), (&"ann".into(), &"ann@me.com".into()));
}
