//! The machine a lock entry is for: operating system, architecture and libc floor, with the wheel tags it accepts
//! (PyPA "platform compatibility tags") and the values of its environment markers (PEP 508).
//!
//! Which machine this process runs on is [`Target::here`]; which interpreters it has is not decided here.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};

/// Processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Architecture {
    /// As `uname -m` and wheel tags say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
        }
    }
}

/// A version of the GNU C library, e.g. 2.28.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glibc {
    /// Always 2 so far.
    pub major: u32,
    /// The number that grows.
    pub minor: u32,
}

/// A machine type: Linux on an architecture, with at least this C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Processor architecture.
    pub architecture: Architecture,
    /// The oldest C library it may have.
    pub glibc: Glibc,
}

/// The floor where the manifest gives none: RHEL 8, Debian 11 and newer.
pub const DEFAULT_GLIBC: Glibc = Glibc {
    major: 2,
    minor: 28,
};

/// Names of all targets this version knows.
pub const NAMES: [&str; 2] = ["linux-x86_64", "linux-aarch64"];

impl Target {
    /// The target of this name with the default libc floor.
    pub fn named(name: &str) -> Option<Self> {
        let architecture = match name {
            "linux-x86_64" => Architecture::X86_64,
            "linux-aarch64" => Architecture::Aarch64,
            _ => return None,
        };
        Some(Self {
            architecture,
            glibc: DEFAULT_GLIBC,
        })
    }

    /// The machine type this program was built for, if it is one we know.
    pub fn here() -> Option<Self> {
        Self::named(&format!(
            "{}-{}",
            std::env::consts::OS,
            std::env::consts::ARCH
        ))
    }

    /// The name without the libc floor: `linux-x86_64`.
    pub fn name(&self) -> &'static str {
        match self.architecture {
            Architecture::X86_64 => "linux-x86_64",
            Architecture::Aarch64 => "linux-aarch64",
        }
    }

    /// The platform tag that stands for this target, as uv's `--python-platform` takes it: `x86_64-manylinux_2_28`.
    pub fn uv_platform(&self) -> String {
        format!(
            "{}-manylinux_{}_{}",
            self.architecture.as_str(),
            self.glibc.major,
            self.glibc.minor
        )
    }

    /// The SOABI of a CPython of this minor version here: `cpython-311-x86_64-linux-gnu`.
    pub fn cpython_soabi(&self, python: (u64, u64)) -> String {
        format!(
            "cpython-{}{}-{}-linux-gnu",
            python.0,
            python.1,
            self.architecture.as_str()
        )
    }

    /// The environment markers of a CPython of this version on this target (PEP 508).
    /// `full_version` is the exact version where one is known, else the lowest of its series.
    pub fn markers(&self, full_version: &pep440_rs::Version) -> MarkerEnvironment {
        let release = full_version.release();
        let short = format!("{}.{}", release[0], release.get(1).copied().unwrap_or(0));
        let full = full_version.to_string();
        MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine: self.architecture.as_str(),
            platform_python_implementation: "CPython",
            // The kernel's release and version belong to a machine, not to a target. uv leaves them empty as well.
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full,
            python_version: &short,
            sys_platform: "linux",
        })
        .expect("a parsed version prints as a version")
    }

    /// Every wheel tag a CPython of this minor version accepts here, best first.
    pub fn tags(&self, python: (u64, u64)) -> Tags {
        let (major, minor) = python;
        let platforms = self.platforms();
        let this = format!("cp{major}{minor}");
        let mut order = Vec::new();
        let mut each_platform = |interpreter: &str, abi: &str| {
            order.extend(
                platforms
                    .iter()
                    .map(|p| (interpreter.to_owned(), abi.to_owned(), p.clone())),
            );
        };
        // The order of the specification's reference implementation: own ABI, stable ABI, none; then older stable
        // ABIs; then pure Python, newest first.
        each_platform(&this, &this);
        each_platform(&this, "abi3");
        each_platform(&this, "none");
        for older in (2..minor).rev() {
            each_platform(&format!("cp{major}{older}"), "abi3");
        }
        let mut pure = vec![format!("py{major}{minor}"), format!("py{major}")];
        pure.extend((0..minor).rev().map(|older| format!("py{major}{older}")));
        for interpreter in &pure {
            each_platform(interpreter, "none");
        }
        order.push((this, "none".into(), "any".into()));
        order.extend(
            pure.into_iter()
                .map(|interpreter| (interpreter, "none".into(), "any".into())),
        );
        let mut rank = HashMap::new();
        for (position, tag) in order.into_iter().enumerate() {
            rank.entry(tag).or_insert(position);
        }
        Tags { rank }
    }

    /// Platform tags, newest libc first (PEP 600, with the legacy names beside their equals).
    fn platforms(&self) -> Vec<String> {
        let machine = self.architecture.as_str();
        // PEP 599 and PEP 600: manylinux on x86-64 goes back to glibc 2.5, on 64-bit Arm to 2.17.
        let oldest = if self.architecture == Architecture::X86_64 {
            5
        } else {
            17
        };
        let mut platforms = Vec::new();
        for minor in (oldest..=self.glibc.minor).rev() {
            platforms.push(format!("manylinux_2_{minor}_{machine}"));
            match minor {
                17 => platforms.push(format!("manylinux2014_{machine}")),
                12 => platforms.push(format!("manylinux2010_{machine}")),
                5 => platforms.push(format!("manylinux1_{machine}")),
                _ => {}
            }
        }
        platforms.push(format!("linux_{machine}"));
        platforms
    }
}

