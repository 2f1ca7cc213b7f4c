#!/bin/sh
# Relaxes the unit cells of five metals in two warm processes; prints a line of JSON for each, in the order in which they end.
#
#     ROOTSTOCK_ROOT=/path/to/root examples/call/relax.sh [MODEL]

set -eu
here=$(dirname "$0")

for metal in Al Cu Ag Au Ni; do
    printf '{"id": "%s", "function": "relax:lattice", "args": ["%s"], "timeout": 600}\n' "$metal" "$metal"
done | rootstock call "${1:-emt}" --path "$here" --stream -j 2
