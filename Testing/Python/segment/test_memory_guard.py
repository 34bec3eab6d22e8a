"""Memory: what fits, which ways are offered, and what is done when a run dies of it."""

from __future__ import annotations

import dataclasses
import math
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.hungry import GIB, computer, use_hungry_engine

from TotalSegmentatorLib import catalog, engines, environment, history, segment
from TotalSegmentatorLib import session as session_module
from TotalSegmentatorLib.environment import this_computer
from TotalSegmentatorLib.environment.drivers import Driver, Gpu
from TotalSegmentatorLib.errors import CancelledError, SetupError
from TotalSegmentatorLib.estimate import estimate
from TotalSegmentatorLib.images import Image
from TotalSegmentatorLib.jobs import Log, Progress, Request, Stage, Started, Warned, runner
from TotalSegmentatorLib.jobs.shortage import GPU, MAIN
from TotalSegmentatorLib.memory_guard import FELL_BACK, MemoryGuard, known_hardware
from TotalSegmentatorLib.remedies import (
    CHANGE_OPTIONS,
    CHOOSE_REGION,
    RETRY_ON_CPU,
    USE_FASTER_SPEED,
    Remedy,
)
from TotalSegmentatorLib.report import public_provenance
from TotalSegmentatorLib.runs import Runs, complete
from TotalSegmentatorLib.segment import Frame, Segmentation, segment_frames
from TotalSegmentatorLib.session import Settings

TRUNK = ((500, 500, 700), (1.0, 1.0, 1.0))
OFFICIAL = "totalsegmentator"
PLENTY = computer(1000, 1000, 100, 100)
TASKS = [task for task in catalog.tasks() if not task.model_folder]

grids = st.tuples(st.tuples(*[st.integers(3, 1500)] * 3), st.tuples(*[st.floats(0.3, 5.0)] * 3))
computers = st.builds(
    computer,
    st.just(64),
    st.floats(0.5, 64),
    st.floats(0.5, 24).map(lambda total: total),
    st.just(0.0),
)


def need(grid, runs: Runs):
    return estimate(*grid, runs.requests, PLENTY)


@st.composite
def cases(draw):
    """An image, what is asked for, and a computer whose memory is short, or nearly so."""
    task = draw(st.sampled_from(TASKS))
    engine = draw(st.sampled_from(task.engines))
    lighter = [one.options for one in engines.spec(engine).lighter]
    options = draw(st.sampled_from([{}, *lighter]))
    speed = draw(st.sampled_from(list(task.speeds)))
    runs = complete(Request(task=task.id, engine=engine, speed=speed, options=options))
    grid = draw(grids)
    needed = need(grid, runs)
    total = needed.memory_bytes / GIB * draw(st.floats(0.3, 3))
    gpu = needed.gpu_memory_bytes / GIB * draw(st.floats(0.2, 3))
    free, free_gpu = total * draw(st.floats(0.1, 1)), gpu * draw(st.floats(0.1, 1))
    hardware = computer(total, free, *((gpu, free_gpu) if draw(st.booleans()) else ()))
    return grid, runs, hardware


def fits(grid, runs: Runs, hardware) -> bool:
    """By the estimate itself."""
    one = estimate(*grid, runs.requests, hardware)
    return one.memory_bytes <= hardware.free_bytes and one.gpu_memory_bytes <= one.device.free_bytes


@settings(max_examples=40)
@given(cases())
def test_what_is_offered_fits_and_nothing_else_is(case):
    grid, runs, hardware = case
    guard = MemoryGuard(*grid, hardware)
    short = guard.shortage(runs)
    assert (short is None) == fits(grid, runs, hardware)
    assume(short)
    offered = guard.ways([runs], short.code)
    assert len({way.remedy.action for way in offered}) == len(offered)
    for way in offered:
        if way.remedy.action == CHOOSE_REGION:
            shape = [math.ceil(n / (2 if "half" in way.text else 4)) for n in grid[0]]
            assert fits((shape, grid[1]), runs, hardware)
        else:
            assert way.runs.asked != runs.asked
            assert fits(grid, way.runs, hardware)


