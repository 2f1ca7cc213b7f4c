//! Lists the environments of this repository as a constant of the program: `rootstock add` takes them from there.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=environments");
    let mut paths = Vec::new();
    collect(Path::new(&here), "environments", &mut paths)?;
    paths.sort();
    let sources = paths.iter().map(|path| {
        let file = format!("{here}/{path}");
        format!("    ({path:?}, include_str!({file:?})),\n")
    });
    let text = format!("&[\n{}]\n", sources.collect::<String>());
    fs::write(Path::new(&out).join("carried.rs"), text)
}

/// The sources below a directory: of environments, and of packages beside them.
fn collect(here: &Path, directory: &str, paths: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(here.join(directory))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{directory}/{name}");
        if entry.file_type()?.is_dir() {
            if name != "__pycache__" {
                collect(here, &path, paths)?;
            }
        } else if [".py", ".toml"].iter().any(|end| name.ends_with(end)) {
            paths.push(path);
        }
    }
    Ok(())
}
