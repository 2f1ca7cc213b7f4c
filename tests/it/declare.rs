//! `init`, `add` and `remove`: what they write, what they leave as it is, and that they write all or nothing.

use std::path::Path;

use snapbox::str;

use crate::direct::{Repository, with_git};
use crate::sandbox::{Index, Sandbox, Sdist, Wheel, traces};

/// A sandbox without a project in it.
fn empty() -> Sandbox {
    let sandbox = Sandbox::new(&[]);
    for name in ["rootstock.toml", "environments"] {
        let path = sandbox.path(name);
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir(&path);
    }
    sandbox
}

/// Everything below a project, as names and contents.
fn contents(sandbox: &Sandbox, directory: &str) -> Vec<(String, String)> {
    let top = sandbox.path(directory);
    let files = traces(&top).into_iter().map(|trace| trace.0);
    let files = files.filter(|path| path.is_file());
    files
        .map(|path| {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            (path.strip_prefix(&top).unwrap().display().to_string(), text)
        })
        .collect()
}

#[test]
fn a_new_project_can_be_locked_and_built() {
    let sandbox = empty();
    let ase = Wheel::simple("ase", "3.29.0");
    let calculator = "class EMT:\n    implemented_properties = []\n";
    sandbox
        .index
        .add(&ase.file("ase/calculators/emt.py", calculator));
    let output = sandbox.run(&["init", "project", "--ci", "gitlab"]);
    assert_eq!(
        output.expect(0).stdout,
        "created rootstock.toml, environments/emt.py, .gitignore, .gitlab-ci.yml\n"
    );
    let next = "next: cd project && rootstock lock && rootstock sync && rootstock probe emt\n";
    assert!(output.stderr.ends_with(next), "{}", output.stderr);
    let manifest = sandbox.read("project/rootstock.toml");
    assert!(
        manifest.contains("python-source = \"system\""),
        "{manifest}"
    );
    assert!(manifest.lines().all(|line| line.len() <= 120), "{manifest}");
    assert!(sandbox.read("project/.gitignore").contains("\n/root/\n"));
    for arguments in [
        &["lock"][..],
        &["sync"],
        &["lock", "--check"],
        &["sync", "--check"],
    ] {
        let mut command = sandbox.command(arguments);
        let output = command
            .current_dir(sandbox.path("project"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    }
    assert!(sandbox.path("project/root/envs/emt").exists());
}

#[test]
fn a_new_project_without_a_python_gets_a_managed_one() {
    let sandbox = empty();
    let mut command = sandbox.command(&["init"]);
    let output = command.env("PATH", "").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let manifest = sandbox.read("rootstock.toml");
    assert!(
        manifest.contains("python-source = \"managed\" "),
        "{manifest}"
    );
}

#[test]
fn init_overwrites_nothing_and_names_everything_in_the_way() {
    for (there, named) in [
        (&[("rootstock.toml", "x")][..], &["`rootstock.toml`"][..]),
        (&[("environments/emt.py", "x")], &["`environments/emt.py`"]),
        (&[("environments", "x")], &["`environments`"]),
        (
            &[(".gitignore", "target\n")],
            &["`.gitignore`", "add the line `/root/`"],
        ),
        (&[(".github", "x")], &["`.github`"]),
        (
            &[
                (".github/workflows/rootstock.yml", "x"),
                ("rootstock.toml", ""),
                (".gitignore", ""),
            ],
            &[
                "`.github/workflows/rootstock.yml`",
                "`.gitignore`",
                "`rootstock.toml`",
                "rootstock add",
            ],
        ),
    ] {
        let sandbox = empty();
        for (name, text) in there {
            sandbox.write(name, text);
        }
        let before = contents(&sandbox, "");
        let output = sandbox.run(&["init", "--ci", "github"]);
        output.expect(2);
        for named in named {
            assert!(
                output.message().contains(named),
                "{there:?}: {}",
                output.stderr
            );
        }
        assert_eq!(contents(&sandbox, ""), before, "{there:?}");
    }
    // A link that leads nowhere is something, too.
    let sandbox = empty();
    std::os::unix::fs::symlink("gone", sandbox.path("rootstock.toml")).unwrap();
    sandbox.run(&["init"]).expect(2);
    assert!(!sandbox.path("gone").exists() && !sandbox.path(".gitignore").exists());
    // A file in the place of the directory.
    sandbox.write("file", "");
    let output = sandbox.run(&["init", "file"]);
    assert!(
        output.expect(2).message().contains("`file`"),
        "{}",
        output.stderr
    );
    // Git ignores the root already.
    let sandbox = empty();
    sandbox.write(".gitignore", "target\nroot/\n");
    sandbox.run(&["init"]).expect(0);
    assert_eq!(sandbox.read(".gitignore"), "target\nroot/\n");
}

#[test]
fn every_environment_of_the_catalogue_can_be_added_and_removed_again() {
    let sandbox = empty();
    sandbox.run(&["init"]).expect(0);
    let manifest = format!(
        "# first\n{}\n# --- below ---\n\n# about this\n[clusters.della] # here\nroot = '/r'\n# last\n",
        sandbox.read("rootstock.toml")
    );
    sandbox.write("rootstock.toml", &manifest);
    let list = sandbox.run(&["add", "--list", "--json"]).expect(0).json();
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = std::fs::read_dir(repository.join("environments")).unwrap();
    assert_eq!(
        names.len(),
        sources
            .filter(|e| e.as_ref().unwrap().path().extension().is_some())
            .count()
    );
    let others: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| *name != "emt")
        .collect();
    let output = sandbox.run(&[&["add"], &others[..]].concat());
    output.expect(0);
    let added = sandbox.read("rootstock.toml");
    // It is a manifest, and everything that was there is in it.
    let check = sandbox.run(&["lock", "--check"]);
    check.expect(3);
    let mut rest = added.as_str();
    for line in manifest.lines() {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line}: {added}"));
        rest = &rest[at + line.len()..];
    }
    assert!(!added.contains("optional = true"), "{added}");
    for name in &others {
        let source = format!("environments/{name}.py");
        let theirs = std::fs::read_to_string(repository.join(&source)).unwrap();
        assert_eq!(sandbox.read(&source), theirs);
    }
    let before = traces(&sandbox.path(""));
    let again = sandbox.run(&[&["add"], &others[..]].concat());
    again.expect(0);
    assert_eq!(
        again.stdout.matches("nothing changed").count(),
        others.len()
    );
    assert_eq!(traces(&sandbox.path("")), before);

    sandbox.run(&[&["remove"], &others[..]].concat()).expect(0);
    assert_eq!(sandbox.read("rootstock.toml"), manifest);
    assert_eq!(sandbox.names("environments"), ["emt.py"]);
}

