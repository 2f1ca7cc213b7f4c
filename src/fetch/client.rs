//! The HTTP client: the machine's certificates, the usual proxy variables, redirections, credentials.
//!
//! Redirections are followed here and not by the HTTP library, so that credentials are sent to no other origin (scheme, server
//! and port), https never redirects to http, and each hop goes through its own scheme's proxy.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy, ProxyProtocol};
use url::Url;

use super::address::{Address, host, remove_secrets, shown};
use super::limits::{Deadline, Limits, Metered};
use super::resolver::SystemResolver;
use super::{Credentials, Error};

/// How many redirections are followed, one after another.
const MAX_REDIRECTS: usize = 10;

/// How much of the text of a redirection is read.
const REDIRECTION_TEXT: u64 = 16 << 10;

/// Variables that say how a machine reaches the network: its proxies, and the certificates it trusts.
pub(crate) const NETWORK: [&str; 10] = [
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
    pub(super) limits: Limits,
    /// The beginning of the addresses that the token is for, and the token.
    token: Option<(String, String)>,
    credentials: Credentials,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Proxies have passwords, and a token is a secret.
        out.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client that uses the proxies that these variables name: `https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`,
    /// each also in capitals.
    pub(crate) fn new(variables: &BTreeMap<OsString, OsString>) -> Result<Self, Error> {
        let exempt = variable(variables, &["no_proxy"]).map(|(_, value)| value);
        let proxy = |names: [&str; 2]| {
            variable(variables, &names)
                .map(|(name, value)| {
                    proxy(&value, exempt.as_deref().unwrap_or_default())
                        .ok_or(Error::Proxy { variable: name })
                })
                .transpose()
        };
        let limits = Limits::new(variables)?;
        Ok(Self {
            http: agent(proxy(["http_proxy", "all_proxy"])?, &limits),
            https: agent(proxy(["https_proxy", "all_proxy"])?, &limits),
            limits,
            token: None,
            credentials: Credentials::default(),
        })
    }

    /// The same with credentials for servers that answer with status 401.
    #[must_use]
    pub(crate) fn with(self, credentials: &Credentials) -> Self {
        Self {
            credentials: credentials.clone(),
            ..self
        }
    }

    /// The same with a token (RFC 6750) for addresses below this one.
    #[must_use]
    pub(crate) fn with_token(self, server: &str, token: &str) -> Self {
        let below = format!("{}/", server.trim_end_matches('/'));
        let below = Address::parse(&below).map_or(below, |address| address.url.into());
        Self {
            token: Some((below, token.to_owned())),
            ..self
        }
    }

    /// Requests a file with these headers beside the usual ones. Its body has to be read by the deadline.
    pub(super) fn get(
        &self,
        address: &Address,
        headers: &[(&str, &str)],
        deadline: Deadline,
    ) -> Result<Response<Body>, Error> {
        let own = self.own_authorization(address);
        let ask = |authorization: Option<&str>| {
            let request = Request {
                address,
                headers,
                authorization,
                deadline,
            };
            self.follow(&request)
        };
        let response = ask(own.as_deref())?;
        if response.status().as_u16() != 401 {
            return Ok(response);
        }
        match self.credentials.of(&address.host) {
            Some(found) if address.credentials.as_ref() != Some(&found) => {
                ask(Some(&basic(&found)))
            }
            _ => Ok(response),
        }
    }

    /// What is sent without being asked for: credentials of the address, or the token of its server.
    fn own_authorization(&self, address: &Address) -> Option<String> {
        if let Some(credentials) = &address.credentials {
            return Some(basic(credentials));
        }
        let (server, token) = self.token.as_ref()?;
        let below = address.url.as_str().starts_with(server);
        below.then(|| format!("Bearer {token}"))
    }

    /// Requests a file and follows redirections.
    fn follow(&self, request: &Request) -> Result<Response<Body>, Error> {
        let Request { address, .. } = request;
        let refused = |reason| Error::Redirect {
            address: address.shown.clone(),
            reason,
        };
        let headers = Deadline::after(self.limits.headers());
        let mut at = address.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut response = self.send(request, &at)?;
            let Some(next) = redirection(&at, &response).map_err(refused)? else {
                return Ok(response);
            };
            // Its text is read so that the connection can be used again.
            let text = response.body_mut().as_reader().take(REDIRECTION_TEXT);
            let _ = io::copy(
                &mut Metered::new(text, &self.limits, headers),
                &mut io::sink(),
            );
            at = next;
            if headers.is_over() || request.deadline.is_over() {
                return Err(self.no_response(address, &at));
            }
        }
        let reason = format!("another address more than {MAX_REDIRECTS} times");
        Err(refused(reason))
    }

    /// Sends the request to one address.
    fn send(&self, request: &Request, at: &Url) -> Result<Response<Body>, Error> {
        let agent = match at.scheme() {
            "http" => &self.http,
            _ => &self.https,
        };
        let mut built = agent.get(at.as_str());
        for (name, value) in request.headers {
            built = built.header(*name, *value);
        }
        let mut authorization = request.authorization.iter();
        if let Some(authorization) =
            authorization.find(|_| may_receive_credentials(&request.address.url, at))
        {
            built = built.header("authorization", *authorization);
        }
        // What our own count of bytes does not see: framing that never becomes a byte of the body.
        let body = Some(request.deadline.left());
        let built = built.config().timeout_recv_body(body).build();
        built.call().map_err(|error| match error {
            ureq::Error::Timeout(_) => self.no_response(request.address, at),
            error => Error::Unreachable {
                file: request.address.file.clone(),
                host: host(at),
                source: Box::new(error),
            },
        })
    }

    fn no_response(&self, address: &Address, at: &Url) -> Error {
        Error::NoResponse {
            host: host(at),
            address: address.shown.clone(),
            seconds: self.limits.headers().as_secs(),
        }
    }
}

