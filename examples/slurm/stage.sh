#!/bin/bash
# The environment on each node's own disk: `import torch` from a busy shared filesystem can take minutes on each of a thousand
# ranks, and one sequential read of an image takes seconds.
#
#   rootstock image mace -o mace.tar.zst        # once, by the administrator or by you
#   sbatch stage.sh mace.tar.zst mace
#
# 16 tasks of a node copy once: the first one does it, the others wait for it. Where the site runs a prologue for each node, the
# same line belongs there.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --output=stage.out
set -eu
image=$1 environment=$2
export image environment

srun sh -ec '
  ROOTSTOCK_ROOT=$(rootstock stage "$image")
  export ROOTSTOCK_ROOT
  exec rootstock run "$environment" -- python -c "import sys; print(sys.prefix)"
'
# What lies there is removed with the job, if it lies in the directory of the job; elsewhere:
srun --ntasks-per-node=1 rootstock stage --clean >/dev/null
