#!/bin/bash
# A worker for each GPU: every task calls functions on a share of the structures with a GPU of its own.
#
#   sbatch gpus.sh MODEL
#
# The scheduler chooses the device (CUDA_VISIBLE_DEVICES and the like are passed on untouched); `--device auto` takes the one
# whose number is the task's rank on its node, modulo those that it sees.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --output=gpus.out
set -eu
model=${1:-emt}

# The same generation in all tasks, whatever `rootstock sync` switches meanwhile.
ROOTSTOCK_GENERATION=$(rootstock run "${ENVIRONMENT:-emt}" --print generation)
export ROOTSTOCK_GENERATION

# OMP_NUM_THREADS is --cpus-per-task where it is not set. One task that fails does not end the others.
srun --kill-on-bad-exit=0 sh -c 'exec rootstock call "$1" --device auto share.py:share "$SLURM_PROCID" "$SLURM_NTASKS"' task "$model"
