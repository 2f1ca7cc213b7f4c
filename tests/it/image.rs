//! `rootstock image`: the same bytes for the same lock, everything that a node needs, and nothing that is not as it was built.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use snapbox::str;

use crate::sandbox::{Interpreters, Output, Sandbox, complete};

/// Two environments on a managed interpreter, one with a model and its weights; locked.
pub(crate) fn project() -> Sandbox {
    let sandbox = Sandbox::shared().with_weights();
    let _interpreters = Interpreters::new(&sandbox);
    sandbox.lock();
    sandbox
}

fn run_under(sandbox: &Sandbox, umask: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    command.arg(env!("CARGO_BIN_EXE_rootstock")).args(arguments);
    sandbox.set_up(&mut command);
    Output::from(command.output().unwrap())
}

/// The members of an image by path: what they are, their mode, their bytes.
pub(crate) fn members(image: &Path) -> BTreeMap<String, (tar::Header, Vec<u8>)> {
    let file = fs::File::open(image).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut members = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let before = members.insert(path, (entry.header().clone(), bytes));
        assert!(before.is_none());
    }
    members
}

#[test]
fn images_of_one_lock_are_equal_whatever_root_umask_policy_and_number_of_threads() {
    let sandbox = project();
    let manifest = sandbox.read("rootstock.toml");
    let mut images = Vec::new();
    for (root, umask, access, jobs) in [
        ("root", "022", None, "1"),
        ("elsewhere/deep/down/root", "077", None, "2"),
        ("private", "000", Some("owner"), "7"),
    ] {
        let policy = access.map_or_else(String::new, |access| format!("access = \"{access}\"\n"));
        let edited = manifest.replacen("[rootstock]\n", &format!("[rootstock]\n{policy}"), 1);
        sandbox.write("rootstock.toml", &edited);
        run_under(&sandbox, umask, &["sync", "--root", root]).expect(0);
        let image = format!("image-{}.tar.zst", images.len());
        let arguments = ["image", "--root", root, "-o", &image, "-j", jobs];
        run_under(&sandbox, umask, &arguments).expect(0);
        images.push(fs::read(sandbox.path(&image)).unwrap());
    }
    assert!(images[0] == images[1] && images[0] == images[2]);
    // The order in which environments are named decides nothing.
    for names in [["one", "two"], ["two", "one"]] {
        sandbox
            .run(&[&["image", "-o", "named.tar.zst"], &names[..]].concat())
            .expect(0);
        assert!(images[0] == fs::read(sandbox.path("named.tar.zst")).unwrap());
    }
}