#[test]
fn a_model_of_the_catalogue_brings_its_environment() {
    let sandbox = empty();
    sandbox.run(&["init"]).expect(0);
    sandbox.run(&["add", "gfn2-xtb", "--name", "xtb"]).expect(0);
    let manifest = sandbox.read("rootstock.toml");
    assert!(
        manifest.contains("[environments.xtb]\nsource = \"environments/xtb.py\"\n"),
        "{manifest}"
    );
    assert!(
        manifest.contains("[models.gfn2-xtb]\nenvironment = \"xtb\"\n"),
        "{manifest}"
    );
    sandbox.run(&["lock", "--check"]).expect(3);
}

#[test]
fn what_is_there_already_and_differs_is_named_and_nothing_is_written() {
    let sandbox = empty();
    sandbox.run(&["init"]).expect(0);
    sandbox.run(&["add", "mace"]).expect(0);
    let manifest = sandbox
        .read("rootstock.toml")
        .replace("argument = \"small\"", "argument = \"large\"");
    let cases = [
        (
            manifest.clone(),
            sandbox.read("environments/mace.py"),
            "[models.mace-mp-0-small] argument is \"large\", not \"small\"",
        ),
        (
            sandbox.read("rootstock.toml"),
            "# mine\n".to_owned(),
            "`environments/mace.py` is there already and is another file",
        ),
        (
            manifest.replace("[environments.emt]", "[environments.emt"),
            String::new(),
            "this is not TOML",
        ),
    ];
    for (manifest, source, message) in cases {
        sandbox.write("rootstock.toml", &manifest);
        sandbox.write("environments/mace.py", &source);
        let before = contents(&sandbox, "");
        let output = sandbox.run(&["add", "tblite", "mace"]);
        assert!(
            output.expect(2).message().contains(message),
            "{message}: {}",
            output.stderr
        );
        assert_eq!(contents(&sandbox, ""), before, "{message}");
    }
    // The whole manifest would be wrong: what was written is taken back.
    let sandbox = empty();
    sandbox.run(&["init"]).expect(0);
    sandbox.write("there.toml", "[rootstock]\nroot = \"root\"\n[environments.e]\nsource = \"e/e.py\"\n[models.GFN2-xtb]\nenvironment = \"e\"\n");
    sandbox.write("e/e.py", &sandbox.read("environments/emt.py"));
    std::fs::remove_dir_all(sandbox.path("environments")).unwrap();
    let before = contents(&sandbox, "");
    let output = sandbox.run(&["add", "tblite", "--manifest", "there.toml"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("differ only in capital letters"),
        "{}",
        output.stderr
    );
    assert_eq!(contents(&sandbox, ""), before);
    assert!(!sandbox.path("environments").exists());
}

/// A file in the form of the Python rootstock, with these lines below `dependencies` and in the module.
fn script(dependencies: &str, uv: &str, module: &str) -> String {
    let uv: String = uv
        .lines()
        .map(|line| format!("# {line}\n").replace("#  \n", "#\n"))
        .collect();
    format!(
        "# /// script\n# requires-python = \">=3.11\"\n# dependencies = {dependencies}\n{uv}# ///\n\"\"\"An environment.\"\"\"\n\n\
         {module}\n\ndef setup(checkpoint: str, device: str = \"cuda\", **kwargs):\n    return CHECKPOINTS[checkpoint]\n"
    )
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "three files and what becomes of them"
)]
fn three_files_of_the_python_rootstock_are_taken_over_and_lock() {
    let place = tempfile::tempdir().unwrap();
    if Repository::new(place.path(), &Sdist::new("forked", "1.0")).is_none() {
        return;
    }
    let repository = format!("file://{}", place.path().display());
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    for name in ["single", "plain", "numpy"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    sandbox.index.add(&Wheel::simple("numpy", "2.0"));
    sandbox.index.add(&Wheel::simple("torch", "9.9"));
    let own = Index::start();
    own.add(&Wheel::simple("torch", "2.9"));
    let text = sandbox.read("rootstock.toml").replace(
        "[environments.one]",
        "# the first\n[environments.one]   # here",
    );
    sandbox.write("rootstock.toml", &text);
    let index = format!(
        "\n[tool.uv]\nconstraint-dependencies = [\"numpy<2\"]\nconcurrent-downloads = 4\n\n[tool.uv.sources]\n\
         torch = {{ index = \"PyTorch-cu128\", marker = \"sys_platform == 'linux'\" }}\n\n[[tool.uv.index]]\n\
         name = \"PyTorch-cu128\"\nurl = \"{}\"\nexplicit = true\n",
        own.url()
    );
    sandbox.write(
        "theirs/with_index.py",
        &script(
            "[\n#     \"torch>=2\",  # from there\n#     \"numpy\",\n# ]",
            &index,
            "",
        ),
    );
    let git = format!(
        "[tool.uv.sources]\nForked = {{ git = \"{repository}\", branch = \"main\", subdirectory = \"python\" }}\n"
    );
    sandbox.write(
        "theirs/with-git.py",
        &script("[\"forked[x]>=0.1 ; python_version >= '3.8'\"]", &git, ""),
    );
    let module = "CHECKPOINTS: dict[str, str] = {\n    \"uma-s-1p1\": \"uma-s-1p1\",  # small\n    'uma-m': 'm',\n    \"uma:custom\": None,\n}\n\
                  VERIFY_KWARGS = {\"uma-s-1p1\": {\"task\": \"omat\", \"n\": 3}}\nCLUSTERS = [\"polaris\"]\n\n\
                  def setup_from_path(path, device):\n    return path\n";
    sandbox.write("theirs/uma.py", &script("[\"plain\"]", "", module));
    let theirs = contents(&sandbox, "theirs");
    let files = [
        "theirs/with_index.py",
        "theirs/with-git.py",
        "theirs/uma.py",
    ];
    let output = with_git(&sandbox, &[&["add"], &files[..]].concat());
    output.expect(0).stderr_is(&sandbox, str![[r#"
theirs/with_index.py:10: `concurrent-downloads` is left out: it says how uv works, not what it installs
theirs/uma.py:12: `VERIFY_KWARGS` of `uma-s-1p1` is its `setup`: everybody who gives no other arguments gets these
theirs/uma.py:13: `CLUSTERS` is left out: the environment is `optional`, build it where it belongs with `rootstock sync uma`
next: rootstock lock && rootstock sync with_index with-git uma
"#]]);
    let manifest = sandbox
        .anywhere(&sandbox.read("rootstock.toml"))
        .replace(&repository, "[REPOSITORY]");
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            manifest,
            str![[r#"
[rootstock]
root = "root"
python-source = "system"

# the first
[environments.one]   # here
source = "environments/one.py"
python = "3.11"

[environments.with_index]
source = "environments/with_index.py"
indexes = { torch = "pytorch-cu128" }
constraints = ["numpy<2"]

[environments.with-git]
source = "environments/with-git.py"
sdists = ["forked"]

[environments.uma]
source = "environments/uma.py"
optional = true

[indexes.pytorch-cu128]
url = "http://127.0.0.1:[PORT]/simple/"

[models.uma-s-1p1]
environment = "uma"
argument = "uma-s-1p1"
setup = { task = "omat", n = 3 }

[models.uma-m]
environment = "uma"
argument = "uma-m"

"#]],
        );
    let sources: String = ["with_index", "with-git"]
        .map(|name| {
            let text = sandbox.read(&format!("environments/{name}.py"));
            text.split("# ///\n")
                .next()
                .unwrap()
                .replace(&repository, "[REPOSITORY]")
        })
        .concat();
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(sources, str![[r##"
# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "torch>=2",  # from there
#     "numpy",
# ]
# /// script
# requires-python = ">=3.11"
# dependencies = ["forked[x] @ git+[REPOSITORY]@main#subdirectory=python ; python_full_version >= '3.8'"]

"##]]);
    assert_eq!(contents(&sandbox, "theirs"), theirs);

    with_git(&sandbox, &["lock"]).expect(0);
    let lock = sandbox.read("rootstock.lock");
    for locked in ["\"torch 2.9 ", "\"numpy 1.0 ", "forked"] {
        assert!(lock.contains(locked), "{locked}: {lock}");
    }
    let before = traces(&sandbox.path(""));
    for files in [
        files,
        [
            "environments/with_index.py",
            "environments/with-git.py",
            "environments/uma.py",
        ],
    ] {
        let again = with_git(&sandbox, &[&["add"], &files[..]].concat());
        assert_eq!(again.expect(0).stdout.matches("nothing changed").count(), 3);
        assert_eq!(again.stderr, "");
    }
    assert_eq!(traces(&sandbox.path("")), before);
    with_git(&sandbox, &["remove", "uma", "with-git", "with_index"]).expect(0);
    assert_eq!(sandbox.read("rootstock.toml"), text);
    assert_eq!(sandbox.names("environments"), ["one.py"]);
}

#[test]
fn addresses_paths_links_builds_and_cut_offs_are_taken_over() {
    let sandbox = Sandbox::new(&[]);
    for name in ["low", "torch"] {
        sandbox.index.add(&Wheel::simple(name, "1.0"));
    }
    let wheel = Wheel::simple("addressed", "1.0");
    let address = sandbox
        .index
        .put("files/addressed-1.0-py3-none-any.whl", &wheel.bytes());
    sandbox.write(
        "theirs/libs/tree/pyproject.toml",
        "[project]\nname = \"tree\"\nversion = \"1\"\n",
    );
    for file in [
        "torch_scatter-2.1+cpu-cp311-cp311-linux_x86_64.whl",
        "unrelated-1.0.tar.gz",
    ] {
        sandbox.write(&format!("theirs/links/{file}"), "");
    }
    let uv = format!(
        "[tool.uv]\nfind-links = [\"links\"]\noverride-dependencies = [\"low==1\"]\nbuild-constraint-dependencies = [\"wheel<9\"]\n\
         exclude-dependencies = [\"low\"]\nexclude-newer = \"2026-10-01T00:00:00Z\"\n\
         extra-build-dependencies = {{ torch-scatter = [\"setuptools\", {{ requirement = \"torch\", match-runtime = true }}] }}\n\
         prerelease = \"if-necessary-or-explicit\"\n\
         [tool.uv.sources]\naddressed = {{ url = \"{address}\" }}\ntree = {{ path = \"libs/tree\", editable = false }}\n"
    );
    sandbox.write(
        "theirs/mixed.py",
        &script(
            "[\"addressed\", \"tree\", \"torch-scatter\", \"torch\"]",
            &uv,
            "",
        ),
    );
    let output = sandbox.run(&["add", "theirs/mixed.py"]);
    output.expect(0).stderr_is(
        &sandbox,
        str![[r#"
theirs/mixed.py:5: `find-links` serves only `torch-scatter` here
next: rootstock lock && rootstock sync mixed
"#]],
    );
    let manifest = sandbox.anywhere(&sandbox.read("rootstock.toml"));
    snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .eq(
            manifest,
            str![[r#"
[rootstock]
root = "root"
python-source = "system"

[indexes.mixed-links]
find-links = "./theirs/links"
exclude-newer = false

[environments.mixed]
source = "environments/mixed.py"
indexes = { torch-scatter = "mixed-links" }
build-constraints = ["wheel<9"]
exclude = ["low"]
overrides = ["low==1"]
build-dependencies = { torch-scatter = ["setuptools", "torch"] }
sdists = ["torch-scatter", "tree"]
exclude-newer = "2026-10-01T00:00:00Z"

"#]],
        );
    let source = sandbox.anywhere(&sandbox.read("environments/mixed.py"));
    assert!(
        source.contains("\"tree @ ./theirs/libs/tree\", \"torch-scatter\", \"torch\"]\n# ///\n"),
        "{source}"
    );
    sandbox.run(&["lock", "--check"]).expect(3);
}

#[test]
fn a_page_with_links_says_what_comes_from_there() {
    let sandbox = Sandbox::new(&[]);
    let page = "<a href=\"x/torch_scatter-2.1%2Bcpu-cp311-cp311-linux_x86_64.whl#sha256=00\">a</a> <a href='other-1.0.zip'>b</a>";
    sandbox.write("links/torch.html", page);
    let address = format!("file://{}", sandbox.path("links/torch.html").display());
    let uv = format!("[tool.uv]\nfind-links = [\"{address}\"]\n");
    sandbox.write(
        "theirs/pyg.py",
        &script("[\"torch-scatter\", \"ase\"]", &uv, ""),
    );
    sandbox.run(&["add", "theirs/pyg.py"]).expect(0);
    let manifest = sandbox.read("rootstock.toml");
    let expected =
        format!("[indexes.pyg-links]\nfind-links = \"{address}\"\nexclude-newer = false\n");
    assert!(
        manifest.contains("indexes = { torch-scatter = \"pyg-links\" }\n"),
        "{manifest}"
    );
    assert!(manifest.contains(&expected), "{manifest}");
    // A page that cannot be read.
    sandbox.write(
        "theirs/pyg.py",
        &sandbox
            .read("theirs/pyg.py")
            .replace("torch.html", "gone.html"),
    );
    let output = sandbox.run(&["add", "theirs/pyg.py", "--name", "other"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("what `find-links` has cannot be found out"),
        "{}",
        output.stderr
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "a table of what cannot be taken over"
)]
fn what_cannot_be_taken_over_is_named_with_its_line_and_nothing_is_written() {
    let index = "[[tool.uv.index]]\nname = \"own\"\nurl = \"https://example.org/simple\"\n";
    let cases = [
        (
            "[tool.uv]\nprerelease = \"allow\"\n",
            "",
            "`prerelease` cannot be taken over",
        ),
        (
            "[tool.uv]\nresolution = \"lowest\"\n",
            "",
            "`resolution` cannot be taken over",
        ),
        (
            "[tool.uv]\nno-binary-package = [\"x\"]\n",
            "",
            "`no-binary-package` cannot be taken over",
        ),
        (
            "[tool.uv]\nno-build-isolation = true\n",
            "",
            "`no-build-isolation` cannot be taken over",
        ),
        (
            "[tool.uv]\nconfig-settings = { a = \"b\" }\n",
            "",
            "`config-settings` cannot be taken over",
        ),
        (
            "[tool.uv]\nindex-url = \"https://example.org\"\n",
            "",
            "`index-url` cannot be taken over",
        ),
        (
            "[tool.uv]\nextra-index-url = [\"https://example.org\"]\n",
            "",
            "`extra-index-url` cannot be taken over",
        ),
        (
            "[tool.uv]\nnew-in-uv = 1\n",
            "",
            "`new-in-uv` is not a known key",
        ),
        (
            "[tool.uv]\nexclude-newer = \"1 week\"\n",
            "",
            "`1 week` is not a moment",
        ),
        (
            "[tool.uv.sources]\nplain = { workspace = true }\n",
            "",
            "comes from a workspace",
        ),
        (
            "[tool.uv.sources]\nplain = { index = \"gone\" }\n",
            "",
            "there is no index `gone`",
        ),
        (
            "[tool.uv.sources]\nplain = { path = \"gone\" }\n",
            "",
            "there is nothing at `gone`",
        ),
        (
            "[tool.uv.sources]\nplain = { path = \".\", editable = true }\n",
            "",
            "an editable installation",
        ),
        (
            "[tool.uv.sources]\nplain = { git = \"ftp://x/y\" }\n",
            "",
            "this reference cannot be used",
        ),
        (
            "[tool.uv.sources]\nplain = { url = \"https://x/y.whl\", marker = \"platform_machine == 'x86_64'\" }\n",
            "",
            "for some targets",
        ),
        (
            "[tool.uv.sources]\nplain = [{ url = \"https://x/y.whl\" }, { url = \"https://x/z.whl\" }]\n",
            "",
            "several sources",
        ),
        (
            "[tool.uv.sources]\nplain = { url = \"https://x/y.whl\", extra = \"x\" }\n",
            "",
            "a source for an `extra`",
        ),
        (index, "", "the index `own` would serve any package"),
        (
            &format!("{index}default = true\n"),
            "",
            "another default index",
        ),
        (
            "[[tool.uv.index]]\nurl = \"https://example.org\"\n",
            "",
            "has no name",
        ),
        (
            "",
            "CHECKPOINTS = dict(a=\"b\")",
            "`CHECKPOINTS` cannot be read without running the file",
        ),
        (
            "",
            "CHECKPOINTS = {\"a b\": \"c\"}",
            "`a b` is not a model id",
        ),
        ("", "CHECKPOINTS = {\"a\": 1}", "`a` has no text"),
        (
            "",
            "CHECKPOINTS = {\"a:custom\": None}",
            "needs `setup_from_path()`",
        ),
        (
            "",
            "CHECKPOINTS = {\"a\": \"b\"}\nVERIFY_KWARGS = {\"x\": {}}",
            "`VERIFY_KWARGS` names `x`",
        ),
        (
            "",
            "CHECKPOINTS = {\"a\": \"b\"}\nVERIFY_KWARGS = {\"a\": {\"k\": None}}",
            "cannot be written in TOML",
        ),
        (
            "",
            "CHECKPOINTS = {\"a\": \"b\"}\nVERIFY_KWARGS = 1",
            "`VERIFY_KWARGS` is no dictionary",
        ),
    ];
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    for (uv, module, message) in cases {
        sandbox.write("theirs/x.py", &script("[\"plain\"]", uv, module));
        let before = contents(&sandbox, "");
        let output = sandbox.run(&["add", "theirs/x.py"]);
        output.expect(2);
        assert!(
            output.message().contains(message),
            "{message}: {}",
            output.stderr
        );
        assert!(
            output.stderr.contains("[theirs/x.py:"),
            "{message}: {}",
            output.stderr
        );
        assert_eq!(contents(&sandbox, ""), before, "{message}");
    }
    // All of them at once.
    sandbox.write(
        "theirs/x.py",
        &script(
            "[\"plain\"]",
            "[tool.uv]\nresolution = \"lowest\"\nno-index = true\n",
            "CHECKPOINTS = {f()}",
        ),
    );
    let output = sandbox.run(&["add", "theirs/x.py"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("3 things are in the way of taking over `theirs/x.py`"),
        "{}",
        output.stderr
    );
    for (name, text) in [
        ("Odd Name.py", script("[]", "", "")),
        ("none.py", "x = 1\n".to_owned()),
    ] {
        sandbox.write(name, &text);
        sandbox.run(&["add", name]).expect(2);
    }
    let output = sandbox.run(&["add", "gone.py"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("there is no file `gone.py`"),
        "{}",
        output.stderr
    );
}

#[test]
fn lock_sends_a_file_with_settings_of_uv_to_add_which_completes_its_environment() {
    let sandbox = Sandbox::new(&[("one", &["single"])]);
    sandbox.index.add(&Wheel::simple("single", "1.0"));
    let source = script(
        "[\"single\"]",
        "[tool.uv]\nconstraint-dependencies = [\"single<2\"]\n",
        "",
    );
    sandbox.write("environments/one.py", &source);
    for arguments in [&["lock"][..], &["lock", "--check"], &["sync"], &["status"]] {
        let output = sandbox.run(arguments);
        let advice = "use `rootstock add`: `rootstock add environments/one.py`";
        assert!(
            output.expect(2).message().contains(advice),
            "{arguments:?}: {}",
            output.stderr
        );
    }
    sandbox.run(&["add", "environments/one.py"]).expect(0);
    let manifest = sandbox.read("rootstock.toml");
    assert!(
        manifest.ends_with("python = \"3.11\"\nconstraints = [\"single<2\"]\n"),
        "{manifest}"
    );
    assert!(!sandbox.read("environments/one.py").contains("tool"));
    sandbox.lock();
}

#[test]
fn the_manifest_keeps_its_form() {
    let sandbox = empty();
    sandbox.run(&["init"]).expect(0);
    let forms = [
        // Windows' line ends.
        sandbox.read("rootstock.toml").replace('\n', "\r\n"),
        "rootstock.root = 'root'\nenvironments.emt.source = 'environments/emt.py' # dotted\n".to_owned(),
        "environments = { emt = { source = 'environments/emt.py' } }\nrootstock = { root = 'root' }".to_owned(),
        "[models.a]\nenvironment = \"emt\"\n\n# --- section ---\n\n# of emt\n[environments.emt]\nsource = \"environments/emt.py\"\n\n[rootstock]\nroot = 'root'\n\n#end\n".to_owned(),
    ];
    for text in forms {
        sandbox.write("rootstock.toml", &text);
        sandbox.run(&["add", "tblite"]).expect(0);
        let added = sandbox.read("rootstock.toml");
        assert_eq!(
            added.matches('\n').count() == added.matches("\r\n").count(),
            text.contains("\r\n"),
            "{added}"
        );
        sandbox.run(&["lock", "--check"]).expect(3);
        sandbox.run(&["remove", "tblite"]).expect(0);
        let removed = sandbox.read("rootstock.toml");
        assert_eq!(removed.trim_end(), text.trim_end());
    }
    // What stands above a table and apart from it stays.
    sandbox.run(&["remove", "emt", "--keep-source"]).expect(0);
    let left = "# --- section ---\n\n[rootstock]\nroot = 'root'\n\n#end\n";
    assert_eq!(sandbox.read("rootstock.toml"), left);
    assert_eq!(sandbox.names("environments"), ["emt.py"]);
    let output = sandbox.run(&["remove", "emt"]);
    assert!(
        output
            .expect(2)
            .message()
            .contains("the manifest has no environment `emt`"),
        "{}",
        output.stderr
    );
}
