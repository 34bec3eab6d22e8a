"""Labels of the networks that a task consists of, put together to the labels of the task."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_CHUNK = 1 << 14  # voxels; numpy needs 8 bytes for each to look it up


def look_up(table: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """``table[numbers]`` without a copy of all numbers as 64-bit indices.

    :param table: values, one for each number from 0 to the highest.
    :param numbers: unsigned integers of any shape; none is larger than the table.
    :returns: an array of the shape and memory order of ``numbers``, and the type of ``table``.
    """
    pieces = np.nditer(
        [numbers, None],
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly"], ["writeonly", "allocate"]],
        op_dtypes=[numbers.dtype, table.dtype],
        buffersize=_CHUNK,
    )
    with pieces:
        for source, target in pieces:
            target[...] = table[source]
        return pieces.operands[1]


def part_table(part: Mapping[int, str], task: Mapping[int, str]) -> np.ndarray:
    """What a label of a part is in the task, for every possible label.

    :param part: label value -> class of the part (``Model.labels``).
    :param task: label value -> class of the task (``Task.labels``).
    :returns: 256 values, uint8; 0 for labels that the part does not name.
    """
    values = {name: value for value, name in task.items()}
    table = np.zeros(256, np.uint8)
    for label, name in part.items():
        table[label] = values[name]
    return table


def merge(labels: np.ndarray, part: np.ndarray, table: np.ndarray) -> None:
    """Write what a part found over what the parts before it found, as the official package does.

    :param labels: labels of the task, uint8, any shape; changed in place.
    :param part: labels of the part, uint8, same shape.
    :param table: see :func:`part_table`.
    """
    found = look_up(table, part)
    np.copyto(labels, found, where=found != 0)
