#!/bin/bash
# A job array over one file of structures: each task computes a part, and a task that is cancelled or preempted goes on with what
# is missing when it starts again.
#
#   sbatch --array=0-3 array.sh MODEL structures.xyz results
#
# The parts are results.0.xyz to results.3.xyz, in the order of the file; `cat results.*.xyz` is all of them.
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --cpus-per-task=2
#SBATCH --output=array.%a.out
# SIGTERM a minute before the time limit, to the steps: what was computed is kept.
#SBATCH --signal=TERM@60
set -u
model=$1 input=$2 output=$3

code=0
srun -n1 -N1 rootstock evaluate "$model" "$input" -o "$output.{shard}.xyz" --shard auto --resume || code=$?
if [ "$code" = 143 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" 2>/dev/null
  sleep 60
fi
exit "$code"
