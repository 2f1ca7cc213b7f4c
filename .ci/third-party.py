"""Writes THIRD-PARTY.md: the crates that are part of the program, with the licences under which they may be given on.

`--check` compares what is there. Reads Cargo.lock and the crates' own files, as cargo has unpacked them; starts only cargo.
"""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
FILE = HERE / "THIRD-PARTY.md"
TARGETS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")

HEAD = """# Third-party notices

The program `rootstock` contains the crates below, each under its own licence. Their source is at
<https://crates.io/crates/NAME/VERSION>, unchanged; that is also where the source of what is under the Mozilla Public License 2.0 is.
Written by `.ci/third-party.py`.
"""


def cargo(*words: str) -> str:
    words = ("cargo", *words, "--locked")
    return subprocess.run(words, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout


def crates() -> list[dict]:
    """Those of the program itself, for every machine type it is built for; not those of its tests or of its building."""
    linked = set()
    for target in TARGETS:
        tree = cargo("tree", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}", "--target", target)
        linked |= {tuple(line.split()[:2]) for line in tree.splitlines()}
    packages = json.loads(cargo("metadata", "--format-version", "1"))["packages"]
    found = [package for package in packages if (package["name"], "v" + package["version"]) in linked]
    return sorted((p for p in found if p["source"]), key=lambda p: (p["name"], p["version"]))


def texts(package: dict) -> list[str]:
    directory = Path(package["manifest_path"]).parent
    files = sorted(path for path in directory.iterdir() if path.is_file() and path.name.upper().startswith(NAMES))
    if not files:
        sys.exit("%s has no licence file" % package["name"])
    lines = (path.read_text(encoding="utf-8", errors="replace").splitlines() for path in files)
    return ["\n".join(line.rstrip() for line in file).strip("\n") for file in lines]


def notices() -> str:
    packages, of = crates(), {}
    for package in packages:
        for text in texts(package):
            # One licence is broken into lines in many ways.
            users = of.setdefault(" ".join(text.split()), (text, []))[1]
            users.append("%s %s" % (package["name"], package["version"]))
    out = [HEAD]
    out += ["- %s %s: %s" % (p["name"], p["version"], p["license"]) for p in packages]
    for text, users in of.values():
        out.append("\n## %s\n\n```text\n%s\n```" % (", ".join(dict.fromkeys(users)), text.replace("```", "'''")))
    return "\n".join(out) + "\n"


if sys.argv[1:] == ["--check"]:
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != notices():
        sys.exit("THIRD-PARTY.md is not that of Cargo.lock: run `python3.11 .ci/third-party.py`")
else:
    FILE.write_text(notices(), encoding="utf-8")
