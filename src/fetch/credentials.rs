//! User names and passwords for servers that require them, from the places where uv finds them: `UV_INDEX_<NAME>_USERNAME`
//! and `_PASSWORD`, the default index's own address, netrc, the keyring. Looked for only when a server asks, and for that
//! server alone.
//!
//! They are never shown: `Debug` prints none of them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::address::Address;
use crate::files;
use crate::process::{Command, find};

/// Where names and passwords are looked for.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Server, name, and password if it is known.
    known: Vec<(String, String, Option<String>)>,
    netrc: Option<PathBuf>,
    keyring: Option<PathBuf>,
    variables: BTreeMap<OsString, OsString>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Credentials")
    }
}

impl Credentials {
    /// Those that these variables, which are uv's, lead to; `indexes` are names and addresses.
    pub fn new<'a>(
        variables: &BTreeMap<OsString, OsString>,
        indexes: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let value = |name: &str| {
            let value = variables.get(OsStr::new(name))?.to_str()?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        let mut known = Vec::new();
        for (name, url) in indexes {
            let letter = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            };
            let name: String = name.chars().map(letter).collect();
            let user = value(&format!("UV_INDEX_{name}_USERNAME"));
            let password = value(&format!("UV_INDEX_{name}_PASSWORD"));
            if let (Ok(address), true) = (Address::parse(url), user.is_some() || password.is_some())
            {
                known.push((address.host, user.unwrap_or_default(), password));
            }
        }
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL"] {
            let address = value(name).and_then(|url| Address::parse(&url).ok());
            if let Some((host, (user, password))) =
                address.and_then(|address| Some((address.host, address.credentials?)))
            {
                known.push((host, user, Some(password).filter(|p| !p.is_empty())));
            }
        }
        let home = value("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        let keyring = value("UV_KEYRING_PROVIDER").filter(|provider| provider == "subprocess");
        let keyring = keyring.and_then(|_| {
            let path = value("PATH")?;
            find::find("keyring", path.as_ref(), variables)
        });
        Self {
            known,
            netrc: value("NETRC").map(PathBuf::from).or(home),
            keyring,
            variables: variables.clone(),
        }
    }

    /// Name and password for a server (`host` or `host:port`).
    pub(super) fn of(&self, host: &str) -> Option<(String, String)> {
        let mut users = self.known.iter().filter(|(known, ..)| known == host);
        let user = users
            .clone()
            .find_map(|(_, user, password)| Some((user.clone(), password.clone()?)));
        user.or_else(|| self.in_netrc(host))
            .or_else(|| users.find_map(|(_, user, _)| self.in_keyring(host, user)))
    }

    fn in_netrc(&self, host: &str) -> Option<(String, String)> {
        // One that cannot be read counts as none; the error is the server's refusal.
        let text = files::read_text(self.netrc.as_deref()?).ok()?;
        let port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let without_port = host.rsplit_once(':').filter(|(_, after)| port(after));
        netrc(&text, without_port.map_or(host, |(host, _)| host))
    }

    fn in_keyring(&self, host: &str, user: &str) -> Option<(String, String)> {
        let output = Command::new(self.keyring.as_ref()?)
            .arguments(["get", host, user])
            .variables(&self.variables)
            .run_limited()
            .ok()?;
        let password = String::from_utf8(output.stdout).ok()?;
        let password = password.trim_end_matches(['\r', '\n']);
        (output.exit.success() && !password.is_empty())
            .then(|| (user.to_owned(), password.to_owned()))
    }
}

/// Name and password for a host in the text of a netrc file; its own entry before the default.
fn netrc(text: &str, host: &str) -> Option<(String, String)> {
    let plain: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .collect();
    let mut words = plain.into_iter().peekable();
    let mut fallback = None;
    while let Some(word) = words.next() {
        let own = match word {
            "machine" => words.next() == Some(host),
            "default" => false,
            _ => continue,
        };
        let (mut login, mut password) = (String::new(), None);
        while let Some(&key) = words.peek() {
            if !["login", "password", "account"].contains(&key) {
                break;
            }
            words.next();
            let value = words.next().unwrap_or_default().to_owned();
            match key {
                "login" => login = value,
                "password" => password = Some(value),
                _ => {}
            }
        }
        let found = password.map(|password| (login, password));
        if own && found.is_some() {
            return found;
        }
        if word == "default" {
            fallback = found;
        }
    }
    fallback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_own_entry_or_the_default() {
        let text = "# machine a login no password no\nmachine a login me password one\n\
                    machine b\n  login you\n  account x\n  password two\ndefault login any password three\n";
        let found = |host| netrc(text, host).map(|(user, password)| format!("{user} {password}"));
        assert_eq!(found("a").as_deref(), Some("me one"));
        assert_eq!(found("b").as_deref(), Some("you two"));
        assert_eq!(found("c").as_deref(), Some("any three"));
        assert_eq!(netrc("machine a login me password one", "c"), None);
    }

    #[test]
    fn variables_of_an_index_are_for_its_server_alone() {
        let variables = [
            ("UV_INDEX_OUR_OWN_USERNAME", "me"),
            ("UV_INDEX_OUR_OWN_PASSWORD", "secret"),
            ("UV_DEFAULT_INDEX", "https://you:word@default/simple"),
        ];
        let variables = variables.map(|(k, v)| (k.into(), v.into())).into();
        let indexes = [
            ("our-own", "https://own:8443/simple"),
            ("other", "https://other"),
        ];
        let credentials = Credentials::new(&variables, indexes.into_iter());
        let of = |host| credentials.of(host);
        assert_eq!(of("own:8443"), Some(("me".into(), "secret".into())));
        assert_eq!(of("default"), Some(("you".into(), "word".into())));
        assert_eq!(of("own"), None);
        assert_eq!(of("other"), None);
        assert_eq!(format!("{credentials:?}"), "Credentials");
    }
}
