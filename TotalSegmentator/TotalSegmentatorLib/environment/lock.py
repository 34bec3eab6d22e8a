"""The locked packages of the engine: versions and hashes, for every Python and system.

The files are pip's requirements files with hashes, made by ``Tools/build_lock.py``. What of them a
computer needs is told by their markers, which are evaluated here: a bundle is made for other
computers than the one that makes it, and Slicer's Python has no package for it.
"""

from __future__ import annotations

import ast
import hashlib
import json
import operator
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
ENGINE_LOCK = DATA / "engine-lock.txt"
TORCH_LOCK = DATA / "torch-lock.txt"
INSTALLER_LOCK = DATA / "installer-lock.txt"
#: The systems that the packages are locked for: ``sys.platform`` and ``platform.machine()``.
SYSTEMS = (("linux", "x86_64"), ("linux", "aarch64"), ("win32", "AMD64"), ("darwin", "arm64"))

_COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@dataclass(frozen=True)
class Target:
    """A computer that packages are for.

    :param platform: ``sys.platform`` there.
    :param machine: ``platform.machine()`` there.
    :param python: version of its Python, e.g. ``3.12``.
    """

    platform: str
    machine: str
    python: str

    @property
    def system(self) -> str:
        """Operating system and processor in one word, e.g. ``linux-x86_64``."""
        return f"{self.platform}-{self.machine}"


@dataclass(frozen=True)
class Requirement:
    """A locked package.

    :param name: in small letters, with hyphens.
    :param hashes: SHA-256 of the files that may be installed, as ``sha256:...``.
    :param marker: says where it is needed; empty means everywhere.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    marker: str = ""

    @property
    def text(self) -> str:
        """The requirement as pip takes it, without its marker."""
        return " ".join((f"{self.name}=={self.version}", *(f"--hash={h}" for h in self.hashes)))


def this_target(python: str = "") -> Target:
    """This computer.

    :param python: version of the Python there; that of the running one by default.
    """
    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target(sys.platform, platform.machine(), version)


@cache
def specification() -> Mapping[str, Any]:
    """What the lock is made from and how much the packages weigh (``engine-requirements.json``)."""
    return json.loads((DATA / "engine-requirements.json").read_text("utf-8"))


@cache
def lock_version() -> str:
    """Eight letters that change whenever a locked package does."""
    digest = hashlib.sha256()
    for path in (ENGINE_LOCK, TORCH_LOCK):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:8]


@cache
def read_lock(path: Path) -> tuple[Requirement, ...]:
    """All packages of a lock file, for every computer; one may have several versions."""
    found = []
    for line in path.read_text("utf-8").replace("\\\n", " ").splitlines():
        match = re.match(r"([\w.-]+)==([^\s;]+)\s*(?:;\s*(.*?))?\s*((?:--hash=\S+\s*)*)$", line)
        if match and not line.startswith("#"):
            hashes = re.findall(r"--hash=(\S+)", match[4])
            found.append(Requirement(match[1], match[2], tuple(hashes), match[3] or ""))
    return tuple(found)


def required(lock: Iterable[Requirement], target: Target) -> tuple[Requirement, ...]:
    """Those of the packages that a computer needs."""
    return tuple(one for one in lock if _applies(one.marker, target))


def locked_versions(target: Target | None = None) -> dict[str, str]:
    """The version of every package of the engine but PyTorch.

    :param target: where; this computer by default.
    """
    lock = required(read_lock(ENGINE_LOCK), target or this_target())
    return {one.name: one.version for one in lock}


def _applies(marker: str, target: Target) -> bool:
    """Whether a marker is true for a computer. Its grammar is a part of Python's."""
    return not marker or bool(_value(ast.parse(marker, mode="eval").body, target))


def _value(node: ast.expr, target: Target) -> bool:
    if isinstance(node, ast.BoolOp):
        join = all if isinstance(node.op, ast.And) else any
        return join(_value(part, target) for part in node.values)
    if isinstance(node, ast.Compare) and isinstance(node.left, ast.Name):
        wanted = node.comparators[0]
        if isinstance(wanted, ast.Constant) and type(node.ops[0]) in _COMPARISONS:
            return _compare(node.left.id, node.ops[0], str(wanted.value), target)
    raise ValueError(f"not understood in a marker: {ast.unparse(node)}")


def _compare(name: str, comparison: ast.cmpop, wanted: str, target: Target) -> bool:
    compare = _COMPARISONS[type(comparison)]
    if name in ("python_full_version", "python_version"):
        # "== '3.11.*'" compares what stands before the star.
        parts = tuple(int(n) for n in wanted.removesuffix(".*").split("."))
        own = tuple(int(n) for n in target.python.split("."))
        return bool(compare(own[: len(parts)], parts))
    own_text = {"sys_platform": target.platform, "platform_machine": target.machine}[name]
    return bool(compare(own_text, wanted))
