#!/bin/bash
# Written by `unetseg submit --scheduler slurm`. Submit by hand with: sbatch THIS_FILE
#SBATCH --job-name=@NAME@
#SBATCH --partition=@QUEUE@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=@CORES@
#SBATCH --mem=@MEMORY_MB@M
@SLURM_GPUS@
#SBATCH --time=@SLURM_TIME@
@SLURM_ARRAY@
# Five minutes before the wall time ends, USR1 asks it to save; it ends with status 75, and this script queues it again.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=@LOGS@/@SLURM_LOG@.log
set -u
cd @FOLDER@ || exit 1
@SETUP@
MEMBER=${SLURM_ARRAY_TASK_ID:-0}
# One task a node starts its processes itself; Lightning would take SLURM's count of tasks for theirs.
unset SLURM_NTASKS
trap 'kill -USR1 $WORK' USR1
trap 'kill -TERM $WORK' TERM
@COMMAND@ &
WORK=$!
# A signal ends `wait` early, so wait again until the command itself has ended.
wait $WORK; STATUS=$?
while kill -0 $WORK 2>/dev/null; do wait $WORK; STATUS=$?; done
if [ $STATUS -eq 75 ]; then
    echo "saved; queued again"
    # A member of an array is named by both numbers: the array's own number would queue all of it again.
    scontrol requeue "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
fi
exit $STATUS
