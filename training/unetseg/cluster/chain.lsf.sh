#!/bin/sh
# Written by `unetseg submit --scheduler lsf`: submits the jobs beside it, each after those that it needs. By hand: sh THIS_FILE
@HOME@
mkdir -p -- @LOGS@ || exit 1
JOBS=
# submit NAME SCRIPT OPTIONS. If one is refused the chain has no end, so those before it are taken back.
submit() {
    NAME=$1 SCRIPT=$2
    shift 2
    NUMBER=$(bsub "$@" < "$SCRIPT" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p')
    if [ -z "$NUMBER" ]; then
        [ -z "$JOBS" ] || bkill $JOBS
        echo "bsub refused $NAME, and no job of the chain is left in the queue" >&2
        exit 1
    fi
    JOBS="$JOBS $NUMBER"
    echo "$NAME: job $NUMBER"
}
# -ti ends a job that needs one that failed, and so those after it: nothing waits for ever.
@SUBMISSIONS@
echo "look: bjobs -a$JOBS"
echo "cancel: bkill$JOBS"
