"""The scripts of page 6 hold the lines that its answers speak of."""

from __future__ import annotations

import re

import pytest

from .pages import answers, commands, run, text_of


def test_the_lines_of_the_scripts(student, preparing):
    lsf, slurm = (run(command, student) for command in commands(6)[:2])
    for line in ("#BSUB -W 1:00", "#BSUB -gpu", "#BSUB -q gpua100", "exec unetseg train preprocessed/hearts"):
        assert line in lsf and line in answers(6)[0]
    assert "--device cuda" in lsf
    for line in ("#BSUB -wt '5'", "-wa 'USR1'"):
        assert line in lsf and line in answers(6)[1]
    assert "#SBATCH --signal=B:USR1@300" in slurm and "#SBATCH --signal=B:USR1@300" in answers(6)[1]
    rows = re.findall(r"^\| [^|]+ \| `(#BSUB [^|]+)` \| `(#SBATCH [^|]+)` \|$", text_of(6), re.MULTILINE)
    assert len(rows) == 5 and all(one in lsf.splitlines() and other in slurm.splitlines() for one, other in rows)
    assert "75" in re.findall(r"#BSUB -Q .*", lsf)[0] and "status 75" in answers(6)[1]


@pytest.fixture(scope="module")
def folds(student):
    """What `prepare --folds` prints; it leaves preprocessed/folds."""
    return run(commands(6)[2], student)


def test_the_test_patients_are_in_no_fold(folds):
    printed = folds
    rows = {line.split()[0]: line for line in printed.splitlines() if re.match(r" +(test|fold)", line)}
    test = re.findall(r"ct_train_\d+", rows["test"])
    folds = [name for split, line in rows.items() if split != "test" for name in re.findall(r"ct_train_\d+", line)]
    assert len(test) == 2 and len(folds) == len(set(folds)) == 6 and not set(test) & set(folds)


def test_the_jobs_of_the_chain_are_those_of_the_table(student, folds):
    """What each job runs, which ask for a GPU and which wait for which: on the page as in the scripts."""
    printed = run(commands(6)[5], student)
    section = text_of(6).partition("## A chain of jobs")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    commands_of = {"folds": "train", "all": "train", "merge": "cross-validate", "release": "release"}
    assert [job for job, _, _ in rows] == list(commands_of)
    for job, does, after in rows:
        script = printed.partition(f"--- runs/chain/{job}.sh")[2].partition("\n--- ")[0]
        assert f"unetseg {commands_of[job]} " in script
        assert job == "release" or f"`{commands_of[job]}`" in does
        assert ("--gres=gpu" in script) == (job in ("folds", "all"))
        submitted = re.search(rf"^submit {job} .*$", printed, re.MULTILINE)[0]
        needed = {name.lower() for name in re.findall(r"\$\{(\w+)\}", submitted)}
        assert needed == set(re.findall(r"`(\w+)`", after)), "what the page says it waits for"
    assert "--array=0-2" in printed and "--dependency=afterok:" in printed
