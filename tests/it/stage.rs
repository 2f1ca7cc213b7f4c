//! `rootstock stage`: a root on the node's own disk, made once, whole or not at all, that needs nothing of where it comes from.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use snapbox::str;

use crate::image::{members, project, walk};
use crate::sandbox::person::{Person, can_be_others};
use crate::sandbox::{Output, Sandbox, trace};

/// A project that is synced, an image of it, and the directory of a node.
fn with_image() -> Sandbox {
    let sandbox = project();
    sandbox.sync(&[]);
    sandbox.run(&["image", "-o", "all.tar.zst"]).expect(0);
    fs::create_dir(sandbox.path("node")).unwrap();
    sandbox
}

fn stage(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    sandbox.run(&[&["stage", "--to", "node"], arguments].concat())
}

/// The root that was printed, and nothing else.
#[track_caller]
fn root_of(ended: &Output) -> PathBuf {
    ended.expect(0);
    let path = PathBuf::from(ended.stdout.trim_end());
    assert_eq!(ended.stdout, format!("{}\n", path.display()));
    assert!(path.join("models.json").is_file(), "{}", path.display());
    path
}

/// The directory in which stages of a base lie.
fn stages(sandbox: &Sandbox, base: &str) -> String {
    let user = sandbox.names(base);
    assert_eq!(user.len(), 1, "{user:?}");
    format!("{base}/{}/stages", user[0])
}

/// Everything in a directory with its mode and bytes, `[STAGE]` where it names itself.
fn contents(directory: &Path) -> Vec<(String, u32, String)> {
    let name = directory.to_str().unwrap();
    let plain = |text: &str| text.replace(name, "[STAGE]");
    let mut found: Vec<_> = walk(directory)
        .into_iter()
        .map(|path| {
            let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
            let bytes = match fs::read_link(&path) {
                Ok(target) => target.into_os_string().into_encoded_bytes(),
                Err(_) => fs::read(&path).unwrap_or_default(),
            };
            (plain(&path), mode, plain(&String::from_utf8_lossy(&bytes)))
        })
        .collect();
    // A stamp is sealed, and names the stage.
    for (path, _, text) in &mut found {
        if path.ends_with("rootstock-stamp.json") {
            *text = text
                .lines()
                .filter(|line| !line.contains("\"seal\""))
                .collect();
        }
    }
    found.sort();
    found
}

#[test]
fn a_stage_is_the_same_from_a_root_and_from_an_image_and_needs_neither() {
    let sandbox = with_image();
    fs::create_dir(sandbox.path("other")).unwrap();
    let from_image = root_of(&stage(&sandbox, &["all.tar.zst"]));
    let from_root = root_of(&sandbox.run(&["stage", "--to", "other"]));
    assert_eq!(from_image.file_name(), from_root.file_name());
    assert_eq!(contents(&from_image), contents(&from_root));
    for (path, mode, _) in contents(&from_image) {
        assert!(
            path.contains("/bin/python")
                || mode.trailing_zeros() >= 6
                || mode & 0o170_000 == 0o120_000,
            "{path} {mode:o}"
        );
    }
    // What is there is used, by whichever way it is asked for.
    for arguments in [&["all.tar.zst"][..], &[], &["one", "two"]] {
        let ended = stage(&sandbox, arguments);
        assert_eq!(root_of(&ended), from_image);
        assert_eq!(ended.stderr, "");
    }
    // Ids are those of the root, which is not needed any more.
    let id = sandbox.stamp("root", "one", "id");
    fs::rename(sandbox.path("root"), sandbox.path("gone")).unwrap();
    fs::remove_file(sandbox.path("all.tar.zst")).unwrap();
    let stage = from_image.to_str().unwrap();
    assert_eq!(sandbox.stamp(stage, "one", "id"), id);
    let code = "import sys, first, shared; print(sys.base_prefix, first.__file__)";
    let ended = sandbox.run(&["run", "--root", stage, "one", "--", "python", "-c", code]);
    ended.expect(0);
    assert!(
        ended
            .stdout
            .split_whitespace()
            .all(|path| path.starts_with(stage)),
        "{}",
        ended.stdout
    );
    sandbox
        .run(&["doctor", "--deep", "--root", stage])
        .expect(0);
    sandbox
        .run(&["sync", "--check", "--root", stage, "--only", "envs"])
        .expect(0);
    let status = sandbox.run(&["status", "--root", stage, "--json"]).json();
    for item in ["environments", "models"] {
        for item in status[item].as_array().unwrap() {
            assert_eq!(item["state"], "fresh", "{item}");
        }
    }
}

