"""Checkpoint files that are not what training wrote: flipped, cut, polyglot, with code, with bombs, with absurd cards."""

from __future__ import annotations

import copy
import gzip
import io
import json
import math
import os
import pickle
import random
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.card_facts import input_facts, training_facts
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..engine.checkpoints import small_card, small_weights
from ..engine.images import body
from .harness import Bug, Tally, little_memory

NAME = "checkpoints"
TRIED = "bit flips, cuts, polyglots, hostile pickles, bombs, members moved, and cards with extreme values"
FULL, SHORT = 6_000, 110


def run(tally: Tally, count: int) -> None:
    """Half of the cases are damaged bytes, the other half cards; bombs and polyglots once each."""
    good = tally.folder / "good.pt"
    card = small_card()
    save_checkpoint(good, card, small_weights(card))
    whole, weights = good.read_bytes(), load_checkpoint(good).weights[0]
    path, trace = tally.folder / "case.pt", tally.folder / "code ran"
    draw = tally.random
    with little_memory():
        for name, content in made_files(whole, trace).items():
            path.write_bytes(content)
            tally.try_one(lambda: must_be_good(path, weights), name)
        for _ in range(count // 2):
            name, content = damaged(whole, draw)
            path.write_bytes(content)
            tally.try_one(lambda: must_be_good(path, weights), name)
        tally.try_all(
            cards(json.loads(card.to_json())), count // 2, lambda plain: use_card(path, good, plain), json.dumps
        )
    if trace.exists():
        tally.bugs.append("a checkpoint ran code")


def must_be_good(path: Path, weights: dict[str, torch.Tensor]) -> None:
    """Load a damaged checkpoint: if that works, not a number of it may have changed."""
    loaded = load_checkpoint(path)
    if not all(torch.equal(tensor, weights[name]) for name, tensor in loaded.weights[0].items()):
        raise Bug("damaged weights were loaded")


# --- bytes ----------------------------------------------------------------------------------------------------------------


def damaged(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """The file with one kind of damage, and the damage in words."""
    at, length = draw.randrange(len(whole)), draw.randrange(1, 200)
    bit = draw.randrange(8)
    flipped = bytearray(whole)
    flipped[at] ^= 1 << bit
    other = draw.randrange(len(whole))
    kinds = {
        f"bit {bit} of byte {at} flipped": bytes(flipped),
        f"cut off at {at}": whole[:at],
        f"begins at {at}": whole[at:],
        f"{length} bytes at {at} lost": whole[:at] + whole[at + length :],
        f"{length} random bytes at {at}": whole[:at] + draw.randbytes(length) + whole[at + length :],
        f"{length} zeros at {at}": whole[:at] + bytes(length) + whole[at + length :],
        f"{length} bytes at {at} twice": whole[: at + length] + whole[at:],
        f"{length} bytes of {other} at {at}": whole[:at] + whole[other : other + length] + whole[at + length :],
    }  # fmt: skip
    return draw.choice(list(kinds.items()))


class Runs:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def made_files(whole: bytes, trace: Path) -> dict[str, bytes]:
    """Files that were made on purpose, by what they are."""
    hostile = {
        "calls os.mkdir": pickle.dumps({"weights": Runs(trace), "card": "{}", "format": 2}, protocol=2),
        "calls by INST": b"(S'" + str(trace).encode() + b"'\nios\nmkdir\n.",
        "calls by STACK_GLOBAL": pickle.dumps(Runs(trace), protocol=4),
        "calls builtins.eval": b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
        "calls getattr of torch": b"\x80\x02ctorch.storage\n_load_from_bytes\nB\x01\x00\x00\x00a\x85R.",
        "memo of a million": b"\x80\x02]" + b"r\xff\xff\xff\x7f" * 1000 + b".",
        "lists in lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "tuples doubled 60 times": b"\x80\x02)" + b"".join(b"q%ch%c\x86" % (at, at) for at in range(60)) + b".",
        "a number of a million digits": b"\x80\x02\x8b" + struct.pack("<i", 500_000) + b"\x7f" * 500_000 + b".",
        "text of 10 MB": b"\x80\x02X" + struct.pack("<I", 10_000_000) + b"x" * 10_000_000 + b".",
        "marks without end": b"\x80\x02" + b"(" * 1_000_000,
        "cyclic list": b"\x80\x02]q\x00h\x00a.", "nothing": b"", "ends at once": b"\x80\x02.",
        "weights are a cycle": b"\x80\x02}q\x00X\x07\x00\x00\x00weightsh\x00s.",
    }  # fmt: skip
    files = {f"a pickle that {name}" if name.startswith("calls") else f"a pickle of {name}": with_program(whole, program)
             for name, program in hostile.items()}  # fmt: skip
    return files | {
        f"bare pickle, {name}": program for name, program in hostile.items() if name.startswith("calls")
    } | containers(whole)  # fmt: skip


def containers(whole: bytes) -> dict[str, bytes]:
    """Polyglots, bombs and the same content in other containers."""
    members = members_of(whole)
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, data in members.items():
            archive.addfile(info := tarfile.TarInfo(name), io.BytesIO(data))
            info.size = len(data)
    bomb = archive_of({**members, "archive/data/99": bytes(30_000_000)}, zipfile.ZIP_DEFLATED)
    shell = b"#!/bin/sh\ntouch /tmp/ran\nexit\n"
    return {
        "empty": b"", "zeros": bytes(100_000), "a page": b"<html>404</html>",
    "a pointer of Git LFS": b"version https://git-lfs\n",
        "a shell script before it": shell + whole, "a shell script behind it": whole + shell,
        "a GIF before it": b"GIF89a" + whole, "twice": whole + whole, "in gzip": gzip.compress(whole),
        "as tar": tar.getvalue(), "compressed": archive_of(members, zipfile.ZIP_DEFLATED), "a zip bomb": bomb,
        "members out of a folder": archive_of({name.replace("/", "/../"): data for name, data in members.items()}),
        "members with absolute names": archive_of({f"/{name}": data for name, data in members.items()}),
        "ten thousand members": archive_of({**members, **{f"archive/data/{i}": b"" for i in range(100, 10_100)}}),
        "a comment with a second end": whole[:-2] + b"\x16\0" + b"PK\5\6" + bytes(18),
        "a size of 4 GB": whole.replace(struct.pack("<I", len(whole)), b"\xff" * 4),
    }  # fmt: skip


def members_of(whole: bytes) -> dict[str, bytes]:
    """Members of a zip archive by name."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def archive_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of members."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return into.getvalue()


def with_program(whole: bytes, program: bytes) -> bytes:
    """The checkpoint with another pickle in it."""
    return archive_of(
        {name: program if name.endswith("data.pkl") else data for name, data in members_of(whole).items()}
    )


# --- cards ----------------------------------------------------------------------------------------------------------------

EXTREMES: tuple[Any, ...] = (
    0, -1, 1, 2, 3, 7, 16, 255, 256, 1024, 4096, 65535, 2**31, 2**63, 10**400, 0.05, 0.5, 1e-300, 1e9, -1e9, 1e300, math.nan,
    math.inf, -math.inf, True, False, None, "", "x", "axial", "stored", "coronal", "RAS", "\0\n", "x" * 20_000, [], {}, [[]],
    [0, 0],    [1, 1], [100, 100], [-1e9, 1e9], [0, 1e-12], [1, 0], [0, 1, 2], [2, 1, 0], [1, 2, 3], {"name": "none"},
    {"name": "window", "clip": [0, 1e-9]}, {"name": "window", "clip": [-1e9, 1e9]}, {"name": "z-score", "over": "slice"},
    {"name": "rescale", "range": [-1e9, 1e9], "over": "slice"}, {"name": "ct", "clip": [-1, 1], "mean": 1e9, "sd": 1e-300},
)  # fmt: skip


@st.composite
def cards(draw: st.DrawFn, plain: dict[str, Any]) -> dict[str, Any]:
    """A card of which up to three entries are extreme, of another type, unknown, or not there."""
    card = copy.deepcopy(plain)
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_of(card))
        holder, key = draw(st.sampled_from(places))
        change = draw(st.sampled_from(("set", "set", "set", "set", "drop", "add")))
        if change == "drop":
            del holder[key]
        elif change == "add" and isinstance(holder, dict):
            holder[
                draw(st.sampled_from(("axis", "patch_size", "crop_to_nonzero", "interpolation", "depth", "other")))
            ] = draw(st.sampled_from(EXTREMES).map(copy.deepcopy))
        else:
            holder[key] = draw(st.sampled_from(EXTREMES).map(copy.deepcopy))
    return card


def places_of(plain: Any) -> Any:
    """Every entry of nested lists and dicts, as what holds it and its key."""
    keys = plain if isinstance(plain, dict) else range(len(plain)) if isinstance(plain, list) else ()
    for key in keys:
        yield plain, key
        yield from places_of(plain[key])


HU, _ = body(6, 32)
SCAN = Volume(HU, Geometry(HU.shape, (5.0, 2.0, 2.0)), "CT")


def use_card(path: Path, good: Path, plain: dict[str, Any]) -> None:
    """Load a checkpoint with a changed card and predict with it; labels must be those of its structures."""
    content = torch.load(good, weights_only=True)
    torch.save(content | {"card": json.dumps(plain)}, path)
    checkpoint = load_checkpoint(path)
    for _, text in (*input_facts(checkpoint.card), *training_facts(checkpoint.card)):
        if not isinstance(text, str):
            raise Bug(f"a fact that is no text: {text!r}")
    labels = Predictor(checkpoint, "cpu").predict(SCAN).segmentation.labels
    if labels.shape != HU.shape or not set(np.unique(labels)) <= {
        0,
        *(one.index for one in checkpoint.card.structures),
    }:
        raise Bug("labels of no structure")
