"""The command line of measurements that compare ways, each run in a process of its own."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Size = tuple[int, int, int]


def main(
    file: str,
    description: str | None,
    ways: Iterable[str],
    measure: Callable[[str, Size], dict[str, Any]],
    table: Callable[[list[dict[str, Any]], Size], str],
    repeats: int,
) -> None:
    """Run all ways and print a table.

    :param file: of the measurement, which is started anew for each run.
    :param description: what ``--help`` says.
    :param ways: their names.
    :param measure: runs one way once, for an image of some size.
    :param table: the results as Markdown.
    :param repeats: runs of each way, unless it is said otherwise.
    """
    ways = tuple(ways)
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, nargs=3, default=(512, 512, 400), metavar="N")
    parser.add_argument(
        "--repeats", type=int, default=repeats, help=f"runs of each way (default {repeats})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs to FILE")
    parser.add_argument("--only", choices=ways, help="run one way once and print it as JSON")
    options = parser.parse_args()
    size = tuple(options.size)
    if options.only:
        print(json.dumps(measure(options.only, size)))
        return
    results = [_run_apart(file, way, size) for way in ways for _ in range(options.repeats)]
    print(table(results, size))
    if options.json:
        options.json.write_text(json.dumps({"size": size, "runs": results}, indent=1))


def _run_apart(file: str, way: str, size: Size) -> dict[str, Any]:
    command = [sys.executable, file, "--only", way, "--size", *map(str, size)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])