/// The wheel tags a target accepts, each with its place in the order of preference.
#[derive(Debug, Clone)]
pub struct Tags {
    rank: HashMap<(String, String, String), usize>,
}

impl Tags {
    /// The place of the best tag in a compressed tag set such as `cp37-abi3-manylinux1_x86_64.manylinux_2_28_x86_64`;
    /// lower is better, `None` does not fit.
    pub fn rank(&self, interpreters: &str, abis: &str, platforms: &str) -> Option<usize> {
        let mut best = None;
        for interpreter in interpreters.split('.') {
            for abi in abis.split('.') {
                for platform in platforms.split('.') {
                    let tag = (interpreter.to_owned(), abi.to_owned(), platform.to_owned());
                    best = match (best, self.rank.get(&tag).copied()) {
                        (Some(a), Some(b)) => Some(std::cmp::min::<usize>(a, b)),
                        (a, b) => a.or(b),
                    };
                }
            }
        }
        best
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Glibc {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        let number = |part: &str| -> Result<u32, ()> {
            if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(());
            }
            part.parse().map_err(|_| ())
        };
        let glibc = Self {
            major: number(major)?,
            minor: number(minor)?,
        };
        if glibc.major == 2 && (5..=99).contains(&glibc.minor) {
            Ok(glibc)
        } else {
            Err(())
        }
    }
}

impl serde::Serialize for Glibc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (glibc {})", self.name(), self.glibc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_wheel_comes_first() {
        let tags = Target::named("linux-x86_64").unwrap().tags((3, 11));
        let rank = |i: &str, a: &str, p: &str| tags.rank(i, a, p);
        let order = [
            rank("cp311", "cp311", "manylinux_2_28_x86_64"),
            rank(
                "cp311",
                "cp311",
                "manylinux_2_17_x86_64.manylinux2014_x86_64",
            ),
            rank("cp311", "abi3", "manylinux_2_28_x86_64"),
            rank("cp37", "abi3", "manylinux1_x86_64.manylinux_2_28_x86_64"),
            rank("py3", "none", "manylinux_2_28_x86_64"),
            rank("py2.py3", "none", "any"),
        ];
        assert!(order.iter().all(Option::is_some), "{order:?}");
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn what_does_not_fit_has_no_rank() {
        let tags = Target::named("linux-x86_64").unwrap().tags((3, 11));
        for (i, a, p) in [
            ("cp312", "cp312", "manylinux_2_17_x86_64"),
            ("cp311", "cp311", "manylinux_2_34_x86_64"),
            ("cp311", "cp311", "musllinux_1_2_x86_64"),
            ("cp311", "cp311", "manylinux_2_17_aarch64"),
            ("cp312", "abi3", "manylinux_2_17_x86_64"),
            ("cp311", "cp311t", "manylinux_2_17_x86_64"),
            ("py312", "none", "any"),
        ] {
            assert_eq!(tags.rank(i, a, p), None, "{i}-{a}-{p}");
        }
    }

    #[test]
    fn markers_are_those_of_the_target_not_of_this_machine() {
        let arm = Target::named("linux-aarch64").unwrap();
        let markers = arm.markers(&"3.11".parse().unwrap());
        assert_eq!(markers.platform_machine(), "aarch64");
        assert_eq!(markers.python_full_version().to_string(), "3.11");
    }
}