/// The environments of this repository, from two roots, built under two umasks and policies.
#[test]
fn images_of_the_default_environments_are_equal() {
    if !complete::is_wanted() {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let mut images = Vec::new();
    for (umask, access, jobs) in [("022", "world", "1"), ("077", "owner", "2")] {
        let project = directory.path().join(access);
        fs::create_dir(&project).unwrap();
        let manifest = fs::read_to_string(here.join("rootstock.toml")).unwrap();
        let policy = format!("[rootstock]\naccess = \"{access}\"\n");
        let manifest = manifest.replacen("[rootstock]\n", &policy, 1);
        fs::write(project.join("rootstock.toml"), manifest).unwrap();
        let script = "cp -r \"$HERE/environments\" \"$HERE/rootstock.lock\" . && umask \"$0\" \
            && \"$ROOTSTOCK\" sync && \"$ROOTSTOCK\" image emt tblite --with-python -o image.tar.zst -j \"$1\"";
        let made = Command::new("sh")
            .args(["-c", script, umask, jobs])
            .current_dir(&project)
            .env("HERE", here)
            .env("ROOTSTOCK", env!("CARGO_BIN_EXE_rootstock"))
            .env_remove("ROOTSTOCK_ROOT")
            .output();
        Output::from(made.unwrap()).expect(0);
        images.push(fs::read(project.join("image.tar.zst")).unwrap());
    }
    assert!(images[0] == images[1]);
}

#[test]
fn an_image_has_what_a_node_needs_and_nothing_that_names_a_place() {
    let sandbox = project();
    sandbox.sync(&[]);
    let ended = sandbox.run(&["image", "one", "-o", "one.tar.zst", "--json"]);
    let report = ended.expect(0).json();
    let bytes = fs::read(sandbox.path("one.tar.zst")).unwrap();
    assert_eq!(report["bytes"], bytes.len() as u64);
    let sha256 = rootstock::digest::Digest::of(&bytes).to_string();
    assert_eq!(report["sha256"], sha256);
    let members = members(&sandbox.path("one.tar.zst"));
    let root = sandbox.path("root").canonicalize().unwrap();
    let mut tops: Vec<&str> = members
        .keys()
        .map(|path| path.split('/').next().unwrap())
        .collect();
    tops.dedup();
    assert_eq!(
        tops,
        ["cache", "generations", "pythons", "rootstock-image.json"]
    );
    for (path, (header, bytes)) in &members {
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (0, 0, 0)
        );
        let mode = header.mode().unwrap();
        assert!([0o444, 0o555, 0o777].contains(&mode), "{path} {mode:o}");
        let text = String::from_utf8_lossy(bytes);
        assert!(
            !text.contains(root.to_str().unwrap()),
            "{path} names the root"
        );
    }
    assert_eq!(members["cache/potentials/p.bin"].1, b"numbers");
    let id = sandbox.stamp("root", "one", "id");
    let generation = format!("generations/one/{}", id.as_str().unwrap());
    for (name, there) in [
        ("rootstock-tree.txt", true),
        ("env_source.py", true),
        ("lib/python3.11/site-packages/single/__init__.py", false),
        ("lib/python3.11/site-packages/first/__init__.py", true),
        ("bin/python", false),
        ("pyvenv.cfg", false),
        ("rootstock-stamp.json", false),
    ] {
        assert_eq!(
            members.contains_key(&format!("{generation}/{name}")),
            there,
            "{name}"
        );
    }
    assert!(
        !members
            .keys()
            .any(|path| path.starts_with("generations/two"))
    );
}

#[test]
fn a_model_brings_its_environment_and_custom_no_weights() {
    let sandbox = project();
    sandbox.sync(&[]);
    for (name, weights, models) in [
        ("potential", true, 1),
        ("one:custom", false, 0),
        ("one", true, 1),
        ("two", false, 0),
    ] {
        let ended = sandbox.run(&["image", name, "-o", "x.tar.zst", "--json"]);
        let report = ended.expect(0).json();
        assert_eq!(report["models"].as_array().unwrap().len(), models, "{name}");
        let members = members(&sandbox.path("x.tar.zst"));
        assert_eq!(
            members.contains_key("cache/potentials/p.bin"),
            weights,
            "{name}"
        );
    }
}

