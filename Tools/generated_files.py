"""Writes files that are made by a script, or tells that they are out of date."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "TotalSegmentator"))


def check_parser(description: str) -> argparse.ArgumentParser:
    """The command line that all generating scripts share: ``--check`` and ``--help``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; show how the files differ, and exit with 1 if they do",
    )
    return parser


def write_or_compare(files: Mapping[Path, str], check: bool) -> int:
    """
    :param files: what each file should contain.
    :param check: compare instead of writing.
    :returns: exit code: 1 if a comparison found a difference, else 0.
    """
    stale = [path for path, text in files.items() if _read(path) != text]
    for path in stale:
        if check:
            _show_difference(path, files[path])
        else:
            _write(path, files[path])
            print(f"written: {path.relative_to(REPOSITORY)}")
    return 1 if check and stale else 0


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8") if path.is_file() else ""


def _write(path: Path, text: str) -> None:
    """The whole file or nothing: a reader never sees a half-written table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _show_difference(path: Path, text: str) -> None:
    name = str(path.relative_to(REPOSITORY))
    lines = difflib.unified_diff(
        _read(path).splitlines(), text.splitlines(), name, f"{name} (generated)", n=0, lineterm=""
    )
    print("\n".join(lines))
