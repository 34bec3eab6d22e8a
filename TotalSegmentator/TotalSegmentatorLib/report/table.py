"""The measured structures as a table for spreadsheets and statistics programs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..catalog.columns import columns
from ..images import whole_file


def write_csv(structures: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write one row for each structure that was looked for; the columns are always the same.

    UTF-8, commas, decimal points, ``true`` and ``false``; what was not found has empty cells.

    :param structures: the entries of ``structures`` in a report.
    :param path: the file; replaced if it exists.
    :raises InputError, SetupError: see :func:`~.images.whole_file`.
    """
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(column.name for column in columns())
        for structure in structures:
            writer.writerow(_cell(column.value(structure)) for column in columns())


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
