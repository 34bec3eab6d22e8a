"""uv and pip: what they are told, and what their failures mean."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from TotalSegmentatorLib.environment import Observer, installers
from TotalSegmentatorLib.environment.installers import (
    Console,
    Pip,
    Source,
    Uv,
    failure,
    for_pip,
    for_uv,
    pip_configuration,
    read_pip_configuration,
    uv_settings,
)
from TotalSegmentatorLib.environment.observer import without_secrets
from TotalSegmentatorLib.errors import SetupError

CONFIGURATION = """
WARNING: something
:env:.find-links='/srv/wheels /srv/more'
:env:.default-timeout='180'
global.index-url='https://user:word@mirror.example/simple'
global.extra-index-url='file:///srv/simple\\nhttps://two.example/simple'
global.timeout='20'
install.index-url="https://other.example/it's"
global.cert='/etc/ca.pem'
global.proxy='http://proxy.example:3128'
"""


def test_pip_s_settings_reach_uv():
    settings = uv_settings(read_pip_configuration(CONFIGURATION.splitlines()), Path("cache"), {})
    assert settings == {
        "UV_CACHE_DIR": "cache",
        "UV_SYSTEM_CERTS": "1",
        "UV_DEFAULT_INDEX": "https://other.example/it's",
        "UV_INDEX": "file:///srv/simple https://two.example/simple",
        "UV_FIND_LINKS": "/srv/wheels,/srv/more",
        "UV_HTTP_TIMEOUT": "20",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "ALL_PROXY": "http://proxy.example:3128",
    }


def test_what_is_set_for_uv_stays():
    own = {"UV_DEFAULT_INDEX": "https://own.example", "UV_CACHE_DIR": "/own"}
    settings = uv_settings({"index-url": "https://pip.example"}, Path("cache"), own)
    assert {name: settings[name] for name in own} == own


def test_pip_is_asked(monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "/srv/wheels")
    assert pip_configuration(Path(sys.executable), Console())["find-links"] == "/srv/wheels"


def test_no_pip_no_settings(tmp_path):
    assert pip_configuration(tmp_path / "python", Console()) == {}


class Recorder(Console):
    """Keeps what would be run."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "calls", [])

    def run(self, command, what, more=None):
        self.calls.append(([str(part) for part in command], dict(more or {})))
        return []


def test_addresses_are_no_arguments(tmp_path):
    """Every user of a computer can read the arguments of all processes."""
    secret = "https://user:word@index.example/simple"
    for installer in (Uv(tmp_path / "uv", Recorder(), {}), Pip(Recorder())):
        installer.install(tmp_path, ["-r", "lock.txt"], Source(secret), "installing")
        ((command, variables),) = installer.console.calls
        assert "word" not in " ".join(command)
        assert secret in variables.values()


def test_a_bundle_is_all_there_is(tmp_path):
    folder = tmp_path / "folder with spaces"
    source = Source(find_links=(str(folder),), no_index=True)
    for installer in (Uv(tmp_path / "uv", Recorder(), {}), Pip(Recorder())):
        installer.install(tmp_path, ["-r", "lock.txt"], source, "installing")
        ((command, variables),) = installer.console.calls
        assert "--no-index" in command
        assert command[command.index("--find-links") + 1] == folder.as_uri()
        assert not {"UV_DEFAULT_INDEX", "PIP_INDEX_URL"} & set(variables)


def test_one_index_alone(tmp_path):
    """What no hash is known of comes from no other place than the one that was told."""
    settings = {"UV_INDEX": "https://two.example", "UV_FIND_LINKS": "/srv/wheels"}
    source = Source("https://torch.example", only=True)
    uv, pip = Uv(tmp_path / "uv", Recorder(), settings), Pip(Recorder())
    for installer in (uv, pip):
        installer.install(tmp_path, ["torch"], source, "installing")
    assert uv.console.calls[0][1] == {
        "UV_DEFAULT_INDEX": "https://torch.example",
        "UV_INDEX": "",
        "UV_EXTRA_INDEX_URL": "",
        "UV_INDEX_STRATEGY": "first-index",
        "UV_FIND_LINKS": "/srv/wheels",
    }
    variables = {"PIP_INDEX_URL": "https://torch.example", "PIP_EXTRA_INDEX_URL": ""}
    assert pip.console.calls[0][1] == variables


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("error: No space left on device (os error 28)", "disk.full"),
        ("OSError: [Errno 28] No space left on device", "disk.full"),
        ("There is not enough space on the disk. (os error 112)", "disk.full"),
        ("The process cannot access the file (os error 32)", "environment.in_use"),
        ("error: Permission denied (os error 13)", "environment.not_writable"),
        ("Access is denied. (os error 5)", "environment.not_writable"),
        ("Hash mismatch for `nnunetv2==2.8.1`", "environment.wrong_file"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQ", "environment.wrong_file"),
        ("ERROR: No matching distribution found for six==1.17.0", "environment.package_missing"),
        ("six-1.17.0-cp39-none-any.whl is not a supported wheel", "environment.package_missing"),
        ("dns error: failed to lookup address information", "network.unreachable"),
        ("[Errno -3] Temporary failure in name resolution", "network.unreachable"),
        ("tcp connect error: Connection refused (os error 111)", "network.unreachable"),
        ("ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 "
         "Proxy Authentication Required'))", "network.proxy"),
        ("invalid peer certificate: UnknownIssuer", "network.certificate"),
        ("SSLCertVerificationError: certificate verify failed", "network.certificate"),
        ("IncompleteRead(1 bytes read, 9 more expected)", "network.broken_off"),
        ("Read timed out.", "network.broken_off"),
        ("HTTP status server error (503 Service Unavailable)", "network.refused"),
        ("a new kind of trouble", "environment.install_failed"),
    ],
)  # fmt: skip
def test_failures(line, code):
    error = failure(["Collecting things", line], "installing the packages")
    assert isinstance(error, SetupError)
    assert error.code == code
    assert error.message.endswith(".") and error.remedy
    assert line in error.details