@settings(max_examples=40)
@given(cases())
def test_a_way_that_fits_is_never_left_out(case):
    grid, runs, hardware = case
    guard = MemoryGuard(*grid, hardware)
    short = guard.shortage(runs)
    assume(short)
    asked, actions = runs.asked, [way.remedy for way in guard.ways([runs], short.code)]

    def helps(**changes: object) -> bool:
        return fits(grid, complete(dataclasses.replace(asked, **changes)), hardware)

    speeds = list(catalog.task(asked.task).speeds)
    faster = [s for s in speeds[speeds.index(asked.speed) + 1 :] if helps(speed=s)]
    lighter = [one for one in engines.spec(asked.engine).lighter if helps(options=one.options)]
    expected = [Remedy(CHANGE_OPTIONS, one.text, one.options) for one in lighter[:1]]
    gpu = short.code.startswith("gpu.")
    expected += [Remedy(RETRY_ON_CPU)] if gpu and helps(device="cpu") else []
    expected += [Remedy(USE_FASTER_SPEED, faster[0])] if faster else []
    assert [one for one in actions if one.action != CHOOSE_REGION] == expected


@settings(max_examples=40)
@given(cases())
def test_only_what_is_too_large_by_far_is_refused(case):
    grid, runs, hardware = case
    guard = MemoryGuard(*grid, hardware)
    one = estimate(*grid, runs.requests, hardware)
    by_far = (
        one.memory_bytes / 1.5 > hardware.memory_bytes + 1
        or one.gpu_memory_low_bytes > one.device.total_bytes
    )
    try:
        notices = guard.check(runs)
    except SetupError as error:
        assert by_far
        assert error.code in ("memory.will_not_fit", "gpu.will_not_fit")
        assert [n.code for n in guard.check(runs, insist=True)] == [
            error.code.replace("will", "may")
        ]
    else:
        assert not by_far
        assert len(notices) == (guard.shortage(runs) is not None)


@settings(max_examples=40)
@given(cases(), st.sampled_from([MAIN, GPU]))
def test_the_chain_goes_each_way_once_and_never_one_that_is_too_large(case, code):
    grid, runs, hardware = case
    guard = MemoryGuard(*grid, hardware)
    tried = [runs]
    while True:
        way = next(guard.chain(tried, code), None)
        if way is None:
            break
        assert way.runs.requests not in [one.requests for one in tried]
        short = guard.shortage(way.runs)
        assert short is None or not short.certain
        if way.remedy.action == CHANGE_OPTIONS:
            memory = "gpu_memory_bytes" if code == GPU else "memory_bytes"
            of_both = [estimate(*grid, r.requests, hardware) for r in (way.runs, tried[-1])]
            assert getattr(of_both[0], memory) < getattr(of_both[1], memory)
        if way.remedy.action == RETRY_ON_CPU:
            asked = way.runs.asked
            assert code == GPU and asked == dataclasses.replace(runs.asked, device="cpu")
        tried.append(way.runs)
    speeds = [one.asked.speed for one in tried]
    assert speeds == sorted(speeds, key=catalog.SPEEDS.index)


def guard_and_runs(hardware, **asked) -> tuple[MemoryGuard, Runs]:
    return MemoryGuard(*TRUNK, hardware), complete(Request(task="total", **asked))


