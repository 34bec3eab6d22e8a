"""Requests, events and errors survive the way over the process boundary."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from TotalSegmentatorLib import errors
from TotalSegmentatorLib.errors import InputError, SetupError
from TotalSegmentatorLib.jobs import (
    DerivedLabels,
    EngineResult,
    Failed,
    Log,
    Progress,
    Request,
    Stage,
    Warned,
)
from TotalSegmentatorLib.jobs.events import from_line, to_line
from TotalSegmentatorLib.jobs.request import MOST_POINTS

texts = st.text(max_size=30)
requests = st.builds(
    Request,
    task=texts,
    engine=texts,
    speed=texts,
    structures=st.lists(texts, max_size=3).map(tuple),
    options=st.dictionaries(texts, st.booleans() | st.integers() | texts, max_size=3),
    region=st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 3), max_size=3).map(tuple),
)


@given(requests)
def test_request_round_trip(request):
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request


@pytest.mark.parametrize("change", [{"schema": 99}, {"colour": "red"}])
def test_request_of_another_version_is_refused(change):
    with pytest.raises(InputError) as caught:
        Request.from_dict({**Request().to_dict(), **change})
    assert caught.value.code == "input.bad_request"


@pytest.mark.parametrize(
    "region",
    [5, "0,1,2", None, {}, [1, 2, 3], [[1, 2]], [[1, 2, 3, 4]], [["1", "2", "3"]], [[1, 2, True]],
     [[1, 2, float("nan")]], [[1, 2, float("inf")]], [[1, 2, 3], 4], ["123"],
     [[1, 2, 10**400]], [[1, 2, -(10**400)]], [[1, 2, 3]] * (MOST_POINTS + 1)],
)  # fmt: skip
def test_a_region_is_a_list_of_points(region):
    with pytest.raises(InputError) as caught:
        Request.from_dict({**Request().to_dict(), "region": region})
    assert caught.value.code == "input.bad_request"


def test_a_region_may_have_as_many_points_as_allowed():
    region = [[1, 2, 3]] * MOST_POINTS
    assert len(Request.from_dict({"region": region}).region) == MOST_POINTS


def test_a_request_without_a_region_is_of_the_whole_image():
    values = Request("total").to_dict()
    del values["region"]  # as earlier versions wrote it
    assert Request.from_dict(values) == Request("total")


def test_derived_labels_survive_the_way():
    derived = DerivedLabels(Path("skin.nii"), {4: "skin"}, beneath=True)
    result = EngineResult(Path("a.nii"), {1: "body_trunc"}, {"demo": False}, {"x": 1.0}, (derived,))
    assert EngineResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@given(texts, st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_event_round_trip(text, fraction, seconds):
    for event in (Stage(text), Log(text), Warned(text, text), Progress(fraction, seconds)):
        line = to_line(event)
        assert "\n" not in line
        assert line.isascii()
        assert from_line(line) == event


@pytest.mark.parametrize(
    "line", ["", "hello", "[1]", '{"v": 2, "event": "stage"}', '{"v": 1}', "3"]
)
def test_a_line_that_is_no_event_becomes_log(line):
    assert from_line(line) == Log(line)


def test_error_keeps_class_code_and_remedy():
    error = SetupError("weights.missing", "Weights are missing.", "Get them.", "details")
    for copy in (Failed(error.to_dict()).exception(), pickle.loads(pickle.dumps(error))):
        assert type(copy) is SetupError
        assert copy.to_dict() == error.to_dict()


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("input.not_3d", 2),
        ("output.exists", 2),
        ("weights.missing", 4),
        ("gpu.out_of_memory", 4),
        ("engine.crashed", 5),
        ("something.new", 5),
        ("cancelled", 130),
    ],
)
def test_exit_code_follows_from_the_code(code, exit_code):
    assert errors.from_dict({"code": code, "message": "m"}).exit_code == exit_code
