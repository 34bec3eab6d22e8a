"""Carrying out an order: what the engine process does for ``write_dicom``."""

from __future__ import annotations

import errno
import logging
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom import config

from ...errors import EngineError, SegmentationError
from ...images import Notice
from ...jobs import JobContext, Stage
from ..orders import MEASUREMENTS, SEGMENTATION, STRUCTURE_SET, Order, Written
from .segmentation import write_segmentation


def write(order: Order, context: JobContext) -> Written:
    """Write the objects of an order into its folder.

    Nothing is written if no segment has a voxel. No message repeats a value of the images' headers.

    :param context: receives the stages, and says when to stop.
    :raises CancelledError: if the context was cancelled.
    :raises InputError: ``output.too_large``, ``input.not_readable``.
    :raises EngineError: ``dicom.not_written``.
    """
    try:
        with _silence():
            return _Writer(order, context).written()
    except (SegmentationError, ImportError, MemoryError):
        raise
    except Exception as error:
        full = _full_disk(error)
        if full:
            raise full from None
        raise EngineError(
            "dicom.not_written",
            f"The DICOM objects could not be written ({type(error).__name__}).",
            "Please report it with the log.",
            "".join(traceback.format_tb(error.__traceback__)),
        ) from None


def _full_disk(error: BaseException | None) -> OSError | None:
    """The error of a full disk that led to this one; pydicom makes others of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__
    return None


@contextmanager
def _silence() -> Iterator[None]:
    """Warnings of pydicom and highdicom repeat values of headers: names of patients, dates."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


class _Writer:
    """Writes one object after the other."""

    def __init__(self, order: Order, context: JobContext) -> None:
        self._order = order
        self._context = context
        self._files: dict[str, Path] = {}
        self._timings_s: dict[str, float] = {}

    def written(self) -> Written:
        order, options, check = self._order, self._order.options, self._context.check
        labels = [_read_labels(order, path) for path in order.labels]
        with self._writing(SEGMENTATION, "Writing the DICOM segmentation") as path:
            segmentation = write_segmentation(order, labels, path, check)
        if segmentation is None:
            text = "No structure was found, so no DICOM object was written."
            return Written({}, (Notice("dicom.nothing_found", text),))
        if options.structure_set:
            from .structure_set import write_structure_set  # scipy takes time to import

            with self._writing(STRUCTURE_SET, "Writing the DICOM structure set") as path:
                write_structure_set(order, labels, path, check)
        if options.measurements:
            from .measurements import write_measurements

            with self._writing(MEASUREMENTS, "Writing the DICOM measurements") as path:
                write_measurements(order, segmentation, path)
        notices: tuple[Notice, ...] = ()
        if options.labelmap and len(labels) > 1:
            text = "In a labelmap, of structures that overlap only one is seen in each place."
            notices = (Notice("dicom.overlap", text),)
        return Written(self._files, notices, self._timings_s)

    @contextmanager
    def _writing(self, kind: str, title: str) -> Iterator[Path]:
        """Gives the file to write to."""
        self._context.check()
        self._context.emit(Stage(title))
        path, began = self._order.folder / f"{kind}.dcm", time.monotonic()
        yield path
        self._files[kind] = path
        self._timings_s[kind] = round(time.monotonic() - began, 3)


def _read_labels(order: Order, path: Path) -> np.ndarray:
    """
    :raises ValueError: if it does not lie on the source's slices (a programming error).
    """
    labels = np.load(path)
    shape = (len(order.source.slices), order.source.rows, order.source.columns)
    if labels.shape != shape:
        raise ValueError(f"labels have the shape {labels.shape}, the images {shape}")
    return labels
