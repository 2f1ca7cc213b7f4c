//! Wheels as the world makes them: what pip and uv install is installed, and runs the sources that its authors wrote.
//!
//! A table, one line a wheel. Each is in an environment of its own; all are locked and synced at once.

use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;
use crate::sandbox::archive::{Entry, MODULE, RawWheel};

/// What becomes of a wheel.
pub(crate) enum Then {
    /// This program of it prints `ran`.
    Runs(&'static str),
    /// This Python code prints `ran`; `@` stands for the package's name.
    Prints(&'static str),
    /// It has these files and not those, below `site-packages/NAME` if they do not begin with `/`.
    Has(&'static [&'static str], &'static [&'static str]),
    /// It is refused with this message.
    Refused(&'static str),
}
pub(crate) use Then::{Has, Prints, Refused, Runs};

/// What it is, how it is made of one that is whole, and what becomes of it.
pub(crate) type Case = (&'static str, fn(RawWheel) -> RawWheel, Then);

/// Has all of them built at once, with memory for none of them as a whole, and compares.
#[expect(clippy::print_stdout, reason = "each run says how many were tried")]
pub(crate) fn try_all(cases: &[Case]) {
    let packages: Vec<String> = (0..cases.len()).map(|n| format!("p{n:03}")).collect();
    let names: Vec<String> = (0..cases.len()).map(|n| format!("e{n:03}")).collect();
    let needs: Vec<[&str; 1]> = packages.iter().map(|package| [package.as_str()]).collect();
    let environments: Vec<(&str, &[&str])> = names
        .iter()
        .zip(&needs)
        .map(|(name, need)| (name.as_str(), &need[..]))
        .collect();
    let sandbox = Sandbox::new(&environments);
    for (package, (_, make, _)) in packages.iter().zip(cases) {
        let wheel = make(RawWheel::new(package));
        let bytes = wheel.bytes();
        sandbox.index.add_raw(package, &wheel.file_name(), bytes);
    }
    sandbox.lock();
    let mut sync = Command::new("/bin/sh");
    // Address space, which is more than memory; what inflates to a gigabyte does not fit.
    let limited = "ulimit -v 1000000; exec \"$0\" sync --json -j 2";
    sync.args(["-c", limited, env!("CARGO_BIN_EXE_rootstock")]);
    sandbox.set_up(&mut sync);
    let output = sync.stdin(Stdio::null()).output().unwrap();
    let answer = crate::sandbox::Output::from(output);
    let all_good = !cases.iter().any(|(_, _, then)| matches!(then, Refused(_)));
    answer.expect(i32::from(!all_good));
    let answer = answer.json();
    let outcomes = answer["environments"].as_array().unwrap();
    assert_eq!(outcomes.len(), cases.len());
    let mut wrong = Vec::new();
    for ((name, package), (what, _, then)) in names.iter().zip(&packages).zip(cases) {
        let outcome = outcomes
            .iter()
            .find(|o| o["environment"] == **name)
            .unwrap();
        let errors = outcome["errors"].as_array().unwrap().iter();
        let errors: Vec<&str> = errors.map(|e| e["message"].as_str().unwrap()).collect();
        let errors = errors.join("\n");
        let result = match then {
            Refused(why) if errors.contains(&why.replace('@', package)) => Ok(()),
            Refused(why) => Err(format!("should say {why:?}: {errors}")),
            _ if !errors.is_empty() => Err(errors),
            then => look(&sandbox, name, package, then),
        };
        wrong.extend(result.err().map(|why| format!("{what} ({package}): {why}")));
    }
    println!(
        "{} wheels tried, {} not as they should be",
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What was refused has left nothing.
    let good = cases
        .iter()
        .filter(|(_, _, then)| !matches!(then, Refused(_)));
    assert_eq!(sandbox.names("root/store/wheels-2").len(), good.count());
}

fn look(sandbox: &Sandbox, environment: &str, package: &str, then: &Then) -> Result<(), String> {
    let generation = sandbox.generation("root", environment);
    let output = match then {
        Runs(program) => Command::new(generation.join("bin").join(program)).output(),
        Prints(code) => Command::new(generation.join("bin/python"))
            .args(["-I", "-c", &code.replace('@', package)])
            .output(),
        Has(there, not) => {
            let site = generation.join("lib/python3.11/site-packages");
            let is = |path: &str| match path.strip_prefix('/') {
                Some(path) => generation.join(path).exists(),
                None => site.join(package).join(path).exists(),
            };
            let wrong = there.iter().filter(|path| !is(path));
            let wrong: Vec<_> = wrong.chain(not.iter().filter(|path| is(path))).collect();
            return if wrong.is_empty() {
                Ok(())
            } else {
                Err(format!("{wrong:?}"))
            };
        }
        Refused(_) => unreachable!("it is not looked for"),
    };
    let output = output.map_err(|error| error.to_string())?;
    if output.stdout == b"ran\n" {
        Ok(())
    } else {
        Err(format!("{output:?}"))
    }
}

const MAIN: Then = Prints("import @; @.main()");

/// Bytecode of Python 3.11 of a module that prints `EVIL`, whose sources are never compared.
fn evil() -> Vec<u8> {
    let code = "import sys, importlib._bootstrap_external as b\n\
        code = compile('def main():\\n    print(\"EVIL\")\\nmain()', 'x', 'exec')\n\
        sys.stdout.buffer.write(b._code_to_hash_pyc(code, b'12345678', False))";
    compiled(code)
}

/// The same, which Python takes for that of any source of 1980 of this length.
fn dated() -> Vec<u8> {
    let length = MODULE.len();
    let code = format!(
        "import sys, importlib._bootstrap_external as b\n\
        code = compile('def main():\\n    print(\"EVIL\")\\nmain()', 'x', 'exec')\n\
        sys.stdout.buffer.write(b._code_to_timestamp_pyc(code, 315532800, {length}))"
    );
    compiled(&code)
}

/// Bytecode of a module that prints `ran`.
fn good() -> Vec<u8> {
    compiled(
        "import sys, importlib._bootstrap_external as b\n\
        code = compile('print(\"ran\")', 'x', 'exec')\n\
        sys.stdout.buffer.write(b._code_to_hash_pyc(code, b'12345678', False))",
    )
}

fn compiled(code: &str) -> Vec<u8> {
    let output = Command::new(crate::sandbox::python())
        .args(["-I", "-c", code])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Each in a wheel that has the source too, but for the last ones.
#[rustfmt::skip]
const BYTECODE: &[Case] = &[
    ("never compared", |w| w.file("@/__pycache__/__init__.cpython-311.pyc", evil()), MAIN),
    ("of 1980", |w| w.file("@/__pycache__/__init__.cpython-311.pyc", dated()), MAIN),
    ("of another Python", |w| w.file("@/__pycache__/__init__.cpython-39.pyc", evil()), Has(&["__pycache__/__init__.cpython-311.pyc"], &["__pycache__/__init__.cpython-39.pyc"])),
    ("of PyPy", |w| w.file("@/__pycache__/__init__.pypy39.pyc", evil()), Has(&["__init__.py"], &["__pycache__/__init__.pypy39.pyc"])),
    ("for -O", |w| w.file("@/__pycache__/__init__.cpython-311.opt-1.pyc", evil()), Has(&["__init__.py"], &["__pycache__/__init__.cpython-311.opt-1.pyc"])),
    ("where Python 2 had it", |w| w.file("@/__init__.pyc", evil()), Has(&["__init__.py"], &["__init__.pyc"])),
    ("outside packages", |w| w.file("@top.py", "print('ran')").file("__pycache__/@top.cpython-311.pyc", evil()), Prints("import @top")),
    ("from purelib", |w| w.data("purelib/@/__pycache__/__init__.cpython-311.pyc", evil()), MAIN),
    ("from platlib", |w| w.data("platlib/@/__pycache__/__init__.cpython-311.pyc", evil()), MAIN),
    ("from data", |w| w.data("data/lib/python3.11/site-packages/@/__pycache__/__init__.cpython-311.pyc", evil()), MAIN),
    ("of a source from purelib", |w| w.data("purelib/@/x.py", "print('ran')").file("@/__pycache__/x.cpython-311.pyc", evil()), Prints("import @.x")),
    ("of a source from data", |w| w.data("data/lib/python3.11/site-packages/@/x.py", "print('ran')").file("@/__pycache__/x.cpython-311.pyc", evil()), Prints("import @.x")),
    ("of a source that does not compile", |w| w.file("@/bad.py", "(").file("@/__pycache__/bad.cpython-311.pyc", evil()), Prints("try:\n import @.bad\nexcept SyntaxError:\n print('ran')")),
    ("of the environment's own source", |w| w.data("data/__pycache__/env_source.cpython-311.pyc", evil()), Has(&["/env_source.py"], &["/__pycache__/env_source.cpython-311.pyc"])),
    ("with a wrong digest", |w| w.file("@/__init__.pyc", evil()).last(|e| e.data[20] ^= 1).last(sealed), Refused("`@/__init__.pyc` does not have the digest in its RECORD")),
    ("a module without source", |w| w.file("@/secret.pyc", good()), Prints("import @.secret")),
    ("a package without source", |w| w.file("@/secret/__init__.pyc", good()), Prints("import @.secret")),
    ("without source, where Python does not look for it", |w| w.file("@/__pycache__/gone.cpython-311.pyc", good()), Has(&["__pycache__/gone.cpython-311.pyc"], &[])),
];

#[test]
fn sources_are_run_and_not_the_bytecode_that_lies_beside_them() {
    try_all(BYTECODE);
}

/// Paths of another package are sources too.
#[test]
fn bytecode_in_one_wheel_does_not_replace_the_source_in_another() {
    let sandbox = Sandbox::new(&[("one", &["first", "second"])]);
    let first = RawWheel::new("first");
    let second = RawWheel::new("second").file("first/__pycache__/__init__.cpython-311.pyc", evil());
    for wheel in [first, second] {
        let bytes = wheel.bytes();
        sandbox
            .index
            .add_raw(&wheel.name, &wheel.file_name(), bytes);
    }
    sandbox.lock();
    sandbox.sync(&[]);
    assert_eq!(sandbox.python("one", "import first; first.main()"), "ran\n");
    let cached = "lib/python3.11/site-packages/first/__pycache__";
    assert_eq!(
        std::fs::read_dir(sandbox.generation("root", "one").join(cached))
            .unwrap()
            .count(),
        1
    );
}

/// What pip 23.2 and uv 0.13.9 install, or the one that reads more; each was tried with both.
#[rustfmt::skip]
const REAL: &[Case] = &[
    ("RECORD lists what is not there", |w| w.line("gone.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"), MAIN),
    ("RECORD lists what is not there, without a digest", |w| w.line("gone.pyc,,"), MAIN),
    ("RECORD lists what is not there, with md5", |w| w.line("gone.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0"), MAIN),
    ("RECORD lists a directory", |w| w.line("gone/,,"), MAIN),
    ("RECORD has a title", |w| w.written(|r| format!("path,hash,size\n{r}").into()), MAIN),
    ("RECORD names itself with a backslash", |w| w.written(|r| r.replace("/RECORD", "\\RECORD").into()), MAIN),
    ("RECORD has backslashes", |w| w.written(|r| r.replace('/', "\\").into()), MAIN),
    ("RECORD does not name itself", |w| w.written(|r| each(r, |l| if l.contains("/RECORD") { String::new() } else { l.into() })), MAIN),
    ("RECORD names itself twice", |w| w.line("@-1.0.dist-info/RECORD,,"), MAIN),
    ("RECORD names itself with a digest", |w| w.line("@-1.0.dist-info/RECORD,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0"), MAIN),
    ("RECORD writes ./", |w| w.written(|r| each(r, |l| format!("./{l}"))), MAIN),
    ("RECORD writes .\\", |w| w.written(|r| each(r, |l| format!(".\\{l}"))), MAIN),
    ("RECORD writes //", |w| w.written(|r| r.replace("/__init__", "//__init__").into()), MAIN),
    ("RECORD writes x/..", |w| w.written(|r| each(r, |l| format!("x/../{l}"))), MAIN),
    ("RECORD begins with a BOM", |w| w.written(|r| format!("\u{feff}{r}").into()), MAIN),
    ("RECORD begins with a BOM and a quote", |w| w.written(|r| format!("\u{feff}\"{}", r.replacen(',', "\",", 1)).into()), MAIN),
    ("RECORD has all lines twice", |w| w.written(|r| format!("{r}{r}").into()), MAIN),
    ("RECORD has all lines twice, once with ./", |w| w.written(|r| [r.into(), each(r, |l| format!("./{l}"))].concat()), MAIN),
    ("RECORD has a line twice, once without a digest", |w| w.line("@/__init__.py,,"), MAIN),
    ("RECORD has a line twice, once with sha512", |w| w.line(SHA512), MAIN),
    ("RECORD has CRLF", |w| w.written(|r| r.replace('\n', "\r\n").into()), MAIN),
    ("RECORD has CR", |w| w.written(|r| r.replace('\n', "\r").into()), MAIN),
    ("RECORD has empty lines", |w| w.written(|r| r.replace('\n', "\n\n").into()), MAIN),
    ("RECORD has a fourth column", |w| w.written(|r| each(r, |l| format!("{l},"))), MAIN),
    ("RECORD writes SHA256", |w| w.written(|r| r.replace("sha256", "SHA256").into()), MAIN),
    ("RECORD has padding", |w| w.written(|r| each(r, |l| l.rsplit_once(',').map(|(l, size)| if size.is_empty() { format!("{l},") } else { format!("{l}=,{size}") }).unwrap())), MAIN),
    ("RECORD has the other alphabet", |w| w.written(|r| each(r, |l| l.split_once(",sha256=").map_or(l.into(), |(p, d)| format!("{p},sha256={}", d.replace('-', "+").replace('_', "/"))))), MAIN),
    ("one file from two places", |w| w.data("purelib/@/__init__.py", MODULE), MAIN),
    ("one file from three places", |w| w.data("platlib/@/__init__.py", MODULE).data("purelib/@/__init__.py", MODULE), MAIN),
    ("one program from two places", |w| w.data("scripts/x", "#!/bin/sh\necho ran\n").data("data/bin/x", "#!/bin/sh\necho ran\n"), Runs("x")),
    ("one script from two places", |w| w.data("data/bin/x", "#!python\nprint('ran')\n").data("scripts/x", "#!python\nprint('ran')\n"), Runs("x")),
    ("one header from two places", |w| w.data("headers/x.h", "x").data("data/include/site/@/x.h", "x"), MAIN),
    ("a script of Python", |w| w.data("scripts/x", "#!python -s\r\nprint('ran')\r\n"), Runs("x")),
    ("a script with a launcher of its name", |w| w.data("scripts/x", "#!python\n").entry_points("[console_scripts]\nx = @:main\n"), Runs("x")),
    ("a module with a hyphen", |w| w.file("@/my-tool.py", MODULE).entry_points("[console_scripts]\nx = @.my-tool:main\n"), Runs("x")),
    ("a package with a hyphen", |w| w.file("@-x/y.py", MODULE).entry_points("[gui_scripts]\nx = @-x.y:main [z]\n"), Runs("x")),
    ("a function with a hyphen", |w| w.file("@/x.py", format!("{MODULE}globals()['ma-in'] = main\n")).entry_points("[console_scripts]\nx = @.x:ma-in\n"), Runs("x")),
    ("a module that begins with a digit", |w| w.file("@/2d.py", MODULE).entry_points("[console_scripts]\nx = @.2d:main\n"), Runs("x")),
    ("a program that cannot start", |w| w.entry_points("[console_scripts]\nx = not-there:main\n"), MAIN),
    ("a comment behind a program", |w| w.entry_points("[console_scripts]\nx = @:main # it\n"), Runs("x")),
    ("a comment behind a program, without space", |w| w.entry_points("[console_scripts]\nx = @:main#it\n"), Runs("x")),
    ("a comment behind a program, after ;", |w| w.entry_points("[console_scripts]\nx = @:main ; it\n"), Runs("x")),
    ("a comment behind extras", |w| w.entry_points("[console_scripts]\nx = @:main [y] # it [z]\n"), Runs("x")),
    ("a comment behind a group", |w| w.entry_points("[console_scripts] # these\nx = @:main\n"), Runs("x")),
    ("a BOM before programs", |w| w.entry_points("\u{feff}[console_scripts]\nx = @:main\n"), Runs("x")),
    ("programs with CRLF", |w| w.entry_points("[console_scripts]\r\nx = @:main\r\n"), Runs("x")),
    ("programs with CR", |w| w.entry_points("[console_scripts]\rx = @:main\r"), Runs("x")),
    ("programs, indented", |w| w.entry_points("[console_scripts]\n  y=@:main\n    x = @ : main\n"), Runs("x")),
    ("programs in two groups of one name", |w| w.entry_points("[console_scripts]\ny = @:main\n[console_scripts]\nx = @:main\n"), Runs("x")),
    ("a program whose name has a space", |w| w.entry_points("[gui_scripts]\na b = @:main\n"), Runs("a b")),
    ("a group of another case has no programs", |w| w.entry_points("[Console_Scripts]\nx = @:main\n"), Has(&["__init__.py"], &["/bin/x"])),
    ("METADATA with CRLF", |w| w.info("METADATA", "Metadata-Version: 2.1\r\nName: @\r\nVersion: 1.0\r\n\r\nx\r\n"), MAIN),
    ("METADATA in latin-1", |w| w.info("METADATA", b"Metadata-Version: 2.1\nName: @\nVersion: 1.0\nAuthor: \xe9\n"), MAIN),
    ("METADATA in small letters", |w| w.info("METADATA", "metadata-version: 2.1\nname: @\nversion: 1.0\n"), MAIN),
    ("METADATA in capitals", |w| w.info("METADATA", "METADATA-VERSION: 2.1\nNAME: @\nVERSION: 1.0\n"), MAIN),
    ("METADATA with a field of several lines", |w| w.info("METADATA", "Metadata-Version: 2.1\nLicense: a\n  b\nName: @\nVersion: 1.0\n"), MAIN),
    ("WHEEL with CRLF", |w| w.info("WHEEL", "Wheel-Version: 1.0\r\nRoot-Is-Purelib: true\r\n"), MAIN),
    ("WHEEL with CR", |w| w.info("WHEEL", "Wheel-Version: 1.0\rRoot-Is-Purelib: true\r"), MAIN),
    ("WHEEL in another order", |w| w.info("WHEEL", "Root-Is-Purelib: true\nWheel-Version: 1.0\n"), MAIN),
    ("WHEEL of a later minor version", |w| w.info("WHEEL", "Wheel-Version: 1.9\nRoot-Is-Purelib: true\n"), MAIN),
    ("WHEEL in small letters", |w| w.info("WHEEL", "wheel-version: 1.0\nroot-is-purelib: true\n"), MAIN),
    ("WHEEL in capitals", |w| w.info("WHEEL", "WHEEL-VERSION: 1.0\nROOT-IS-PURELIB: TRUE\n"), MAIN),
];

/// The sha512 of the module.
const SHA512: &str = "@/__init__.py,sha512=4xbuj07l_fH1VaaS6cm4MwOo3EVx1uzoRQMEXeVp9uUVjmKyjkYN2Em0d6YfENRE3LKxX27_1yXmqX52qgp7pA,29";

/// `RECORD` with each of its lines changed.
fn each(record: &str, change: impl Fn(&str) -> String) -> Vec<u8> {
    let lines = record.lines().map(|line| change(line) + "\n");
    lines.collect::<String>().into()
}

/// The checksum of what is there now.
fn sealed(entry: &mut Entry) {
    entry.crc = Entry::new("", &entry.data).crc;
}

#[test]
fn what_pip_and_uv_install_is_installed() {
    try_all(REAL);
}
