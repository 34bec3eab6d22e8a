"""The stand-in for Slicer, and the module loaded in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from quick_engine import QuickEngine

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
    """The TotalSegmentator module, freshly loaded.

    By the end no slot may have failed, and no timer or observer may have outlived the panel.
    """
    loaded = host.loadModule(MODULE)
    yield loaded
    host.unloadModule(loaded)
    assert host.slotErrors == []
    assert host.leftovers() == []


@pytest.fixture
def quick(tmp_path: Path) -> QuickEngine:
    """An engine that answers at once."""
    folder = tmp_path / "engine"
    folder.mkdir()
    return QuickEngine(folder)


@pytest.fixture
def panel(module: LoadedModule, host: Host, engine, runs: Path, tmp_path, monkeypatch):
    """The panel, entered, with the engine of this checkout and the demo task chosen."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    host.enter(module)
    module.widget.logic.enginePython = str(engine.python)
    module.widget.setParameter("task", "demo")
    return module.widget


@pytest.fixture
def quickPanel(panel, quick: QuickEngine):
    """The panel with an engine that answers at once."""
    panel.logic.enginePython = str(quick.python)
    return panel


@pytest.fixture
def volume(panel, sample):
    """The sample CT, chosen as input."""
    import slicer

    from TotalSegmentatorLib.images import read_image
    from TotalSegmentatorLib.scene import image_to_volume

    image, _ = read_image(sample.ct)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    image_to_volume(image, node)
    panel.ui.inputVolumeSelector.setCurrentNode(node)
    return node


@pytest.fixture
def earlier(panel, volume):
    """A segmentation with work in it, chosen as output."""
    import numpy as np
    import slicer

    from TotalSegmentatorLib.images import Layer, SegmentRecord
    from TotalSegmentatorLib.scene import import_layers, volume_to_image

    image = volume_to_image(volume)
    labels = image.with_array((image.array > 300).astype(np.uint8))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "earlier work")
    record = SegmentRecord("mine", "My bone", 1, (1, 2, 3), "")
    import_layers([Layer(labels, (record,))], node, volume)
    panel.ui.outputSegmentationSelector.setCurrentNode(node)
    return node