def test_sentences_have_figures_and_ways():
    guard, runs = guard_and_runs(computer(16, 10), engine=OFFICIAL)
    (notice,) = guard.check(runs)
    assert notice.code == "memory.may_not_fit"
    assert notice.message == (
        "This needs about 11 GB of memory, and 10 GB are free. "
        "By estimate it fits at the speed fast or in a region half as long along each axis."
    )
    guard, runs = guard_and_runs(computer(4, 3.5), engine=OFFICIAL)
    with pytest.raises(SetupError) as caught:
        guard.check(runs)
    assert caught.value.message == (
        "This needs about 11 GB of memory, and this computer has 4.0 GB."
    )
    guard.add_ways(caught.value, [runs])
    assert caught.value.remedies == ()
    assert caught.value.remedy == "Close other programs, or use a computer with more memory."
    guard, runs = guard_and_runs(computer(32, 30, 0.5, 0.4))
    with pytest.raises(SetupError) as caught:
        guard.check(runs)
    assert caught.value.code == "gpu.will_not_fit"
    assert "GB of memory on the GPU, and it has 0.5 GB." in caught.value.message
    guard.add_ways(caught.value, [runs])
    assert caught.value.remedies == (Remedy(RETRY_ON_CPU),)
    assert caught.value.remedy == "By estimate it fits on the CPU."
    guard, runs = guard_and_runs(computer(32, 30, 8, 1))
    (notice,) = guard.check(runs)
    assert notice.code == "gpu.may_not_fit" and "and 1.0 GB were free." in notice.message


def test_three_parts_help_where_all_scores_are_held():
    """The official package, and ours where scores are resampled."""

    def split(**asked) -> bool:
        guard, runs = guard_and_runs(computer(64, 1), **asked)
        return CHANGE_OPTIONS in [way.remedy.action for way in guard.chain([runs], MAIN)]

    assert split(engine=OFFICIAL)
    assert not split(engine=OFFICIAL, options={"force_split": True})
    assert not split()
    assert split(options={"higher_order_resampling": True})


def test_engines_tell_their_own_ways():
    runs = complete(Request(task="nv_ct_body", options={"overlap": 0.5}))
    short = need(TRUNK, runs).memory_bytes / GIB - 0.1
    guard = MemoryGuard(*TRUNK, computer(64, short))
    way = guard.ways([runs], "memory.may_not_fit")[0]
    assert way.remedy == Remedy(CHANGE_OPTIONS, way.text, way.remedy.options)
    assert way.remedy.options.keys() == {"window"} and "option window" in way.text
    assert way.runs.request.options == {**runs.request.options, **way.remedy.options}
    rough = complete(Request(task="wholebody_ct"))
    assert USE_FASTER_SPEED in [one.remedy.action for one in guard.chain([rough], MAIN)]


def test_a_gpu_that_is_not_known_is_no_reason_to_refuse():
    guard, runs = guard_and_runs(computer(64, 60), device="gpu:3")
    assert guard.shortage(runs) is None
    assert next(guard.chain([runs], GPU)).remedy.action == RETRY_ON_CPU


def test_a_gpu_whose_memory_ended_gives_way_to_the_cpu_before_any_speed():
    """Three parts come first only where they take scores from the GPU."""

    def actions(**asked) -> list[str]:
        guard, runs = guard_and_runs(computer(64, 60, 24, 20), **asked)
        return [way.remedy.action for way in guard.chain([runs], GPU)]

    assert actions() == [RETRY_ON_CPU, USE_FASTER_SPEED, USE_FASTER_SPEED]
    official = actions(engine=OFFICIAL)
    assert official == [CHANGE_OPTIONS, RETRY_ON_CPU, USE_FASTER_SPEED, USE_FASTER_SPEED]


def test_after_a_run_has_died_the_estimate_is_not_believed():
    """By estimate fast needs more memory than normal, whose largest model has fewer classes."""
    guard = MemoryGuard((512, 512, 300), (0.75, 0.75, 1.5), computer(8, 6))
    runs = complete(Request(task="total"))
    assert guard.shortage(runs) is None
    assert [way.remedy.value for way in guard.chain([runs], MAIN)] == ["fast", "fastest"]
    error = SetupError(MAIN, "It ran out.")
    guard.add_ways(error, [runs])
    assert error.remedies[0] == Remedy(USE_FASTER_SPEED, "fast")
    assert error.remedy.startswith("It needs less of that memory at the speed fast or in a region")


