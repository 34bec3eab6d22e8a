#!/usr/bin/env python3
"""Make the table of tasks in the documentation: which code runs each, and how that was shown.

Runs anywhere; needs only the standard library. What was compared stands in a file that
``Testing/Python/engines/parity/suite.py --long --json`` writes:

    python Tools/build_task_table.py            # writes Docs/tasks.md
    python Tools/build_task_table.py --check    # exits with 1 if the committed file differs
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from generated_files import REPOSITORY, check_parser, write_or_compare

from TotalSegmentatorLib.catalog import tasks

RESULTS = REPOSITORY / "Testing" / "Python" / "engines" / "parity" / "results.json"
TABLE = REPOSITORY / "Docs" / "tasks.md"
_PATHS = {"nnunet": "ours", "totalsegmentator": "official package"}
_HEAD = """\
# Tasks and the code that runs them

Made by `Tools/build_task_table.py` from the catalogue and from the results of
`Testing/Python/engines/parity/suite.py`. Do not edit.

- **Code path**: *ours* is the engine `nnunet`, *official package* is TotalSegmentator 2.18.0, to
  which that engine hands what it does not cover.
- **Parity run**: both on the same made, shrunken models and small images, on a CPU, compared voxel
  by voxel.
- **Real plans seen**: whether the plans of the official model were at hand. They were for none:
  the official models cannot be downloaded where this was made.
"""


def main() -> int:
    arguments = check_parser(__doc__.splitlines()[0]).parse_args()
    rows = json.loads(RESULTS.read_text("utf-8"))
    return write_or_compare({TABLE: build(rows)}, arguments.check)


def build(rows: Sequence[dict[str, Any]]) -> str:
    """The page.

    :param rows: one for each comparison, as the parity suite writes them.
    """
    lines = ["| Task | Code path | Parity run | Real plans seen |", "|---|---|---|---|"]
    for task in tasks():
        if "totalsegmentator" in task.engines:
            own = [row for row in rows if row["task"] == task.id]
            lines.append(f"| `{task.id}` | {_path(own)} | {_counts(own)} | no |")
    kinds = len({row["kind"] for row in rows if row["kind"]})
    total = f"All tasks: {_counts(rows)}; with {kinds} kinds of plans besides those of the tasks."
    return "\n".join([_HEAD, *lines, "", total, ""])


def _path(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(sorted({_PATHS[row["path"]] for row in rows if row["path"]})) or "not run"


def _counts(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "not run"
    images = len({row["image"] for row in rows})
    options = len({json.dumps([row["options"], row["structures"]]) for row in rows})
    voxels, differing = (sum(row[name] for row in rows) for name in ("voxels", "differing"))
    failed = sum(bool(row["error"]) for row in rows)
    text = f"runs {len(rows)}, images {images}, sets of options {options}, voxels {voxels:,}, "
    return f"{text}differing {differing:,}" + (f", failed {failed}" if failed else "")


if __name__ == "__main__":
    sys.exit(main())
