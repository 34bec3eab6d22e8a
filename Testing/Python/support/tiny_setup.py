"""The installation with tiny packages in place of the engine's: seconds become tenths.

Also a program, for tests that kill it, see :func:`command`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.tiny_packages import TinyPackages

from TotalSegmentatorLib.environment import installation, installers, lock, self_test
from TotalSegmentatorLib.environment.installation import Plan
from TotalSegmentatorLib.environment.settings import UserSettings
from TotalSegmentatorLib.environment.torch_builds import TorchBuild

REPOSITORY = Path(__file__).resolve().parents[3]
BUILD = TorchBuild(
    "cpu", "a tiny PyTorch", "none", (), "torch==2.13.0", "", "", (), 1, 0.1, True, "", {}, "It is."
)
Replace = Callable[[Any, str, Any], None]


def use_tiny_packages(packages: TinyPackages, data: Path, replace: Replace = setattr) -> None:
    """Let installations of this process take them, and the uv that the tests share."""
    for module in (lock, installation):
        replace(module, "ENGINE_LOCK", packages.engine_lock)
        replace(module, "TORCH_LOCK", packages.torch_lock)
    specification = {**lock.specification(), "disk_gb": 0.1, "download_mb": 1}
    replace(installation, "specification", lambda: specification)
    replace(installation, "find_build", lambda id: BUILD)
    replace(self_test, "_MODULE", "torch.self_test")
    replace(self_test, "_segment", lambda *_: None)
    replace(installers, "pip_configuration", lambda *_: {})
    lock.lock_version.cache_clear()
    lock.read_lock.cache_clear()
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "tools").exists():
        os.symlink(shared_tools(), data / "tools")


def shared_tools() -> Path:
    """The folder with the uv of all tests, fetched once."""
    cache = REPOSITORY / ".cache" / "installer"
    installers.get_uv(Path(sys.executable), cache, installers.Console(), installers.Source())
    return cache / "tools"


def tiny_plan(packages: TinyPackages, data: Path, index: str = "", **more: Any) -> Plan:
    """A plan of the tiny packages, from their folder or from an index."""
    bundle = None if index else packages.wheels.parent
    found = installation.plan("cpu", bundle=bundle, data=data, settings=UserSettings(), **more)
    return replace(found, index=index)


def quick(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment variables with which a network that fails is given up at once, and without the
    settings of this computer."""
    own = {name: text for name, text in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    given_up = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "5", "PIP_CONFIG_FILE": os.devnull}
    return {**own, **given_up, **(variables or {})}


def command(packages: TinyPackages, data: Path, index: str) -> list[str | Path]:
    """What installs from an index in a process of its own; see :func:`own_variables`."""
    return [sys.executable, __file__, packages.root, data, "--index", index]


def own_variables() -> dict[str, str]:
    """Environment variables for :func:`command`."""
    folders = (REPOSITORY / "TotalSegmentator", REPOSITORY / "Testing" / "Python")
    return quick({"PYTHONPATH": os.pathsep.join(map(str, folders))})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--index", default="")
    arguments = parser.parse_args()
    packages = TinyPackages(arguments.root)
    use_tiny_packages(packages, arguments.data)
    plan = tiny_plan(packages, arguments.data, arguments.index)
    print(installation.install(plan, variables=quick()).state)


if __name__ == "__main__":
    main()
