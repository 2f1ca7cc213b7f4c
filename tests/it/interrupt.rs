//! A sync that is interrupted leaves nothing half-made, keeps what it has downloaded, and reports it.

use crate::sandbox::events::{Lifeline, Watched};
use crate::sandbox::{Output, Sandbox, Wheel, send, trace};

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
        "root/store/bytecode-4",
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
        let archives = sandbox.path("root/store/archives");
        std::fs::create_dir_all(&archives).unwrap();
        let watched = Watched::new(&archives);
        let child = sandbox.start(&["sync"]);
        sandbox.index.wait_for_half(FILE);
        let part = || {
            let names = sandbox.names("root/store/archives");
            let mut parts = names.iter().filter(|name| name.contains(".part"));
            parts.any(|name| {
                // It may get its other name meanwhile.
                std::fs::metadata(archives.join(name)).is_ok_and(|metadata| metadata.len() > 0)
            })
        };
        // The first half is on its way from one process to another.
        watched.wait_until(part);
        send(signal, child.id());
        let output = Output::from(child.wait_with_output().unwrap());
        output.expect(code);
        assert!(
            output
                .stderr
                .contains("interrupted: nothing half-made is left"),
            "{output:?}"
        );
        assert_eq!(output.stdout, "");
        assert_eq!(unfinished(&sandbox), [""; 0]);
        assert!(part(), "what was downloaded is kept");
        sandbox.index.release();
        let output = sandbox.sync(&[]);
        assert!(
            output.stdout.starts_with("built one, two"),
            "{}",
            output.stdout
        );
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
        // The signal arrives beside the work: a sync that is interrupted near its end may have finished.
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
    std::fs::remove_file(sandbox.path("bin/python3.11")).unwrap();
    let lifeline = Lifeline::at(sandbox.path("lifeline"));
    sandbox.program(
        "bin/python3.11",
        "#!/bin/sh\nexec >/dev/null 2>&1 3>lifeline\n/bin/sleep 1000 &\necho started >&3\nwait\n",
    );
    let child = sandbox.start(&["sync"]);
    let started = lifeline.wait_for_start();
    send("INT", child.id());
    Output::from(child.wait_with_output().unwrap()).expect(130);
    started.wait_for_end();
}

#[test]
fn in_the_middle_of_a_doctors_imports_with_all_they_have_started() {
    let sandbox = Sandbox::single();
    let lifeline = Lifeline::at(sandbox.path("lifeline"));
    let source = "import os, subprocess\n\
        lifeline = os.open(os.environ['HOME'] + '/lifeline', os.O_WRONLY)\n\
        child = subprocess.Popen(['/bin/sleep', '1000'], pass_fds=[lifeline])\n\
        os.write(lifeline, b'started\\n')\n\
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
    let started = lifeline.wait_for_start();
    send("INT", child.id());
    let output = Output::from(child.wait_with_output().unwrap());
    output.expect(130);
    assert_eq!(output.stdout, "");
    let message = "interrupted: nothing of it is left in the root";
    assert!(output.stderr.contains(message), "{output:?}");
    started.wait_for_end();
    assert_eq!(unfinished(&sandbox), [""; 0]);
}
