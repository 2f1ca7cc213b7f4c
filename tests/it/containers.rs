//! The container recipes in `examples/containers`: their steps run in a directory tree that has the system's programs, and no Python,
//! root or network of the machine that built the environments.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::sandbox::{Output, complete, lacking};
use crate::worker::{ROOTSTOCK, here, root};

/// The commands of the Dockerfile's RUN, and the directory of its ENV.
fn of_dockerfile() -> (String, String) {
    let text = fs::read_to_string(here().join("examples/containers/Dockerfile")).unwrap();
    let text = text.replace("\\\n", " ");
    let value = |begin: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(begin));
        line.unwrap().to_owned()
    };
    (value("RUN "), value("ENV ROOTSTOCK_ROOT="))
}

/// The same of the Apptainer recipe.
fn of_apptainer() -> (String, String) {
    let text = fs::read_to_string(here().join("examples/containers/models.def")).unwrap();
    let section = |name: &str| {
        let (_, after) = text.split_once(&format!("\n%{name}\n")).unwrap();
        after.split("\n%").next().unwrap().to_owned()
    };
    let environment = section("environment");
    let root = environment
        .trim()
        .strip_prefix("export ROOTSTOCK_ROOT=")
        .unwrap();
    (section("post"), root.to_owned())
}

/// A shell in a tree of its own: `/usr` of this machine without `/usr/local`, everything else empty.
const IN_A_TREE: &str = "set -e
cd \"$TREE\"
mkdir usr dev proc tmp opt etc work root
for name in bin lib lib64; do
  if [ -L /$name ]; then cp -P /$name $name; elif [ -d /$name ]; then mkdir $name; mount --rbind /$name $name; fi
done
mount --rbind /usr usr
mount -t tmpfs none usr/local
mkdir usr/local/bin
mount --rbind /dev dev
mount --rbind /proc proc
cp \"$ROOTSTOCK\" usr/local/bin/rootstock
cp \"$IMAGE\" tmp/environments.tar.zst
cp \"$HERE/examples/slurm/share.py\" work
exec chroot . /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/root /bin/sh -ec \"$1\"";

#[test]
fn environments_of_an_image_run_in_a_container() {
    let mounts = Command::new("unshare")
        .args(["-rmn", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    let has_mounts = mounts.is_ok_and(|output| output.status.success());
    if !complete::sites_are_wanted() || !lacking::unless(has_mounts, "mounts") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("environments.tar.zst");
    let packed = Command::new(ROOTSTOCK)
        .args(["image", "odd", "--with-python", "--root"])
        .arg(root())
        .arg("-o")
        .arg(&image)
        .output();
    Output::from(packed.unwrap()).expect(0);
    for (name, (steps, root)) in [("docker", of_dockerfile()), ("apptainer", of_apptainer())] {
        let tree = directory.path().join(name);
        fs::create_dir(&tree).unwrap();
        let result = inside(&tree, &image, &steps, &root);
        let line: serde_json::Value = serde_json::from_str(&result.expect(0).stdout).unwrap();
        let energies = &line["result"]["energies"];
        assert!(
            (energies["8"].as_f64().unwrap() - 0.000_6).abs() < 0.01,
            "{name}: {line}"
        );
    }
}

fn inside(tree: &Path, image: &Path, steps: &str, root: &str) -> Output {
    let call = "rootstock call odd-emt share.py:share 0 4";
    let script = format!("{steps}\nexport ROOTSTOCK_ROOT={root}; cd /work\nexec {call}");
    // Without a network.
    let output = Command::new("unshare")
        .args(["-rmn", "/bin/sh", "-c", IN_A_TREE, "sh", &script])
        .env("TREE", tree)
        .env("IMAGE", image)
        .env("ROOTSTOCK", ROOTSTOCK)
        .env("HERE", here())
        .output();
    Output::from(output.unwrap())
}
