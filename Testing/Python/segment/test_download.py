"""Weights are got in the job, before the engine runs, with progress and a way to stop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bright_blocks import volume
from support.faulty_server import Fault, faulty_server
from support.threshold import ThresholdEnvironment
from support.weights_files import model_files, zipped

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.catalog import Archive
from TotalSegmentatorLib.engines.known_weights import KNOWN_WEIGHTS
from TotalSegmentatorLib.environment.weights import obtaining, store
from TotalSegmentatorLib.errors import CancelledError, SetupError
from TotalSegmentatorLib.jobs import Progress, Request, Stage, Started
from TotalSegmentatorLib.segment import Frame, segment, segment_frames
from TotalSegmentatorLib.session import Settings

(MODEL,) = catalog.task("body").speeds["normal"]
BODY = Request("body")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Publishes the one model that the run needs."""
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    content = zipped(model_files(MODEL))
    key = (MODEL.release, f"{MODEL.folder}.zip")
    one = Archive(MODEL.dataset_id, *key, len(content), "")
    monkeypatch.setattr(catalog.weights, "_table", lambda: {key: one})
    monkeypatch.setattr(store, "is_online", lambda purpose: True)
    with faulty_server() as found:
        found.files[f"/{one.key}"] = content
        monkeypatch.setattr(obtaining, "PUBLISHED", found.url)
        yield found


@pytest.fixture
def settings(tmp_path, runs) -> Settings:
    engine = ThresholdEnvironment(Path(sys.executable))
    return Settings(engine, may_download=True, weights=tmp_path / "weights")


def test_weights_are_there_before_the_engine_starts(server, settings, tmp_path):
    events: list = []
    result = segment(volume(), BODY, settings, on_event=events.append).wait()
    assert result.segments and store.state_of(MODEL, settings.weights_folder) == "present"
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert texts[0].startswith(f"Downloading the weights {MODEL.folder}: ")
    assert texts[0].endswith(" MB") and "Preparing the image" in texts
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and 0.4 < fractions[-1] <= 1
    begun = next(i for i, event in enumerate(events) if isinstance(event, Started))
    assert begun > events.index(Stage("Preparing the image"))
    # History leaves it out: it is no computing.
    assert result.report["runs"][0]["timings_s"]["downloading_the_weights"] > 0
    again = segment(volume(), BODY, settings).wait()
    assert "downloading_the_weights" not in again.report["runs"][0]["timings_s"]
    assert len(server.seen) == 1


def test_frames_need_one_download(server, settings):
    frames = [Frame(volume()), Frame(volume())]
    assert len(segment_frames(frames, 2, BODY, settings).wait()) == 2
    assert len(server.seen) == 1


def test_a_download_that_fails_fails_the_run(server, settings):
    server.faults = [Fault(404, body=b"")]
    job = segment(volume(), BODY, settings)
    with pytest.raises(SetupError) as caught:
        job.wait()
    assert caught.value.code == "network.refused"


def test_a_download_can_be_cancelled(server, settings):
    server.faults = [Fault(silent_s=5)]
    job = segment(volume(), BODY, settings)
    while not server.seen and job.poll():
        pass
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert store.state_of(MODEL, settings.weights_folder) == "missing"


def test_the_engine_is_told_where_weights_are_and_which_are_known(server, settings, tmp_path):
    variables = settings.variables
    assert variables["TOTALSEG_WEIGHTS_PATH"] == str(tmp_path / "weights")
    assert Path(variables[KNOWN_WEIGHTS]).parent.parent.is_relative_to(tmp_path / "home")