def test_plans_of_several_tasks_and_model_folders_are_guarded_too():
    def speeds(*structures: str) -> list[str]:
        runs = complete(Request(structures=structures, engine=OFFICIAL))
        chain = MemoryGuard(*TRUNK, computer(64, 1)).chain([runs], MAIN)
        return [way.remedy.value for way in chain]

    assert speeds("liver", "body_extremities")[-2:] == ["fast", "fastest"]
    assert speeds("liver", "lung_veins") == ["fast", "fastest"]  # of the liver's task alone
    assert speeds("lung_veins") == []
    model = complete(Request(model=str(catalog.task("demo").model_path)))
    assert list(MemoryGuard(*TRUNK, computer(64, 0.1)).chain([model], MAIN)) == []


def test_main_memory_is_looked_at_anew():
    old = computer(1, 1, 8, 8)
    now = known_hardware(old)
    assert now.memory_bytes == this_computer().memory_bytes
    assert now.device("gpu") == old.device("gpu")
    assert known_hardware().device().kind == "cpu"


# Runs that die


@pytest.fixture
def large() -> Image:
    """Few voxels, but 600 mm along each axis, so that speeds differ in memory."""
    array = np.zeros((40, 40, 40), np.int16)
    array[10:30, 10:30, 10:30] = 1
    return Image(array, np.diag((15.0, 15.0, 15.0, 1.0)))


class Ran:
    """A run that has ended, and what it told."""

    def __init__(self, job, events: list) -> None:
        self.events = events
        self.result: Segmentation | None = None
        self.error: SetupError | None = None
        try:
            self.result = job.wait()
        except SetupError as error:
            self.error = error

    @property
    def ways(self) -> list[str]:
        logs = [one.text for one in self.events if isinstance(one, Log)]
        return [text.removeprefix("way ") for text in logs if text.startswith("way ")]

    @property
    def told(self) -> list[str]:
        warnings = [one for one in self.events if isinstance(one, Warned)]
        return [one.message for one in warnings if one.code == FELL_BACK]


@pytest.fixture
def ran(monkeypatch, large, runs):
    """Runs a task with engines that end as told; all temporary files must be gone then."""
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))

    def ran(
        request: Request = Request(task="total"), hardware=None, fall_back=True, **table
    ) -> Ran:
        chosen = {} if hardware is None else {"hardware": hardware}
        table = {
            key.replace("_split", "+split").replace("_cpu", "@cpu"): end
            for key, end in table.items()
        }
        found = Settings(use_hungry_engine(monkeypatch, **table), fall_back=fall_back, **chosen)
        events: list = []
        done = Ran(segment.segment(large, request, found, on_event=events.append), events)
        assert list(runs.iterdir()) == []
        return done

    return ran


def test_a_killed_engine_is_replaced_and_the_run_done_faster(ran):
    done = ran(normal="killed")
    assert done.ways == ["normal", "fast"]
    (told,) = done.told
    assert told.startswith("The operating system ended the engine, ")
    assert told.endswith("because memory ran out. It is run at the speed fast instead.")
    assert len({one.pid for one in done.events if isinstance(one, Started)}) == 2
    assert done.result.segments
    again = done.events.index(Stage("Beginning again at the speed fast"))
    assert Progress(0.0) in done.events[again:]
    report = done.result.report
    assert report["request"]["speed"] == "fast" and report["asked"]["speed"] == "normal"
    assert [run["request"]["speed"] for run in report["runs"]] == ["fast"]
    assert FELL_BACK in [warning["code"] for warning in report["warnings"]]
    public = public_provenance(report)
    assert public["asked"]["speed"] == "normal" and public["requests"][0]["speed"] == "fast"
    assert complete(Request.from_dict(report["request"])).request.speed == "fast"


