#!/bin/sh
# Molecular dynamics with i-PI: it moves 108 copper atoms at constant energy, a rootstock worker computes their forces.
# Needs `i-pi` and `rootstock` on PATH, and ROOTSTOCK_ROOT (or `--root`) naming a root with the environment `emt`.
# The worker is given the same structure as i-PI, because i-PI tells no client which atoms it moves.
set -eu
cd "$(dirname "$0")"

i-pi input.xml &
rootstock worker "${ROOTSTOCK_MODEL:-emt}" --unix rootstock-example --template init.xyz
wait $!
tail -n 3 nve.out
