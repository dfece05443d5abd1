#!/bin/sh
# Written by `unetseg submit --scheduler slurm`: submits the jobs beside it, each after those that it needs. By hand: sh THIS_FILE
@HOME@
mkdir -p -- @LOGS@ || exit 1
JOBS=
# submit NAME SCRIPT OPTIONS. If one is refused the chain has no end, so those before it are taken back.
submit() {
    NAME=$1 SCRIPT=$2
    shift 2
    if ! NUMBER=$(sbatch --parsable "$@" "$SCRIPT"); then
        [ -z "$JOBS" ] || scancel $JOBS
        echo "sbatch refused $NAME, and no job of the chain is left in the queue" >&2
        exit 1
    fi
    NUMBER=${NUMBER%%;*}
    JOBS="$JOBS $NUMBER"
    echo "$NAME: job $NUMBER"
}
# A job that needs one that failed is cancelled, and so are those after it: nothing waits for ever.
@SUBMISSIONS@
echo "look: squeue -j $(echo $JOBS | tr ' ' ,)   afterwards: sacct -X -j $(echo $JOBS | tr ' ' ,)"
echo "cancel: scancel$JOBS"
