"""The stand-in for Slicer, and the module loaded in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parents[3]

if TYPE_CHECKING:
    from slicerhost.host import Host
    from slicerhost.scripted_modules import LoadedModule

MODULE = ROOT / "TotalSegmentator" / "TotalSegmentator.py"


@pytest.fixture(scope="session")
def application() -> Iterator[Host]:
    """The one application of the session; tests take `host`, which starts afresh each time."""
    for package in ("PySide6", "slicer"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the tests of the panel need the package {package}")
    from slicerhost import host

    started = host.start()
    yield started
    started.stop()


@pytest.fixture
def host(application: Host) -> Host:
    """The application with an empty scene, no settings and no errors."""
    application.reset()
    return application


@pytest.fixture
def module(host: Host) -> Iterator[LoadedModule]:
    """The TotalSegmentator module, freshly loaded; no slot may have failed by the end."""
    loaded = host.loadModule(MODULE)
    yield loaded
    host.unloadModule(loaded)
    assert host.slotErrors == []
