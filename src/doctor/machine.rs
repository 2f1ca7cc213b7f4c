//! What environments need of the machine they run on, and whether it has it: the C library that their wheels were made
//! for, and an NVIDIA driver that is new enough for their CUDA. Read from files; nothing is started.

use std::fmt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Serialize, Serializer};

use crate::files::{self, proc};
use crate::name::EnvironmentName;
use crate::store::Root;
use crate::store::installed::{Generation, Installed};
use crate::target::Glibc;

use super::finding::{Code, Finding};

/// Where C libraries are, on the distributions of clusters.
const LIBRARIES: &[&str] = &[
    "/lib64/libc.so.6",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/usr/lib64/libc.so.6",
];

/// The oldest drivers that run each major version of CUDA (NVIDIA, CUDA Compatibility, minor version compatibility).
const FLOORS: &[(u32, &str)] = &[(11, "450.80.02"), (12, "525.60.13"), (13, "580.65.06")];

/// A machine, as far as environments care.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Machine {
    /// Its C library; `None` if that is not glibc, or its version is unknown.
    pub glibc: Option<Glibc>,
    /// Its NVIDIA driver, if it has one.
    pub driver: Option<Driver>,
}

/// The version of a driver: `535.104.05`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Driver(Vec<u32>);

impl std::str::FromStr for Driver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        let parts = parts.filter(|parts| parts.len() > 1);
        parts
            .map(Self)
            .ok_or_else(|| "a driver's version looks like `535.104.05`".to_owned())
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.0.split_first().expect("a version has parts");
        write!(out, "{first}")?;
        // NVIDIA writes the third part, and nothing else, with two digits.
        for (at, part) in rest.iter().enumerate() {
            let width = if at == 1 { 2 } else { 0 };
            write!(out, ".{part:0width$}")?;
        }
        Ok(())
    }
}

