"""Slicer 5.10, Slicer 5.12 and slicer-core, as far as they differ for this extension."""

from __future__ import annotations

import sys
import types

import pytest
import slicer
import slicer.util

from TotalSegmentatorLib.scene import versions


class Environment:
    """Stands in for QProcessEnvironment."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def keys(self) -> list[str]:
        return [*self._values, ""]  # Windows has a nameless one

    def value(self, name: str) -> str:
        return self._values[name]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """slicer-core, whatever other tests have entered."""
    monkeypatch.delattr(slicer, "app", raising=False)
    enter_packaging(monkeypatch, None)
    return monkeypatch


def enter_packaging(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    """None: the module cannot be imported."""
    monkeypatch.setitem(sys.modules, "slicer.packaging", module)


def test_slicer_core_has_no_variables_of_its_own(bare: pytest.MonkeyPatch) -> None:
    assert versions.startup_variables() is None


def test_an_application_without_them_is_like_slicer_core(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(slicer, "app", types.SimpleNamespace(), raising=False)
    assert versions.startup_variables() is None


def test_slicer_tells_the_variables_it_was_started_with(bare: pytest.MonkeyPatch) -> None:
    started = Environment({"PATH": "/usr/bin", "HOME": "/home/Jürgen"})
    app = types.SimpleNamespace(startupEnvironment=lambda: started)
    bare.setattr(slicer, "app", app, raising=False)
    assert versions.startup_variables() == {"PATH": "/usr/bin", "HOME": "/home/Jürgen"}


def test_slicer_5_10_installs_nothing_in_the_background(bare: pytest.MonkeyPatch) -> None:
    assert versions.other_installation_running() is False


def test_an_early_preview_cannot_say(bare: pytest.MonkeyPatch) -> None:
    enter_packaging(bare, types.ModuleType("slicer.packaging"))
    assert versions.other_installation_running() is False


@pytest.mark.parametrize("running", [True, False])
def test_slicer_5_12_says_whether_it_installs(bare: pytest.MonkeyPatch, running: bool) -> None:
    packaging = types.ModuleType("slicer.packaging")
    packaging.isPipInstallInProgress = lambda: running
    enter_packaging(bare, packaging)
    assert versions.other_installation_running() is running


def test_a_fault_in_slicers_own_module_is_not_hidden(
    bare: pytest.MonkeyPatch, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "slicer.packaging")
    (tmp_path / "packaging.py").write_text("raise RuntimeError('broken')")
    monkeypatch.setattr(slicer, "__path__", [str(tmp_path)])
    with pytest.raises(RuntimeError, match="broken"):
        versions.other_installation_running()
