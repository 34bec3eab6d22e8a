"""Lock the engine's packages with uv: data/*-lock.txt of TotalSegmentatorLib/environment.

    python Tools/build_lock.py --uv UV

Everything on PyPI that the engine needs is written down with its version and the SHA-256 of its
files, for Python 3.10 to 3.13 on Linux, Windows and macOS. PyTorch and the CUDA libraries of its
build on PyPI go into a file of their own, as they are only one of several builds.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "TotalSegmentator"))

from TotalSegmentatorLib.environment.lock import (  # noqa: E402
    ENGINE_LOCK,
    INSTALLER_LOCK,
    SYSTEMS,
    TORCH_LOCK,
    specification,
)

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
HEADER = "# Made by Tools/build_lock.py from engine-requirements.json. Do not edit.\n"
INSTALLER = "uv>=0.8"


def main() -> int:
    """Make the files anew; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uv", type=Path, default=Path("uv"), help="the uv to resolve with")
    uv = parser.parse_args().uv
    blocks = list(split(compiled(uv, list(specification()["requirements"]))))
    patterns = specification()["torch_packages"]
    torch = {n: t for n, t in blocks if any(fnmatch.fnmatch(n[0], p) for p in patterns)}
    left_out = specification()["left_out"]
    rest = {n: t for n, t in blocks if n not in torch and n[0] not in left_out}
    for path, parts in ((TORCH_LOCK, torch), (ENGINE_LOCK, rest)):
        path.write_text(HEADER + "".join(parts.values()), "utf-8", newline="\n")
    INSTALLER_LOCK.write_text(HEADER + compiled(uv, [INSTALLER]), "utf-8", newline="\n")
    return 0


def compiled(uv: Path, requirements: Sequence[str]) -> str:
    """What uv resolves them to, with hashes, for all systems."""
    systems = [
        f"sys_platform == '{name}' and platform_machine == '{machine}'" for name, machine in SYSTEMS
    ]
    project = {"name": "lock", "version": "0", "requires-python": ">=3.10,<3.14"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_text(
            "[project]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in project.items())
            + f"[tool.uv]\nenvironments = {json.dumps(systems)}\n",
            "utf-8",
        )
        (folder / "wanted.txt").write_text("\n".join(requirements), "utf-8")
        command = [uv, "pip", "compile", "--universal", "--generate-hashes", "--no-header"]
        command += ["--no-annotate", "--python-version", PYTHONS[0], "wanted.txt"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def split(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    """The parts of a lock: ((name, version and marker), its lines)."""
    for block in re.split(r"\n(?=\S)", text.strip()):
        name, _, rest = block.partition("==")
        yield (name, rest.splitlines()[0]), block + "\n"


if __name__ == "__main__":
    sys.exit(main())