impl Serialize for Driver {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let driver = proc::nvidia_driver();
        let library = |path: &&str| files::read(Path::new(path)).ok();
        Self {
            glibc: LIBRARIES
                .iter()
                .find_map(library)
                .and_then(|bytes| glibc(&bytes)),
            driver: driver.as_deref().and_then(driver_version),
        }
    }
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 …`, with other words in the open one.
fn driver_version(text: &str) -> Option<Driver> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}

/// `GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.`, somewhere in the library.
fn glibc(library: &[u8]) -> Option<Glibc> {
    let name: &[u8] = b"GNU C Library ";
    let at = library
        .windows(name.len())
        .position(|bytes| bytes == name)?;
    let line = library[at..].split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let (_, version) = line.split_once(" version ")?;
    version.trim_end_matches('.').parse().ok()
}

/// What an environment needs of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// The environment's name.
    pub environment: EnvironmentName,
    /// The oldest glibc that all of its wheels run on.
    pub glibc: Option<Need<Glibc>>,
    /// The oldest driver for its CUDA.
    pub driver: Option<Need<Driver>>,
    /// `WHEEL` files that cannot be read, and why: it may need more.
    #[serde(skip)]
    pub unread: Vec<(PathBuf, String)>,
}

/// The oldest version that will do, and the package that needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need<V> {
    /// The oldest version.
    pub floor: V,
    /// `torch 2.9.1`.
    pub package: String,
}

impl Needs {
    /// Whether it runs on every machine.
    pub(super) fn is_nothing(&self) -> bool {
        self.glibc.is_none() && self.driver.is_none()
    }
}

/// Replaces a need by a higher one.
fn raise<V: PartialOrd>(need: &mut Option<Need<V>>, floor: Option<V>, package: &str) {
    let Some(floor) = floor else { return };
    if need.as_ref().is_none_or(|need| need.floor < floor) {
        let package = package.to_owned();
        *need = Some(Need { floor, package });
    }
}

/// What the current generations of these environments need.
pub(super) fn needs<'a>(
    root: &Root,
    environments: impl Iterator<Item = (&'a EnvironmentName, &'a Installed)>,
) -> Vec<Needs> {
    let current = environments.filter_map(|(name, there)| match there.current()? {
        Generation::Complete(complete) => Some((name, complete)),
        _ => None,
    });
    let current: Vec<_> = current.collect();
    current
        .par_iter()
        .map(|(name, complete)| {
            let path = root.generation(name, &complete.stamp.id);
            let (major, minor) = complete.stamp.python.series();
            let packages = path.join(format!("lib/python{major}.{minor}/site-packages"));
            of(name, &packages)
        })
        .collect()
}

/// The oldest glibc that all packages of a generation run on; `None` if they need none.
pub(crate) fn glibc_floor(environment: &EnvironmentName, packages: &Path) -> Option<Glibc> {
    of(environment, packages).glibc.map(|need| need.floor)
}

fn of(name: &EnvironmentName, packages: &Path) -> Needs {
    let mut needs = Needs {
        environment: name.clone(),
        glibc: None,
        driver: None,
        unread: Vec::new(),
    };
    let directories = files::names(packages).unwrap_or_else(|error| {
        needs
            .unread
            .push((packages.to_owned(), error.source.to_string()));
        Vec::new()
    });
    for directory in directories {
        let Some(package) = directory.strip_suffix(".dist-info") else {
            continue;
        };
        let wheel = packages.join(&directory).join("WHEEL");
        let text = match files::read_text_if_present(&wheel) {
            Ok(text) => text,
            Err(error) => {
                needs.unread.push((wheel, error.source.to_string()));
                None
            }
        };
        let package = package.replacen('-', " ", 1);
        let glibc = text.as_deref().and_then(wheel_floor);
        raise(&mut needs.glibc, glibc, &package);
        let driver = cuda(&package).and_then(driver_floor);
        raise(&mut needs.driver, driver, &package);
    }
    needs
}

/// The oldest glibc that one of the tags in a `WHEEL` file promises; a wheel without such a tag needs none.
fn wheel_floor(text: &str) -> Option<Glibc> {
    let tags = text.lines().filter_map(|line| line.strip_prefix("Tag: "));
    let platforms = tags.filter_map(|tag| tag.rsplit('-').next());
    platforms
        .flat_map(|platforms| platforms.split('.'))
        .filter_map(platform_floor)
        .min()
}

fn platform_floor(platform: &str) -> Option<Glibc> {
    let floor = platform.strip_prefix("manylinux")?;
    let version = match floor.split('_').collect::<Vec<_>>()[..] {
        ["1", ..] => "2.5".to_owned(),
        ["2010", ..] => "2.12".to_owned(),
        ["2014", ..] => "2.17".to_owned(),
        ["", major, minor, ..] => format!("{major}.{minor}"),
        _ => return None,
    };
    version.parse().ok()
}

/// The major version of CUDA that a package is for, from its name and version: `nvidia_cuda_runtime_cu12 12.8.90`,
/// `nvidia_cuda_runtime 13.0.96`, `jax_cuda12_plugin 0.8.0`, `torch 2.9.1+cu128`.
fn cuda(package: &str) -> Option<u32> {
    let (name, version) = package.split_once(' ')?;
    let digits = |text: &str| -> Option<u32> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.get(..2)?.parse().ok()
    };
    if let Some((_, local)) = version.split_once("+cu") {
        return digits(local);
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    if name == "nvidia_cuda_runtime" {
        return digits(version);
    }
    let known = ["nvidia_", "jax_cuda", "cupy_cuda"];
    if !known.iter().any(|known| name.starts_with(known)) {
        return None;
    }
    let (_, after) = name.rsplit_once("_cu")?;
    digits(after.strip_prefix("da").unwrap_or(after))
}

fn driver_floor(cuda: u32) -> Option<Driver> {
    let (_, floor) = FLOORS.iter().find(|(major, _)| *major == cuda)?;
    floor.parse().ok()
}

/// What the machine lacks.
pub(super) fn findings(root: &Root, machine: &Machine, needs: &[Needs]) -> Vec<Finding> {
    let each = needs.iter().flat_map(|needs| {
        let path = root.current(&needs.environment);
        let old = [
            old_glibc(&path, needs, machine),
            old_driver(&path, needs, machine),
        ];
        unknown(needs).chain(old.into_iter().flatten())
    });
    each.collect()
}

fn unknown(needs: &Needs) -> impl Iterator<Item = Finding> + '_ {
    needs.unread.iter().map(|(path, why)| {
        Finding::new(
            Code::NeedsUnknown,
            path,
            format!("cannot read which glibc it needs: {why}"),
            format!("rootstock sync --repair {}", needs.environment),
        )
    })
}

fn old_glibc(path: &Path, needs: &Needs, machine: &Machine) -> Option<Finding> {
    let (Need { floor, package }, here) = (needs.glibc.as_ref()?, machine.glibc?);
    (here < *floor).then(|| {
        Finding::new(
            Code::GlibcOld,
            path,
            format!("{package} needs glibc {floor} or newer, and this machine has {here}"),
            format!(
                "use it on newer machines, or lock for this one: `glibc = \"{here}\"` in the manifest's [targets]"
            ),
        )
    })
}

