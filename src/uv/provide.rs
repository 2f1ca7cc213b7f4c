//! Our own uv, fetched once by the machine's pip, pinned by sha256. Nothing else is ever fetched this way.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Error, Search, error_output};
use crate::digest::Digest;
use crate::files::trust::{Trust, own_directory};
use crate::files::{self, Context};
use crate::process::Command;
use crate::python;
use crate::report::chain;

/// The version this release of rootstock is tested with.
const VERSION: &str = "0.13.9";

/// Its wheels by their digests, each with the digest of the program in it, by which it is known in the cache: what else lies
/// there could have been written together with it. `pip download uv==VERSION --platform …` and `sha256sum` say them.
const WHEELS: [(&str, &str); 6] = [
    // Linux with glibc, then with musl, on x86-64.
    (
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        "b73acdf73b96c3ac9e56d2fa933427b3ee6a901e3cce6ba1e3ecb3f91ca0d86a",
    ),
    (
        "2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
        "edbfb9a3d00dc84148e6691cd8740781fdc32db6505d7ef88ba6c3e569d5bec9",
    ),
    // Linux on 64-bit Arm: newer, then older systems.
    (
        "ecb6028d79dc96fbeafffe5c8af62a7099487ebc05a701e76714eebcffd06375",
        "6109e47a75f2380d1cc90b00a6ee82b7b5792ddf66588625ec168545ae17512e",
    ),
    (
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        "bbecb5ac518030bb5e84f1999c577228460192832ac24a92bd772735682979f4",
    ),
    // macOS on 64-bit Arm, then on x86-64.
    (
        "66c512266d633bef48384a1f53003f41f2a8e7b36fe6e7fbfd3e0fd52d96fa63",
        "0e17c316d23b33b4e840669f516f5cb7f5c1faa816ebd3824052ab50082ecefb",
    ),
    (
        "c16ed11e013557536b3e60065f1b912f6407bd6518e041b961e23ef9e6b4fbf5",
        "9d275208c058354f9b300ea46a499c7a29de3249ae839503cadff2c01c159d69",
    ),
];

/// The path of our own uv, fetching it if it is not there yet.
pub(super) fn provide(search: &Search) -> Result<PathBuf, Error> {
    let home = search.cache.join("uv");
    let program = home.join(format!("uv-{VERSION}"));
    let trust = Trust::of(search.environment);
    own_directory(&home, &trust)?;
    if trust.check(&program).is_ok() && is_ours(&program)? {
        return Ok(program);
    }
    // Fetched again: whatever is there, it was not put there by this program.
    let work = files::temporary_directory(&home, ".fetch-")?;
    let wheel = download(search, work.path())?;
    let unpacked = work.path().join("uv");
    files::write(&unpacked, &program_in(&wheel)?)?;
    files::set_mode(&unpacked, 0o700)?;
    if !is_ours(&unpacked)? {
        return Err(unavailable("its wheel has another program than the pinned"));
    }
    if files::is_really_directory(&program) {
        files::remove_tree(&program)?;
    }
    files::rename(&unpacked, &program)?;
    Ok(program)
}

/// Whether a file is a uv of the pinned wheels, executable. Takes some 25 ms, for 38 MB.
fn is_ours(program: &Path) -> files::Result<bool> {
    if !files::is_executable(program) {
        return Ok(false);
    }
    let (digest, _) = Digest::of_reader(files::open(program)?).context("read", program)?;
    let digest = digest.to_string();
    Ok(WHEELS.iter().any(|(_, pinned)| *pinned == digest))
}

fn unavailable(reason: impl Into<String>) -> Error {
    Error::Unavailable {
        reason: reason.into(),
    }
}

/// The bytes of the wheel, verified.
fn download(search: &Search, work: &Path) -> Result<Vec<u8>, Error> {
    let hashes = WHEELS
        .map(|(wheel, _)| format!(" --hash=sha256:{wheel}"))
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
            Ok(output) => reasons.push(format!("pip of {interpreter}: {}", error_output(&output))),
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
    let name = name.ok_or_else(|| unavailable("pip succeeded but wrote no wheel"))?;
    let bytes = files::read(&work.join(&name))?;
    let digest = Digest::of(&bytes).to_string();
    if !WHEELS.iter().any(|(wheel, _)| *wheel == digest) {
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