#[test]
fn a_process_on_a_stage_opens_no_path_of_the_shared_root() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = with_image();
    let shared = sandbox.path("root").canonicalize().unwrap();
    let stage = root_of(&stage(&sandbox, &["all.tar.zst"]));
    let seen = sandbox.path("seen");
    let mut command = trace::writing_to(&sandbox, &seen, &["trace=%file"]);
    command.args(["run", "--root"]).arg(&stage);
    command.args(["one", "--", "python", "-c", "import first, shared, json"]);
    Output::from(command.output().unwrap()).expect(0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains(stage.to_str().unwrap()));
    let paths: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains(&format!("{}/", shared.display())))
        .collect();
    assert_eq!(paths, [""; 0]);
}

/// The environment that workers are tested with runs on the machine's own Python, which is taken along.
#[test]
fn a_worker_on_a_stage_opens_no_path_of_the_shared_root() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = Sandbox::new(&[]);
    std::os::unix::fs::symlink(crate::sandbox::python(), sandbox.path("bin/python3")).unwrap();
    fs::create_dir(sandbox.path("node")).unwrap();
    let shared = crate::worker::root().to_str().unwrap();
    let ended = sandbox.run(&[
        "stage",
        "--to",
        "node",
        "--root",
        shared,
        "odd-zero",
        "--with-python",
    ]);
    let stage = root_of(&ended);
    let seen = sandbox.path("seen");
    let mut command = trace::writing_to(&sandbox, &seen, &["trace=%file"]);
    command
        .args(["probe", "--root"])
        .arg(&stage)
        .args(["odd-zero", "--steps", "2"]);
    Output::from(command.output().unwrap()).expect(0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("ase/calculators"), "it has loaded the model");
    let paths: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains(&format!("{shared}/")))
        .collect();
    assert_eq!(paths, [""; 0]);
}

#[test]
fn tasks_of_a_node_that_ask_at_once_stage_once() {
    let sandbox = with_image();
    for arguments in [&["all.tar.zst"][..], &["one"]] {
        let tasks: Vec<_> = (0..8)
            .map(|_| sandbox.start(&[&["stage", "--to", "node"], arguments].concat()))
            .collect();
        let ended = tasks
            .into_iter()
            .map(|task| Output::from(task.wait_with_output().unwrap()));
        let ended: Vec<Output> = ended.collect();
        let roots: Vec<PathBuf> = ended.iter().map(root_of).collect();
        assert!(roots.iter().all(|root| *root == roots[0]), "{roots:?}");
        let made = ended
            .iter()
            .filter(|ended| ended.stderr.contains("staging "));
        assert_eq!(made.count(), 1, "{ended:?}");
        let deep = ["doctor", "--deep", "--root", roots[0].to_str().unwrap()];
        sandbox.run(&deep).expect(0);
    }
    let stages = stages(&sandbox, "node");
    assert_eq!(sandbox.names(&format!("{stages}/claims")), [""; 0]);
}

#[test]
fn a_task_whose_builder_dies_stages_itself() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = with_image();
    let arguments = ["stage", "--to", "node", "-j", "1", "all.tar.zst"];
    let stopped = trace::stopped_after(&sandbox, "symlink,symlinkat", 1, &arguments).unwrap();
    let mut other = sandbox.start(&arguments);
    let mut line = String::new();
    let mut message = BufReader::new(other.stderr.take().unwrap());
    message.read_line(&mut line).unwrap();
    assert!(line.starts_with("one is staged by "), "{line}");
    stopped.send("KILL");
    stopped.go_on();
    root_of(&Output::from(other.wait_with_output().unwrap()));
}

