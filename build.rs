//! Lists the environments of this repository as a constant of the program: `rootstock add` takes them from there.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=environments");
    let mut names = Vec::new();
    for entry in fs::read_dir(Path::new(&here).join("environments"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|end| end == "py") {
            names.push(name);
        }
    }
    names.sort();
    let sources = names.iter().map(|name| {
        let path = format!("environments/{name}");
        format!(
            "    ({path:?}, include_str!({:?})),\n",
            format!("{here}/{path}")
        )
    });
    let text = format!("&[\n{}]\n", sources.collect::<String>());
    fs::write(Path::new(&out).join("carried.rs"), text)
}
