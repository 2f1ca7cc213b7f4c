//! What becomes of each key of `[tool.uv]` that is not read for its value.

use Meaning::{Idle, Read, Refused, RefusedUnless};

/// What a key means for an environment of rootstock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is read: see [`super::settings`].
    Read,
    /// It does not decide what is installed, or says what rootstock does anyway: this.
    Idle(&'static str),
    /// It decides what is installed, and rootstock has no key for it; what to do instead.
    Refused(&'static str),
    /// Like that, unless it has this value, which is the usual one.
    RefusedUnless(&'static str, &'static str),
    /// uv of this version does not have it.
    Unknown,
}

/// Keys, and what they mean.
const MEANINGS: &[(&[&str], Meaning)] = &[
    (
        &[
            "sources",
            "index",
            "find-links",
            "constraint-dependencies",
            "override-dependencies",
            "build-constraint-dependencies",
            "extra-build-dependencies",
            "exclude-dependencies",
            "exclude-newer",
        ],
        Read,
    ),
    (
        &["no-build", "no-build-package"],
        Idle("wheels are taken; only what `sdists` lists is built"),
    ),
    (
        &["environments", "required-environments"],
        Idle("`targets` of `[rootstock]` names the machine types"),
    ),
    (
        &["index-strategy"],
        Idle("an index of its own serves only the packages that are routed to it"),
    ),
    (
        &["python-preference", "python-downloads"],
        Idle("`python-source` of the manifest decides that"),
    ),
    (
        &["python-install-mirror", "pypy-install-mirror"],
        Idle("`python-mirror` of the manifest decides that"),
    ),
    (
        &["link-mode"],
        Idle("`link-mode` of the manifest decides that"),
    ),
    (
        &["compile-bytecode"],
        Idle("`bytecode` of the manifest decides that"),
    ),
    (
        &[
            "cache-dir",
            "cache-keys",
            "concurrent-builds",
            "concurrent-downloads",
            "concurrent-installs",
            "native-tls",
            "system-certs",
            "keyring-provider",
            "allow-insecure-host",
            "offline",
            "no-cache",
            "http-proxy",
            "https-proxy",
            "no-proxy",
        ],
        Idle("it says how uv works, not what it installs"),
    ),
    (
        &[
            "preview",
            "preview-features",
            "required-version",
            "torch-backend",
            "add-bounds",
            "pip",
            "fork-strategy",
        ],
        Idle("it is for uv alone"),
    ),
    (
        &[
            "package",
            "managed",
            "workspace",
            "build-backend",
            "dev-dependencies",
            "default-groups",
            "dependency-groups",
            "conflicts",
            "publish-url",
            "check-url",
            "trusted-publishing",
            "upgrade",
            "upgrade-package",
            "reinstall",
            "reinstall-package",
        ],
        Idle("it has no meaning for a script"),
    ),
    (
        &["prerelease"],
        RefusedUnless(
            "if-necessary-or-explicit",
            "name the pre-release in a requirement: `name>=1.0rc1`",
        ),
    ),
    (
        &["resolution"],
        RefusedUnless(
            "highest",
            "write the versions that you want into `dependencies`",
        ),
    ),
    (
        &["no-binary", "no-binary-package"],
        Refused(
            "rootstock takes a wheel where there is one; name a version without one, or the source by its address, and list the \
             package in `sdists`",
        ),
    ),
    (
        &["no-build-isolation", "no-build-isolation-package"],
        Refused(
            "write what the build needs instead: `extra-build-dependencies = { NAME = [\"torch\"] }`",
        ),
    ),
    (
        &[
            "config-settings",
            "config-settings-package",
            "extra-build-variables",
        ],
        Refused(
            "no settings are passed to build backends: build the wheel yourself, and name its file or address",
        ),
    ),
    (
        &["dependency-metadata"],
        Refused("write the difference as `override-dependencies`"),
    ),
    (
        &["no-sources", "no-sources-package"],
        Refused("remove it, and the sources that it switches off"),
    ),
    (
        &["exclude-newer-package"],
        Refused("bound the package: `constraint-dependencies = [\"name<2\"]`"),
    ),
    (
        &["no-index"],
        Refused("route each package to an index of its own: `sources`"),
    ),
    (
        &["index-url", "default-index"],
        Refused(
            "the default index belongs to the machine, not to the lock: set `UV_DEFAULT_INDEX` where you run `rootstock lock`",
        ),
    ),
    (
        &["extra-index-url"],
        Refused(
            "write it as `[[tool.uv.index]]` with `name`, `url` and `explicit = true`, and route packages to it in `sources`",
        ),
    ),
];

/// What a key of `[tool.uv]` means.
pub(super) fn meaning(key: &str) -> Meaning {
    let known = MEANINGS.iter().find(|(keys, _)| keys.contains(&key));
    known.map_or(Meaning::Unknown, |(_, meaning)| *meaning)
}
