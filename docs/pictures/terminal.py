"""Draws a terminal after real commands, as an SVG: `python docs/pictures/terminal.py FILE.svg COMMAND…`

Each COMMAND is a shell line; `$ ` and the line, then what it prints, 80 columns wide, with its colours. A command that fails ends
the run. The README's picture, in an empty directory with the program on PATH:

    python docs/pictures/terminal.py terminal.svg "rootstock init" "rootstock lock" "rootstock sync" "rootstock status"
"""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

COLUMNS, WIDTH, HEIGHT = 80, 8.4, 18
COLOURS = {31: "#e06c75", 32: "#98c379", 33: "#e5c07b", 34: "#61afef", 35: "#c678dd", 36: "#56b6c2"}
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)m")


def run(command):
    """The lines of a command, with escape sequences."""
    variables = {**os.environ, "COLUMNS": str(COLUMNS), "CLICOLOR_FORCE": "1"}
    done = subprocess.run(command, shell=True, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout}")
    return [f"\x1b[1m$ {command}\x1b[0m", *done.stdout.rstrip("\n").split("\n"), ""]


def spans(line):
    """A line as parts of one style: text and attributes of a `tspan`."""
    style, at = {}, 0
    for found in [*SEQUENCE.finditer(line), None]:
        text = line[at : found.start() if found else len(line)]
        if text:
            yield text, " ".join(f'{name}="{value}"' for name, value in style.items())
        if found is None:
            return
        at = found.end()
        for code in map(int, (found[1] or "0").split(";")):
            if code == 0:
                style = {}
            elif code == 1:
                style["font-weight"] = "bold"
            elif code == 2:
                style["opacity"] = "0.7"
            elif code in COLOURS:
                style["fill"] = COLOURS[code]


def wrapped(line):
    """A line as a terminal shows it: what is longer than the screen goes on below."""
    plain = SEQUENCE.sub("", line)
    if len(plain) <= COLUMNS:
        return [line]
    return [plain[at : at + COLUMNS] for at in range(0, len(plain), COLUMNS)]


def draw(lines):
    width, height = COLUMNS * WIDTH + 32, len(lines) * HEIGHT + 28
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">'
    yield f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#282c34"/>'
    for number, line in enumerate(lines):
        parts = "".join(f"<tspan {style}>{html.escape(text)}</tspan>" for text, style in spans(line))
        yield f'<text x="16" y="{number * HEIGHT + 28}" fill="#abb2bf" xml:space="preserve">{parts}</text>'
    yield "</svg>"


def main():
    file, *commands = sys.argv[1:]
    if not commands:
        sys.exit(__doc__)
    lines = [piece for command in commands for line in run(command) for piece in wrapped(line)]
    Path(file).write_text("\n".join(draw(lines[:-1])) + "\n")


if __name__ == "__main__":
    main()
