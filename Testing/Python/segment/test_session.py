"""Several images and several tasks with one engine process."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from SampleData.grids import tilted
from support.processes import engine_processes, gone, is_alive

from TotalSegmentatorLib import catalog
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.images import Image, labels_on_grid, read_image, read_labelmap, same_grid
from TotalSegmentatorLib.images.geometry import itk_from_ijk_to_ras
from TotalSegmentatorLib.jobs import JobContext, Progress, Request, Stage, Started
from TotalSegmentatorLib.runs import complete
from TotalSegmentatorLib.segment import Frame, segment, segment_frames
from TotalSegmentatorLib.session import Session, Settings, engine_pool, part_of

ROOT = Path(__file__).resolve().parents[3]
# An application that ends in mid-run; its engine waits until it is told to end.
APPLICATION = f"""
import sys
from pathlib import Path
sys.path.insert(0, "{ROOT / "TotalSegmentator"}")
import numpy as np
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.jobs import EngineCommand, JobContext, Request
from TotalSegmentatorLib.session import Session, Settings

class Environment(EngineEnvironment):
    def command(self, extra=None):
        script = "{ROOT / "Testing" / "Python" / "engines" / "small_worker.py"}"
        return EngineCommand([sys.executable, script, "60", "wait"], super().command().variables)

context = JobContext(lambda event: print(getattr(event, "text", event), flush=True))
with Session(Settings(Environment(Path(sys.executable))), context) as session:
    image = Image(np.zeros((9, 9, 9), np.int16), np.eye(4))
    session.run(image, [Request(task="demo", engine="nnunet")], context)
