"""The application side of a checkout: made once, and again when what it needs has changed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import installers, interpreter
from TotalSegmentatorLib.errors import SetupError

SCRIPT = Path(__file__).resolve().parents[3] / "Tools" / "bootstrap.py"
PROJECT = """[project]
name = "tiny"
version = "{version}"
[project.optional-dependencies]
headless = []
test = []
[tool.setuptools]
py-modules = []
"""


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """The script, in a checkout with a tiny project."""
    specification = importlib.util.spec_from_file_location("bootstrap", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "CHECK", "import importlib.metadata as m; m.version('tiny')")
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(version=1))
    return module


@pytest.mark.slow
def test_application_side_is_made_once(bootstrap, tmp_path, monkeypatch):
    bootstrap.make_application(".venv")
    with monkeypatch.context() as patch:
        patch.setattr(installers.Console, "run", lambda *_: pytest.fail("something was started"))
        bootstrap.make_application(".venv")
    (tmp_path / ".venv" / "old").touch()
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(version=2))
    bootstrap.make_application(".venv")
    assert not (tmp_path / ".venv" / "old").exists()
    monkeypatch.setattr(bootstrap, "CHECK", "raise SystemExit(3)")
    for _ in range(2):  # a half-made one is no reason to stop
        with pytest.raises(SetupError):
            bootstrap.make_application(".venv")
    assert interpreter(tmp_path / ".venv").exists()
