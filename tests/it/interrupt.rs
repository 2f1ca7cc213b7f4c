//! A sync that is told to end leaves nothing half-made, keeps what it has downloaded, and says so.

use crate::sandbox::{Said, Sandbox, Wheel, pause, send, trace};

const FILE: &str = "large-1.0-py3-none-any.whl";

/// Two environments, of which one needs a file that takes a while.
fn project() -> Sandbox {
    let sandbox = Sandbox::new(&[("one", &["small"]), ("two", &["small", "large"])]);
    sandbox.index.add(&Wheel::simple("small", "1.0"));
    let text = "x = 1\n".repeat(50_000);
    sandbox
        .index
        .add(&Wheel::simple("large", "1.0").file("large/data.py", &text));
    sandbox.lock();
    sandbox
}

fn unfinished(sandbox: &Sandbox) -> Vec<String> {
    let directories = [
        "root",
        "root/envs",
        "root/generations",
        "root/generations/one",
        "root/generations/two",
        "root/store",
        "root/store/wheels-2",
        "root/store/bytecode-3",
        "root/store/archives",
    ];
    let names = directories
        .iter()
        .flat_map(|directory| sandbox.names(directory));
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn in_the_middle_of_a_download() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = project();
        sandbox.index.stall(FILE);
        let child = sandbox.start(&["sync"]);
        sandbox.index.wait_for_half(FILE);
        let part = || {
            let names = sandbox.names("root/store/archives");
            let mut parts = names.iter().filter(|name| name.contains(".part"));
            parts.any(|name| {
                let path = sandbox.path("root/store/archives").join(name);
                // It may get its other name meanwhile.
                std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
            })
        };
        // The first half is on its way from one process to another.
        while !part() {
            pause();
        }
        send(signal, child.id());
        let said = Said::from(child.wait_with_output().unwrap());
        said.expect(code);
        assert!(
            said.stderr
                .contains("interrupted: nothing half-made is left"),
            "{said:?}"
        );
        assert_eq!(said.stdout, "");
        assert_eq!(unfinished(&sandbox), [""; 0]);
        assert!(part(), "what was downloaded is kept");
        sandbox.index.release();
        let said = sandbox.sync(&[]);
        assert!(said.stdout.starts_with("built one, two"), "{}", said.stdout);
        let archives = sandbox.names("root/store/archives");
        assert_eq!(archives, [""; 0], "it was taken over");
        sandbox.run(&["doctor", "--deep"]).expect(0);
    }
}

#[test]
fn in_the_middle_of_a_build_with_all_it_has_started() {
    if !trace::is_possible() {
        return;
    }
    let sandbox = project();
    let calls = "rename,renameat,renameat2";
    let mut interrupted = 0;
    // At some of the moments at which things get their names.
    for nth in [1, 2, 4, 7, 11] {
        let ended = match trace::stopped_after(&sandbox, calls, nth, &["sync", "-j", "1"]) {
            Ok(stopped) => {
                stopped.send("TERM");
                stopped.go_on()
            }
            Err(ended) => ended,
        };
        // The signal arrives beside the work: whoever is interrupted at the last of it may be done before.
        if ended.code == Some(0) {
            sandbox.run(&["sync", "--check"]).expect(0);
        } else {
            ended.expect(143);
            interrupted += 1;
        }
        assert_eq!(unfinished(&sandbox), [""; 0], "{nth}");
    }
    assert!(interrupted > 1, "{interrupted}");
    sandbox.sync(&[]);
    sandbox.run(&["doctor", "--deep"]).expect(0);
}

#[test]
fn nothing_that_it_has_started_goes_on() {
    let sandbox = Sandbox::single();
    // An interpreter that never answers, with a program of its own.
    let python = sandbox.path("bin/python3.11");
    std::fs::remove_file(&python).unwrap();
    sandbox.write(
        "bin/python3.11",
        "#!/bin/sh\nexec >/dev/null 2>&1\n/bin/sleep 1000 &\necho $! $$ > pids.new\n/bin/mv pids.new pids\nwait\n",
    );
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let child = sandbox.start(&["sync"]);
    while !sandbox.path("pids").exists() {
        pause();
    }
    send("INT", child.id());
    Said::from(child.wait_with_output().unwrap()).expect(130);
    wait_for_the_end_of(&sandbox.read("pids"));
}

/// Without its parent a process that was ended may take a moment to go.
fn wait_for_the_end_of(processes: &str) {
    for process in processes.split_whitespace() {
        let stat = || std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        while !stat().is_empty() && !stat().contains(") Z ") {
            pause();
        }
    }
}

#[test]
fn in_the_middle_of_a_doctors_imports_with_all_they_have_started() {
    let sandbox = Sandbox::single();
    let source = "import os, subprocess\n\
        child = subprocess.Popen(['/bin/sleep', '1000'])\n\
        with open(os.environ['HOME'] + '/pids.new', 'w') as file:\n    \
            file.write(f'{child.pid} {os.getpid()}')\n\
        os.rename(file.name, os.environ['HOME'] + '/pids')\n\
        child.wait()\n";
    sandbox.write_source("one", &["single"], source);
    sandbox.lock();
    // Loading it does not come to an end either.
    sandbox.sync(&["--only", "envs"]);
    let child = sandbox
        .command(&["doctor", "--import"])
        .env("HOME", sandbox.path(""))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !sandbox.path("pids").exists() {
        pause();
    }
    send("INT", child.id());
    let said = Said::from(child.wait_with_output().unwrap());
    said.expect(130);
    assert_eq!(said.stdout, "");
    let told = "interrupted: nothing of it is left in the root";
    assert!(said.stderr.contains(told), "{said:?}");
    wait_for_the_end_of(&sandbox.read("pids"));
    assert_eq!(unfinished(&sandbox), [""; 0]);
}