"""


@pytest.fixture(scope="module")
def ct(sample):
    return read_image(sample.ct)[0]


@pytest.fixture
def blocks() -> Image:
    """A body for the threshold engine."""
    array = np.full((20, 20, 20), -1000, np.int16)
    array[5:15, 5:15, 5:15] = 200
    return Image(array, np.diag((5.0, 5.0, 5.0, 1.0)))


@pytest.fixture
def process_of(threshold, blocks):
    """Segments, and gives the process that did."""

    def process_of(settings: Settings = threshold) -> int:
        events: list = []
        segment(blocks, Request(task="body"), settings, on_event=events.append).wait()
        (pid,) = processes_of(events)
        return pid

    return process_of


def processes_of(events: list) -> set[int]:
    return {event.pid for event in events if isinstance(event, Started)}


def test_one_process_serves_run_after_run(process_of, runs):
    first = process_of()
    assert process_of() == first
    assert is_alive(first)
    assert list(runs.iterdir()) == []


def test_another_weights_folder_means_another_process(process_of, threshold, tmp_path):
    first = process_of()
    assert process_of(dataclasses.replace(threshold, weights=tmp_path)) != first
    assert process_of() == first


def test_a_process_that_was_killed_while_idle_is_replaced(process_of):
    first = process_of()
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert process_of() != first


def test_release_ends_the_process(process_of):
    first = process_of()
    engine_pool().release()
    assert gone(first)
    assert process_of() != first


def test_sessions_at_the_same_time_have_processes_of_their_own(threshold, blocks, runs):
    asked = complete(Request(task="body")).requests
    events: list = []
    context = JobContext(events.append)
    with Session(threshold, context) as one, Session(threshold, context) as other:
        for session in (one, other):
            assert session.run(blocks, asked, context)[0].labels.array.any()
    assert len(processes_of(events)) == 2
    assert list(runs.iterdir()) == []


def test_an_engine_that_cannot_be_started_leaves_nothing(threshold, blocks, tmp_path, runs):
    settings = Settings(EngineEnvironment(tmp_path / "no-python"))
    with pytest.raises(SetupError) as caught:
        segment(blocks, Request(task="body"), settings).wait()
    assert caught.value.code == "environment.no_interpreter"
    assert list(runs.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_application_killed_in_mid_run_leaves_no_process_and_no_file(runs):
    variables = {**os.environ, "TMPDIR": str(runs)}
    application = subprocess.Popen(
        [sys.executable, "-c", APPLICATION], stdout=subprocess.PIPE, text=True, env=variables
    )
    with application:
        assert "waiting\n" in iter(application.stdout.readline, "")
        (engine,) = engine_processes(runs)
        application.kill()
    assert gone(engine, 5)
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_frames_are_segmented_by_one_process(engine, ct, runs):
    """The second frame is the first one moved, so its labels must be the same, moved."""
    moved = ct.ijk_to_ras.copy()
    moved[:3, 3] += (5, -7, 11)
    frames = [Frame(ct), Frame(type(ct)(ct.array, moved))]
    events: list = []
    request = Request(task="demo", structures=("liver", "spleen"))
    job = segment_frames(iter(frames), 2, request, Settings(engine), on_event=events.append)
    first, second = (result.merged().labels for result in job.wait())
    assert len(processes_of(events)) == 1
    assert np.array_equal(first.array, second.array) and first.array.any()
    assert same_grid(first, frames[0].image) and same_grid(second, frames[1].image)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions) and fractions[-1] > 0.95
    assert Stage("Frame 2 (2 of 2): running the network") in events
    demo = [event.message for event in events if getattr(event, "code", "") == "demo.model"]
    assert len(demo) == 1 and demo[0].startswith("Frame 1: ")
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_a_frame_that_cannot_be_read_ends_the_run_and_leaves_nothing(engine, ct, runs):
    def frames():
        yield Frame(ct)
        raise InputError("input.no_voxels", "Frame 2: the volume holds no voxels.", "Load it.")

    job = segment_frames(frames(), 2, Request(task="demo"), Settings(engine))
    with pytest.raises(InputError) as caught:
        job.wait()
    assert caught.value.code == "input.no_voxels"
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_cancel_between_frames(engine, ct, runs):
    events: list = []
    frames = (Frame(ct) for _ in range(3))
    job = segment_frames(frames, 3, Request(task="demo"), Settings(engine), on_event=events.append)
    while job.poll() and not any(e.text.startswith("Frame 2") for e in stages(events)):
        pass
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert not any(e.text.startswith("Frame 3") for e in stages(events))
    assert list(runs.iterdir()) == []


@pytest.mark.slow
def test_tasks_of_one_image_share_the_process(engine, ct, runs):
    events: list = []
    asked = [complete(Request(task="demo", structures=(name,))) for name in ("liver", "spleen")]
    context = JobContext(events.append)
    with Session(Settings(engine), context) as session:
        answers = session.run(ct, [runs_.requests[0] for runs_ in asked], context)
    names = [set(answer.result.label_names.values()) for answer in answers]
    assert names == [{"liver"}, {"spleen"}]
    assert len(processes_of(events)) == 1
    assert all(answer.labels.array.any() for answer in answers)


def test_progress_of_a_part_is_a_share_of_the_whole():
    events: list = []
    context = JobContext(events.append)
    part_of(context, 1, 4, "Frame 2 of 4").emit(Stage("Running the network"))
    part_of(context, 1, 4).emit(Progress(0.5, 10.0))
    assert events[0] == Stage("Frame 2 of 4: running the network")
    assert events[1].fraction == pytest.approx(0.375)
    assert events[1].seconds_left == pytest.approx(10 + 2 * 10, abs=1)


def stages(events: list) -> list[Stage]:
    return [event for event in events if isinstance(event, Stage)]


@pytest.mark.slow
def test_labels_of_a_tilted_image_lie_on_its_own_voxels(engine, ct, sample, runs):
    """The sample CT as a gantry tilted by 12 degrees would have taken it."""
    matrix = tilted(ct.ijk_to_ras, 12)
    middle = [*(np.array(ct.shape_ijk) / 2), 1]
    matrix[:, 3] += ct.ijk_to_ras @ middle - matrix @ middle
    image = resampled(ct, type(ct)(ct.array, matrix))
    frame = [Frame(image)]
    (result,) = segment_frames(frame, 1, Request(task="demo"), Settings(engine)).wait()
    labels = result.merged().labels
    assert same_grid(labels, image)
    expected = labels_on_grid(read_labelmap(sample.reference), image)
    values = {name: value for value, name in catalog.task("total").labels.items()}
    for name in ("liver", "spleen", "kidney_left", "kidney_right", "colon"):
        own = next(s.label for s in result.segments if s.id == name)
        seen, wanted = labels.array == own, expected.array == values[name]
        assert 2 * (seen & wanted).sum() / (seen.sum() + wanted.sum()) > 0.9, name


def resampled(image, grid):
    """The image's intensities at the voxels of a grid, by SimpleITK."""
    source, target = (sitk.GetImageFromArray(i.array) for i in (image, grid))
    for itk, i in ((source, image), (target, grid)):
        origin, spacing, direction = itk_from_ijk_to_ras(i.ijk_to_ras)
        itk.SetOrigin(origin)
        itk.SetSpacing(spacing)
        itk.SetDirection(direction)
    done = sitk.Resample(source, target, sitk.Transform(), sitk.sitkLinear, -1024.0)
    return grid.with_array(sitk.GetArrayFromImage(done))
