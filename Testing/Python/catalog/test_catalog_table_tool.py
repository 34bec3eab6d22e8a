"""The tool that keeps the master table up to date: it refuses gaps and fills only what is empty."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import EngineEnvironment

REPOSITORY = Path(__file__).resolve().parents[3]
TABLE = Path(catalog.__path__[0]) / "data" / "structures.csv"
CODE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import build_catalog
build_catalog.TABLE = Path(sys.argv[2])
print(json.dumps(build_catalog.build_structures()))
"""

pytestmark = pytest.mark.engine


def build(engine: EngineEnvironment, table: Path) -> subprocess.CompletedProcess[str]:
    command = [str(engine.python), "-c", CODE, str(REPOSITORY / "Tools"), str(table)]
    return subprocess.run(command, capture_output=True, text=True)


def changed(folder: Path, change: dict[str, dict[str, str]], without: str = "") -> Path:
    """A copy of the table with other values in some rows, and without one row."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["id"] != without]
    path = folder / "structures.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | change.get(row["id"], {}) for row in rows)
    return path


@pytest.mark.parametrize("missing", ["liver", "kidney_right"])
def test_class_without_a_row_is_refused(
    engine: EngineEnvironment, tmp_path: Path, missing: str
) -> None:
    answer = build(engine, changed(tmp_path, {}, without=missing))
    assert answer.returncode == 1
    assert "lacks a row" in answer.stderr and missing in answer.stderr


def test_label_of_another_engine_without_a_row_is_refused(
    engine: EngineEnvironment, tmp_path: Path
) -> None:
    answer = build(engine, changed(tmp_path, {"iliac_vena_left": {"aliases": ""}}))
    assert answer.returncode == 1
    assert "lacks a row for: left iliac vena" in answer.stderr


def test_only_tasks_and_missing_colors_are_written(
    engine: EngineEnvironment, tmp_path: Path
) -> None:
    emptied = {"red": "", "green": "", "blue": ""}
    table = changed(
        tmp_path,
        {"spleen": emptied, "liver": {"tasks": "nonsense", "name": "My liver"}},
    )
    answer = build(engine, table)
    assert answer.returncode == 0, answer.stderr
    built = {row["id"]: row for row in json.loads(answer.stdout)}
    with open(TABLE, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["id"] == "liver":
                row["name"] = "My liver"
            if row["id"] == "spleen":
                assert all(built["spleen"][channel].isdigit() for channel in emptied)
                row |= {channel: built["spleen"][channel] for channel in emptied}
            assert built[row["id"]] == row
