"""What this computer has, and how its GPUs are asked for."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.errors import SetupError
from TotalSegmentatorLib.jobs import EngineCommand

GB = 10**9
GPU = {
    "title": "NVIDIA Test",
    "total_bytes": 8 * GB,
    "free_bytes": 6 * GB,
    "compute_capability": "8.6",
}
FACTS = {
    "torch": "2.13.0",
    "built_for": "CUDA 13.0",
    "architectures": ["sm_80", "sm_120"],
    "gpus": [GPU, {**GPU, "free_bytes": 0}],
    "mps": None,
}

posix = pytest.mark.skipif(sys.platform == "win32", reason="shell scripts as interpreters")


@pytest.fixture
def fake(tmp_path):
    """An engine environment whose interpreter is a shell script."""

    def make(script: str) -> EngineEnvironment:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        return EngineEnvironment(python)

    return make


def printing(facts: dict) -> str:
    return f"echo 'a library greets'\necho '{json.dumps(facts)}'\necho '[1]'"


def test_this_computer():
    found = environment.this_computer()
    assert 1 <= found.cores <= os.cpu_count()
    assert 1 * GB < found.memory_bytes < 5000 * GB
    assert 0 < found.free_bytes <= found.memory_bytes
    (device,) = found.devices
    assert (device.id, device.kind) == ("cpu", "cpu")
    assert device.total_bytes == found.memory_bytes


@pytest.mark.slow
def test_real_engine_tells_its_torch(engine):
    found = environment.probe(engine)
    assert found.torch[0].isdigit()
    assert found.devices[-1].id == "cpu"
    assert found.device("auto") == found.devices[0]


@pytest.mark.parametrize("guarded", [True, False], ids=["3.11 and later", "3.10"])
def test_what_lies_in_the_temporary_folder_is_not_run(tmp_path, monkeypatch, guarded):
    """Everybody may write there, and ``python -m`` imports from where it is started."""
    planted = tmp_path / "planted"
    planted.mkdir()
    for module in ("torch", "json"):
        (planted / f"{module}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    monkeypatch.setattr("tempfile.tempdir", str(planted))
    monkeypatch.chdir(planted)
    if not guarded:  # what an older Python makes of the variable
        command = EngineEnvironment.command

        def without(self, extra=None, module=""):
            made = command(self, extra, module)
            variables = {k: v for k, v in made.variables.items() if k != "PYTHONSAFEPATH"}
            return EngineCommand(made.arguments, variables)

        monkeypatch.setattr(EngineEnvironment, "command", without)
    with pytest.raises(SetupError) as caught:  # this interpreter has no torch
        environment.probe(EngineEnvironment(Path(sys.executable)))
    assert "No module named 'torch'" in caught.value.details
    assert not (tmp_path / "run").exists()


@posix
def test_gpus_come_first_and_are_numbered(fake):
    found = environment.probe(fake(printing(FACTS)))
    assert [device.id for device in found.devices] == ["gpu:0", "gpu:1", "cpu"]
    assert found.devices[0] == environment.Device("gpu:0", "NVIDIA Test", 8 * GB, 6 * GB, "8.6")
    assert found.devices[1].free_bytes == 0
    assert (found.torch, found.torch_for) == ("2.13.0", "CUDA 13.0")
    assert found.architectures == ("sm_80", "sm_120")
    for name, id in (("auto", "gpu:0"), ("gpu", "gpu:0"), ("gpu:1", "gpu:1"), ("cpu", "cpu")):
        assert found.device(name).id == id


@posix
def test_apple_gpu_shares_the_memory(fake):
    facts = {**FACTS, "gpus": [], "mps": {"total_bytes": 10**15}}
    found = environment.probe(fake(printing(facts)))
    device = found.device("mps")
    assert device == found.device("auto")
    assert device.total_bytes == 10**15
    assert device.free_bytes <= found.memory_bytes


@posix
@pytest.mark.parametrize("name", ["gpu:2", "mps"])
def test_a_device_that_is_not_there_is_an_error(fake, name):
    found = environment.probe(fake(printing(FACTS)))
    with pytest.raises(SetupError) as caught:
        found.device(name)
    assert caught.value.code == "gpu.not_found"
    assert caught.value.remedy


@posix
@pytest.mark.parametrize(
    "script",
    [
        "echo nonsense",
        "echo '{}'",
        "echo '[]'; echo 'libcudart.so is missing' >&2; exit 1",
        printing(FACTS) + "\nexit 1",
        "kill -SEGV $$",
    ],
)
def test_a_pytorch_that_fails_is_told_in_one_sentence(fake, script):
    with pytest.raises(SetupError) as caught:
        environment.probe(fake(script))
    assert caught.value.code == "environment.broken"
    assert caught.value.message.count(".") == 1
    assert "setup" in caught.value.remedy
    assert caught.value.details == ("libcudart.so is missing\n" if "libcuda" in script else "")


@posix
def test_what_hangs_is_ended_with_its_children(fake, tmp_path):
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid_file}; wait"
    began = time.monotonic()
    with pytest.raises(SetupError) as caught:
        environment.probe(fake(script), timeout_s=0.5)
    assert time.monotonic() - began < 5
    assert caught.value.code == "environment.no_answer"
    assert not is_alive(int(pid_file.read_text()))


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    for _ in range(50):  # the system takes a moment to bury it
        if not state.exists() or state.read_text().split()[2] == "Z":
            return False
        time.sleep(0.02)
    return True


def test_an_interpreter_that_does_not_start_is_named(tmp_path):
    with pytest.raises(SetupError) as caught:
        environment.probe(EngineEnvironment(tmp_path / "python"))
    assert caught.value.code == "environment.no_interpreter"
