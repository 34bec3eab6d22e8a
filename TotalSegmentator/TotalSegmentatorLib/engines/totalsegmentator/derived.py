"""Structures that the package makes from those of a task: the whole body, and its skin.

Its API makes them only where it writes a file for each structure. Here they are made from the
labels that it returns, with its own function for the skin.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ... import catalog
from ...images import Image, write_labelmap
from ...jobs import DerivedLabels
from ..contract import Run
from . import SPEC

_STAGE = "Making the outline of the body and the skin"


def write_derived(run: Run, labels: Image) -> tuple[DerivedLabels, ...]:
    """Make and write what the engine derives from a task, as far as it was asked for.

    :param labels: all labels of the task, on the grid of ``run.image``.
    """
    ids = SPEC.derived.get(run.request.task, ())  # none for a model folder
    wanted = run.request.structures
    if not ids or (wanted and not set(wanted) & set(ids)):
        return ()
    run.report.stage(_STAGE)
    body = np.isin(labels.array, list(catalog.task(run.request.task).labels)).astype(np.uint8)
    made = []
    for value, id in enumerate(ids, 1 + max(catalog.task(run.request.task).labels)):
        if not wanted or id in wanted:
            mask = skin(run.image, body) if id == "skin" else body
            path = run.folder / f"{run.labels.stem}-{id}.nii"
            write_labelmap(labels.with_array(mask * np.uint8(value)), path, {value: id})
            made.append(DerivedLabels(path, {value: id}, beneath=id == "body"))
    return tuple(made)


def skin(path: Path, body: np.ndarray) -> np.ndarray:
    """The skin (K, J, I), uint8, as the package finds it in an image.

    :param path: the image, NIfTI.
    :param body: mask of the whole body (K, J, I) on the image's grid.
    """
    import nibabel
    from totalsegmentator.postprocessing import extract_skin

    image = nibabel.load(path)
    found = extract_skin(image, nibabel.Nifti1Image(body.T, image.affine))
    return np.asanyarray(found.dataobj).T.astype(np.uint8)
