"""Which buttons an error gets, and that every error about the computer gets one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, remedies
from TotalSegmentatorLib.remedies import Remedy

MODULE = Path(__file__).resolve().parents[3] / "TotalSegmentator"
FAMILIES = ("environment", "memory", "gpu", "licence", "weights", "network")
CODE = re.compile(rf"({'|'.join(FAMILIES)})\.[a-z_0-9]+")
SPEEDS = ("normal", "fast", "fastest")

# Codes that no panel shows: the command line asks before it installs, and draws pictures.
COMMAND_LINE_ONLY = {"environment.declined", "environment.rendering"}


@cache
def codes_in_sources() -> set[str]:
    """All codes of these families that stand in the sources as a text of their own."""
    found = set()
    for path in MODULE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if CODE.fullmatch(node.value) else set()
    return found


def actions(code: str, **run) -> list[str]:
    return [remedy.action for remedy in remedies.remedies(code, **run)]


def test_the_search_finds_codes():
    assert {"environment.missing", "memory.exhausted", "gpu.not_found"} <= codes_in_sources()


@pytest.mark.parametrize("code", sorted(codes_in_sources() - COMMAND_LINE_ONLY))
def test_every_code_about_the_computer_has_a_remedy(code):
    assert actions(code, speeds=SPEEDS, speed="normal", device="auto")


def test_only_codes_that_exist_are_excepted():
    assert codes_in_sources() >= COMMAND_LINE_ONLY
    own = {code for code in remedies._BY_CODE if CODE.fullmatch(code)}
    assert own <= codes_in_sources()


def test_a_full_gpu_offers_all_ways_around_it():
    found = remedies.remedies("gpu.out_of_memory", speeds=SPEEDS, speed="normal", device="gpu:1")
    assert found == (
        Remedy("use_faster_speed", "fast"),
        Remedy("choose_region"),
        Remedy("retry_on_cpu"),
    )


def test_what_was_done_already_is_not_offered_again():
    run = {"speeds": SPEEDS, "speed": "fastest", "device": "cpu", "has_region": True}
    assert actions("gpu.out_of_memory", **run) == []
    assert actions("memory.exhausted", **run) == []


@pytest.mark.parametrize(
    ("speeds", "speed", "faster"),
    [
        (SPEEDS, "normal", "fast"),
        (SPEEDS, "fast", "fastest"),
        (("normal", "fastest"), "normal", "fastest"),
        (SPEEDS, "fastest", ""),
        (("normal",), "normal", ""),
        (("normal", "fast"), "unknown", ""),
        ((), "normal", ""),
    ],
)
def test_the_next_faster_speed_is_offered(speeds, speed, faster):
    found = remedies.remedies("memory.exhausted", speeds=speeds, speed=speed)
    assert [r.value for r in found if r.action == "use_faster_speed"] == ([faster] * bool(faster))


def test_speeds_of_the_catalogue_are_in_the_order_that_remedies_expect():
    for task in catalog.tasks():
        order = [SPEEDS.index(speed) for speed in task.speeds]
        assert order == sorted(order), task.id


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("gpu.not_found", ["retry_on_cpu", "open_setup"]),
        ("environment.missing", ["open_setup"]),
        ("environment.busy", ["retry", "open_setup"]),
        ("licence.missing", ["open_licence"]),
        ("licence.not_accepted", ["accept_terms"]),
        ("weights.missing", ["download_weights"]),
        ("weights.download_failed", ["retry"]),
        ("weights.offline", ["retry"]),
        ("weights.unreadable", ["retry"]),
        ("network.unreachable", ["retry"]),
        ("engine.crashed", ["retry"]),
        ("engine.internal", []),
        ("input.not_3d", []),
        ("cancelled", []),
    ],
)
def test_the_action_fits_the_error(code, expected):
    assert actions(code, speeds=SPEEDS, speed="normal") == expected