#[test]
fn killed_at_every_rename_and_link_nothing_half_made_is_used() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = with_image();
    for (calls, arguments) in [
        ("rename,renameat,renameat2", &["all.tar.zst"][..]),
        ("rename,renameat,renameat2", &["one"]),
        ("symlink,symlinkat", &["all.tar.zst"]),
    ] {
        let arguments = [&["stage", "--to", "node", "-j", "1"], arguments].concat();
        let mut kills = 0;
        while let Ok(stopped) = trace::stopped_after(&sandbox, calls, kills + 1, &arguments) {
            stopped.send("KILL");
            let ended = stopped.go_on();
            kills += 1;
            // What was printed, if anything was, can be used.
            if !ended.stdout.is_empty() {
                let root = ended.stdout.trim_end();
                sandbox.run(&["doctor", "--deep", "--root", root]).expect(0);
            }
            if kills % 4 == 0 {
                let root = root_of(&sandbox.run(&arguments));
                sandbox
                    .run(&["doctor", "--deep", "--root", root.to_str().unwrap()])
                    .expect(0);
                sandbox.run(&["stage", "--to", "node", "--clean"]).expect(0);
            }
        }
        assert!(kills >= 4, "{calls} {kills}");
        root_of(&sandbox.run(&arguments));
        sandbox.run(&["stage", "--to", "node", "--clean"]).expect(0);
        let stages = stages(&sandbox, "node");
        let left = sandbox.names(&stages);
        assert!(
            left.iter().all(|name| name == "claims" || name == "trash"),
            "{left:?}"
        );
        for directory in ["claims", "trash"] {
            assert_eq!(sandbox.names(&format!("{stages}/{directory}")), [""; 0]);
        }
    }
}

