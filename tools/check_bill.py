"""Check a bill of materials against CycloneDX's schema: `.venv-publish/bin/python tools/check_bill.py FILE` (make sbom)."""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(arguments: list[str]) -> int:
    text = Path(arguments[0]).read_text(encoding="utf-8")
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    print(f"{arguments[0]}: {problem or 'valid CycloneDX 1.6'}"[:2000])
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
