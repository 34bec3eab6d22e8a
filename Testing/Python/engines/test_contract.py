"""What engines share: options, progress, console lines, device names, failures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from TotalSegmentatorLib import catalog, engines
from TotalSegmentatorLib.engines import contract
from TotalSegmentatorLib.engines.console import ConsoleTap, tqdm_fraction
from TotalSegmentatorLib.engines.contract import (
    SCOPES,
    Costs,
    EngineSpec,
    NetworkWork,
    Option,
    Reporter,
)
from TotalSegmentatorLib.engines.failures import classify
from TotalSegmentatorLib.engines.totalsegmentator import TASK_OPTIONS
from TotalSegmentatorLib.errors import CancelledError, InputError, SetupError
from TotalSegmentatorLib.jobs import JobContext, Progress, Request, Stage

SPEC = EngineSpec(
    "test",
    "Test",
    "",
    Costs(2.0, 1.0, 4e-6, 5e-9, 50e-9, 4e8, 2.0, True, 12.0),
    options=(
        Option("factor", 0.5, "Factor", "", minimum=0.0, maximum=1.0),
        Option("robust", False, "Robust", ""),
        Option("count", 1, "Count", ""),
        Option("crop", False, "Crop", "", scope="task"),
        Option("trust", False, "Trust", "", scope="model"),
        Option("size", "large", "Size", "", choices=("large", "small")),
        Option("mask", "", "Mask", "", path=True),
        Option("only", 1, "Only", "", tasks=("brain",)),
    ),
    stages=(("Load", 0.2), ("Run", 0.8)),
)


@pytest.mark.parametrize("spec", engines.specs().values(), ids=lambda spec: spec.name)
def test_declarations_are_complete(spec):
    assert spec.title and spec.description
    assert sum(share for _, share in spec.stages) == pytest.approx(1)
    assert spec.parse_options({}) == {option.name: option.default for option in spec.options}
    for option in spec.options:
        assert option.help.endswith(".") and option.title
        assert option.scope in ("", *SCOPES)
        assert {type(option.parse(choice)) for choice in option.choices} <= {str}
        assert all(spec.name in catalog.task(id).engines for id in option.tasks)
        assert not option.path or option.default == ""
    assert len({option.name for option in spec.options}) == len(spec.options)
    for lighter in spec.lighter:
        changed = spec.parse_options(lighter.options)
        assert changed != spec.parse_options({}) and lighter.text


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ({"factor": "0.25"}, 0.25),
        ({"factor": 1}, 1.0),
        ({"robust": "yes"}, True),
        ({"count": 3}, 3),
        ({"size": "small"}, "small"),
        ({"mask": ""}, ""),
        ({"mask": "/a/mask.nii"}, str(Path("/a/mask.nii").absolute())),
    ],
)
def test_options_get_their_type(given, parsed):
    (name,) = given
    value = SPEC.parse_options(given)[name]
    assert value == parsed
    assert type(value) is type(parsed)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"factor": 2}, "input.bad_option"),
        ({"factor": "much"}, "input.bad_option"),
        ({"factor": float("nan")}, "input.bad_option"),
        ({"robust": "perhaps"}, "input.bad_option"),
        ({"size": "huge"}, "input.bad_option"),
        ({"colour": 1}, "input.unknown_option"),
    ],
)
def test_bad_options_are_refused(given, code):
    with pytest.raises(InputError) as caught:
        SPEC.parse_options(given)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("scope", "special", "other", "kind"),
    [
        ("task", "crop", "trust", "for tasks with downloaded models"),
        ("model", "trust", "crop", "for model folders"),
    ],
)
def test_options_are_those_of_the_kind_of_run(scope, special, other, kind):
    names = {"factor", "robust", "count", "size", "mask", "only", special}
    assert {option.name for option in SPEC.options_for(scope)} == names
    assert SPEC.parse_options({special: True}, scope)[special] is True
    assert SPEC.parse_options({}, scope).keys() == names
    with pytest.raises(InputError) as caught:
        SPEC.parse_options({other: True}, scope)
    assert caught.value.code == "input.unknown_option"
    assert f"no option {other} {kind}." in caught.value.message
    assert special in caught.value.remedy and other not in caught.value.remedy


def test_a_path_means_the_same_wherever_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = SPEC.parse_options({"mask": "mask.nii"})
    assert given["mask"] == str(tmp_path / "mask.nii")
    monkeypatch.chdir(Path(__file__).parent)
    assert SPEC.parse_options(given) == given


def test_a_value_that_is_no_choice_names_the_choices():
    with pytest.raises(InputError) as caught:
        SPEC.parse_options({"size": "huge"})
    assert caught.value.remedy == "Give one of: large, small."


def test_options_may_be_for_some_tasks_only():
    assert "only" in SPEC.parse_options({}, "task", "brain")
    assert "only" not in SPEC.parse_options({}, "task", "body")
    with pytest.raises(InputError) as caught:
        SPEC.parse_options({"only": 2}, "task", "body")
    assert caught.value.code == "input.unknown_option"
    assert caught.value.message == "The engine test has no option only for the task body."
    assert "only" not in caught.value.remedy
    with pytest.raises(InputError) as caught:
        SPEC.parse_options({"colour": 2}, "task", "body")
    assert caught.value.message == "The engine test has no option colour."


def test_a_model_folder_has_other_options_than_a_task():
    def names(*request) -> set[str]:
        return {option.name for option in engines.options_of(Request(*request))}

    own = {option.name for option in TASK_OPTIONS}
    assert names("total", "totalsegmentator") == {*own, "threads"}
    task, folder = names("total", "nnunet"), names("demo", "nnunet")
    assert own | {"body_first", "compiled"} <= task and "step_size" not in task
    assert {"step_size", "trust_model", "compiled"} <= folder and not own & folder
    assert engines.scope_of(Request("custom", "nnunet", model="a folder")) == "model"


@pytest.mark.parametrize(
    ("task", "structures", "names"),
    [
        ("total", (), ("body_seg", "body_first")),
        ("total", ("liver",), ()),
        ("liver_vessels", (), ()),
        ("total_mr", (), ()),
        # The official package goes by the name of the task.
        ("brain_aneurysm", (), ("body_seg",)),
    ],
)
def test_the_body_is_looked_for_where_nothing_else_is(task, structures, names):
    assert engines.body_options(catalog.task(task), structures) == names
    body = catalog.task("body").required_models("fast")[0]
    for name in ("body_seg", "body_first"):
        request = Request(task, "nnunet", structures=structures, options={name: True})
        assert (body in engines.downloaded_models(request)) == (name in names)


@pytest.fixture
def made_engine(monkeypatch) -> ModuleType:
    """An engine beside the others; functions beside its SPEC are added by the tests."""
    module = ModuleType("made")
    module.SPEC = SPEC
    monkeypatch.setattr(engines, "_module", lambda name: module)
    return module


def test_an_engine_may_know_names_of_its_own(made_engine):
    total = catalog.task("total")
    assert engines.structures("made", total, ["Left kidney"]) == ("kidney_left",)
    made_engine.structures = lambda task, names: [f"{task.id} {name}" for name in names]
    assert engines.structures("made", total, ["14"]) == ("total 14",)


def test_an_engine_may_say_what_it_computes(made_engine):
    request = Request("total", "made")
    assert engines.networks(request) == ()
    network = NetworkWork((96, 96, 96), (1.5, 1.5, 1.5), 105, step=0.75)
    made_engine.networks = lambda request, task: [network] * len(task.speeds)
    assert engines.networks(request) == (network,) * 3


def test_weights_of_the_user_s_own_need_no_download():
    assert engines.downloaded_models(Request("total", "nnunet"))
    own = Request("total", "nnunet", options={"weights": "/a/model.pt"})
    assert engines.downloaded_models(own) == ()


def test_progress_grows_over_the_whole_run():
    events: list = []
    report = Reporter(SPEC, JobContext(events.append))
    with report.timed("Load"):
        report.progress(1.0)
    with report.timed("Run"):
        for fraction in (0.5, 0.25, 1.0, 7.0):
            report.progress(fraction)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert Stage("Run") in events
    assert events[-1].seconds_left == 0
    assert set(report.timings_s) == {"load", "run"}


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time, in its only element."""
    now = [0.0]
    monkeypatch.setattr(contract, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_what_is_done_aside_says_nothing_about_the_time_left(clock):
    events: list = []
    report = Reporter(SPEC, JobContext(events.append))
    with report.timed("Run"):
        with report.aside("Comparing"):
            clock[0] += 1000.0
        clock[0] += 30.0
        report.progress(0.5)
    half = next(event for event in events if isinstance(event, Progress) and event.fraction == 0.6)
    assert half.seconds_left == 20.0
    assert report.timings_s == {"comparing": 1000.0, "run": 1030.0}


def test_a_stage_that_is_not_shown_moves_the_bar(clock):
    events: list = []
    report = Reporter(SPEC, JobContext(events.append))
    with report.timed("Load"):
        clock[0] += 1.0
    with report.timed("Run", shown=False):
        report.stage("Look")
        report.progress(0.5)
        clock[0] += 2.0
    assert [event.text for event in events if isinstance(event, Stage)] == ["Load", "Look"]
    assert Progress(0.6, 0.7) in events
    assert report.timings_s == {"load": 1.0, "run": 2.0}


def test_cancelled_run_stops_at_the_next_report():
    context = JobContext(lambda event: None)
    report = Reporter(SPEC, context)
    context.cancelled.set()
    for call in (
        lambda: report.progress(0.5),
        lambda: report.log("x"),
        lambda: report.stage("Run"),
    ):
        with pytest.raises(CancelledError):
            call()


@pytest.mark.parametrize(
    ("line", "fraction"),
    [
        ("  0%|          | 0/12 [00:00<?, ?it/s]", 0.0),
        (" 50%|#####     | 6/12 [00:03<00:03,  1.9it/s]", 0.5),
        ("100%|██████████| 12/12 [00:06<00:00,  1.99it/s]", 1.0),
        ("Downloading:  33%|###   | 45.2M/135M [00:03<00:06, 14MB/s]", 0.33),
        ("Resampling...", None),
        ("50% of it", None),
    ],
)
def test_bars_of_tqdm_are_read(line, fraction):
    assert tqdm_fraction(line) == (fraction if fraction is None else pytest.approx(fraction))


def test_tap_hands_on_whole_lines():
    lines: list[str] = []
    tap = ConsoleTap(lines.append)
    print("one", file=tap)
    tap.write("tw")
    tap.write("o\r 50%\r100%\nrest")
    assert lines == ["one", "two", " 50%", "100%"]


def windows_error(number: int, text: str) -> OSError:
    error = OSError(22, text)
    error.winerror = number
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "gpu.out_of_memory"),
        (MemoryError(), "memory.exhausted"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "memory.exhausted"),
        (OSError(12, "Cannot allocate memory"), "memory.exhausted"),
        (windows_error(1455, "Le fichier de pagination"), "memory.exhausted"),
        (FileNotFoundError(2, "No such file", "/Out of memory study/ct.nii"), "engine.failed"),
        (ValueError("Unable to allocate memory to this label"), "engine.failed"),
        (ImportError("DLL load failed: The paging file is too small"), "memory.exhausted"),
        (type("OutOfMemoryError", (RuntimeError,), {})("Allocation failed"), "gpu.out_of_memory"),
        (RuntimeError("Background workers died. Look further up!"), "engine.failed"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "environment.package_missing"),
        (OSError(28, "No space left on device"), "disk.full"),
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(1), "engine.failed"),
        (ValueError("odd"), "engine.failed"),
        (SetupError("gpu.not_found", "m"), "gpu.not_found"),
    ],
)
def test_exceptions_get_a_code(error, code):
    found = classify(error)
    assert found.code == code
    assert "\n" not in found.message


def test_the_telling_exception_may_be_a_cause():
    try:
        try:
            raise MemoryError
        except MemoryError as inner:
            raise RuntimeError("Background worker died") from inner
    except RuntimeError as error:
        assert classify(error).code == "memory.exhausted"


def test_a_process_that_died_of_something_else_is_no_lack_of_memory():
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as inner:
            raise RuntimeError("Background workers died.") from inner
    except RuntimeError as error:
        assert classify(error).code == "disk.full"


def test_what_was_got_over_is_no_cause():
    try:
        try:
            raise MemoryError
        except MemoryError:
            raise ValueError("The plans are damaged") from None
    except ValueError as error:
        assert classify(error).code == "engine.failed"


def test_unknown_engine_gets_a_close_match():
    with pytest.raises(InputError) as caught:
        engines.spec("nnunett")
    assert "nnunet" in caught.value.remedy
