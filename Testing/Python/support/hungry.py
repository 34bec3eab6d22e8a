"""Engines that run out of memory, for tests of what is done then."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from TotalSegmentatorLib import environment
from TotalSegmentatorLib.environment import Device, EngineEnvironment, Hardware
from TotalSegmentatorLib.jobs import EngineCommand

ENGINE = Path(__file__).with_name("hungry_engine.py")
GIB = 2**30


@dataclass(frozen=True)
class HungryEnvironment(EngineEnvironment):
    """Starts ``hungry_engine.py`` in place of the worker.

    :param table: see there.
    """

    table: Mapping[str, str] = field(default_factory=dict, hash=False)

    def command(self, extra=None) -> EngineCommand:
        arguments = [sys.executable, ENGINE, json.dumps(self.table)]
        return EngineCommand(arguments, super().command(extra).variables)


def use_hungry_engine(monkeypatch: pytest.MonkeyPatch, **table: str) -> EngineEnvironment:
    """Make it the engine of every task that is run in this test, and need no weights.

    :param table: way of a run -> how it ends.
    """
    found = HungryEnvironment(Path(sys.executable), table=table)
    monkeypatch.setattr(environment, "find_engine", lambda *_: found)
    monkeypatch.setattr(environment, "check_weights", lambda *_: None)
    return found


def computer(total_gib: float, free_gib: float, *gpu_gib: float) -> Hardware:
    """A computer with so much memory, and a GPU with so much if there is one.

    :param gpu_gib: all and free memory of the GPU.
    """
    total, free = round(total_gib * GIB), round(free_gib * GIB)
    devices = [Device("cpu", "Processor", total, free)]
    if gpu_gib:
        all_of_it, free_of_it = (round(size * GIB) for size in gpu_gib)
        devices.insert(0, Device("gpu:0", "Test GPU", all_of_it, free_of_it))
    return Hardware(4, total, free, tuple(devices), "2.0")
