//! `rootstock gc` removes what a root can do without, and nothing that is needed.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::sandbox::{Output, Sandbox, maker_like, trace, traces};

/// What nothing leads to goes, however young it is.
const ALL: [&str; 4] = ["--keep", "0", "--older-than", "0s"];

/// Environment `one` with so many generations, the last of which is the current one; their ids in order.
fn with_generations(number: usize) -> (Sandbox, Vec<String>) {
    let sandbox = Sandbox::single();
    let ids = (0..number).map(|n| {
        edit(&sandbox, n);
        id(&sandbox, "one")
    });
    let ids = ids.collect();
    (sandbox, ids)
}

/// Makes the source of `one` another one, and syncs. No other sandbox has generations of these ids: those that processes of
/// another test use would stay.
fn edit(sandbox: &Sandbox, number: usize) -> String {
    lock(sandbox, number);
    sandbox.sync(&[]).stdout
}

fn lock(sandbox: &Sandbox, number: usize) {
    let source = format!("# {number} in {}\n", sandbox.path("").display());
    sandbox.write_source("one", &["single"], &source);
    sandbox.lock();
}

fn id(sandbox: &Sandbox, environment: &str) -> String {
    let generation = sandbox.generation("root", environment);
    generation.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The generations that are there; what is unfinished does not count.
fn generations(sandbox: &Sandbox, environment: &str) -> Vec<String> {
    let mut names = sandbox.names(&format!("root/generations/{environment}"));
    names.retain(|name| !name.starts_with('.'));
    names
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}

fn gc(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let output = sandbox.run(&[&["gc", "--json"], arguments].concat());
    output.expect(0);
    output.json()
}

/// What was asked for beside this.
fn asked_since(sandbox: &Sandbox, before: Vec<String>) -> Vec<String> {
    let mut asked = sandbox.index.asked();
    for file in before {
        let at = asked.iter().position(|known| *known == file).unwrap();
        asked.remove(at);
    }
    asked
}

/// Why a generation stays.
fn code(answer: &Value, id: &str) -> String {
    let kept = answer["kept"].as_array().unwrap().iter();
    let mut of = kept.filter(|kept| kept["path"].as_str().unwrap().ends_with(id));
    of.next().unwrap()["code"].as_str().unwrap().to_owned()
}

/// Writes down that this generation was left so many days ago.
fn left_days_ago(sandbox: &Sandbox, id: &str, days: u64) {
    let note = sandbox.path(&format!("root/generations/one/.retired-{id}"));
    let file = fs::File::options().append(true).open(note).unwrap();
    let time = SystemTime::now() - Duration::from_secs(days * 86_400);
    file.set_modified(time).unwrap();
}

#[test]
fn what_was_left_lately_stays_and_what_was_left_long_ago_goes() {
    let (sandbox, ids) = with_generations(4);
    let answer = gc(&sandbox, &["--keep", "0"]);
    assert_eq!(answer["items"], serde_json::json!([]));
    assert_eq!(code(&answer, &ids[0]), "recent");
    assert_eq!(code(&answer, &ids[3]), "led-to");

    for (id, days) in ids.iter().zip([30, 20, 10]) {
        left_days_ago(&sandbox, id, days);
    }
    // One is kept in any case: the last that was left.
    let answer = gc(&sandbox, &[]);
    assert_eq!(code(&answer, &ids[2]), "newest");
    assert_eq!(generations(&sandbox, "one"), sorted(&ids[2..]));
    assert_eq!(answer["items"].as_array().unwrap().len(), 2);
    assert!(answer["inodes"].as_u64().unwrap() > 10, "{answer}");
    let notes = sandbox.names("root/generations/one");
    let notes: Vec<&String> = notes.iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(notes, [&format!(".retired-{}", ids[2])]);

    gc(&sandbox, &["--keep", "0", "--older-than", "2w"]);
    assert_eq!(generations(&sandbox, "one"), sorted(&ids[2..]));
    gc(&sandbox, &["--keep", "0", "--older-than", "8d 24h"]);
    assert_eq!(generations(&sandbox, "one"), &ids[3..]);
    assert_eq!(sandbox.names("root/trash"), [""; 0]);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn going_back_to_an_old_lock_builds_nothing() {
    let (sandbox, ids) = with_generations(2);
    gc(&sandbox, &["--older-than", "0s"]);
    let store = traces(&sandbox.path("root/store"));
    let output = edit(&sandbox, 0);
    assert!(output.starts_with("switched one"), "{output}");
    assert_eq!(id(&sandbox, "one"), ids[0]);
    assert_eq!(traces(&sandbox.path("root/store")), store);
    // What is led to again is not taken for one that was left when it was left before.
    left_days_ago(&sandbox, &ids[0], 100);
    edit(&sandbox, 1);
    let answer = gc(&sandbox, &["--keep", "0"]);
    assert_eq!(code(&answer, &ids[0]), "recent");
}

#[test]
fn a_link_or_a_pin_holds_whatever_the_time() {
    let (sandbox, ids) = with_generations(3);
    let output = sandbox.run(&["gc", "--pin", &format!("one@{}", &ids[0][..12])]);
    output.expect(0);
    assert_eq!(output.stdout, format!("pinned one@{}\n", ids[0]));
    // A link that a person has made.
    let link = sandbox.path("root/envs/one-of-before");
    std::os::unix::fs::symlink(format!("../generations/one/{}", ids[1]), link).unwrap();
    for id in &ids[..2] {
        left_days_ago(&sandbox, id, 15_000);
    }
    let answer = gc(&sandbox, &ALL);
    assert_eq!(code(&answer, &ids[0]), "pinned");
    assert_eq!(code(&answer, &ids[1]), "led-to");
    assert_eq!(generations(&sandbox, "one"), sorted(&ids));

    let unknown = sandbox.run(&["gc", "--unpin", "one@ffff"]);
    unknown.expect(2);
    assert!(unknown.stderr.contains(&ids[0]), "{}", unknown.stderr);
    sandbox.run(&["gc", "--unpin", "one"]).expect(0);
    gc(&sandbox, &ALL);
    assert_eq!(generations(&sandbox, "one"), sorted(&ids[1..]));
    // The present one, by its environment alone.
    let output = sandbox.run(&["gc", "--pin", "one"]);
    assert_eq!(output.stdout, format!("pinned one@{}\n", ids[2]));
    for wrong in ["one@ffff", "two", "NO"] {
        sandbox.run(&["gc", "--pin", wrong]).expect(2);
    }
}

#[test]
fn what_a_process_of_this_host_runs_from_stays() {
    let (sandbox, ids) = with_generations(1);
    let python = sandbox.generation("root", "one").join("bin/python");
    let mut job = Command::new(python)
        .args(["-I", "-c", "print(flush=True); input(); import single"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(job.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    edit(&sandbox, 1);
    let answer = gc(&sandbox, &ALL);
    assert_eq!(code(&answer, &ids[0]), "in-use");
    let kept = answer["kept"].to_string();
    assert!(
        kept.contains(&format!("process {} of this host", job.id())),
        "{kept}"
    );
    // It imports late, and from its own generation.
    std::io::Write::write_all(&mut job.stdin.take().unwrap(), b"\n").unwrap();
    assert!(job.wait().unwrap().success());
    gc(&sandbox, &ALL);
    assert!(!generations(&sandbox, "one").contains(&ids[0]));
}

#[test]
fn the_store_keeps_what_is_left_and_the_rest_is_made_again() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    let wheels = sandbox.names("root/store/wheels-2");
    let bytecode = sandbox.names("root/store/bytecode-4");
    assert_eq!((wheels.len(), bytecode.len()), (3, 3));
    assert_eq!(gc(&sandbox, &ALL)["items"], serde_json::json!([]));

    fs::remove_file(sandbox.path("root/envs/two")).unwrap();
    // Young, and nothing but the policy spares it.
    assert_eq!(
        gc(&sandbox, &["--keep", "0"])["items"],
        serde_json::json!([])
    );
    let answer = gc(&sandbox, &ALL);
    let kinds = answer["items"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["generation", "wheel", "bytecode"]);
    assert_eq!(answer["items"][1]["name"], "second 1.0");
    assert_eq!(sandbox.names("root/store/wheels-2").len(), 2);
    assert_eq!(sandbox.names("root/store/bytecode-4").len(), 2);
    assert_eq!(sandbox.names("root/generations"), ["one"]);
    sandbox.run(&["doctor", "--deep"]).expect(0);

    let before = sandbox.index.asked();
    let output = sandbox.sync(&[]);
    assert!(
        output.stdout.starts_with("built two; kept one"),
        "{}",
        output.stdout
    );
    assert_eq!(
        asked_since(&sandbox, before),
        ["second-1.0-py3-none-any.whl"]
    );
    assert_eq!(sandbox.names("root/store/wheels-2"), wheels);
    sandbox.run(&["sync", "--check"]).expect(0);
}

#[test]
fn what_is_unreadable_may_need_everything() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    fs::remove_file(sandbox.path("root/envs/two")).unwrap();
    // What the current one needs is unknown.
    let stamp = sandbox
        .generation("root", "one")
        .join("rootstock-stamp.json");
    fs::set_permissions(&stamp, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&stamp, r#"{"schema": 99}"#).unwrap();
    let answer = gc(&sandbox, &ALL);
    let kinds = answer["items"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds.map(|item| item["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["generation"]);
    assert!(
        answer["kept"]
            .to_string()
            .contains("may need it and cannot be read")
    );
    assert_eq!(sandbox.names("root/store/wheels-2").len(), 3);
}

#[test]
fn a_dry_run_reports_what_a_run_frees_and_removes_nothing() {
    let (sandbox, _) = with_generations(3);
    let before = traces(&sandbox.path("root/generations"));
    let foretold = gc(&sandbox, &[&ALL[..], &["--dry-run"]].concat());
    assert_eq!(traces(&sandbox.path("root/generations")), before);
    let output = sandbox.run(&[&["gc", "--dry-run"], &ALL[..]].concat());
    assert!(
        output.stdout.contains("would remove generation one@"),
        "{}",
        output.stdout
    );
    assert!(output.stdout.contains("would free "), "{}", output.stdout);

    let inodes = || traces(&sandbox.path("root")).len() as u64;
    let there = inodes();
    let done = gc(&sandbox, &ALL);
    for field in ["items", "bytes", "inodes"] {
        assert_eq!(done[field], foretold[field], "{field}");
    }
    // Files that the store still has are no inodes of a generation's.
    assert!(done["inodes"].as_u64().unwrap() <= there - inodes());
    let output = sandbox.run(&[&["gc"], &ALL[..]].concat());
    assert!(
        output.stdout.starts_with("nothing to remove in `"),
        "{}",
        output.stdout
    );
}

#[test]
fn what_a_killed_sync_has_left_goes_and_what_a_running_one_makes_stays() {
    let sandbox = Sandbox::shared();
    let file = "second-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let mut killed = sandbox.start(&["sync"]);
    sandbox.index.wait_for(file);
    killed.kill().unwrap();
    killed.wait().unwrap();
    for name in [
        // As a build that was killed leaves them; the process is gone.
        format!("generations/one/.staging-{}-x", maker_like(killed.id())),
        format!("store/wheels-2/.making-{}-x", maker_like(killed.id())),
        format!("envs/.one-{}", maker_like(killed.id())),
    ] {
        fs::create_dir_all(sandbox.path("root").join(name)).unwrap();
    }
    let answer = gc(&sandbox, &[]);
    let mut kinds: Vec<&str> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    kinds.dedup();
    assert_eq!(kinds, ["unfinished"], "{answer}");
    for directory in ["generations/one", "envs", "store/wheels-2"] {
        let names = sandbox.names(&format!("root/{directory}"));
        assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    }
    sandbox.index.release();

    sandbox.index.hold(file);
    let running = sandbox.start(&["sync"]);
    sandbox.index.wait_for(file);
    gc(&sandbox, &ALL);
    sandbox.index.release();
    Output::from(running.wait_with_output().unwrap()).expect(0);
    sandbox.run(&["sync", "--check"]).expect(0);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn what_a_sync_is_about_to_link_is_made_again() {
    let sandbox = Sandbox::shared();
    sandbox.sync(&["one"]);
    fs::remove_file(sandbox.path("root/envs/one")).unwrap();
    let file = "second-1.0-py3-none-any.whl";
    sandbox.index.hold(file);
    let running = sandbox.start(&["sync", "two"]);
    // `shared` was looked at and found good before anything was asked for.
    sandbox.index.wait_for(file);
    let answer = gc(&sandbox, &ALL);
    assert!(
        answer["items"].to_string().contains("shared 1.0"),
        "{answer}"
    );
    let before = sandbox.index.asked();
    sandbox.index.release();
    Output::from(running.wait_with_output().unwrap()).expect(0);
    assert_eq!(
        asked_since(&sandbox, before),
        ["shared-1.0-py3-none-any.whl"]
    );
    sandbox.run(&["sync", "--check", "two"]).expect(0);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn a_generation_that_goes_while_a_sync_leads_to_it_is_built_again() {
    if !trace::is_possible() {
        return;
    }
    let (sandbox, ids) = with_generations(2);
    lock(&sandbox, 0);
    // It has written down that the present one gives way, and made no link yet.
    let stopped =
        trace::stopped_after(&sandbox, "rename,renameat,renameat2", 1, &["sync"]).unwrap();
    gc(&sandbox, &ALL);
    assert_eq!(generations(&sandbox, "one"), &ids[1..]);
    let output = stopped.go_on();
    output.expect(0);
    assert!(output.stdout.starts_with("built one"), "{}", output.stdout);
    assert_eq!(id(&sandbox, "one"), ids[0]);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn a_link_that_is_not_yet_in_its_place_leads_already() {
    if !trace::is_possible() {
        return;
    }
    let (sandbox, ids) = with_generations(2);
    lock(&sandbox, 0);
    let stopped = trace::stopped_after(&sandbox, "symlink,symlinkat", 1, &["sync"]).unwrap();
    assert_eq!(code(&gc(&sandbox, &ALL), &ids[0]), "led-to");
    let output = stopped.go_on();
    assert!(
        output.stdout.starts_with("switched one"),
        "{}",
        output.stdout
    );
    // One that a killed sync has left leads nowhere any more.
    let link = format!("root/envs/.one-{}", maker_like(u32::MAX));
    let target = format!("../generations/one/{}", ids[1]);
    std::os::unix::fs::symlink(target, sandbox.path(&link)).unwrap();
    gc(&sandbox, &ALL);
    assert_eq!(generations(&sandbox, "one"), &ids[..1]);
    assert_eq!(sandbox.names("root/envs"), ["one"]);
}

#[test]
fn a_generation_that_is_led_to_while_it_goes_is_put_back() {
    if !trace::is_possible() {
        return;
    }
    let (sandbox, ids) = with_generations(2);
    let arguments = [&["gc"], &ALL[..]].concat();
    let stopped =
        trace::stopped_after(&sandbox, "rename,renameat,renameat2", 1, &arguments).unwrap();
    assert_eq!(generations(&sandbox, "one"), &ids[1..]);
    let link = sandbox.path("root/envs/one-of-before");
    std::os::unix::fs::symlink(format!("../generations/one/{}", ids[0]), link).unwrap();
    let output = stopped.go_on();
    output.expect(0);
    assert!(
        output.stderr.contains("is needed again and stays"),
        "{output:?}"
    );
    assert_eq!(generations(&sandbox, "one"), sorted(&ids));
    fs::remove_file(sandbox.path("root/envs/one-of-before")).unwrap();
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn what_cannot_be_removed_waits_in_the_trash() {
    if !trace::is_possible() {
        return;
    }
    let (sandbox, ids) = with_generations(2);
    // As on NFS, where a file that is in use leaves a `.nfs…` behind and its directory cannot go.
    let fault = "inject=rmdir,unlinkat:error=EBUSY:when=1";
    let mut command = trace::command(&sandbox, &["trace=rmdir,unlinkat", fault]);
    let result = command.arg("gc").args(ALL).output().unwrap();
    let result = Output::from(result);
    result.expect(0);
    assert!(
        result.stderr.contains("wait in the trash for the next gc"),
        "{result:?}"
    );
    assert!(result.stderr.contains(&ids[0]), "{result:?}");
    assert_eq!(generations(&sandbox, "one"), &ids[1..]);
    assert_eq!(sandbox.names("root/trash").len(), 1);
    // No process used it when it was moved there: the next one does not wait for its time.
    gc(&sandbox, &[]);
    assert_eq!(sandbox.names("root/trash"), [""; 0]);

    // What cannot even be moved is an error.
    edit(&sandbox, 7);
    let fault = "inject=rename,renameat,renameat2:error=EACCES";
    let mut command = trace::command(&sandbox, &["trace=rename,renameat,renameat2", fault]);
    let result = command.arg("gc").args(ALL).output().unwrap();
    let result = Output::from(result);
    result.expect(1);
    assert!(
        result.stderr.contains("you may not write there"),
        "{result:?}"
    );
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn what_was_damaged_waits_for_those_who_run_from_it() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let file = sandbox.generation("root", "one").join("env_source.py");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(file, "other").unwrap();
    sandbox.run(&["sync", "--repair"]).expect(0);
    let trash = sandbox.names("root/trash");
    assert!(!trash.is_empty());
    gc(&sandbox, &[]);
    assert_eq!(sandbox.names("root/trash"), trash);
    gc(&sandbox, &["--older-than", "0s"]);
    assert_eq!(sandbox.names("root/trash"), [""; 0]);
}

#[test]
fn a_managed_interpreter_stays_as_long_as_something_stands_on_it() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let stamp: PathBuf = sandbox.path("root/pythons/0123/rootstock-stamp.json");
    fs::create_dir_all(stamp.parent().unwrap()).unwrap();
    fs::write(&stamp, "{}").unwrap();
    gc(&sandbox, &[]);
    assert_eq!(sandbox.names("root/pythons"), ["0123"]);
    let answer = gc(&sandbox, &ALL);
    assert_eq!(answer["items"][0]["kind"], "python");
    assert_eq!(sandbox.names("root/pythons"), [""; 0]);
}

#[test]
fn a_wrong_argument_is_a_usage_error() {
    let sandbox = Sandbox::single();
    sandbox.run(&["gc"]).expect(2);
    sandbox.sync(&[]);
    for wrong in ["30", "d", "-1d", "1x", "99999999999999999999d", "1dä", ""] {
        sandbox.run(&["gc", "--older-than", wrong]).expect(2);
    }
    sandbox
        .run(&["gc", "--pin", "one", "--keep", "3"])
        .expect(2);
}

/// A project of which environment `two` was synced, and is not in the manifest any more.
fn with_one_dropped() -> (Sandbox, String, String) {
    let sandbox = Sandbox::shared();
    sandbox.sync(&[]);
    let (id, before) = (id(&sandbox, "two"), sandbox.read("rootstock.toml"));
    let (manifest, _) = before.split_once("\n[environments.two]").unwrap();
    sandbox.write("rootstock.toml", manifest);
    sandbox.lock();
    sandbox.sync(&[]);
    (sandbox, id, before)
}

/// The items of an answer, as `kind name`.
fn items(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items
        .filter(|item| ["generation", "link"].contains(&item["kind"].as_str().unwrap()))
        .map(|item| format!("{} {}", text(&item["kind"]), text(&item["name"])))
        .collect()
}

#[test]
fn an_environment_that_was_dropped_goes_with_its_link_when_that_was_long_ago() {
    let (sandbox, dropped, _) = with_one_dropped();
    // It was dropped just now, and jobs may run from it.
    for arguments in [&[][..], &["--keep", "0"]] {
        let answer = gc(&sandbox, arguments);
        assert_eq!(items(&answer), [""; 0]);
        assert_eq!(code(&answer, &dropped), "recent");
    }
    let note = sandbox.path(&format!("root/generations/two/.retired-{dropped}"));
    let file = fs::File::options().append(true).open(note).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(20 * 86_400))
        .unwrap();
    assert_eq!(items(&gc(&sandbox, &["--older-than", "30d"])), [""; 0]);

    let expected = [format!("generation two@{dropped}"), "link two".to_owned()];
    let before = traces(&sandbox.path("root"));
    let answer = gc(&sandbox, &["--dry-run"]);
    assert_eq!(items(&answer), expected);
    assert_eq!(traces(&sandbox.path("root")).len(), before.len());
    let output = sandbox.run(&["gc", "--dry-run"]);
    assert!(
        output.stdout.contains("would remove link two: "),
        "{}",
        output.stdout
    );
    assert_eq!(items(&gc(&sandbox, &[])), expected);
    assert_eq!(sandbox.names("root/envs"), ["one"]);
    assert_eq!(sandbox.names("root/generations"), ["one"]);
    sandbox.run(&["doctor", "--deep"]).expect(0);
    let status = sandbox.run(&["status", "--json"]).json();
    assert_eq!(status["environments"].as_array().unwrap().len(), 1);
    sandbox
        .run(&["run", "one", "--", "python", "-c", "import first, shared"])
        .expect(0);
    // Wheels that only it had are unused.
    gc(&sandbox, &ALL);
    let wheels = fs::read_dir(sandbox.path("root/store"))
        .unwrap()
        .map(|e| e.unwrap().path());
    let wheels = wheels.filter(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("wheels-")
    });
    let number: usize = wheels.map(|path| fs::read_dir(path).unwrap().count()).sum();
    assert_eq!(number, 2);
}

#[test]
fn a_renamed_environment_leaves_nothing_under_its_old_name() {
    let sandbox = Sandbox::single();
    sandbox.sync(&[]);
    let manifest = sandbox.read("rootstock.toml");
    sandbox.write(
        "rootstock.toml",
        &manifest.replace("[environments.one]", "[environments.new]"),
    );
    sandbox.lock();
    sandbox.sync(&[]);
    gc(&sandbox, &["--older-than", "0s"]);
    for directory in ["root/envs", "root/generations"] {
        assert_eq!(sandbox.names(directory), ["new"]);
    }
    sandbox.run(&["doctor", "--deep"]).expect(0);
    sandbox
        .run(&["run", "new", "--", "python", "-c", "import single"])
        .expect(0);
}

#[test]
fn what_is_dropped_stays_if_it_is_held_or_taken_up_again() {
    let (sandbox, dropped, before) = with_one_dropped();
    // A link of a person's own, a pin, a root without a catalogue.
    let link = sandbox.path("root/envs/two-for-the-paper");
    std::os::unix::fs::symlink(format!("../generations/two/{dropped}"), &link).unwrap();
    assert_eq!(code(&gc(&sandbox, &ALL), &dropped), "led-to");
    fs::remove_file(link).unwrap();
    sandbox.run(&["gc", "--pin", "two"]).expect(0);
    assert_eq!(code(&gc(&sandbox, &ALL), &dropped), "pinned");
    sandbox.run(&["gc", "--unpin", "two"]).expect(0);
    let catalogue = sandbox.read("root/models.json");
    sandbox.write("root/models.json", "{");
    assert_eq!(code(&gc(&sandbox, &ALL), &dropped), "led-to");
    sandbox.write("root/models.json", &catalogue);
    // A manifest that has it again.
    sandbox.write("rootstock.toml", &before);
    sandbox.lock();
    let output = sandbox.sync(&[]);
    assert!(!output.stdout.contains("built"), "{}", output.stdout);
    assert_eq!(code(&gc(&sandbox, &ALL), &dropped), "led-to");
    sandbox
        .run(&["run", "two", "--", "python", "-c", "import second"])
        .expect(0);
}
