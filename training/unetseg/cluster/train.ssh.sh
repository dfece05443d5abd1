#!/bin/sh
# Written by `unetseg submit --scheduler ssh`: runs without a scheduler, one fold after another, and can be started again.
set -eu
cd @FOLDER@
@SETUP@
for FOLD in @FOLDS@; do
    @COMMAND@
done
