//! DNS lookups. The answers are not signed, so anybody on the way could have forged them.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::DiscoverOptions;
use super::web::WebFailure;

/// How long one attempt of a query may take. There are two attempts.
const QUERY_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How many records of a name are used.
const MOST_RECORDS: usize = 16;

/// The name servers: those of the system, or the one in the options.
#[derive(Clone)]
pub(super) struct Dns {
    resolver: Result<TokioResolver, WebFailure>,
}

/// A server in a SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SrvRecord {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    /// `None`: the domain says that it does not offer the service.
    pub(super) host: Option<String>,
}

impl Dns {
    pub(super) fn new(options: &DiscoverOptions) -> Self {
        let builder = match options.resolver {
            None => TokioResolver::builder_tokio()
                .map_err(|e| WebFailure::from(format!("no name server is configured: {e}"))),
            Some(at) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = at.port();
                    connection
                });
                let server = NameServerConfig::new(at.ip(), true, connections.to_vec());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
        };
        let resolver = builder.and_then(|mut builder| {
            bound(builder.options_mut());
            builder.build().map_err(|e| WebFailure::from(format!("no name server can be asked: {e}")))
        });
        Self { resolver }
    }

    /// The mail exchangers of a domain, in order of preference (RFC 5321 5.1).
    pub(super) async fn exchangers(&self, domain: &str) -> Result<Vec<String>, WebFailure> {
        let mut found: Vec<(u16, String)> = Vec::new();
        for data in self.ask(domain, RecordType::MX).await? {
            if let RData::MX(mx) = data
                && let Some(host) = host_of(&mx.exchange)
            {
                found.push((mx.preference, host));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, host)| host).collect())
    }

    /// The servers of a service like `_imaps._tcp.example.com`.
    pub(super) async fn services(&self, name: &str) -> Result<Vec<SrvRecord>, WebFailure> {
        let found = self.ask(name, RecordType::SRV).await?.into_iter().filter_map(|data| match data {
            RData::SRV(srv) => {
                let host = host_of(&srv.target);
                // An invalid name is ignored; the root means that the service is not offered.
                (host.is_some() || srv.target.is_root()).then_some(SrvRecord {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    host,
                })
            }
            _ => None,
        });
        Ok(found.collect())
    }

    /// The TXT records of a name, with the strings of each joined.
    pub(super) async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, WebFailure> {
        let texts = self.ask(name, RecordType::TXT).await?.into_iter().filter_map(|data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The addresses of a host.
    pub(super) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, WebFailure> {
        let resolver = self.resolver.as_ref().map_err(WebFailure::clone)?;
        let name = absolute(host)?;
        let found = resolver.lookup_ip(name).await.map_err(|e| match e.is_no_records_found() || e.is_nx_domain() {
            true => WebFailure::from(format!("there is no host {host}")),
            false => WebFailure::from(e.to_string()),
        })?;
        Ok(found.iter().take(MOST_RECORDS).map(|address| SocketAddr::new(address, port)).collect())
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, WebFailure> {
        let resolver = self.resolver.as_ref().map_err(WebFailure::clone)?;
        let found = resolver.lookup(absolute(name)?, kind).await;
        match found {
            Ok(found) => Ok(found.answers().iter().take(MOST_RECORDS).map(|record| record.data.clone()).collect()),
            Err(e) if e.is_no_records_found() || e.is_nx_domain() => Ok(Vec::new()),
            Err(e) => Err(e.to_string().into()),
        }
    }
}

/// Adds the final dot, so that the system's search domains are not tried.
fn absolute(name: &str) -> Result<Name, WebFailure> {
    let name = Name::from_ascii(format!("{}.", name.trim_end_matches('.')));
    name.map_err(|e| WebFailure::from(format!("such a name cannot be looked up: {e}")))
}

/// The name in lower case and without its final dot, if it is a valid host name.
fn host_of(name: &Name) -> Option<String> {
    let text = name.to_ascii();
    let host = text.trim_end_matches('.').to_lowercase();
    (host.contains('.') && crate::config::is_host_name(&host)).then_some(host)
}

fn bound(options: &mut ResolverOpts) {
    options.timeout = QUERY_TIMEOUT;
    options.attempts = 2;
    options.cache_size = 64;
}
