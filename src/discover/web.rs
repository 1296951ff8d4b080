//! Fetches small documents over https, and over http if requested.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::DiscoverOptions;
use super::dns::Dns;
use crate::error::Result;
use crate::net::web::tls_config;

/// The largest document. Real ones have a few kilobytes.
const MOST_BYTES: u64 = 256 * 1024;
/// How many redirects are followed.
const MOST_REQUESTS: usize = 4;

/// Why a source has no offers. The text is shown to people, after it was cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebFailure(String);

impl std::fmt::Display for WebFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for WebFailure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for WebFailure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The web client.
pub(super) struct Web<'d> {
    dns: &'d Dns,
    tls: TlsConfig,
    deadline: Instant,
    pub(super) https: u16,
    pub(super) http: u16,
}

impl<'d> Web<'d> {
    pub(super) fn new(options: &DiscoverOptions, dns: &'d Dns, deadline: Instant) -> Result<Self> {
        let tls = tls_config(options.ca_file.as_deref())?;
        Ok(Self { dns, tls, deadline, https: options.ports.https, http: options.ports.http })
    }

    /// The https address of a document, with the port if it is not the standard one.
    pub(super) fn https(&self, host: &str, path: &str) -> String {
        address("https", host, self.https, 443, path)
    }

    /// The same for http.
    pub(super) fn http(&self, host: &str, path: &str) -> String {
        address("http", host, self.http, 80, path)
    }

    /// Fetches a document. A redirect from https to http is an error.
    pub(super) async fn get(&self, address: &str) -> Result<Vec<u8>, WebFailure> {
        let fetched = timeout_at(self.deadline, self.follow(address)).await;
        fetched.unwrap_or_else(|_| Err("it did not answer in time".into()))
    }

    async fn follow(&self, address: &str) -> Result<Vec<u8>, WebFailure> {
        let mut address = address.to_owned();
        for _ in 0..MOST_REQUESTS {
            match self.step(&address).await? {
                WebStep::Here(body) => return Ok(body),
                WebStep::There(place) => address = redirected(&address, &place)?,
            }
        }
        Err("it redirects too often".into())
    }

    async fn step(&self, address: &str) -> Result<WebStep, WebFailure> {
        let uri: Uri = address.parse().map_err(|_| WebFailure::from("the address is not valid"))?;
        let host = uri.host().filter(|host| crate::config::is_host_name(host)).ok_or("it names no host")?.to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let addresses = self.dns.addresses(&host, port).await?;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let (agent, address) = (self.agent(addresses, left), address.to_owned());
        let (answer, answered) = oneshot::channel();
        // At the deadline the receiver is gone. The thread is not waited for, and ends soon after.
        let work = move || _ = answer.send(exchange(&agent, &address));
        thread::Builder::new().name("discover".to_owned()).spawn(work).map_err(|e| WebFailure::from(e.to_string()))?;
        answered.await.map_err(|e| WebFailure::from(e.to_string()))?
    }

    fn agent(&self, addresses: Vec<SocketAddr>, left: Duration) -> Agent {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(left))
            .user_agent(concat!("mailsluice/", env!("CARGO_PKG_VERSION")))
            .tls_config(self.tls.clone())
            .build();
        Agent::with_parts(config, DefaultConnector::new(), Fixed(addresses))
    }
}

/// The target of a redirect. One from https to http is refused.
fn redirected(here: &str, place: &str) -> Result<String, WebFailure> {
    let (scheme, rest) = here.split_once("://").ok_or("the address is not valid")?;
    if place.starts_with('/') && !place.starts_with("//") {
        let host = rest.split('/').next().unwrap_or_default();
        return Ok(format!("{scheme}://{host}{place}"));
    }
    match (scheme, place.split_once("://").map(|(scheme, _)| scheme)) {
        (_, Some("https")) | ("http", Some("http")) => Ok(place.to_owned()),
        (_, Some("http")) => Err("it redirects from https to http".into()),
        _ => Err("it redirects to something that is not a web address".into()),
    }
}

enum WebStep {
    Here(Vec<u8>),
    There(String),
}

/// Does one request. Blocks.
fn exchange(agent: &Agent, address: &str) -> Result<WebStep, WebFailure> {
    let mut answer = agent.get(address).call().map_err(|e| WebFailure::from(e.to_string()))?;
    match answer.status().as_u16() {
        200 => {
            let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec();
            body.map(WebStep::Here).map_err(|e| WebFailure::from(e.to_string()))
        }
        301 | 302 | 303 | 307 | 308 => {
            let place = answer.headers().get("location").and_then(|place| place.to_str().ok());
            place.map(|place| WebStep::There(place.to_owned())).ok_or_else(|| "it redirects without an address".into())
        }
        code => Err(format!("it answered {code}").into()),
    }
}

fn address(scheme: &str, host: &str, port: u16, usual: u16, path: &str) -> String {
    match port == usual {
        true => format!("{scheme}://{host}{path}"),
        false => format!("{scheme}://{host}:{port}{path}"),
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986 2.1).
pub(super) fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A resolver for addresses that were looked up before.
#[derive(Debug)]
struct Fixed(Vec<SocketAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        // ureq has room for sixteen.
        self.0.iter().take(16).for_each(|address| found.push(*address));
        if self.0.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}
