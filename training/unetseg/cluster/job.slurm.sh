#!/bin/bash
# Written by `unetseg submit --scheduler slurm`. Submit by hand with: sbatch THIS_FILE
#SBATCH --job-name=@NAME@
#SBATCH --partition=@QUEUE@
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=@CORES@
#SBATCH --mem=@MEMORY_MB@M
@DIRECTIVES@
#SBATCH --time=@SLURM_TIME@
@SLURM_ARRAY@
# Five minutes before the wall time ends, USR1 asks it to save; it ends with status 75 (several nodes under srun: with that
# of their starter), and this script queues it again.
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=@LOG@
cd -- @FOLDER@ || exit 1
@SETUP@
export OMP_NUM_THREADS=@THREADS@
MEMBER=${SLURM_ARRAY_TASK_ID:-0}
# One task a node starts its processes itself; Lightning would take SLURM's count of tasks for theirs.
unset SLURM_NTASKS
WARNED=
trap 'WARNED=yes; kill -USR1 $WORK' USR1
trap 'kill -TERM $WORK' TERM
@COMMAND@ &
WORK=$!
# A signal ends `wait` early, with a status of its own: wait until the command itself has ended, and then ask for its status.
wait $WORK
while kill -0 $WORK 2>/dev/null; do wait $WORK; done
wait $WORK; STATUS=$?
if [ $STATUS -eq 75 ] || { [ $STATUS -ne 0 ] && [ -n "$WARNED" ]; }; then
    if [ "${SLURM_RESTART_COUNT:-0}" -ge $((@MOST_STARTS@ - 1)) ]; then
        echo "started @MOST_STARTS@ times; it is not queued again"
        exit 1
    fi
    echo "warned of its wall time; queued again"
    # A member of an array is named by both numbers: the array's own number would queue all of it again.
    scontrol requeue "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-$SLURM_JOB_ID}"
fi
exit $STATUS
