"""The options of the official package: how they are declared, and what it is called with."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib import engines
from TotalSegmentatorLib.engines.totalsegmentator import official_arguments
from TotalSegmentatorLib.errors import InputError
from TotalSegmentatorLib.jobs import Request

SPEC = engines.spec("totalsegmentator")


def arguments(**options) -> dict:
    return official_arguments(SPEC.parse_options(options))


def test_without_options_the_package_is_called_with_its_own_defaults():
    assert arguments() == {
        "robust_crop": False,
        "higher_order_resampling": False,
        "remove_small_blobs": False,
        "force_split": False,
        "body_seg": False,
        "nr_thr_resamp": 1,
        "nr_thr_saving": 1,
    }


def test_small_blobs_have_a_size():
    assert arguments(remove_small_blobs=True)["remove_small_blobs"] == 200
    assert arguments(remove_small_blobs=True, small_blobs_mm3=50)["remove_small_blobs"] == 50
    assert arguments(small_blobs_mm3=50)["remove_small_blobs"] is False


@pytest.mark.parametrize("name", ["robust_crop", "higher_order_resampling", "force_split"])
def test_switches_are_passed_on(name):
    assert arguments(**{name: "true"})[name] is True


@pytest.mark.parametrize(
    "options",
    [{"small_blobs_mm3": 0}, {"small_blobs_mm3": "big"}, {"threads": -1}, {"threads": 5000}],
)
def test_limits(options):
    with pytest.raises(InputError) as caught:
        SPEC.parse_options(options)
    assert caught.value.code == "input.bad_option"


@pytest.mark.parametrize("engine", ["nnunet", "totalsegmentator"])
def test_a_size_of_blobs_that_would_do_nothing_is_refused(engine):
    with pytest.raises(InputError, match="small blobs are not removed"):
        engines.check(Request("total", engine, options={"small_blobs_mm3": 50.0}))
    options = {"small_blobs_mm3": 50.0, "remove_small_blobs": True}
    engines.check(Request("total", engine, options=options))
    engines.check(Request("total", engine, options=SPEC.parse_options({})))


@pytest.mark.parametrize("engine", ["nnunet", "totalsegmentator"])
def test_derived_structures_need_all_of_their_task(engine):
    own = engines.spec(engine).own_structures
    assert own("body", ("body_trunc",)) == ("body_trunc",)
    assert own("body", ("body_trunc", "skin")) == ()
    assert own("body_mr", ("skin",)) == ("skin",)  # the package makes none of it


@pytest.mark.parametrize("name", ["nnunet", "totalsegmentator"])
def test_threads_are_an_option_of_every_engine_with_a_network(name):
    assert engines.spec(name).parse_options({"threads": "4"})["threads"] == 4
