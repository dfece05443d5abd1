#!/bin/sh
# Written by `unetseg submit --scheduler lsf`. Submit by hand with: bsub < THIS_FILE
# Options as IBM documents them for Spectrum LSF 10.1 (bsub -h, https://www.ibm.com/docs/en/spectrum-lsf/10.1.0).
#BSUB -J "@NAME@@LSF_ARRAY@"
#BSUB -q @QUEUE@
#BSUB -n @CORES@
#BSUB -R "span[hosts=1]"
#BSUB -R "rusage[mem=@MEMORY_MB_A_CORE@MB]"
@DIRECTIVES@
#BSUB -W @LSF_TIME@
# Five minutes before the wall time ends, USR1 asks it to save; it ends with status 75, and LSF queues it again.
#BSUB -wt '5'
#BSUB -wa 'USR1'
#BSUB -Q "75"
#BSUB -o @LOG@
set -e
cd -- @FOLDER@
@SETUP@
export OMP_NUM_THREADS=@THREADS@
MEMBER=$((${LSB_JOBINDEX:-1} - 1))
# LSF does not say how often it has queued a job again, so the starts are counted: one that never gets on must end.
STARTS=@OUTPUT@/.starts.${LSB_JOBID:-0}.$MEMBER
echo start >> "$STARTS"
[ "$(wc -l < "$STARTS")" -le @MOST_STARTS@ ] || { echo "started @MOST_STARTS@ times; it is not queued again"; exit 1; }
# exec: the signal and the exit status are the command's own, with no shell between it and LSF.
exec @COMMAND@
