//! Our own uv, fetched once by the machine's pip, pinned by sha256. Nothing else is ever fetched this way.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Error, Search, said};
use crate::digest::Digest;
use crate::files::{self, standing};
use crate::process::Command;
use crate::python;
use crate::report::chain;

/// The version this release of rootstock is tested with.
const VERSION: &str = "0.13.9";

/// Its wheels, by digest: Linux (glibc, musl) on x86-64 and 64-bit Arm, macOS.
const WHEELS: [&str; 6] = [
    "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
    "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
    "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
    "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
];

/// The path of our own uv, fetching it if it is not there yet.
pub(super) fn provide(search: &Search) -> Result<PathBuf, Error> {
    let home = search.cache.join("uv");
    let program = home.join(format!("uv-{VERSION}"));
    standing::private_directory(search.cache)?;
    standing::private_directory(&home)?;
    for directory in [search.cache, &home] {
        if standing::is_changed_by_others(directory)? {
            return Err(unavailable(format!(
                "`{}`, where rootstock keeps it, can be changed by other users",
                directory.display()
            )));
        }
    }
    if files::is_executable(&program) {
        if !standing::is_changed_by_others(&program)? {
            return Ok(program);
        }
        // Whoever could write there may have replaced it: it is fetched again.
        files::remove_if_present(&program)?;
    }
    let work = files::temporary_directory(&home, ".fetch-")?;
    let wheel = download(search, work.path())?;
    let unpacked = work.path().join("uv");
    files::write(&unpacked, &program_in(&wheel)?)?;
    files::set_mode(&unpacked, 0o700)?;
    files::rename(&unpacked, &program)?;
    Ok(program)
}

fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable {
        reason: reason.into(),
    }
}

/// The bytes of the wheel, verified.
fn download(search: &Search, work: &Path) -> Result<Vec<u8>, Error> {
    let hashes = WHEELS
        .map(|digest| format!(" --hash=sha256:{digest}"))
        .concat();
    let list = work.join("requirements.txt");
    files::write(&list, format!("uv=={VERSION}{hashes}\n").as_bytes())?;
    let interpreters = python::on_path(search.path, search.environment);
    let mut reasons = Vec::new();
    for interpreter in &interpreters {
        let output = Command::new(&interpreter.executable)
            .arguments([
                "-I",
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ])
            .arguments(["--only-binary", ":all:", "--require-hashes", "--dest"])
            .argument(work)
            .argument("--requirement")
            .argument(&list)
            .variables(search.environment)
            .run_limited();
        match output {
            Ok(output) if output.exit.success() => return verified(work),
            Ok(output) => reasons.push(format!("pip of {interpreter}: {}", said(&output))),
            Err(error) => reasons.push(chain(&error)),
        }
    }
    if interpreters.is_empty() {
        return Err(unavailable("no Python with pip was found on PATH"));
    }
    Err(unavailable(reasons.join("\n")))
}

fn verified(work: &Path) -> Result<Vec<u8>, Error> {
    let name = files::names(work)?
        .into_iter()
        .find(|name| name.starts_with("uv-"));
    let name = name.ok_or_else(|| unavailable("pip said it succeeded but left no wheel"))?;
    let bytes = files::read(&work.join(&name))?;
    let digest = Digest::of(&bytes).to_string();
    if !WHEELS.contains(&digest.as_str()) {
        return Err(unavailable(format!(
            "`{name}` has the sha256 {digest}, which is none of those pinned"
        )));
    }
    Ok(bytes)
}

fn program_in(wheel: &[u8]) -> Result<Vec<u8>, Error> {
    let broken = |error: &dyn std::error::Error| {
        unavailable(format!("its wheel cannot be read: {}", chain(error)))
    };
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(wheel)).map_err(|e| broken(&e))?;
    let mut member = archive
        .by_name(&format!("uv-{VERSION}.data/scripts/uv"))
        .map_err(|e| broken(&e))?;
    let mut program = Vec::new();
    member.read_to_end(&mut program).map_err(|e| broken(&e))?;
    Ok(program)
}
