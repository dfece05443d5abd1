"""The scripts of page 6 hold the lines that its answers speak of."""

from __future__ import annotations

import re

from .pages import answers, commands, run


def test_the_lines_of_the_scripts(student):
    if not (student / "preprocessed" / "hearts").exists():
        run(commands(4)[0], student)
    lsf, slurm = (run(command, student) for command in commands(6)[:2])
    for line in ("#BSUB -W 1:00", "#BSUB -gpu", "#BSUB -q gpua100", "exec unetseg train preprocessed/hearts"):
        assert line in lsf and line in answers(6)[0]
    assert "--device cuda" in lsf
    for line in ("#BSUB -wt '5'", "-wa 'USR1'"):
        assert line in lsf and line in answers(6)[1]
    assert "#SBATCH --signal=B:USR1@300" in slurm and "#SBATCH --signal=B:USR1@300" in answers(6)[1]
    assert "75" in re.findall(r"#BSUB -Q .*", lsf)[0] and "status 75" in answers(6)[1]


def test_the_test_patients_are_in_no_fold(student):
    printed = run(commands(6)[2], student)
    rows = {line.split()[0]: line for line in printed.splitlines() if re.match(r" +(test|fold)", line)}
    test = re.findall(r"ct_train_\d+", rows["test"])
    folds = [name for split, line in rows.items() if split != "test" for name in re.findall(r"ct_train_\d+", line)]
    assert len(test) == 2 and len(folds) == len(set(folds)) == 6 and not set(test) & set(folds)
