"""What all tests share: the path, the sample CT, the engine environment."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

for folder in ("TotalSegmentator", "Testing", "Testing/Host"):
    sys.path.insert(0, str(REPOSITORY / folder))

from slicerhost.libraries import missing_libraries  # noqa: E402

from TotalSegmentatorLib.environment import EngineEnvironment, find_engine, interpreter  # noqa: E402
from TotalSegmentatorLib.environment.sample_data import SampleData, sample_ct  # noqa: E402

# The same examples every time, so that a red run is red for everybody; to look for new ones:
# pytest --hypothesis-profile=random
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.register_profile("random", deadline=None, print_blob=True)
hypothesis.settings.load_profile("same")


def pytest_sessionstart() -> None:
    """Stop with one line if the tests cannot run here."""
    missing = missing_libraries()
    if missing:
        pytest.exit(missing, returncode=4)


@pytest.fixture(scope="session", autouse=True)
def _no_data_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes what a person has set, measured or downloaded."""
    data = str(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", data)
        patch.setenv("LOCALAPPDATA", data)
        yield


@pytest.fixture(scope="session")
def sample() -> SampleData:
    """The real CT with its reference labels, from the cache or PyPI."""
    return sample_ct(REPOSITORY / ".cache" / "sample")


@pytest.fixture(scope="session")
def engine() -> EngineEnvironment:
    """The engine environment that `make` made; without it tests of engines fail, not skip."""
    return find_engine(interpreter(REPOSITORY / ".venv-engine"))


@pytest.fixture(autouse=True)
def _no_idle_engine() -> Iterator[None]:
    """No engine process that waits for a further run outlives a test."""
    yield
    from TotalSegmentatorLib.session import engine_pool  # here, as tests of the panel reload it

    engine_pool().release()


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which private folders of runs appear during this test; its name is short."""
    folder = tmp_path_factory.mktemp("r")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder
