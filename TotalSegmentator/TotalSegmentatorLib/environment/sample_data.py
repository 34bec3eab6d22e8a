"""A real CT to try things with: the test data that TotalSegmentator publishes with its source.

The CT and the labels that the official models gave for it are in the source archive of the
TotalSegmentator package, which is published under Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import SetupError
from .pypi_files import FetchError, PyPIFiles

PACKAGE, VERSION = "TotalSegmentator", "2.18.0"
LICENSE = "Apache-2.0"
# Of the source archive on PyPI.
SOURCE_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
_MEMBER_FOLDER = "tests/reference_files"

# The file name and SHA-256 of every member, by the field of SampleData it fills.
MEMBERS: dict[str, tuple[str, str]] = {
    "ct": (
        "example_ct.nii.gz",
        "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
    ),
    "reference": (
        "example_seg_fast_force_split.nii.gz",
        "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    ),
    "ct_small": (
        "example_ct_sm.nii.gz",
        "e50c00b2914e2cac0aaee8e7f3b5f57d44d9f21bfd5c0577271c54c0cb49e9fb",
    ),
    "reference_small": (
        "example_seg_fast.nii.gz",
        "353a7c65c9ff5d5b9b331f811130f0ebbaedb509df74587d3bd0d1ad5ebc3910",
    ),
}


@dataclass(frozen=True)
class SampleData:
    """Files of the sample CT; all are NIfTI, 3 mm isotropic, in RAS order.

    :param ct: abdomen and pelvis, 122 x 101 x 112 voxels (I, J, K), HU.
    :param reference: labels of the task ``total`` for ``ct``, as the official fast model gave them.
    :param ct_small: the uppermost 30 slices of ``ct``, 122 x 101 x 30 voxels, HU; its header puts
        them at the origin of ``ct``, 246 mm too low.
    :param reference_small: labels of the task ``total`` for ``ct_small``.
    """

    ct: Path
    reference: Path
    ct_small: Path
    reference_small: Path


def sample_ct(
    cache: Path,
    progress: Callable[[str], None] | None = None,
    python: Path | None = None,
) -> SampleData:
    """The sample CT and its reference labels, fetched on the first call.

    :param cache: folder that keeps the files; made if it is missing.
    :param progress: told one sentence before a download begins.
    :param python: interpreter whose pip fetches the archive; this one if not given.
    :raises SetupError: ``environment.sample_data`` if the files can neither be found nor fetched.
    """
    files = SampleData(**{field: cache / name for field, (name, _) in MEMBERS.items()})
    if is_cached(cache):
        return files
    if progress is not None:
        progress(f"Downloading the sample CT ({PACKAGE} {VERSION} source archive, 38 MB).")
    try:
        _files().fetch(cache, python)
    except FetchError as error:
        raise SetupError(
            "environment.sample_data",
            str(error),
            "Check the internet connection and that pip works (python -m pip --version), "
            "or use a CT of your own.",
            error.details,
        ) from error
    return files


def is_cached(cache: Path) -> bool:
    """Whether :func:`sample_ct` needs no network for this cache."""
    return _files().are_cached(cache)


def _files() -> PyPIFiles:
    sums = dict(MEMBERS.values())
    return PyPIFiles("the sample CT", PACKAGE, VERSION, _MEMBER_FOLDER, sums, SOURCE_SHA256)
