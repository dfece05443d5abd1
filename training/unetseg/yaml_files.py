"""YAML files of users and of other people: plain data, read within bounds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError

MOST_YAML_BYTES = 2_000_000


def read_yaml(path: Path) -> Any:
    """Content of a YAML (or JSON) file. Raises InputError if it can't be read."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a YAML file.")
    try:
        if path.stat().st_size > MOST_YAML_BYTES:
            raise InputError(f"{path} is larger than {MOST_YAML_BYTES // 1_000_000} MB; this is no configuration.")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; name a YAML file that exists.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read as YAML ({' '.join(str(error).split())}).") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Plain data of a YAML text: no Python objects, and no aliases, of which a few lines stand for more than any memory holds.

    Raises:
        InputError: it is none, or has what is not read; `where` is what the message calls it.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError(f"*{self.peek_event().anchor} is an alias; write the value out instead")
            return super().compose_node(parent, index)

    # 3e-3 is a number in YAML 1.2; PyYAML alone, which asks for a point, takes it for text.
    exponent = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")
    PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    try:
        return yaml.load(text, PlainLoader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: a date such as 2026-13-01
        raise InputError(f"{where} can't be read as YAML ({' '.join(str(error).split())}).") from error
