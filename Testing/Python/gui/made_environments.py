"""Environments of the engine as an installation leaves them, without one."""

from __future__ import annotations

import json
from pathlib import Path

from TotalSegmentatorLib.environment import Environment, Environments, interpreter
from TotalSegmentatorLib.environment.environments import NOTE
from TotalSegmentatorLib.environment.lock import lock_version


def make_environment(name: str, torch: str = "2.13.0", program: Path | None = None) -> Environment:
    """An environment among the user's that is ready, but not used yet.

    :param program: what runs as its interpreter; by default something that cannot.
    """
    known = Environments()
    folder = known.root / name
    python = interpreter(folder)
    python.parent.mkdir(parents=True)
    python.write_bytes(program.read_bytes() if program else b"")
    python.chmod(0o755)
    (folder / "pyvenv.cfg").touch()
    note = {
        "folder": str(folder.absolute()),
        "lock": lock_version(),
        "build": "cpu",
        "made": "2026-11-21 17:05",
        "versions": {"python": "3.12.1", "torch": torch, "TotalSegmentator": "2.18.0"},
    }
    (folder / NOTE).write_text(json.dumps(note))
    return next(one for one in known.all() if one.name == name)