def test_without_permission_the_error_comes_with_what_would_fit(ran):
    done = ran(fall_back=False, normal="killed")
    assert done.ways == ["normal"] and done.told == []
    assert done.error.code == "memory.exhausted"
    assert done.error.remedies[0] == Remedy(USE_FASTER_SPEED, "fast")
    assert "at the speed fast" in done.error.remedy


def test_a_gpu_that_is_too_small_gives_the_same_result_on_the_cpu(ran):
    done = ran(normal="gpu")
    assert done.ways == ["normal", "normal@cpu"]
    assert done.told == ["The GPU's memory ran out. It is run on the CPU instead."]
    assert done.result.report["request"]["device"] == "cpu"
    assert done.result.report["asked"]["device"] == "auto"


def test_changes_do_not_add_up(ran):
    """The CPU gets what was planned, not the parts that were made for the GPU."""
    table = {"normal": "gpu", "normal_split": "gpu", "normal_cpu": "killed"}
    known, request = computer(64, 60, 24, 20), Request(task="total", engine=OFFICIAL)
    done = ran(request, known, **table, normal_split_cpu="killed")
    assert done.ways == [
        "normal",
        "normal+split",
        "normal@cpu",
        "normal+split@cpu",
        "fast@cpu",
    ]
    assert done.told[-1].endswith(" It is run at the speed fast on the CPU instead.")


def test_each_way_is_gone_once_and_none_is_left_out(ran):
    done = ran(normal="killed", fast="killed", fastest="killed")
    assert done.ways == ["normal", "fast", "fastest"]
    assert done.error.code == "memory.exhausted"
    assert USE_FASTER_SPEED not in [one.action for one in done.error.remedies]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
def test_memory_that_is_refused(ran):
    done = ran(normal="memory")
    assert done.ways == ["normal", "fast"]
    assert done.told == ["The computer's memory ran out. It is run at the speed fast instead."]


def test_memory_that_the_application_lacks(ran, monkeypatch):
    def read(_):
        raise MemoryError

    monkeypatch.setattr(session_module, "read_labelmap", read)
    done = ran()
    assert done.error.code == "memory.exhausted" and "in read" in done.error.details
    assert done.ways == ["normal"]  # another run would not help the application


def test_a_way_whose_weights_are_missing_is_not_gone(ran, monkeypatch):
    def check(models, *_):
        if models != list(catalog.task("total").speeds["normal"]):
            raise SetupError("weights.missing", "They are not here.")

    use = segment.check
    monkeypatch.setattr(
        segment,
        "check",
        lambda runs, settings: (
            monkeypatch.setattr(environment, "check_weights", check) or use(runs, settings)
        ),
    )
    done = ran(normal="killed")
    assert done.ways == ["normal"] and done.told == []
    assert done.error.code == "memory.exhausted"


def test_a_cancelled_run_is_no_shortage(monkeypatch, large, runs):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))
    found = Settings(use_hungry_engine(monkeypatch, normal="deaf"), fall_back=True)
    monkeypatch.setattr(runner, "CANCEL_GRACE_S", 0.2)
    events: list = []
    job = segment.segment(large, Request(task="total"), found, on_event=events.append)
    while job.poll() and Log("way normal") not in events:
        pass
    job.cancel()
    with pytest.raises(CancelledError):
        job.wait()
    assert not any(isinstance(one, Warned) and one.code == FELL_BACK for one in events)


def test_what_cannot_fit_is_refused_before_anything_is_exported(ran, monkeypatch):
    exported = []
    write = session_module._write_input
    monkeypatch.setattr(session_module, "_write_input", lambda *a: exported.append(a) or write(*a))
    monkeypatch.setattr(environment, "this_computer", lambda: computer(4, 3.9))
    request = Request(task="total", engine=OFFICIAL)
    refused = ran(request, fall_back=False)
    assert refused.error.code == "memory.will_not_fit"
    assert refused.ways == [] and exported == []


