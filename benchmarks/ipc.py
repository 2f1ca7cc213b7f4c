"""What a force call costs beside the model: every way to a calculator in another process, in one run.

    python benchmarks/ipc.py ROOTSTOCK ROOT [--sizes 10,100,…] [--plot FILE] [--json FILE]
    python benchmarks/ipc.py ROOTSTOCK ROOT --model chgnet-0.3.0 --environment chgnet --sizes 64,256

ROOT is one that was synced from `tests/project` (or has the model). The Python that runs this needs numpy, ase, ipi and
matplotlib; the Python rootstock 1.6.4 is installed beside it from the package index for the run. All paths stay alive and take
turns, because a shared machine changes its mind from second to second: medians over all turns, and ratios that are medians of the
ratios within a turn. `paths.py` has the paths.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
TURNS = 7

#: In the table's order: path, what it is called, and how it is drawn.
NAMES = {
    "rootstock-1": ("Python rootstock 1.6.4, calculator", "tab:red", "-"),
    "ase-ase": ("ASE server, ASE client", "tab:orange", "-"),
    "ase-ours": ("ASE server, our worker", "tab:orange", "--"),
    "ipi-py": ("i-PI, its Python driver (dummy)", "tab:purple", "-"),
    "ipi-ours": ("i-PI, our worker", "tab:purple", "--"),
    "getters": ("in process, ASE's three getters", "0.6", "-"),
    "calculator": ("RootstockCalculator", "tab:blue", "-"),
    "calculator-pair": ("RootstockCalculator, worker in pure Python", "tab:cyan", "--"),
    "pair": ("bare pair in pure Python", "tab:green", "--"),
    "pair-ours": ("bare client, our worker", "tab:blue", "--"),
    "pair-memory": ("bare client in memory, our worker", "tab:blue", ":"),
    "direct": ("in process, one calculate()", "0.3", "-"),
    "floor": ("bare pair, echo", "0.8", ":"),
}


class Runner:
    """A path that runs and waits for its turn."""

    def __init__(self, name, count, settings, python=sys.executable):
        environment = {**os.environ, "PYTHONPATH": settings["package"], "PYTHONDONTWRITEBYTECODE": "1"}
        if python != sys.executable:
            del environment["PYTHONPATH"]
        self.name = name
        self.messages = None if settings["verbose"] else tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [python, str(HERE / "paths.py"), name, str(count), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            env=environment,
            text=True,
            start_new_session=True,
        )
        # i-PI's server looks for work all the time, also when it has none: it is stopped while others have their turn.
        self.polls = name.startswith("ipi")

    def turn(self, what):
        if self.polls:
            os.killpg(self.process.pid, signal.SIGCONT)
        try:
            self.process.stdin.write(f"{what}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # Its messages say why.
        line = self.process.stdout.readline()
        if self.polls and line:
            os.killpg(self.process.pid, signal.SIGSTOP)
        if not line:
            raise SystemExit(f"the path `{self.name}` has ended:\n{self.end_of_messages()}")
        return json.loads(line)

    def end_of_messages(self):
        if self.messages is None:
            return ""
        self.messages.seek(0)
        return self.messages.read()[-3000:].decode(errors="replace")

    def close(self):
        if self.polls:
            os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()


def old_root(scratch):
    """A root of the Python rootstock 1.x, whose environment has the packages of the Python that runs this."""
    environment = scratch / "old" / "envs" / "zero"
    venv.create(environment, symlinks=True)
    packages = scratch / "old" / "packages"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", packages]
    subprocess.run([*install, "rootstock==1.6.4", "packaging", "tomli-w"], check=True)
    (site,) = environment.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(f"{packages}\n{sysconfig.get_path('purelib')}\n")
    source = (HERE.parent / "tests/project/environments/odd.py").read_text()
    (environment / "env_source.py").write_text('CHECKPOINTS = {"zero": "nothing", "emt": "EMT"}\n' + source)
    for name in ("home", "cache"):
        (scratch / "old" / name).mkdir()
    return scratch / "old"


def program(path, command):
    """A program of one line."""
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "paths.py"} {command} "$@"\n')
    path.chmod(0o755)
    return str(path)


def measure(count, names, pythons, settings):
    """Microseconds of each step, turn by turn."""
    paths = {name: Runner(name, count, settings, pythons.get(name, sys.executable)) for name in names}
    steps = {name: 1 for name in paths}
    for name, path in paths.items():
        path.turn(5 if not settings.get("crystal") else 2)
        # About 0.15 s for each turn.
        seconds = statistics.median(path.turn(3 if not settings.get("crystal") else 1))
        steps[name] = max(2, min(300, round(0.15 / seconds)))
    turns = {name: [] for name in paths}
    for _ in range(TURNS):
        for name, path in paths.items():
            turns[name].append([1e6 * seconds for seconds in path.turn(steps[name])])
    for path in paths.values():
        path.close()
    return turns


def median(turns):
    return statistics.median(time for turn in turns for time in turn)


def ratio(turns, others):
    """The median over turns of the ratio of their medians: both saw the same machine."""
    return statistics.median(statistics.median(a) / statistics.median(b) for a, b in zip(turns, others))


def first_energy(settings, pythons):
    """Seconds from a calculator to its first energy, where both use the same packages."""
    ours = Runner("calculator", 4, {**settings, "model": "odd-emt"})
    theirs = Runner("rootstock-1", 4, settings, pythons["rootstock-1"])
    seconds = {"ours": [], "theirs": []}
    for _ in range(TURNS):
        seconds["ours"] += ours.turn("first")
        seconds["theirs"] += theirs.turn("first")
    for path in (ours, theirs):
        path.close()
    return {name: statistics.median(times) for name, times in seconds.items()}


def number(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def table(results):
    sizes = list(results)
    lines = ["| µs per step \\ atoms | " + " | ".join(f"{size:,}".replace(",", " ") for size in sizes) + " |"]
    lines.append("|---|" + "--:|" * len(sizes))
    for name, (title, *_) in NAMES.items():
        if name in results[sizes[0]]:
            lines.append(f"| {title} | " + " | ".join(number(median(results[size][name])) for size in sizes) + " |")
    return "\n".join(lines)


GOALS = [
    ("RootstockCalculator ÷ rootstock 1.6.4", "calculator", "rootstock-1"),
    ("RootstockCalculator ÷ the same with a worker in pure Python", "calculator", "calculator-pair"),
    ("RootstockCalculator ÷ bare pair in pure Python", "calculator", "pair"),
    ("bare client in memory, our worker ÷ bare pair in pure Python", "pair-memory", "pair"),
    ("bare client: our worker ÷ pure Python", "pair-ours", "pair"),
    ("ASE server: our worker ÷ ASE's client", "ase-ours", "ase-ase"),
    ("i-PI: our worker ÷ its Python driver", "ipi-ours", "ipi-py"),
    ("RootstockCalculator ÷ in process", "calculator", "getters"),
]


def goals(results):
    sizes = list(results)
    lines = ["| ratio \\ atoms | " + " | ".join(map(str, sizes)) + " |", "|---|" + "--:|" * len(sizes)]
    for title, one, other in GOALS:
        if one in results[sizes[0]] and other in results[sizes[0]]:
            values = (ratio(results[size][one], results[size][other]) for size in sizes)
            lines.append(f"| {title} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    return "\n".join(lines)


def plot(results, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    sizes = list(results)
    figure, axes = pyplot.subplots(figsize=(8, 5.2), layout="constrained")
    ends = []
    for name, (title, colour, style) in NAMES.items():
        values = [median(results[size][name]) for size in sizes]
        width = 2.4 if name in ("calculator", "rootstock-1") else 1.3
        axes.plot(sizes, values, style, color=colour, linewidth=width, marker="o", markersize=3, label=title)
        ends.append((values[-1], title))
    axes.set(xscale="log", yscale="log", xlabel="atoms", ylabel="µs per step (energy, forces, stress)")
    axes.set_title("What a force call costs beside the model", loc="left")
    axes.grid(which="major", color="0.9")
    axes.spines[["top", "right"]].set_visible(False)
    handles, titles = axes.get_legend_handles_labels()
    order = sorted(range(len(ends)), key=lambda place: -ends[place][0])
    axes.legend([handles[i] for i in order], [titles[i] for i in order], frameon=False, fontsize=8, loc="center left",
                bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=160)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} × {model}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, load {load:.1f}"


def real_model(arguments, sizes, settings):
    """A model that computes: what the worker adds to its step."""
    python = os.path.join(settings["root"], "envs", arguments.environment, "bin", "python")
    source = os.path.join(settings["root"], "envs", arguments.environment, "env_source.py")
    settings = {**settings, "crystal": True, "source": [source, arguments.argument], "model": arguments.model}
    print(f"| {arguments.model}, atoms | in process, ms | through a worker, ms | the worker adds |\n|--:|--:|--:|--:|")
    for size in sizes:
        turns = measure(size, ["getters", "calculator"], {"getters": python}, settings)
        within, through = (median(turns[name]) / 1000 for name in ("getters", "calculator"))
        added = 100 * (ratio(turns["calculator"], turns["getters"]) - 1)
        print(f"| {size} | {within:.1f} | {through:.1f} | {added:+.1f} % |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rootstock")
    parser.add_argument("root")
    parser.add_argument("--sizes", default="10,100,150,1000,10000,100000")
    parser.add_argument("--paths", default=",".join(NAMES))
    parser.add_argument("--model", help="a model that computes, in place of the one that does not")
    parser.add_argument("--environment", default="chgnet")
    parser.add_argument("--argument", default="0.3.0", help="the argument of its setup()")
    parser.add_argument("--plot")
    parser.add_argument("--json")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    names = arguments.paths.split(",")
    scratch = Path(tempfile.mkdtemp(prefix="rootstock-ipc-"))
    settings = {
        "program": os.path.abspath(arguments.rootstock),
        "root": os.path.abspath(arguments.root),
        "model": "odd-zero",
        "package": str(HERE.parent / "python"),
        "pure": program(scratch / "pure", "pure"),
        "echo": program(scratch / "echo", "echo"),
        "ipi_driver": os.path.join(sysconfig.get_path("scripts"), "i-pi-py_driver"),
        "verbose": arguments.verbose,
    }
    try:
        print(machine(), end="\n\n")
        if arguments.model:
            real_model(arguments, sizes, settings)
            return
        old = old_root(scratch)
        settings["old"] = str(old)
        pythons = {"rootstock-1": str(old / "envs" / "zero" / "bin" / "python")}
        results = {size: measure(size, names, pythons, settings) for size in sizes}
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(results))
        print(table(results), goals(results), sep="\n\n")
        if 150 in results and {"calculator", "getters"} <= results[150].keys():
            added = median(results[150]["calculator"]) - median(results[150]["direct"])
            print(f"\n150 atoms, beside calculate(): {added:.0f} µs, {added / 26:.1f} % of a step of 2.6 ms")
        if "rootstock-1" in names:
            seconds = first_energy(settings, pythons)
            print("\nto the first energy: %.2f s, rootstock 1.6.4 %.2f s, ratio %.2f"
                  % (seconds["ours"], seconds["theirs"], seconds["ours"] / seconds["theirs"]))
        if arguments.plot:
            plot(results, arguments.plot)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


main()