def test_the_package_is_named():
    lines = ["Resolved 3 packages", " + six==1.17.0", "error: Hash mismatch for `numpy==2.4.6`"]
    assert failure(lines, "installing the packages").message.endswith("stopped (numpy).")


def test_passwords_are_taken_out_of_lines():
    lines: list[str] = []
    console = Console(Observer(on_line=lines.append))
    code = "print('get https://user:word@host/a and http://token@host/b, mail a@b')"
    assert console.run([sys.executable, "-c", code], "printing") == lines
    assert lines == ["get https://***@host/a and http://***@host/b, mail a@b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from https://host/simple/ to a@b", "from https://host/simple/ to a@b"),
        ("https://user:p@ss@host/", "https://***@host/"),
        ("https://user:pa/ss@host/ https://user:pa?ss@host/", "https://***@host/ https://***"),
        ("'https://host/x?token=secret' is refused", "'https://host/x is refused"),
        ("https://user:word@host/x?token=se@cret#a b", "https://*** b"),
        ("https://host/x.whl#sha256=ab", "https://host/x.whl#sha256=ab"),
    ],
)
def test_secrets_in_addresses(text, shown):
    assert without_secrets(text) == shown


def test_a_program_that_cannot_be_started(tmp_path):
    with pytest.raises(SetupError) as caught:
        Console().run([tmp_path / "uv"], "installing")
    assert caught.value.code == "environment.install_failed"


def test_without_uv_there_is_pip(tmp_path):
    lines: list[str] = []
    console = Console(Observer(on_line=lines.append))
    source = Source(find_links=(str(tmp_path),), no_index=True)
    found = installers.find_installer(
        Path(sys.executable), console, tmp_path / "data", console, source
    )
    assert found.name == "pip"
    assert any("Without uv" in line for line in lines)
    assert list((tmp_path / "data").rglob("uv-*")) == []


# Settings of this computer that must not decide what is installed where

LEAKS = {
    "PIP_USER": "1",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_PREFIX": "/elsewhere",
    "PIP_TARGET": "/elsewhere",
    "PIP_ROOT": "/elsewhere",
    "PIP_CONSTRAINT": "/none.txt",
    "PIP_ONLY_BINARY": ":all:",
    "PIP_DRY_RUN": "1",
    "UV_TORCH_BACKEND": "cu126",
    "UV_LINK_MODE": "symlink",
    "UV_NO_VERIFY_HASHES": "1",
    "UV_CONFIG_FILE": "/uv.toml",
    "UV_CONSTRAINT": "/none.txt",
    "UV_INDEX_STRATEGY": "unsafe-first-match",
    "UV_PRERELEASE": "allow",
}
KEPT = {
    "PIP_INDEX_URL": "https://pip.example/simple",
    "PIP_FIND_LINKS": "/srv/wheels",
    "PIP_CERT": "/etc/ca.pem",
    "PIP_PROXY": "http://proxy.example:3128",
    "PIP_TIMEOUT": "99",
    "UV_DEFAULT_INDEX": "https://uv.example/simple",
    "UV_INDEX_LOCAL_PASSWORD": "word",
    "UV_FIND_LINKS": "/srv/wheels",
    "UV_OFFLINE": "1",
    "UV_HTTP_TIMEOUT": "99",
    "UV_NATIVE_TLS": "1",
    "UV_CACHE_DIR": "/cache",
    "UV_PYTHON_INSTALL_MIRROR": "https://mirror.example",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "SSL_CERT_FILE": "/etc/ca.pem",
}


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """The variables for pip and for uv of a user who has set everything."""
    console = Console(variables={**os.environ, **LEAKS, **KEPT, "PIP_CONFIG_FILE": os.devnull})
    pip = for_pip(console, pip_configuration(Path(sys.executable), console)).variables
    uv = for_uv(console).variables
    assert pip["PIP_CONFIG_FILE"] == os.devnull and uv["UV_NO_CONFIG"] == "1"
    return {name: text for name, text in pip.items() if not name.startswith("UV_")} | {
        name: text for name, text in uv.items() if not name.startswith("PIP_")
    }


@pytest.mark.parametrize("name", LEAKS)
def test_settings_that_lead_elsewhere_are_left_out(name, told):
    assert name not in told


@pytest.mark.parametrize("name", KEPT)
def test_settings_of_where_packages_come_from_are_kept(name, told):
    assert told[name] == KEPT[name]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script as a program")
@pytest.mark.parametrize("content", [None, "exit 1"])
def test_a_damaged_uv_is_fetched_anew(tmp_path, monkeypatch, content):
    folder = tmp_path / "tools" / f"uv-{installers.locked_uv()}"
    make_program(folder, content)
    run = Console.run

    def fetch(self, command, *more):
        if "--target" not in command:
            return run(self, command, *more)
        return make_program(command[command.index("--target") + 1], "exit 0")

    monkeypatch.setattr(Console, "run", fetch)
    found = installers.get_uv(Path(sys.executable), tmp_path, Console(), Source())
    assert "exit 0" in found.read_text()
    assert [path.name for path in (tmp_path / "tools").iterdir()] == [folder.name]


def make_program(folder, content):
    (folder / "bin").mkdir(parents=True)
    if content:
        (folder / "bin" / "uv").write_text(f"#!/bin/sh\n{content}\n")
        (folder / "bin" / "uv").chmod(0o755)
