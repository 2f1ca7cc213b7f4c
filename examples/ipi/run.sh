#!/bin/sh
# Molecular dynamics with i-PI: it moves 108 copper atoms at constant energy, a rootstock worker computes their forces.
# Needs `i-pi` and `rootstock` on PATH, and ROOTSTOCK_ROOT naming a root with the environment `emt`; arguments (`--root DIR`)
# go to the worker. The worker is given the same structure as i-PI, because i-PI sends no atom types to its clients.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v i-pi >/dev/null || { echo "i-pi is not on PATH" >&2; exit 127; }

(cd "$here" && exec i-pi input.xml) &
server=$!
# i-PI waits for a worker for ever: however this script ends, i-PI ends with it.
trap 'kill "$server" 2>/dev/null && wait "$server" || true' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

rootstock worker "${ROOTSTOCK_MODEL:-emt}" --unix rootstock-example --template "$here/init.xyz" "$@"
wait "$server"
tail -n 3 "$here/nve.out"