/// What is requested, and with what.
struct Request<'a> {
    address: &'a Address,
    headers: &'a [(&'a str, &'a str)],
    authorization: Option<&'a str>,
    deadline: Deadline,
}

fn basic((name, password): &(String, String)) -> String {
    let encoded = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {encoded}")
}

/// Whether credentials for one address may be sent to another: it is of the same origin, or of the same host, encrypted now.
fn may_receive_credentials(first: &Url, at: &Url) -> bool {
    let standard = |url: &Url| url.port().is_none();
    let encrypted_now = (first.scheme(), at.scheme()) == ("http", "https")
        && first.host() == at.host()
        && standard(first)
        && standard(at);
    first.origin() == at.origin() || encrypted_now
}

/// The address that a response redirects to, or why it is not followed.
fn redirection(at: &Url, response: &Response<Body>) -> Result<Option<Url>, String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get("location");
    let location = location.ok_or("nowhere: it has no `Location`")?;
    let location = location.to_str().map_err(|_| "what is not an address")?;
    let mut next = at
        .join(location)
        .map_err(|error| format!("what is not an address: {error}"))?;
    remove_secrets(&mut next);
    match (at.scheme(), next.scheme()) {
        ("https", "http") => Err(format!(
            "`{}`, which is not encrypted as this is",
            shown(next.as_str())
        )),
        (_, "http" | "https") => Ok(Some(next)),
        (_, scheme) => Err(format!("an address of the scheme `{scheme}`")),
    }
}

fn agent(proxy: Option<Proxy>, limits: &Limits) -> Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .http_status_as_error(false)
        .max_redirects(0)
        // What is compared includes what came of the body together with an informational response.
        .max_response_header_size(256 << 10)
        .user_agent(concat!("rootstock/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(limits.timeout))
        .timeout_connect(Some(limits.timeout))
        .timeout_send_request(Some(limits.timeout))
        .timeout_recv_response(Some(limits.headers()))
        // A connection on which nothing comes for so long is dead, however slow the network is.
        .timeout_per_read(Some(limits.timeout))
        .build();
    Agent::with_parts(config, limits.watch.connector(), SystemResolver)
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
    if !matches!(plain.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return None;
    }
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
        for scheme in ["nonsense", "socks4", "socks4a", "socks5", "socks5h"] {
            let proxy = format!("{scheme}://me:secret@x");
            let error = Client::new(&variables(&[("HTTPS_PROXY", &proxy)]));
            let error = error.unwrap_err().to_string();
            let named =
                "the value of the variable `HTTPS_PROXY` is not the address of an HTTP proxy";
            assert!(
                error.starts_with(named) && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
