"""Packages of some hundred bytes with the names of the engine's, and a lock of them."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TORCH = """import json, sys
print(json.dumps({"python": "3", "torch": "2.13.0", "TotalSegmentator": "2.18.0"}))
"""
#: Name -> its one module. The self-test of a tiny environment is torch's.
PACKAGES = {
    "torch": ("torch/self_test.py", TORCH),
    "setuptools": ("setuptools/__init__.py", ""),
    "nnunetv2": ("nnunetv2/__init__.py", ""),
    "totalsegmentator": ("totalsegmentator/__init__.py", ""),
}
VERSIONS = {
    "torch": "2.13.0",
    "setuptools": "84",
    "nnunetv2": "2.8.1",
    "totalsegmentator": "2.18.0",
}


def make_wheel(
    folder: Path,
    name: str,
    content: str | None = None,
    tag: str = "py3-none-any",
    requires: Sequence[str] = (),
) -> Path:
    """Write a wheel.

    :param content: of its module, if not the usual one.
    :param requires: what it depends on.
    """
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    module, usual = PACKAGES[name]
    stem = f"{name}-{VERSIONS[name]}"
    info = f"{stem}.dist-info"
    files = {
        module: usual if content is None else content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {VERSIONS[name]}\n"
        + needs,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(zipfile.ZipInfo(place), text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def locked(path: Path) -> str:
    """The line of a lock for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@dataclass
class TinyPackages:
    """A folder with all wheels, and the lock files that belong to them.

    :param contents: modules that are not the usual ones, by the package's name.
    """

    root: Path
    contents: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wheels = self.root / "bundle" / "wheels"
        paths = {n: make_wheel(self.wheels, n, self.contents.get(n)) for n in PACKAGES}
        self.torch_lock = self._write("torch-lock.txt", locked(paths.pop("torch")))
        self.engine_lock = self._write("engine-lock.txt", "".join(map(locked, paths.values())))

    def _write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text, "utf-8")
        return path

    def wheel(self, name: str) -> Path:
        """The wheel of a package."""
        return next(self.wheels.glob(f"{name}-*.whl"))