#[test]
fn what_cannot_be_an_image_is_refused_before_anything_is_written() {
    let sandbox = Sandbox::shared();
    let refused = |arguments: &[&str], code| {
        let ended = sandbox.run(&[&["image"], arguments].concat());
        ended.expect(code);
        assert_eq!(ended.stdout, "");
        let images = sandbox.names("").into_iter();
        let left: Vec<String> = images
            .filter(|name| name.contains(".zst") || name.starts_with(".rootstock"))
            .collect();
        assert_eq!(left, [""; 0]);
        ended
    };
    refused(&["one", "-o", "a.tar.zst"], 4).stderr_is(
        &sandbox,
        str![[r#"
  × nothing is built in the root `[PROJECT]/root`
  help: run `rootstock sync` there, or name another root with `--root`
"#]],
    );
    sandbox.sync(&["one"]);
    let ended = refused(&["one", "-o", "a.tar.zst"], 2);
    let help = "take it along with `--with-python`, or require the same one of every node with `--allow-system-python`";
    assert!(
        ended
            .message()
            .contains("runs on this machine's own Python"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.message().replace("- ", "-").contains(help),
        "{}",
        ended.stderr
    );
    refused(&["one", "-o", "a.tar"], 2).stderr_is(
        &sandbox,
        str![[r#"
  × `a.tar` does not say which format the image is to have
  help: give the file a name that ends in `.tar.zst`
"#]],
    );
    refused(&["one", "-o", "absent/a.tar.zst"], 2).stderr_is(
        &sandbox,
        str![[r#"
  × there is no directory `[PROJECT]/absent`
  help: correct the path; it starts in the current directory
"#]],
    );
    refused(&["two", "--allow-system-python", "-o", "a.tar.zst"], 4).stderr_is(
        &sandbox,
        str![[r#"
  × environment `two` is not built
  help: build it with `rootstock sync two`; built here: one
"#]],
    );
    refused(&["oen", "--allow-system-python", "-o", "a.tar.zst"], 2).stderr_is(
        &sandbox,
        str![[r#"
  × the root has no model `oen`
  help: it has the environments one, two
"#]],
    );
    // Without names, what is built.
    sandbox
        .run(&["image", "--allow-system-python", "-o", "a.tar.zst"])
        .expect(0);
}

#[test]
fn what_was_changed_since_it_was_built_is_not_packed() {
    let module = "lib/python3.11/site-packages/shared/__init__.py";
    let sandbox = project();
    sandbox.sync(&[]);
    let generation = sandbox.generation("root", "one");
    for (damage, wrong) in [
        ("content", "has changed since it was built"),
        ("gone", "is missing"),
        ("weights", "has changed since it was built"),
        ("list", "is not as it was written"),
        ("interpreter", "has changed since it was built"),
        ("link", "has changed since it was built"),
    ] {
        let pythons = sandbox.names("root/pythons");
        let path = match damage {
            "weights" => sandbox.path("root/cache/potentials/p.bin"),
            "list" => generation.join("rootstock-tree.txt"),
            "link" => generation.join("bin/python3"),
            "interpreter" => {
                sandbox.path(&format!("root/pythons/{}/lib/python3.11/os.py", pythons[0]))
            }
            _ => generation.join(module),
        };
        let above = path.parent().unwrap();
        fs::set_permissions(above, fs::Permissions::from_mode(0o755)).unwrap();
        let text = fs::read_to_string(&path).unwrap_or_default();
        let before = sandbox.path("before");
        fs::rename(&path, &before).unwrap();
        if damage == "link" {
            std::os::unix::fs::symlink("/bin/sh", &path).unwrap();
        } else if damage != "gone" {
            fs::write(&path, text + "#").unwrap();
        }
        for command in [
            &["image", "-o", "a.tar.zst"][..],
            &["stage", "--to", "node"],
        ] {
            fs::create_dir_all(sandbox.path("node")).unwrap();
            let ended = sandbox.run(command);
            ended.expect(4);
            let message = ended.message();
            assert!(message.contains(wrong), "{damage}: {message}");
            assert!(
                message.contains("rootstock sync --repair"),
                "{damage}: {message}"
            );
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(
                message.replace(' ', "").contains(name),
                "{damage}: {message}"
            );
            assert!(!sandbox.path("a.tar.zst").exists());
        }
        let stages = sandbox.path("node");
        let left = walk(&stages);
        assert!(left.iter().all(|path| !path.contains("python")), "{left:?}");
        fs::rename(&before, &path).unwrap();
    }
}

/// Every path below a directory.
pub(crate) fn walk(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        found.push(path.to_str().unwrap().to_owned());
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
    }
    found
}

#[test]
fn an_image_replaces_an_older_one_only_when_it_is_whole() {
    let sandbox = project();
    sandbox.sync(&[]);
    fs::write(sandbox.path("a.tar.zst"), "an older one").unwrap();
    let weights = sandbox.path("root/cache/potentials/p.bin");
    fs::remove_file(&weights).unwrap();
    fs::write(&weights, "Numbers").unwrap();
    sandbox.run(&["image", "-o", "a.tar.zst"]).expect(4);
    assert_eq!(sandbox.read("a.tar.zst"), "an older one");
    sandbox.run(&["image", "two", "-o", "a.tar.zst"]).expect(0);
    assert!(members(&sandbox.path("a.tar.zst")).len() > 100);
    // What a killed one has left beside it goes with the next.
    let left = format!(".rootstock-{}-x", crate::sandbox::maker_like(4_194_303));
    sandbox.write(&left, "half");
    sandbox.run(&["image", "two", "-o", "a.tar.zst"]).expect(0);
    assert!(!sandbox.path(&left).exists());
}