#[test]
fn one_flipped_byte_of_an_image_is_found_wherever_it_is() {
    let sandbox = with_image();
    let whole = fs::read(sandbox.path("all.tar.zst")).unwrap();
    let length = whole.len();
    let places = (0..10)
        .chain((1..12).map(|n| n * length / 12))
        .chain(length - 4..length);
    for at in places {
        let mut image = whole.clone();
        // Of the fifth byte, zstd gives some bits no meaning.
        image[at] ^= if at == 4 { 0x04 } else { 0x10 };
        fs::write(sandbox.path("wrong.tar.zst"), image).unwrap();
        let ended = stage(&sandbox, &["wrong.tar.zst"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{at}: {}",
            ended.stderr
        );
        let message = ended.message();
        assert!(
            message.contains("`wrong.tar.zst` is not an image, or is damaged"),
            "{at}: {message}"
        );
    }
    for cut in [0, 1, 100, length / 2, length - 1] {
        fs::write(sandbox.path("cut.tar.zst"), &whole[..cut]).unwrap();
        let ended = stage(&sandbox, &["cut.tar.zst"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{cut}: {}",
            ended.stderr
        );
    }
    let left = walk(&sandbox.path("node"));
    assert!(
        !left.iter().any(|path| path.contains("generations")),
        "{left:?}"
    );
    let sha256 = rootstock::digest::Digest::of(&whole).to_string();
    let other = rootstock::digest::Digest::of("another").to_string();
    let ended = stage(&sandbox, &["all.tar.zst", "--sha256", &other]);
    ended.expect(2);
    assert!(
        ended
            .message()
            .contains(&format!("has the sha256 {sha256}, not {other}")),
        "{}",
        ended.stderr
    );
    root_of(&stage(&sandbox, &["all.tar.zst", "--sha256", &sha256]));
}

/// A member of an archive: path, type, mode, contents or target.
type Member = (String, tar::EntryType, u32, Vec<u8>);

fn pack(path: &Path, members: &[Member]) {
    let file = fs::File::create(path).unwrap();
    let encoder = zstd::Encoder::new(file, 1).unwrap();
    let mut builder = tar::Builder::new(encoder);
    for (name, kind, mode, data) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let is_file = *kind == tar::EntryType::Regular;
        let bytes = if is_file { &data[..] } else { &[] };
        header.set_size(bytes.len() as u64);
        if name.len() > 100 && is_file {
            builder.append_data(&mut header, name, bytes).unwrap();
            continue;
        }
        if name.len() > 100 {
            let target = std::str::from_utf8(data).unwrap();
            builder.append_link(&mut header, name, target).unwrap();
            continue;
        }
        // Written directly, because the builder refuses what a hostile archive has.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        if !is_file {
            header.as_gnu_mut().unwrap().linkname[..data.len()].copy_from_slice(data);
        }
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
}

/// An archive of these members, and one with a name of 2 GiB, which takes 200 kB.
fn endless_name(path: &Path, before: &[Member], kind: tar::EntryType) {
    pack(path, before);
    let mut bytes = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    bytes.truncate(bytes.len() - 1024);
    let mut encoder = zstd::Encoder::new(fs::File::create(path).unwrap(), 1).unwrap();
    encoder.write_all(&bytes).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(2 << 30);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    let part = vec![b'a'; 1 << 20];
    for _ in 0..2 << 10 {
        encoder.write_all(&part).unwrap();
    }
    encoder.finish().unwrap();
}

/// An image without an interpreter, small enough to be written by a test, as its members.
fn small() -> (Sandbox, Vec<Member>) {
    let sandbox = Sandbox::single().with_weights();
    sandbox.sync(&[]);
    fs::create_dir(sandbox.path("node")).unwrap();
    sandbox
        .run(&["image", "--allow-system-python", "-o", "small.tar.zst"])
        .expect(0);
    let mut all: Vec<Member> = members(&sandbox.path("small.tar.zst"))
        .into_iter()
        .map(|(path, (header, bytes))| {
            let kind = header.entry_type();
            let data = match header.link_name().unwrap() {
                Some(target) if kind == tar::EntryType::Symlink => {
                    target.to_str().unwrap().as_bytes().to_vec()
                }
                _ => bytes,
            };
            (path, kind, header.mode().unwrap(), data)
        })
        .collect();
    let first = |member: &Member| {
        let beginning = member.0 == "rootstock-image.json";
        (
            !beginning,
            !member.0.ends_with("rootstock-tree.txt"),
            member.0.clone(),
        )
    };
    all.sort_by_key(first);
    (sandbox, all)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of damages")]
fn images_that_are_not_what_they_say_are_refused() {
    use tar::EntryType::{Block, Directory, Link, Regular, Symlink};
    let (sandbox, good) = small();
    let file = |path: &str, text: &str| (path.to_owned(), Regular, 0o444, text.as_bytes().to_vec());
    let at = |end: &str| {
        good.iter()
            .position(|member| member.0.ends_with(end))
            .unwrap()
    };
    let module = at("single/__init__.py");
    let path = good[module].0.clone();
    let replaced = |member: Member| {
        let mut members = good.clone();
        members[module] = member;
        members
    };
    let with = |member: Member| [good.clone(), vec![member]].concat();
    let edited = |from: &str, to: &str| {
        let mut members = good.clone();
        let text = String::from_utf8(members[0].3.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        members[0].3 = text.replacen(from, to, 1).into_bytes();
        members
    };
    let without = |end: &str| {
        let mut members = good.clone();
        members.remove(at(end));
        members
    };
    let size: u64 = good
        .iter()
        .filter(|m| m.1 == Regular)
        .map(|m| m.3.len() as u64)
        .sum();
    let beginning = good[0].3.len() as u64;
    let bytes = size - beginning;
    let cases: Vec<(&str, Vec<Member>, &str)> = vec![
        (
            "leads out",
            with(file("generations/../../x", "")),
            "is in none of its lists",
        ),
        (
            "absolute",
            with(file("/tmp/rootstock-planted", "")),
            "is in none of its lists",
        ),
        (
            "extra",
            with(file("generations/one/x", "")),
            "is in none of its lists",
        ),
        (
            "a stamp",
            with(file("rootstock-stage.json", "")),
            "is in none of its lists",
        ),
        (
            "twice",
            with(good[module].clone()),
            "is in none of its lists, or there twice",
        ),
        (
            "missing",
            without("single/__init__.py"),
            "single/__init__.py",
        ),
        (
            "no list",
            without("rootstock-tree.txt"),
            "is in none of its lists",
        ),
        (
            "no weights",
            without("p.bin"),
            "it has no `cache/potentials/p.bin`",
        ),
        (
            "no beginning",
            without("rootstock-image.json"),
            "it does not begin with",
        ),
        (
            "other content",
            replaced(file(&path, "import os")),
            "has other contents",
        ),
        (
            "link for file",
            replaced((path.clone(), Symlink, 0o777, b"/etc/passwd".to_vec())),
            "is not what its list says",
        ),
        (
            "hard link",
            replaced((path.clone(), Link, 0o444, b"/etc/passwd".to_vec())),
            "is not what its list says",
        ),
        (
            "device",
            replaced((path.clone(), Block, 0o444, Vec::new())),
            "is not what its list says",
        ),
        (
            "directory",
            replaced((path.clone(), Directory, 0o755, Vec::new())),
            "is not what its list says",
        ),
        (
            "larger",
            edited(&format!("\"bytes\": {bytes}"), "\"bytes\": 12"),
            "it holds more than it says",
        ),
        (
            "newer",
            edited("\"schema\": 1", "\"schema\": 2"),
            "was made by a newer rootstock",
        ),
        (
            "no id",
            edited("\"id\": \"", "\"id\": \"../../"),
            "is no id",
        ),
        (
            "path of weights",
            edited("\"potentials/p.bin\": {", "\"../p.bin\": {"),
            "leads out of it",
        ),
        ("no JSON", edited("{", "["), "rootstock-image.json"),
        ("nothing", Vec::new(), "it is empty"),
    ];
    for (name, members, why) in cases {
        pack(&sandbox.path("bad.tar.zst"), &members);
        let ended = stage(&sandbox, &["bad.tar.zst"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{name}: {}",
            ended.stderr
        );
        assert!(ended.message().contains(why), "{name}: {}", ended.message());
    }
    for kind in [
        tar::EntryType::GNULongName,
        tar::EntryType::GNULongLink,
        tar::EntryType::XHeader,
    ] {
        for before in [0, 1] {
            endless_name(&sandbox.path("bad.tar.zst"), &good[..before], kind);
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "ulimit -v 1000000; exec \"$@\"", "sh"]);
            shell.arg(env!("CARGO_BIN_EXE_rootstock"));
            shell.args(["stage", "--to", "node", "bad.tar.zst"]);
            sandbox.set_up(&mut shell);
            let ended = Output::from(shell.output().unwrap());
            ended.expect(2);
            let message = ended.message();
            assert!(
                message.contains("a name of its members is longer than 1 MiB"),
                "{kind:?}: {message}"
            );
        }
    }
    let other = edited("\"target\": \"linux-", "\"target\": \"moon-");
    pack(&sandbox.path("bad.tar.zst"), &other);
    let ended = stage(&sandbox, &["bad.tar.zst"]);
    ended.expect(4);
    assert!(ended.message().contains("is for moon-"), "{}", ended.stderr);
    pack(&sandbox.path("bad.tar.zst"), &good);
    let mut longer = fs::OpenOptions::new()
        .append(true)
        .open(sandbox.path("bad.tar.zst"))
        .unwrap();
    longer
        .write_all(&zstd::encode_all(&b"more"[..], 1).unwrap())
        .unwrap();
    let ended = stage(&sandbox, &["bad.tar.zst"]);
    ended.expect(2);
    assert!(
        ended.message().contains("something follows its end"),
        "{}",
        ended.stderr
    );
    for (name, bytes) in [("none", &b"no image"[..]), ("empty", b"")] {
        fs::write(sandbox.path("bad.tar.zst"), bytes).unwrap();
        let ended = stage(&sandbox, &["bad.tar.zst"]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(2), ""),
            "{name}: {}",
            ended.stderr
        );
    }
    let left = walk(&sandbox.path("node"));
    assert!(
        !left.iter().any(|path| path.contains("generations")),
        "{left:?}"
    );
    // And as it was it can be staged.
    pack(&sandbox.path("good.tar.zst"), &good);
    root_of(&stage(&sandbox, &["good.tar.zst"]));
}

#[test]
fn links_of_a_list_are_not_written_through() {
    let (sandbox, mut members) = small();
    let list = members
        .iter()
        .position(|member| member.0.ends_with("rootstock-tree.txt"))
        .unwrap();
    let below = members[list]
        .0
        .strip_suffix("rootstock-tree.txt")
        .unwrap()
        .to_owned();
    let text = String::from_utf8(members[list].3.clone()).unwrap();
    let digest = rootstock::digest::Digest::of("x");
    for (line, why) in [
        (format!("{digest} 0444 ../../../planted"), "leads out of it"),
        (format!("{digest} 0444 /tmp/planted"), "is absolute"),
        (
            format!("{digest} 0444 rootstock-stamp.json"),
            "is that of a list or stamp",
        ),
        (
            "link /etc planted".to_owned(),
            "is a link that leaves the archive",
        ),
        (
            "link ../../../../.. planted".to_owned(),
            "is a link that leaves the archive",
        ),
        // A file below what is a link.
        (
            format!("link lib planted\n{digest} 0444 planted/x"),
            "File exists",
        ),
    ] {
        let forged = format!("{text}{line}\n");
        let old = rootstock::digest::Digest::of(&text).to_string();
        let new = rootstock::digest::Digest::of(&forged).to_string();
        let mut hostile = members.clone();
        hostile[list].3 = forged.into_bytes();
        let beginning = String::from_utf8(hostile[0].3.clone()).unwrap();
        hostile[0].3 = beginning
            .replace(&old, &new)
            .replacen("\"totals\": {", "\"totals\": {\"x\": 0,", 1)
            .into_bytes();
        if line.contains("planted/x") {
            hostile.push((
                format!("{below}planted/x"),
                tar::EntryType::Regular,
                0o444,
                b"x".to_vec(),
            ));
            hostile.push((
                format!("{below}planted"),
                tar::EntryType::Symlink,
                0o777,
                b"lib".to_vec(),
            ));
        }
        // Room for what was added.
        let beginning: serde_json::Value = serde_json::from_slice(&hostile[0].3).unwrap();
        let mut beginning = beginning;
        let bytes = beginning["totals"]["bytes"].as_u64().unwrap();
        beginning["totals"]["bytes"] = (bytes + 10_000).into();
        hostile[0].3 = beginning.to_string().into_bytes();
        pack(&sandbox.path("bad.tar.zst"), &hostile);
        let ended = stage(&sandbox, &["bad.tar.zst"]);
        assert_ne!(ended.code, Some(0), "{line}");
        assert_eq!(ended.stdout, "");
        assert!(ended.message().contains(why), "{line}: {}", ended.message());
    }
    members.clear();
    let left = walk(&sandbox.path("node"));
    assert!(
        !left.iter().any(|path| path.contains("planted")),
        "{left:?}"
    );
}

#[test]
fn the_directory_of_the_job_is_used_or_it_is_an_error() {
    let sandbox = with_image();
    for directory in ["slurm", "tmp"] {
        fs::create_dir(sandbox.path(directory)).unwrap();
    }
    let staged = |slurm: Option<&str>, tmp: Option<&str>| {
        let mut command = sandbox.command(&["stage", "one"]);
        command.env_remove("SLURM_TMPDIR").env_remove("TMPDIR");
        for (name, value) in [("SLURM_TMPDIR", slurm), ("TMPDIR", tmp)] {
            if let Some(value) = value {
                command.env(name, sandbox.path(value));
            }
        }
        Output::from(command.output().unwrap())
    };
    for (slurm, tmp, expected) in [
        (Some("slurm"), Some("tmp"), "slurm"),
        (None, Some("tmp"), "tmp"),
    ] {
        let root = root_of(&staged(slurm, tmp));
        assert!(root.starts_with(sandbox.path(expected).canonicalize().unwrap()));
        let private = root.ancestors().nth(2).unwrap();
        let mode = fs::metadata(private).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{}", private.display());
        let name = private.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("rootstock-"), "{name}");
    }
    staged(Some("absent"), Some("tmp")).expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × `[PROJECT]/absent`, of SLURM_TMPDIR, is not a directory
  help: name a directory on the node's own disk with `--to DIR`
"#]],
    );
    staged(None, Some("rootstock.toml")).expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × `[PROJECT]/rootstock.toml`, of TMPDIR, is not a directory
  help: name a directory on the node's own disk with `--to DIR`
