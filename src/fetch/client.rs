//! The HTTP client: certificates of the machine, proxies as the usual variables name them, no patience without end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::Credentials;
use super::address::{Address, Scheme};
use super::{Error, PAUSES};

/// Variables that say how a machine reaches the network: its proxies, and the certificates it trusts.
pub const NETWORK: [&str; 10] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What downloads go through. Cheap to share between threads; keeps connections open between downloads.
pub struct Client {
    http: Agent,
    https: Agent,
    pub(super) pauses: Vec<Duration>,
    /// The beginning of addresses that are asked with this token.
    token: Option<(String, String)>,
    credentials: Credentials,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Proxies have passwords, and a token is nobody's business.
        out.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that uses the proxies that these variables name: `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`,
    /// each also in capitals.
    pub fn new(variables: &BTreeMap<OsString, OsString>) -> Result<Self, Error> {
        let exempt = variable(variables, &["no_proxy"]).map(|(_, value)| value);
        let proxy = |names: [&str; 2]| {
            variable(variables, &names)
                .map(|(name, value)| {
                    proxy(&value, exempt.as_deref().unwrap_or_default())
                        .ok_or(Error::Proxy { variable: name })
                })
                .transpose()
        };
        Ok(Self {
            http: agent(proxy(["http_proxy", "all_proxy"])?),
            https: agent(proxy(["https_proxy", "all_proxy"])?),
            pauses: PAUSES.to_vec(),
            token: None,
            credentials: Credentials::default(),
        })
    }

    /// The same that answers a server which wants to know who asks. Redirections are followed without.
    #[must_use]
    pub fn with(self, credentials: &Credentials) -> Self {
        Self {
            credentials: credentials.clone(),
            ..self
        }
    }

    /// The same with a token (RFC 6750) that is sent to addresses of this server, and to no other that it leads to.
    #[must_use]
    pub fn with_token(self, server: &str, token: &str) -> Self {
        let below = format!("{}/", server.trim_end_matches('/'));
        Self {
            token: Some((below, token.to_owned())),
            ..self
        }
    }

    /// Asks for a file from this byte on.
    pub(super) fn get(&self, address: &Address, from: u64) -> Result<Response<Body>, Error> {
        // Encoded on the way, neither ranges nor digests would be those of the file.
        let mut headers = vec![("accept-encoding", "identity")];
        let range = format!("bytes={from}-");
        if from > 0 {
            headers.push(("range", &range));
        }
        self.get_with(address, &headers)
    }

    /// Asks with these headers.
    pub(super) fn get_with(
        &self,
        address: &Address,
        headers: &[(&str, &str)],
    ) -> Result<Response<Body>, Error> {
        let response = self.ask(address, headers, address.credentials.as_ref())?;
        if response.status().as_u16() != 401 {
            return Ok(response);
        }
        match self.credentials.of(&address.host) {
            Some(found) if address.credentials.as_ref() != Some(&found) => {
                self.ask(address, headers, Some(&found))
            }
            _ => Ok(response),
        }
    }

    fn ask(
        &self,
        address: &Address,
        headers: &[(&str, &str)],
        credentials: Option<&(String, String)>,
    ) -> Result<Response<Body>, Error> {
        let agent = match address.scheme {
            Scheme::Http => &self.http,
            Scheme::Https | Scheme::File(_) => &self.https,
        };
        let mut request = agent.get(&address.request);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((name, password)) = credentials {
            let encoded = BASE64_STANDARD.encode(format!("{name}:{password}"));
            request = request.header("authorization", format!("Basic {encoded}"));
        } else if let Some((server, token)) = &self.token
            && address.request.starts_with(server)
        {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|error| Error::Unreachable {
            file: address.file.clone(),
            host: address.host.clone(),
            source: Box::new(error),
        })
    }
}

fn agent(proxy: Option<Proxy>) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .http_status_as_error(false)
        // Who we are is shown to the server that asks for it, not to where it sends us.
        .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
        .user_agent(concat!("rootstock/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        // A connection on which nothing comes for so long is dead, however slow the network is.
        .timeout_per_read(Some(Duration::from_secs(30)))
        .build()
        .into()
}

/// The first of these variables that is set and not empty, in small letters or in capitals, with its name.
fn variable(variables: &BTreeMap<OsString, OsString>, names: &[&str]) -> Option<(String, String)> {
    names
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.to_uppercase()])
        .find_map(|name| {
            let value = variables.get(&OsString::from(&name))?.to_str()?.trim();
            (!value.is_empty()).then(|| (name, value.to_owned()))
        })
}

/// A proxy for all hosts but those exempt: a name there stands for itself and for all names below it, as it does for
/// curl and Python. `None` if that is no proxy's address.
fn proxy(url: &str, exempt: &str) -> Option<Proxy> {
    let plain = Proxy::new(url).ok()?;
    let mut proxy = Proxy::builder(plain.protocol())
        .host(plain.host())
        .port(plain.port());
    if let Some(name) = plain.username() {
        proxy = proxy.username(name);
    }
    if let Some(password) = plain.password() {
        proxy = proxy.password(password);
    }
    for host in exempt.split([',', ' ']).filter(|host| !host.is_empty()) {
        let host = host.trim_start_matches("*.").trim_start_matches('.');
        // A port in the list would need a port to compare it with; the host alone is close enough.
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        proxy = proxy.no_proxy(host).no_proxy(&format!(".{host}"));
    }
    proxy.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(given: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        given.iter().map(|(k, v)| (k.into(), v.into())).collect()
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let client = Client::new(&variables(&[
            ("HTTPS_PROXY", "http://user:p%40ss@secure:3128"),
            ("all_proxy", "other:80"),
            ("http_proxy", ""),
        ]))
        .unwrap();
        let https = client.https.config().proxy().unwrap();
        assert_eq!((https.host(), https.port()), ("secure", 3128));
        assert_eq!(https.password(), Some("p@ss"));
        assert_eq!(client.http.config().proxy().unwrap().host(), "other");
        let none = Client::new(&variables(&[("NO_PROXY", "x")])).unwrap();
        assert!(none.http.config().proxy().is_none());
    }

    #[test]
    fn exempt_hosts_stand_for_all_below_them() {
        let proxy = proxy("http://p:1", "example.org, .inner,*.wild:80,10.0.0.1").unwrap();
        let exempt = |host: &str| proxy.is_no_proxy(&format!("https://{host}/").parse().unwrap());
        for host in [
            "example.org",
            "a.example.org",
            "inner",
            "a.inner",
            "a.wild",
            "10.0.0.1",
        ] {
            assert!(exempt(host), "{host}");
        }
        for host in ["myexample.org", "example.com", "110.0.0.1"] {
            assert!(!exempt(host), "{host}");
        }
    }

    #[test]
    fn a_proxy_that_is_none_is_named_by_its_variable_only() {
        let error = Client::new(&variables(&[("HTTPS_PROXY", "nonsense://me:secret@x")]));
        assert_eq!(
            error.unwrap_err().to_string(),
            "the value of the variable `HTTPS_PROXY` is not the address of a proxy"
        );
    }
}
