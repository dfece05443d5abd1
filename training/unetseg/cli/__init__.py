"""The commands of `unetseg`: each is the file of its name, with `add_options(parser)` and `run(options)`.

A new command is a file here and a line in `COMMANDS`. A function `outputs(options)` says what it writes and reads: before
`run` the command line makes sure that no other files are replaced. `run` may return an exit status. Files import slow
libraries (torch, SimpleITK, slicer) inside `run`, so that `unetseg --help` is fast.
"""

COMMANDS = {
    "info": "describe a scan or a data set: size, spacing, orientation, HU, and possible problems",
    "plan": "read a data set and write a plan: spacing, window, network, batch and steps, each with its reason",
    "phantom": "write synthetic hearts as MM-WHS names them, to learn and to test with",
    "prepare": "read a data set once and write it preprocessed, as training reads it",
    "train": "train a 2D U-Net on a preprocessed data set, or continue a run",
    "cross-validate": "train and validate every fold, and sum up over the folds",
    "submit": "hand a training, an evaluation or a whole chain to LSF, SLURM or another machine",
    "evaluate": "predict every case of a data set and compare with its labels",
    "compare-models": "compare two checkpoints on the same cases: paired tests of two evaluations",
    "release": "add test results, label statistics and a description to a checkpoint that is published",
    "import": "make one file with a card of a model of nnU-Net, ONNX or PyTorch of your own, which opens like a checkpoint",
    "export": "write a checkpoint as an ONNX file, card included, and compare the two",
    "segment": "segment scans slice by slice with a checkpoint",
    "compare": "compare a segmentation with a reference: overlap, distances, volumes",
    "check": "look for what can't be anatomy, without ground truth",
    "demo": "all main steps on a sample scan: segment, compare, pictures, report, Slicer scene",
    "bench": "measure speed, memory and agreement of precisions on this machine",
}

COMMAND_FILES = {"import": "import_model"}
"""Commands whose name is a word of Python."""

OTHER_WORDS = {
    "--labels": ("--checkpoint",),
    "--model": ("--checkpoint", "--start-from"),
    "--weights": ("--checkpoint", "--start-from"),
    "--force": ("--overwrite",),
    "--gpu": ("--device",),
    "--cpu": ("--device",),
    "--epochs": ("--steps",),
    "--lr": ("--learning-rate",),
    "--ground-truth": ("--reference",),
    "--out-dir": ("--output",),
}
"""What an option is called elsewhere, here or in other programs: for the sentence on an unknown one."""

RENAMED_COMMANDS = {"against": "compare-models", "crossvalidate": "cross-validate"}
RENAMED_OPTIONS = {
    "--against": "--baseline",
    "--pack": "--preprocessed",
    "--measured-with": "--evaluated-checkpoint",
    "--foreground-share": "--foreground-fraction",
    "--warmup-share": "--warmup-fraction",
    "--augmentation.share": "--augmentation.fraction",
}
"""Former spellings: they work in this version, with a hint that names the present one; those of options in --config too."""