"#]],
    );
    stage(&sandbox, &["absent.tar.zst"]).expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × there is no image `absent.tar.zst`
  help: correct the path; it starts in the current directory
"#]],
    );
    stage(&sandbox, &["all.tar.zst", "one"])
        .expect(2)
        .stderr_is(
            &sandbox,
            str![[r#"
  × `all.tar.zst` is an image, and an image is staged as a whole
  help: name the image alone; to have several environments in one stage, make one image of them
"#]],
        );
    stage(&sandbox, &["images/all.tar"]).expect(2).stderr_is(
        &sandbox,
        str![[r#"
  × `images/all.tar` is neither the name of an environment or model nor that of an image
  help: the name of an image ends in `.tar.zst`
"#]],
    );
    let digest = "0".repeat(64);
    stage(&sandbox, &["one", "--sha256", &digest])
        .expect(2)
        .stderr_is(
            &sandbox,
            str![[r#"
  × `--sha256` is about an image, and none was named
  help: name an image, or leave `--sha256` out: a root is compared with its own lists
"#]],
        );
}

#[test]
fn a_stage_that_has_lost_a_file_or_is_of_an_earlier_boot_is_made_again() {
    let sandbox = with_image();
    let root = root_of(&stage(&sandbox, &["all.tar.zst"]));
    let generation = sandbox.generation(root.to_str().unwrap(), "one");
    let pythons = fs::read_dir(root.join("pythons"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for path in [
        generation.join("lib/python3.11/site-packages/first/__init__.py"),
        generation.join("rootstock-stamp.json"),
        generation.join("rootstock-tree.txt"),
        pythons.join("lib/python3.11/os.py"),
        root.join("cache/potentials/p.bin"),
        root.join("models.json"),
        root.join("envs/one"),
        root.join("rootstock-image.json"),
        root.join("rootstock-stage.json"),
    ] {
        let above = path.parent().unwrap();
        fs::set_permissions(above, fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(&path).unwrap();
        let ended = stage(&sandbox, &["all.tar.zst"]);
        assert_eq!(root_of(&ended), root, "{}", path.display());
        assert!(
            ended.stderr.contains("staging "),
            "{}: {}",
            path.display(),
            ended.stderr
        );
        assert!(path.exists(), "{}", path.display());
    }
    let mark = root.join("rootstock-stage.json");
    let text = fs::read_to_string(&mark).unwrap();
    let boot: serde_json::Value = serde_json::from_str(&text).unwrap();
    let earlier = text.replace(boot["boot"].as_str().unwrap(), "000000000000");
    fs::write(&mark, earlier).unwrap();
    let ended = stage(&sandbox, &["all.tar.zst"]);
    assert!(ended.stderr.contains("staging "), "{}", ended.stderr);
    sandbox
        .run(&["doctor", "--deep", "--root", root.to_str().unwrap()])
        .expect(0);
}

#[test]
fn stages_that_no_process_uses_are_removed() {
    let sandbox = with_image();
    let clean = |more: &[&str]| {
        let ended = sandbox.run(&[&["stage", "--to", "node", "--clean", "--json"], more].concat());
        ended.expect(0).json()
    };
    let one = root_of(&stage(&sandbox, &["one"]));
    let all = root_of(&stage(&sandbox, &["all.tar.zst"]));
    let kept = clean(&["--older-than", "1h"]);
    assert_eq!(kept["recent"].as_array().unwrap().len(), 2, "{kept}");
    let mut python = sandbox.command(&[
        "run",
        "--root",
        one.to_str().unwrap(),
        "one",
        "--",
        "python",
    ]);
    python.args(["-c", "import sys; print(1, flush=True); sys.stdin.read()"]);
    let mut python = python
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(python.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let cleaned = clean(&[]);
    assert_eq!(cleaned["used"][0], one.to_str().unwrap(), "{cleaned}");
    assert_eq!(cleaned["removed"][0], all.to_str().unwrap(), "{cleaned}");
    assert!(one.exists() && !all.exists());
    drop(python.stdin.take());
    python.wait().unwrap();
    assert_eq!(clean(&[])["removed"][0], one.to_str().unwrap());
    let nothing = sandbox.run(&["stage", "--to", "node", "--clean"]);
    assert_eq!(nothing.expect(0).stdout, "there is no stage\n");
}

#[test]
fn a_python_of_the_machine_is_taken_along_or_required() {
    let (sandbox, _) = small();
    stage(&sandbox, &["one"]).expect(2);
    let required = root_of(&stage(&sandbox, &["small.tar.zst"]));
    let allowed = root_of(&stage(&sandbox, &["one", "--allow-system-python"]));
    assert_eq!(required, allowed);
    sandbox
        .run(&["image", "--with-python", "-o", "carried.tar.zst"])
        .expect(0);
    let carried = root_of(&stage(&sandbox, &["carried.tar.zst"]));
    assert_ne!(carried, required);
    assert_eq!(root_of(&stage(&sandbox, &["--with-python"])), carried);
    let prefix = |root: &Path| {
        let code = "import sys, ssl, ctypes, hashlib, single; print(sys.base_prefix)";
        let arguments = [
            "run",
            "--root",
            root.to_str().unwrap(),
            "one",
            "--",
            "python",
            "-c",
            code,
        ];
        let ended = sandbox.run(&arguments);
        PathBuf::from(ended.expect(0).stdout.trim_end())
    };
    assert!(prefix(&carried).starts_with(&carried));
    assert!(!prefix(&required).starts_with(&required));
    for root in [&carried, &required] {
        let deep = ["doctor", "--deep", "--root", root.to_str().unwrap()];
        sandbox.run(&deep).expect(0);
    }
    // The image is for a node that has another Python there.
    let (path, kind, mode, _) = &small().1[0];
    let mut members: Vec<Member> = small().1;
    let text = String::from_utf8(members[0].3.clone()).unwrap();
    let version = crate::sandbox::python_version();
    let other = text.replace(
        &format!("\"version\": \"{version}\""),
        "\"version\": \"3.11.99\"",
    );
    assert_ne!(text, other);
    members[0] = (path.clone(), *kind, *mode, other.into_bytes());
    pack(&sandbox.path("other.tar.zst"), &members);
    let ended = stage(&sandbox, &["other.tar.zst"]);
    ended.expect(4);
    assert!(
        ended.message().contains("needs cpython 3.11.99"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_disk_without_room_is_reported_before_anything_is_written() {
    let sandbox = with_image();
    let room = |options: &str, arguments: &[&str]| {
        let script = format!(
            "mount -t tmpfs -o {options} node node; \"$@\"; code=$?; find node; exit $code"
        );
        let mut command = Command::new("unshare");
        command.args([
            "-rm",
            "sh",
            "-ec",
            &script.replace("\"$@\";", "\"$@\" && code=0 ||"),
            "sh",
        ]);
        command.arg(env!("CARGO_BIN_EXE_rootstock")).args(arguments);
        sandbox.set_up(&mut command);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        Output::from(command.output().unwrap())
    };
    let can_mount = room("size=1M", &["--version"]).code == Some(0);
    if !crate::sandbox::lacking::unless(can_mount, "mounts") {
        return;
    }
    for (options, arguments, why) in [
        (
            "size=2M",
            &["stage", "--to", "node", "all.tar.zst"][..],
            "free, and",
        ),
        ("size=2M", &["stage", "--to", "node", "one"], "free, and"),
        (
            "nr_inodes=50",
            &["stage", "--to", "node", "all.tar.zst"],
            "room for",
        ),
        (
            "size=1M",
            &["image", "-o", "node/a.tar.zst"],
            "free, and at least",
        ),
    ] {
        let ended = room(options, arguments);
        ended.expect(1);
        assert!(ended.message().contains(why), "{}", ended.stderr);
        assert!(!ended.stdout.contains("generations"), "{}", ended.stdout);
    }
}

const ALICE: Person = Person {
    user: 61001,
    groups: "100",
};

#[test]
fn what_another_user_has_planted_is_not_staged_into() {
    if !can_be_others() {
        return;
    }
    let sandbox = with_image();
    for path in ["", "root", "node"] {
        let mode = if path == "node" { 0o1777 } else { 0o755 };
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let user = format!("node/rootstock-{}", ALICE.user);
    let planted = sandbox.path(&user);
    let arguments = ["stage", "--to", "node", "all.tar.zst"];
    let eve = |path: &Path| std::os::unix::fs::lchown(path, Some(61003), Some(61003)).unwrap();
    for what in ["directory", "link", "open"] {
        match what {
            "link" => std::os::unix::fs::symlink(sandbox.path("root"), &planted).unwrap(),
            _ => fs::create_dir(&planted).unwrap(),
        }
        if what == "open" {
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
        }
        eve(&planted);
        let ended = ALICE.run(&sandbox, "022", &arguments);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(1), ""),
            "{what}: {}",
            ended.stderr
        );
        assert!(
            ended.message().contains("belongs to user 61003"),
            "{what}: {}",
            ended.message()
        );
        assert!(
            ended.message().contains("--to DIR"),
            "{what}: {}",
            ended.message()
        );
        if what == "link" {
            fs::remove_file(&planted).unwrap();
        } else {
            fs::remove_dir_all(&planted).unwrap();
        }
    }
    let mine = root_of(&ALICE.run(&sandbox, "022", &arguments));
    let ours = root_of(&stage(&sandbox, &["all.tar.zst"]));
    assert_ne!(mine, ours);
    assert_eq!(mine.file_name(), ours.file_name());
}