fn old_driver(path: &Path, needs: &Needs, machine: &Machine) -> Option<Finding> {
    let (Need { floor, package }, here) = (needs.driver.as_ref()?, machine.driver.as_ref()?);
    (here < floor).then(|| {
        Finding::new(
            Code::DriverOld,
            path,
            format!("{package} needs an NVIDIA driver {floor} or newer, and this machine has {here}"),
            "have the driver updated, or lock packages for an older CUDA (an index such as `cu126`)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_print_their_version_in_two_ways() {
        for (text, version) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc version 12.2.0\n",
                "535.104.05",
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n",
                "580.65.06",
            ),
        ] {
            assert_eq!(driver_version(text).unwrap().to_string(), version);
        }
        assert_eq!(driver_version("something else 1.2"), None);
        let (old, new): (Driver, Driver) =
            ("525.60.13".parse().unwrap(), "525.105.17".parse().unwrap());
        assert!(old < new);
    }

    #[test]
    fn a_library_states_its_version() {
        let text = b"\0\x01GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nCopyright";
        assert_eq!(glibc(text).unwrap().to_string(), "2.36");
        assert_eq!(glibc(b"musl libc"), None);
    }

    #[test]
    fn packages_name_their_cuda() {
        for (package, major) in [
            ("nvidia_cuda_runtime_cu12 12.8.90", Some(12)),
            ("nvidia-cublas-cu11 11.1", Some(11)),
            ("nvidia_cuda_runtime 13.0.96", Some(13)),
            ("jax_cuda12_plugin 0.8.0", Some(12)),
            ("cupy_cuda12x 13.0", Some(12)),
            ("torch 2.9.1+cu128", Some(12)),
            ("torch 2.9.1+cpu", None),
            ("nvidia_ml_py 12.0", None),
            ("my_cute_package 12", None),
        ] {
            assert_eq!(cuda(package), major, "{package}");
        }
    }

    #[test]
    fn a_wheel_needs_the_oldest_glibc_it_promises() {
        let floor = |text| wheel_floor(text).map(|floor| floor.to_string());
        assert_eq!(
            floor("Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_17_x86_64\nTag: cp311-cp311-manylinux2010_x86_64\n").as_deref(),
            Some("2.12")
        );
        assert_eq!(
            floor("Tag: py3-none-manylinux_2_28_x86_64.manylinux_2_34_x86_64\n").as_deref(),
            Some("2.28")
        );
        assert_eq!(floor("Tag: py3-none-any\n"), None);
    }
}
