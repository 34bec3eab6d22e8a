"""Which PyTorch fits which computer."""

from __future__ import annotations

import pytest

from TotalSegmentatorLib.environment.drivers import Driver, Gpu
from TotalSegmentatorLib.environment.lock import SYSTEMS, TORCH_LOCK, Target, read_lock, required
from TotalSegmentatorLib.environment.torch_builds import builds, choose_build, find_build
from TotalSegmentatorLib.errors import SetupError

NAMES = ["-".join(system) for system in SYSTEMS]


def nvidia(version: str, *capabilities: str) -> Driver:
    gpus = [Gpu("A GPU", capability, 8 << 30, 8 << 30) for capability in capabilities]
    return Driver("nvidia", version, tuple(gpus))


@pytest.mark.parametrize(
    ("platform", "driver", "expected"),
    [
        ("linux-x86_64", Driver("none"), "cpu"),
        ("linux-x86_64", nvidia("580.65.06", "8.6"), "cuda13"),
        ("linux-x86_64", nvidia("590.1", "12.0"), "cuda13"),
        ("linux-x86_64", nvidia("575.10", "8.6"), "cuda12"),
        ("linux-x86_64", nvidia("590.1", "6.1"), "cuda12"),
        ("linux-x86_64", nvidia("590.1", "6.1", "8.6"), "cuda12"),  # it fits both
        ("linux-x86_64", nvidia("590.1", "3.5", "8.6"), "cuda13"),  # none does
        ("linux-x86_64", nvidia("590.1", ""), "cuda13"),
        ("linux-x86_64", nvidia("470.9", "8.6"), "cpu"),
        ("linux-x86_64", nvidia("590.1", "3.5"), "cpu"),
        ("linux-x86_64", nvidia("575.1", "12.0"), "cpu"),
        ("linux-x86_64", nvidia(""), "cpu"),
        ("linux-x86_64", Driver("amd", "1.1", (Gpu("RX", "gfx1100", 0, 0),)), "rocm7"),
        ("linux-x86_64", Driver("amd", "1.1", (Gpu("RX", "gfx803", 0, 0),)), "cpu"),
        ("linux-x86_64", Driver("amd"), "cpu"),
        ("win32-AMD64", nvidia("581.2", "8.6"), "cuda13"),
        ("win32-AMD64", nvidia("537.1", "8.6"), "cuda12"),
        ("linux-x86_64", nvidia("525.60.13", "8.6"), "cuda12"),
        ("win32-AMD64", nvidia("527.41", "8.6"), "cpu"),
        ("win32-AMD64", nvidia("528.33", "8.6"), "cuda12"),
        ("win32-AMD64", Driver("amd", "", ()), "cpu"),
        ("linux-aarch64", nvidia("580.1", "9.0"), "cuda13"),
        ("linux-aarch64", Driver("none"), "cpu"),
        ("darwin-arm64", Driver("apple", "26.1"), "mps"),
    ],
)
def test_choice(platform, driver, expected):
    found = choose_build(driver, platform)
    assert found.id == expected
    assert platform in found.platforms
    assert found.reason.endswith(".")


def test_reason_says_what_is_too_old():
    assert (
        "the driver is 470.9, needed is 580"
        in choose_build(nvidia("470.9", "8.6"), "linux-x86_64").reason
    )
    assert "capability 3.5" in choose_build(nvidia("590", "3.5"), "linux-x86_64").reason
    assert "does not answer" in choose_build(nvidia(""), "linux-x86_64").reason


@pytest.mark.parametrize("platform", ["darwin-x86_64", "win32-ARM64", "freebsd-x86_64"])
def test_a_computer_without_pytorch_is_told(platform):
    with pytest.raises(SetupError) as caught:
        choose_build(Driver("none"), platform)
    assert caught.value.code == "environment.no_torch_build"


@pytest.mark.parametrize("platform", NAMES)
def test_the_table_is_complete(platform):
    found = builds(platform)
    assert found[-1].kind == "none"
    assert len({one.id for one in found}) == len(found)
    torch = required(read_lock(TORCH_LOCK), Target(*platform.split("-"), "3.12"))
    version = next(one.version for one in torch if one.name == "torch")
    for one in found:
        # A local version names the build: pip and uv can take no other one.
        wanted = f"torch=={version}" + ("+" if one.index else "")
        assert one.requirement.startswith(wanted)
        assert not one.index or one.requirement.partition("+")[2] in one.index
        assert not one.index or not one.verified


def test_a_build_by_name():
    assert find_build("cpu", "win32-AMD64").reason
    with pytest.raises(SetupError) as caught:
        find_build("cuda11", "linux-x86_64")
    assert caught.value.code == "environment.unknown_build"
    assert "cuda12" in caught.value.remedy
