#!/bin/bash
# Molecular dynamics that survives preemption, a time limit and a node that fails: it goes on from its last frame.
#
#   sbatch requeue.sh
#
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=requeue.out
#SBATCH --time=4:00:00
# SIGTERM two minutes before the time limit, to the steps and not to this script: md.py finishes its step and writes it.
#SBATCH --signal=TERM@120
set -u

code=0
srun -n1 -N1 python3 md.py || code=$?
if [ "$code" = 143 ]; then
  # It wants to go on. A preempted job is requeued by Slurm itself; asking twice does no harm.
  scontrol requeue "$SLURM_JOB_ID" 2>/dev/null
  # Slurm ends this script when it requeues the job.
  sleep 60
fi
exit "$code"
