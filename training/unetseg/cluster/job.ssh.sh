#!/bin/sh
# Written by `unetseg submit --scheduler ssh`: runs one after another, without a scheduler. Started again, it goes on where it ended.
set -e
cd -- @FOLDER@
@SETUP@
set +e
export OMP_NUM_THREADS=@THREADS@
WORK= STOPPED=
# `kill` of this script reaches what it runs: that saves its state and ends, and nothing after it is started.
trap 'STOPPED=yes; [ -z "$WORK" ] || kill -TERM "$WORK" 2>/dev/null' TERM
start() {
    DOING=$1
    [ -z "$STOPPED" ] || { echo "stopped before $DOING"; exit 143; }
    echo "$(date '+%Y-%m-%d %H:%M:%S') $DOING"
}
# A signal ends `wait` early, with a status of its own: wait until the command itself has ended.
follow() {
    WORK=$!
    [ -z "$STOPPED" ] || kill -TERM "$WORK" 2>/dev/null
    wait "$WORK"; STATUS=$?
    while kill -0 "$WORK" 2>/dev/null; do wait "$WORK"; STATUS=$?; done
    WORK=
    [ $STATUS -eq 0 ] || { echo "$DOING ended with status $STATUS; nothing after it was started"; exit $STATUS; }
}
@STEPS@
echo "$(date '+%Y-%m-%d %H:%M:%S') all done"
