"""Values of DICOM attributes as plain text and numbers, whatever a file has written there."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

Datasets = Sequence[Dataset]
"""Where an attribute is looked for, one after the other."""
UNREADABLE = "?"
"""The text of a value that cannot be read; it is neither a number nor a UID."""
_LARGEST = 2**31


def text(datasets: Datasets, keyword: str) -> str:
    """The value as text, several ones separated by a backslash; empty if there is none."""
    for dataset in datasets:
        try:
            value = dataset.get(keyword)
        except Exception:  # pydicom raises what comes when it converts a damaged value
            return UNREADABLE
        if value is None or isinstance(value, (bytes, pydicom.Sequence)):
            continue
        several = isinstance(value, (MultiValue, list, tuple))
        words = [str(word).strip(" \0") for word in (value if several else [value])]
        if any(words):
            return "\\".join(words)
    return ""


def numbers(datasets: Datasets, keyword: str) -> tuple[float, ...]:
    """The values as numbers: none if there is no value, NaN for what is no number."""
    found = text(datasets, keyword)
    try:
        return tuple(float(word) for word in found.split("\\")) if found else ()
    except ValueError:
        return (math.nan,)


def number(datasets: Datasets, keyword: str, default: float) -> float:
    """The first number, NaN if it is none."""
    return (numbers(datasets, keyword) or (default,))[0]


def whole(datasets: Datasets, keyword: str) -> int | None:
    """The first number as an integer; None if there is none that can be meant."""
    value = number(datasets, keyword, math.nan)
    return int(value) if abs(value) < _LARGEST else None


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if there is no such sequence."""
    return list(dataset.get(keyword) or [])


def raise_if_of_system(error: Exception) -> None:
    """Raise an error of the file system; pydicom raises OSError too, but without a number."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom's warnings, which hold values and paths, off the console and out of logs."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
