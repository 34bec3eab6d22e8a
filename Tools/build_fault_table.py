#!/usr/bin/env python3
"""Make the table of faults in the documentation: what was broken, and what people are told.

Runs the tests that break things, and writes what they note (``support/fault_table.py``). Takes
about a minute, and the application's environment:

    .venv/bin/python Tools/build_fault_table.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from generated_files import REPOSITORY, check_parser, write_or_compare

TABLE = REPOSITORY / "Docs" / "faults.md"
_TESTS = REPOSITORY / "Testing" / "Python" / "environment"
_SECTIONS = {
    "Installation": ("installation_faults",),
    "Downloads and weights": ("network", "archives", "obtaining"),
    "Bundles": ("bundle", "bundle_use"),
}
_HEAD = """\
# What goes wrong while things are installed or downloaded

Made by `Tools/build_fault_table.py`. Do not edit.

Every row is a test in `Testing/Python/environment/`, with small packages, models and servers of
the tests in place of the real ones. After each fault the environment in use, its files and the
models are as they were, nothing half-made is used, and the next call goes on. The texts are what
people read; NAME is the name of an environment, HOST that of a host.
"""


def main() -> int:
    arguments = check_parser(__doc__.splitlines()[0]).parse_args()
    parts = [_HEAD]
    for title, tests in _SECTIONS.items():
        rows = noted(tests)
        head = "| fault | code | what people are told, or what happens |\n|---|---|---|\n"
        parts.append(f"## {title}: {len(rows)}\n\n{head}" + "\n".join(rows) + "\n")
    return write_or_compare({TABLE: "\n".join(parts)}, arguments.check)


def noted(tests: tuple[str, ...]) -> list[str]:
    """The rows that tests note, in their order.

    :raises subprocess.CalledProcessError: one of them fails.
    """
    files = [_TESTS / f"test_{name}.py" for name in tests]
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.md"
        variables = {**os.environ, "FAULT_TABLE": str(rows)}
        subprocess.run([sys.executable, "-m", "pytest", "-q", *files], env=variables, check=True)
        lines = rows.read_text("utf-8").replace("127.0.0.1", "HOST").splitlines()
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    sys.exit(main())
