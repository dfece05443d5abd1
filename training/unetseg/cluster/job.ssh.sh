#!/bin/sh
# Written by `unetseg submit --scheduler ssh`: runs without a scheduler, one member after another, and can be started again.
set -e
cd -- @FOLDER@
@SETUP@
export OMP_NUM_THREADS=@CORES@
for MEMBER in @MEMBERS@; do
    @COMMAND@
done
@AFTER@
