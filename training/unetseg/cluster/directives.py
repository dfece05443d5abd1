"""What a site asks of a job beside its resources: account, quality of service, constraint, GPU type, mail, and anything else.

Each becomes a line `#SBATCH ...` (SLURM, https://slurm.schedmd.com/sbatch.html) or `#BSUB ...` (Spectrum LSF 10.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from UNetSegmenterLib.engine.errors import InputError

_PREFIX = {"slurm": "#SBATCH", "lsf": "#BSUB"}
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+&|*()/\[\]-]*")
# Features may be joined and compared: SLURM "a100|h100" and "[rack1|rack2]", LSF "gpu40gb && ngpus>1" and "!v100".
_FEATURES = re.compile(r"[A-Za-z0-9_(\[!][A-Za-z0-9_.,:@+&|*()/\[\]<>=! -]*")
_OPTION = re.compile(r"-[-A-Za-z][^\x00-\x1f]*")


@dataclass(frozen=True, kw_only=True)
class Directives:
    """Scheduler options that the package itself has no use for; "" leaves one out.

    Attributes:
        account: who pays (SLURM --account, LSF -P).
        qos: quality of service (SLURM --qos, LSF -sla).
        constraint: features that nodes must have (SLURM --constraint, LSF -R "select[...]").
        gpu_type: model of the GPUs, as the site names it (SLURM --gres=gpu:TYPE:N, LSF gmodel=TYPE).
        mail: address that is written to when the job ends or fails.
        directive: whole options, taken as they are, such as "--exclusive".
    """

    account: str = ""
    qos: str = ""
    constraint: str = ""
    gpu_type: str = ""
    mail: str = ""
    directive: tuple[str, ...] = ()

    def check(self, scheduler: str) -> None:
        """Raise InputError for what a scheduler would misread, and for any of them over ssh, which has none."""
        words = {name: value for name, value in vars(self).items() if value and name != "directive"}
        if scheduler == "ssh" and (words or self.directive):
            name = next(iter(words), "directive").replace("_", "-")
            raise InputError(f"--{name} is for a scheduler, and ssh has none; leave it out.")
        for name, value in words.items():
            expected = _FEATURES if name == "constraint" else _WORD
            if not expected.fullmatch(value):
                option, kind = (
                    name.replace("_", "-"),
                    "features of nodes are" if name == "constraint" else "one word is",
                )
                raise InputError(f'--{option} is "{value}"; {kind} expected, as the scheduler knows it.')
        for option in self.directive:
            if not _OPTION.fullmatch(option):
                raise InputError(
                    f'--directive is "{option}"; one option of the scheduler is expected, such as "--exclusive".'
                )

    def lines(self, scheduler: str, gpus: int) -> list[str]:
        """The lines of the job's script.

        Args:
            scheduler: "slurm" or "lsf".
            gpus: GPUs per node; their line is here too, because it names their type.
        """
        if scheduler == "slurm":
            kind = f"{self.gpu_type}:" if self.gpu_type else ""
            options = [
                f"--gres=gpu:{kind}{gpus}" if gpus else "",
                f"--account={self.account}" if self.account else "",
                f"--qos={self.qos}" if self.qos else "",
                f'--constraint="{self.constraint}"' if self.constraint else "",
                f"--mail-user={self.mail}" if self.mail else "",
                "--mail-type=END,FAIL" if self.mail else "",
            ]
        else:
            model = f":gmodel={self.gpu_type}" if self.gpu_type else ""
            options = [
                f'-gpu "num={gpus}:mode=exclusive_process{model}"' if gpus else "",
                f"-P {self.account}" if self.account else "",
                f"-sla {self.qos}" if self.qos else "",
                f'-R "select[{self.constraint}]"' if self.constraint else "",
                f"-u {self.mail}" if self.mail else "",
                "-N" if self.mail else "",
            ]
        return [f"{_PREFIX[scheduler]} {option}" for option in (*options, *self.directive) if option]
