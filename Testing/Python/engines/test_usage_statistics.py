"""Usage statistics: nothing unless the user agreed, and then by the package's own function."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from TotalSegmentatorLib.engines.contract import USAGE_STATISTICS
from TotalSegmentatorLib.engines.totalsegmentator import statistics
from TotalSegmentatorLib.environment import EngineEnvironment
from TotalSegmentatorLib.environment.hosts import hosts
from TotalSegmentatorLib.jobs import Request
from TotalSegmentatorLib.session import Settings

CONFIG = {"totalseg_id": "x", "send_usage_stats": True, "prediction_counter": 3}
RUN = {"task": "total", "fast": True, "roi_subset": None}


class Package:
    """Stands in for ``totalsegmentator.config``."""

    def __init__(self, stored: dict | None) -> None:
        self.stored = stored
        self.sent: list[tuple[dict, dict]] = []
        self.seconds = 0.0
        self.failure: Exception | None = None

    def get_config(self):
        return self.stored

    def setup_totalseg(self):
        self.stored = self.stored or dict(CONFIG)

    def set_config_key(self, name, value):
        self.stored[name] = value

    def increase_prediction_counter(self):
        self.stored["prediction_counter"] += 1
        return self.stored

    def send_usage_stats(self, config, params):
        time.sleep(self.seconds)
        if self.failure:
            raise self.failure
        if config["send_usage_stats"]:
            self.sent.append((config, params))


@pytest.fixture
def package(monkeypatch):
    config = Package({**CONFIG, "send_usage_stats": False})
    monkeypatch.setitem(sys.modules, "totalsegmentator", SimpleNamespace(config=config))
    monkeypatch.setenv(USAGE_STATISTICS, "on")
    return config


def test_a_run_of_the_package_is_sent_if_the_user_agreed(package):
    statistics.send(package.stored, RUN)
    assert package.sent == [({**package.stored, "send_usage_stats": True}, RUN)]


def test_a_run_of_the_fast_engine_is_sent_likewise(package):
    statistics.tell_of(Request(task="total", speed="fast", structures=("liver", "spleen")))
    ((config, run),) = package.sent
    assert config["prediction_counter"] == 4
    assert (run["task"], run["fast"]) == ("total", True)
    assert run["roi_subset"] == ["liver", "spleen"]
    keys = {"task", "fast", "preview", "multilabel", "roi_subset", "statistics", "radiomics"}
    assert set(run) == keys  # what the package's function reads


@pytest.mark.parametrize("value", [None, "off", "", "1"])
def test_nothing_is_sent_otherwise(package, monkeypatch, value):
    if value is None:
        monkeypatch.delenv(USAGE_STATISTICS)
    else:
        monkeypatch.setenv(USAGE_STATISTICS, value)
    package.stored["send_usage_stats"] = True  # the package's own switch, which was never asked for
    statistics.send(package.stored, RUN)
    statistics.tell_of(Request(task="total"))
    assert package.sent == []
    assert package.stored["prediction_counter"] == 3


def test_a_failure_is_silent(package, capfd):
    package.failure = OSError("no network")
    statistics.send(package.stored, RUN)
    statistics.tell_of(Request(task="total"))
    package.stored = {}
    statistics.tell_of(Request(task="total"))
    statistics.send(None, RUN)
    assert "".join(capfd.readouterr()) == ""


def test_a_slow_network_delays_nothing(package, monkeypatch):
    monkeypatch.setattr(statistics, "_LONGEST_WAIT_S", 0.1)
    package.seconds = 1.0
    began = time.monotonic()
    statistics.send(package.stored, RUN)
    assert time.monotonic() - began < 0.8


def test_settings_of_the_package_are_made_with_its_switch_off(package):
    package.stored = None
    statistics.set_up()
    assert package.stored["send_usage_stats"] is False
    package.stored["send_usage_stats"] = True
    statistics.set_up()  # it was there
    assert package.stored["send_usage_stats"] is True


def test_the_switch_reaches_the_engine_process():
    engine = EngineEnvironment(Path("python"), {USAGE_STATISTICS: "on"})
    for agreed, value in ((True, "on"), (False, "off")):
        settings = Settings(engine, usage_statistics=agreed)
        assert engine.command(settings.variables).variables[USAGE_STATISTICS] == value
    assert Settings(engine).variables[USAGE_STATISTICS] == "off"


REAL = """
import json, requests
from TotalSegmentatorLib.engines.totalsegmentator import statistics
from TotalSegmentatorLib.jobs import Request
posted = []
requests.post = lambda url, json, timeout: posted.append((url, json))
statistics.tell_of(Request(task="total", structures=("liver",)))
print(json.dumps(posted))
"""


@pytest.mark.slow
@pytest.mark.parametrize("agreed", [True, False])
def test_the_real_package_sends_to_its_authors_only(engine, tmp_path, agreed):
    settings = Settings(engine, usage_statistics=agreed)
    home = {"TOTALSEG_HOME_DIR": str(tmp_path)}
    command = engine.command({**settings.variables, **home})
    answer = subprocess.run(
        [command.arguments[0], "-c", REAL],
        env=dict(command.variables),
        capture_output=True,
        text=True,
        check=True,
    )
    posted = json.loads(answer.stdout.splitlines()[-1])
    assert len(posted) == agreed
    for url, values in posted:
        assert url.startswith(f"https://{hosts('statistics')[0]}:443/")
        assert (values["task"], values["roi_subset"]) == ("total", "liver")
        assert values["prediction_counter"] == 1
    if agreed:
        config = json.loads((tmp_path / "config.json").read_text())
        assert config["send_usage_stats"] is False  # the package by itself would not
    else:
        assert list(tmp_path.iterdir()) == []
