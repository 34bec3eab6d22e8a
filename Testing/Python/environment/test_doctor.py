"""What a diagnosis says of computers that are made up, and of this one."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from TotalSegmentatorLib import catalog, remedies
from TotalSegmentatorLib.environment import (
    Device,
    Hardware,
    UserSettings,
    connection,
    doctor,
    places,
)
from TotalSegmentatorLib.environment.doctor import engine, gpus, licence, models
from TotalSegmentatorLib.environment.drivers import Driver, Gpu
from TotalSegmentatorLib.environment.findings import ERROR, OK, UNKNOWN, WARNING, Finding
from TotalSegmentatorLib.environment.hosts import hosts
from TotalSegmentatorLib.environment.licence import LicenceStatus
from TotalSegmentatorLib.environment.torch_builds import choose_build
from TotalSegmentatorLib.environment.weights import WeightsEntry
from TotalSegmentatorLib.errors import SetupError

GB = 10**9
LINUX = "linux-x86_64"
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")

CARD = Gpu("NVIDIA Test", "8.6", 24 * GB, 20 * GB)
NVIDIA, OLD = Driver("nvidia", "580.65", (CARD,)), Driver("nvidia", "390.1", (CARD,))
AMD = Driver("amd", "7.2", (Gpu("Radeon", "gfx1100", 0, 0),))
APPLE, NOTHING = Driver("apple", "15.1"), Driver("none")
CPU = Device("cpu", "Processor with 8 cores", 32 * GB, 20 * GB)
CUDA = Device("gpu:0", "NVIDIA Test", 24 * GB, 20 * GB, "8.6")
MPS = Device("mps", "Apple GPU", 16 * GB, 8 * GB)


def seen(*devices: Device, torch: str = "2.13.0+cpu", built: str = "", archs=()) -> Hardware:
    return Hardware(8, 32 * GB, 20 * GB, (*devices, CPU), torch, built, tuple(archs))


def driver(found: Driver, platform: str = LINUX) -> Finding:
    return gpus.driver(found, choose_build(found, platform))


def torch(
    found: Driver,
    hardware: Hardware | None,
    platform: str = LINUX,
    variables: Mapping[str, str] | None = None,
) -> Finding:
    return gpus.torch(found, hardware, choose_build(found, platform), variables or {})


# Graphics cards


@pytest.mark.parametrize(
    ("found", "platform", "state", "words"),
    [
        (NOTHING, LINUX, OK, "processor"),
        (NVIDIA, LINUX, OK, "NVIDIA driver 580.65."),
        (OLD, LINUX, WARNING, "390.1"),
        (Driver("nvidia"), LINUX, WARNING, "finds no graphics card"),
        (AMD, LINUX, OK, "AMD driver 7.2."),
        (AMD, "win32-AMD64", WARNING, "cannot use Radeon"),
        (APPLE, "darwin-arm64", OK, "macOS 15.1"),
    ],
)
def test_driver(found, platform, state, words):
    finding = driver(found, platform)
    assert (finding.check, finding.state) == ("driver", state)
    assert words in finding.message and ". " not in finding.message
    assert bool(finding.remedy) == (state != OK)


@pytest.mark.parametrize(
    ("found", "hardware", "platform", "state", "words"),
    [
        (NOTHING, seen(), LINUX, OK, "uses the processor"),
        (NVIDIA, seen(CUDA, built="CUDA 13.0"), LINUX, OK, "uses NVIDIA Test"),
        (NVIDIA, seen(), LINUX, WARNING, "cannot use NVIDIA Test"),
        (NVIDIA, seen(built="CUDA 12.6"), LINUX, WARNING, "built for CUDA 12.6, cannot use"),
        (OLD, seen(built="CUDA 13.0"), LINUX, OK, "uses the processor"),
        (AMD, seen(), LINUX, WARNING, "cannot use Radeon"),
        (AMD, seen(), "win32-AMD64", OK, "uses the processor"),
        (APPLE, seen(MPS, torch="2.13.0"), "darwin-arm64", OK, "uses Apple GPU"),
        (APPLE, seen(torch="2.13.0"), "darwin-arm64", WARNING, "the Apple graphics card"),
        (NVIDIA, None, LINUX, UNKNOWN, "no PyTorch"),
    ],
)
def test_pytorch_beside_the_driver(found, hardware, platform, state, words):
    finding = torch(found, hardware, platform)
    assert (finding.check, finding.state) == ("torch", state)
    assert words in finding.message
    assert finding.repair == (remedies.CHOOSE_BUILD if state == WARNING else "")


@pytest.mark.parametrize(
    ("found", "name", "value", "hidden"),
    [
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "", True),
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "-1", True),
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "NoDevFiles", True),
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "1", True),
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "0,1", False),
        (NVIDIA, "CUDA_VISIBLE_DEVICES", "GPU-8932f937", False),
        (NVIDIA, "HIP_VISIBLE_DEVICES", "", False),
        (AMD, "HIP_VISIBLE_DEVICES", "", True),
        (APPLE, "CUDA_VISIBLE_DEVICES", "", False),
    ],
)
def test_cards_that_a_variable_hides(found, name, value, hidden):
    platform = "darwin-arm64" if found is APPLE else LINUX
    finding = torch(found, seen(), platform, {name: value})
    assert finding.state == WARNING
    assert (name in finding.message and name in finding.remedy) == hidden
    assert bool(finding.repair) != hidden  # no other PyTorch would help
    if found is NVIDIA:
        assert torch(found, seen(CUDA), platform, {name: value}).state == OK


def test_the_remedy_names_the_build_that_fits():
    assert choose_build(NVIDIA, LINUX).title in torch(NVIDIA, seen()).remedy


@pytest.mark.parametrize(
    ("device", "archs", "state", "words"),
    [
        (CUDA, ["sm_80", "sm_90"], OK, "(compute capability 8.6): 20.0 of 24.0 GB are free"),
        (CUDA, ["sm_90", "sm_120"], WARNING, "not built for NVIDIA Test"),
        (dataclasses.replace(CUDA, free_bytes=GB), [], WARNING, "1.0 of 24.0 GB"),
        (dataclasses.replace(CUDA, total_bytes=4 * GB, free_bytes=4 * GB), [], WARNING, "little"),
        (MPS, [], OK, "Apple GPU: 8.0 of 16.0 GB"),
    ],
)
def test_a_graphics_card_that_the_engine_sees(device, archs, state, words):
    (finding,) = gpus.gpus(NVIDIA, seen(device, archs=archs))
    assert (finding.check, finding.state) == ("gpu.0", state)
    assert words in finding.message and ". " not in finding.message
    assert bool(finding.remedy) == (state != OK)


def test_what_the_engine_does_not_see_is_told_by_the_driver():
    two = Driver("nvidia", "580", (CARD, dataclasses.replace(CARD, free_bytes=0)))
    found = list(gpus.gpus(two, None))
    assert [(f.check, f.state) for f in found] == [("gpu.0", OK), ("gpu.1", WARNING)]
    assert [f.check for f in gpus.gpus(two, seen())] == ["gpu.0", "gpu.1"]
    (radeon,) = gpus.gpus(AMD, seen())
    assert "GB" not in radeon.message  # its driver does not tell
    assert list(gpus.gpus(NOTHING, seen())) == []


@pytest.mark.parametrize(
    ("capability", "archs", "runs"),
    [
        ("8.6", "sm_86", True),
        ("8.9", "sm_80 sm_86", True),
        ("8.0", "sm_86", False),
        ("9.0", "sm_86", False),
        ("9.0", "compute_86", True),
        ("7.5", "compute_80", False),
        ("12.0", "sm_100 sm_120", True),
        ("10.3", "sm_100", True),
        ("9.0", "sm_90a", False),
        ("6.1", "sm_75 sm_80 compute_120", False),
    ],
)
def test_code_for_gpus(capability, archs, runs):
    assert gpus.runs_on(capability, archs.split()) == runs


# The engine


def test_an_engine_that_does_not_start_is_an_error():
    error = SetupError("environment.broken", "It does not start.", "Run the setup again.")
    finding = engine.environment(error, {}, False)
    assert (finding.state, finding.message) == (ERROR, "It does not start.")
    assert finding.remedy == "Run the setup again."
    assert finding.repair == remedies.REINSTALL_ENGINE


def test_an_engine_that_starts_slowly_may_be_whole():
    error = SetupError("environment.no_answer", "It takes long.", "Try again.")
    finding = engine.environment(error, {}, False)
    assert (finding.state, finding.remedy, finding.repair) == (UNKNOWN, "Try again.", "")


@pytest.mark.parametrize(("development", "state"), [(False, OK), (True, WARNING)])
def test_an_engine_that_starts(development, state):
    hardware = seen(CUDA, torch="2.13.0+cu130")
    finding = engine.environment(hardware, {"totalsegmentator": "2.18.0"}, development)
    assert finding.state == state
    assert "2.18.0" in finding.message and "2.13.0+cu130" in finding.message
    assert ". " not in finding.message
    assert bool(finding.remedy) == development


MAIN = {"torch": "2.13.0", "nnunetv2": "2.8.1", "totalsegmentator": "2.18.0", "numpy": "2.3.1"}
LOCK = {name: version for name, version in MAIN.items() if name != "torch"}


@pytest.mark.parametrize(
    ("installed", "state", "words"),
    [
        (MAIN, OK, "All 3 packages"),
        ({**MAIN, "other": "1.0"}, OK, "All 3 packages"),
        ({**MAIN, "numpy": "1.26.0"}, WARNING, "numpy 1.26.0 instead of 2.3.1"),
        ({n: v for n, v in MAIN.items() if n != "numpy"}, WARNING, "numpy missing instead of"),
        (dict.fromkeys(MAIN, "0"), WARNING, "3 of 3"),
        ({"numpy": "2.3.1"}, ERROR, "torch and nnunetv2 and totalsegmentator"),
        ({}, ERROR, "lacks torch"),
        (None, UNKNOWN, "not known"),
    ],
)
def test_packages_against_the_lock(installed, state, words):
    finding = engine.packages(installed, LOCK)
    assert finding.state == state
    assert words in finding.message
    assert finding.repair == (remedies.REINSTALL_ENGINE if state in (WARNING, ERROR) else "")


def test_many_other_packages_are_named_by_some():
    lock = {f"p{number}": "1" for number in range(50)}
    finding = engine.packages({**MAIN, **dict.fromkeys(lock, "2")}, lock)
    assert "and 47 more" in finding.message
    assert len(finding.message) < 200
    lacking = {**MAIN, **{name: "2" for name in lock if name != "p49"}}
    assert "not the tested ones: p49 missing" in engine.packages(lacking, lock).message


@pytest.mark.parametrize("folder", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_packages_are_read_without_starting_anything(tmp_path, folder):
    python = tmp_path / "bin" / "python"  # which is not there
    assert engine.installed_packages(python) is None
    for name, version in (("Some_Package.x", "1.2"), ("torch", "2.13.0+cpu")):
        place = tmp_path / folder / f"{name}-{version}.dist-info"
        place.mkdir(parents=True)
        (place / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (tmp_path / folder / "broken-1.dist-info").mkdir()
    assert engine.installed_packages(python) == {"some-package-x": "1.2", "torch": "2.13.0+cpu"}


# Memory and disks


@pytest.mark.parametrize(
    ("total", "free", "state", "words"),
    [
        (32, 20, OK, "20.0 of 32.0 GB"),
        (8, 6, WARNING, "little"),
        (32, 1, WARNING, "Only 1.0 of 32.0 GB"),
    ],
)
def test_memory(total, free, state, words):
    finding = places.memory(total * GB, free * GB)
    assert finding.state == state
    assert words in finding.message
    assert bool(finding.remedy) == (state != OK)


def test_one_disk_is_told_once():
    assert places.disk([room(), room("weights")]).message == "Free on the disks: 50.0 GB."


def room(
    name: str = "engine", free: float | None = 50.0, folder: str = "/data", **more
) -> places.Room:
    other = "choose another"
    place = places.Place(name, f"the {name}", Path(folder), other, 6.0, 1.0, below=174)
    return places.Room(place, free_gb=free, **{"writable": True, **more})


@pytest.mark.parametrize(
    ("free", "state"), [((60, 50), OK), ((50, 3), WARNING), ((0.1, 5), ERROR), ((3, 0.1), ERROR)]
)
def test_disk(free, state):
    finding = places.disk([room("engine", free[0]), room("weights", free[1])])
    assert finding.state == state
    if state == OK:
        assert (
            finding.message == "Free on the disks: 60.0 GB for the engine, 50.0 GB for the weights."
        )
    else:
        least = "engine" if free[0] < free[1] else "weights"
        needed = "6.0" if state == WARNING else "1.0"
        message = f"{needed} GB are needed for the {least}, and {min(free):.1f} GB are free."
        assert finding.message == message
        assert finding.remedy == "Free some space, or choose another."


def test_disks_that_do_not_tell():
    assert places.disk([room(free=None)]).state == UNKNOWN
    assert places.disk([room(free=None), room("weights", 0.1)]).state == ERROR
    assert places.disk([room(free=None), room("weights")]).message == "Free on the disks: 50.0 GB."


@pytest.mark.parametrize(
    ("found", "state", "words"),
    [
        (room(), OK, "can be written"),
        (room(writable=False), ERROR, "may not write"),
        (room("weights", writable=False), WARNING, "may not write"),
        (room("weights", writable=False, there=False), ERROR, "The drive of the folder"),
        (room(folder="/" + 90 * "x", windows=True, short_names=True), WARNING, "too long"),
        (room(folder="/" + 80 * "x", windows=True, short_names=True), OK, ""),
        (room(folder="/" + 90 * "x", windows=True), OK, ""),
        (room(folder="/Jürgen", windows=True), WARNING, "letters"),
        (room(folder="/Jürgen"), OK, ""),
    ],
)
def test_folders(found, state, words):
    finding = places.folder(found)
    assert finding.check == f"folder.{found.place.name}"
    assert finding.state == state
    assert words in finding.message
    assert bool(finding.remedy) == (state != OK)


def test_a_place_need_not_be_there_and_is_not_made(tmp_path):
    place = dataclasses.replace(room().place, folder=tmp_path / "a" / "b")
    found = places.look_at(place)
    assert found.there and found.writable and found.free_gb > 0
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may all")
def test_a_read_only_place(tmp_path):
    tmp_path.chmod(0o500)
    assert not places.look_at(dataclasses.replace(room().place, folder=tmp_path)).writable


def test_a_place_that_is_a_file(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert not places.look_at(dataclasses.replace(room().place, folder=file / "a")).writable


# The network


@pytest.mark.parametrize(
    ("proxies", "state"),
    [
        ({}, OK),
        ({"http": "http://proxy:3128"}, OK),
        ({"https": "http://user:word@proxy.hospital.org:3128"}, OK),
        ({"all": "proxy.hospital.org:3128"}, OK),
        ({"https": "http://"}, ERROR),
        ({"https": "http://proxy:port"}, ERROR),
        ({"https": "http://[proxy"}, ERROR),
        ({"https": "socks5://proxy:1080"}, ERROR),
    ],
)
def test_proxy(proxies, state, monkeypatch):
    monkeypatch.setattr(connection.importlib.util, "find_spec", lambda _: None)
    finding = connection.proxy(proxies)
    assert finding.state == state
    text = repr(finding.to_dict())
    assert "hospital" not in text and "word" not in text and "user" not in text


def test_certificates(tmp_path):
    assert connection.certificates({}).state == OK
    assert connection.certificates({"SSL_CERT_FILE": str(tmp_path)}).state == OK
    finding = connection.certificates({"REQUESTS_CA_BUNDLE": str(tmp_path / "user.pem")})
    assert finding.state == ERROR
    assert "REQUESTS_CA_BUNDLE" in finding.message and "user" not in finding.message


def test_hosts_that_do_not_answer():
    lost = SetupError("network.proxy", "No.", "Check the proxy.")
    assert connection.answers({"a.org": None, "b.org": None}).state == OK
    finding = connection.answers({"a.org": lost, "b.org": None, "c.org": lost})
    assert finding.state == WARNING  # what is installed runs without
    assert finding.message == "There is no connection to a.org and c.org."
    assert finding.remedy.startswith("Check the proxy, or use a bundle")


def test_mirrors_are_asked_instead_and_not_named():
    public = connection.addresses(UserSettings())
    assert set(public) == set(hosts("diagnosis"))
    own = connection.addresses(UserSettings(package_index="https://pypi.hospital.org/simple"))
    assert "pypi.org" not in own
    assert own["your package index"] == "https://pypi.hospital.org/simple"
    assert len(own) == len(public)


def test_a_host_that_hangs_delays_nothing(monkeypatch):
    def ask(address: str, timeout_s: float) -> bytes:
        if "slow" in address:
            time.sleep(3)
        if "bad" in address:
            raise SetupError("network.certificate", "Not trusted.", "Set it.")
        return b""

    monkeypatch.setattr(connection, "ask", ask)
    began = time.monotonic()
    found = connection.problems({"a": "https://slow", "b": "https://good", "c": "https://bad"}, 0.3)
    assert time.monotonic() - began < 2
    assert list(found) == ["a", "b", "c"]
    assert [error and error.code for error in found.values()] == [
        "network.unreachable",
        None,
        "network.certificate",
    ]


# Licence and weights


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("none", OK),
        ("stored", OK),
        ("valid", OK),
        ("offline", OK),
        ("expired", WARNING),  # only some tasks need one
        ("invalid", WARNING),
    ],
)
def test_licence(state, expected, tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"license_number": "aca_0123456789ABCD"}')
    config.chmod(0o600)
    finding = licence.state(LicenceStatus(state, "aca_...CD"), config)
    assert finding.state == expected
    assert "aca" not in repr(finding)
    assert finding.repair == (remedies.OPEN_LICENCE if expected == WARNING else "")


@pytest.fixture
def shown(tmp_path) -> Path:
    """Settings that every user of the computer can read."""
    config = tmp_path / "config.json"
    config.write_text("{}")
    config.chmod(0o644)
    return config


@posix
def test_a_number_that_others_can_read(shown):
    finding = licence.state(LicenceStatus("valid", "aca_...CD"), shown)
    assert (finding.state, finding.repair) == (WARNING, remedies.OPEN_LICENCE)
    shown.chmod(0o600)  # as it is when it was stored again
    assert licence.state(LicenceStatus("valid", "aca_...CD"), shown).state == OK
    assert list(shown.parent.iterdir()) == [shown]


@posix
def test_a_number_that_another_user_shares(shown, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: shown.stat().st_uid + 1)
    assert licence.state(LicenceStatus("valid", "aca_...CD"), shown).state == OK


@posix
def test_a_disk_without_permissions(shown, monkeypatch):
    """It shows the same ones for every file, so that storing the number again would not help."""
    monkeypatch.setattr(licence.os, "fstat", lambda _: shown.stat())
    assert licence.state(LicenceStatus("valid", "aca_...CD"), shown).state == OK


def test_settings_that_cannot_be_read_are_not_damaged(bare):
    (bare / ".totalsegmentator" / "config.json").mkdir(parents=True)
    found = {f.check: f for f in doctor.diagnose(online=False)}["licence"]
    assert found.state == ERROR
    assert "cannot be read" in found.message and "elete" not in found.remedy


def test_damaged_settings_of_the_official_package(tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"totalseg')
    finding = licence.state(LicenceStatus("none"), config)
    assert finding.state == ERROR
    assert "damaged" in finding.message


def entry(number: int, state: str) -> WeightsEntry:
    model = dataclasses.replace(catalog.task("total").speeds["fast"][0], folder=f"Model{number}")
    return WeightsEntry(model, ("total",), None, False, state, 2 * GB, True)


def test_weights():
    finding = models.state([entry(1, "present"), entry(2, "missing"), entry(3, "present")])
    assert (finding.state, finding.message) == (OK, "2 of 3 models are there (4.0 GB).")
    finding = models.state([entry(n, "damaged") for n in range(5)] + [entry(9, "present")])
    assert finding.state == WARNING
    assert "Model0, Model1, Model2 and 2 more" in finding.message
    assert finding.repair == remedies.DOWNLOAD_WEIGHTS


# All of it

ORDER = [
    "interpreter",
    "environment",
    "packages",
    "driver",
    "torch",
    "memory",
    "disk",
    "folder.engine",
    "folder.weights",
    "folder.temporary",
    "weights",
    "licence",
    "proxy",
    "certificates",
]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A computer on which nothing is installed, whose user is called jane."""
    home = tmp_path / "jane"
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    for name in ("TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))
    monkeypatch.setattr(doctor, "find_driver", lambda _: NOTHING)
    monkeypatch.setattr(doctor, "memory", lambda: (32 * GB, 20 * GB))
    return home


def test_nothing_is_installed(bare):
    found = list(doctor.diagnose(online=False))
    assert [finding.check for finding in found] == ORDER
    states = {finding.check: finding.state for finding in found}
    assert states["environment"] == ERROR
    assert states["packages"] == states["torch"] == UNKNOWN
    assert states["interpreter"] == states["licence"] == states["weights"] == OK
    assert list(bare.iterdir()) == []  # a diagnosis changes nothing


@pytest.fixture
def tried(monkeypatch) -> list[object]:
    """The connections that were tried; none succeeds."""
    found: list[object] = []

    def refuse(*arguments, **_):
        found.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return found


@pytest.fixture
def licensed(bare) -> None:
    """A licence number is stored."""
    config = bare / ".totalsegmentator" / "config.json"
    config.parent.mkdir()
    config.write_text('{"license_number": "aca_0123456789ABCD"}')
    config.chmod(0o600)


def test_offline_nobody_is_asked(licensed, tried):
    found = {finding.check: finding for finding in doctor.diagnose(online=False)}
    assert list(found) == ORDER
    assert found["licence"].message == "A licence number is stored."
    assert tried == []


def test_the_test_above_would_see_a_connection(licensed, tried):
    list(doctor.diagnose())
    assert tried


def test_every_finding_is_a_sentence(bare, monkeypatch):
    monkeypatch.setattr(connection, "ask", lambda address, timeout_s: b"")
    for finding in doctor.diagnose():
        for text in filter(None, (finding.message, finding.remedy)):
            assert text.endswith(".") and ". " not in text, text


def test_weights_that_the_user_has_put_elsewhere(bare, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(doctor, "entries", lambda folder: asked.append(folder) or ())
    monkeypatch.setattr(places, "look_at", lambda place: asked.append(place.folder) or room())
    list(doctor.diagnose(online=False, weights=tmp_path / "w"))
    assert asked.count(tmp_path / "w") == 2


def test_online_hosts_are_asked(bare, monkeypatch):
    asked = []
    monkeypatch.setattr(connection, "ask", lambda address, timeout_s: asked.append(address) or b"")
    found = list(doctor.diagnose())
    assert [finding.check for finding in found] == [*ORDER, "network"]
    assert found[-1].state == OK
    assert len(asked) == 4 and all(address.startswith("https://") for address in asked)


def test_a_check_that_fails_is_unknown_and_the_others_go_on(bare, monkeypatch):
    def fail(*_):
        raise RuntimeError(f"secret of {bare}")

    monkeypatch.setattr(doctor, "memory", fail)
    monkeypatch.setattr(doctor, "entries", fail)
    found = {finding.check: finding for finding in doctor.diagnose(online=False)}
    assert list(found) == ORDER
    for check in ("memory", "weights"):
        assert found[check].state == UNKNOWN
        assert found[check].message == "This could not be found out (RuntimeError)."


def test_an_error_with_a_sentence_is_told(bare, monkeypatch):
    def fail(*_):
        raise SetupError("weights.unreadable", f"{bare}/x cannot be read.", "Ask.")

    monkeypatch.setattr(doctor, "entries", fail)
    found = {finding.check: finding for finding in doctor.diagnose(online=False)}
    finding = found["weights"]
    assert (finding.state, finding.remedy) == (ERROR, "Ask.")
    assert finding.message == f"~{os.sep}x cannot be read.".replace(os.sep, "/")


@posix
def test_nobody_learns_the_name_of_the_user_by_links(bare, monkeypatch):
    link = bare.with_name("link")
    link.symlink_to(bare)
    monkeypatch.setenv("HOME", str(link))
    others = [bare / "a.py", link / "b.py"]
    found = list(doctor.diagnose(online=False, other_modules=others))
    assert [f.message.partition("~")[2] for f in found[-2:]] == ["/a.py.", "/b.py."]


def test_nobody_learns_the_name_of_the_user(bare):
    config = bare / ".totalsegmentator" / "config.json"
    config.parent.mkdir()
    config.write_text("{")
    other = bare / "Extensions" / "TotalSegmentator.py"
    found = list(doctor.diagnose(online=False, other_modules=[other]))
    assert found[-1].check == "modules" and "~" in found[-1].message
    assert "jane" not in repr(found)


@posix
def test_an_interpreter_that_was_named(bare, tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    states = {f.check: f for f in doctor.diagnose(python, online=False)}
    assert states["interpreter"].state == ERROR
    assert states["environment"].state == ERROR
    assert states["packages"].state == UNKNOWN
    gone = {f.check: f for f in doctor.diagnose(tmp_path / "gone", online=False)}
    assert "no interpreter" in gone["environment"].message


def test_findings_for_programs():
    values = Finding("disk", OK, "Enough.").to_dict()
    assert values == {
        "check": "disk",
        "state": "ok",
        "message": "Enough.",
        "remedy": None,
        "repair": None,
    }