def test_what_cannot_fit_is_not_even_tried_where_another_way_may_be_gone(ran, monkeypatch):
    hardware = computer(64, 60, 0.5, 0.5)
    done = ran(hardware=hardware)
    assert done.ways == ["normal@cpu"]
    (told,) = done.told
    assert told.startswith("This needs about ") and told.endswith(" It is run on the CPU instead.")


@pytest.fixture
def asked_of_pytorch(monkeypatch):
    """A driver that tells of a GPU, and how often PyTorch was asked, which finds it small."""
    asked = []

    def probe(engine, _timeout_s):
        asked.append(engine)
        return computer(64, 60, 0.5, 0.5)

    monkeypatch.setattr(environment, "probe", probe)
    gpus = (Gpu("Test GPU", "8.6", GIB // 2, GIB // 2),)
    monkeypatch.setattr(session_module, "find_driver", lambda _: Driver("nvidia", "1", gpus))
    session_module._probed.cache_clear()
    yield asked
    session_module._probed.cache_clear()


def test_a_gpu_is_looked_at_once_where_a_driver_tells_of_it(ran, asked_of_pytorch):
    assert ran(Request(task="total", device="cpu")).ways == ["normal@cpu"]
    assert asked_of_pytorch == []
    for _ in range(2):
        done = ran()
        assert done.ways == ["normal@cpu"]
        assert "memory on the GPU, and it has 0.5 GB. It is run on the CPU" in done.told[0]
    assert len(asked_of_pytorch) == 1
    assert ran(hardware=computer(64, 60, 24, 20)).ways == ["normal"]  # known already


def test_a_gpu_that_cannot_be_looked_at_is_left_to_the_run(ran, asked_of_pytorch, monkeypatch):
    def probe(*_):
        raise SetupError("environment.broken", "PyTorch does not start.")

    monkeypatch.setattr(environment, "probe", probe)
    done = ran()
    assert done.ways == ["normal"]
    assert Log("The GPU could not be looked at. PyTorch does not start.") in done.events


def test_a_run_that_may_be_too_large_goes_on_with_a_warning(ran, monkeypatch):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 1))
    done = ran()
    assert done.ways == ["normal"]
    assert [w["code"] for w in done.result.report["warnings"]].count("memory.may_not_fit") == 1
    assert "asked" not in done.result.report


def test_every_frame_that_falls_back_is_told_by_name(monkeypatch, large, runs):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))
    found = Settings(use_hungry_engine(monkeypatch, normal="gpu"), fall_back=True)
    events: list = []
    frames = [Frame(large, name="Systole"), Frame(large, name="Diastole")]
    request = Request(task="total")
    job = segment_frames(iter(frames), 2, request, found, on_event=events.append)
    results = [one.report for one in job.wait()]
    assert [one["request"]["device"] for one in results] == ["cpu"] * 2
    assert [one["asked"]["device"] for one in results] == ["auto"] * 2
    told = [one.message for one in events if isinstance(one, Warned) and one.code == FELL_BACK]
    assert told == [
        "Systole: The GPU's memory ran out. It is run on the CPU instead.",
        "Diastole: It is run on the CPU, as the one before.",
    ]
    ways = [one.text for one in events if isinstance(one, Log) and one.text.startswith("way ")]
    assert ways == ["way normal", "way normal@cpu", "way normal@cpu"]


def test_the_time_of_a_run_that_fell_back_is_not_kept(monkeypatch, large, runs):
    monkeypatch.setattr(environment, "this_computer", lambda: computer(64, 60))
    kept = []
    monkeypatch.setattr(history, "record", lambda *values: kept.append(values))
    engine = use_hungry_engine(monkeypatch, normal="gpu")
    found = Settings(engine, fall_back=True, remember_runs=True)
    for speed in ("normal", "fastest"):
        segment.segment(large, Request(task="total", speed=speed), found).wait()
    ((report, *_),) = kept
    assert "asked" not in report
