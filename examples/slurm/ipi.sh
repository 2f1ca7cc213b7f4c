#!/bin/bash
# i-PI on the first node, a worker for each task of all nodes. A job that is requeued goes on from i-PI's RESTART file, and workers
# wait ten minutes for an i-PI that was killed: it is started again here, and they keep their models.
#
#   sbatch ipi.sh input.xml init.xyz
#
# input.xml has an <ffsocket mode='inet'> with <address>HOST</address> and <port>PORT</port>, which are replaced. i-PI has no
# authentication: use it where the network between nodes is trusted, or mode='unix' on one node.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=ipi.out
set -u
input=$1 template=$2
host=${IPI_HOST:-$(hostname)}
port=${IPI_PORT:-$((20000 + SLURM_JOB_ID % 20000))}
[ -e RESTART ] && input=RESTART
sed "s|<address>[^<]*</address>|<address>$host</address>|; s|<port>[^<]*</port>|<port>$port</port>|" "$input" > "job-$SLURM_JOB_ID.xml"

srun rootstock worker "${ROOTSTOCK_MODEL:-emt}" --tcp "$host:$port" --template "$template" --device auto \
  --connect-timeout 600 --reconnect 600 --idle-timeout 3600 &
workers=$!
trap 'kill "$workers" 2>/dev/null; wait "$workers"' EXIT

# i-PI writes RESTART when SIGTERM ends it, and its own exit code says nothing.
for attempt in 1 2 3; do
  i-pi "job-$SLURM_JOB_ID.xml" && break
  echo "i-PI has ended; attempt $attempt"
done
