"""A licence number is checked and stored without anybody else seeing it."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import sys
import traceback
from pathlib import Path

import pytest
import requests

from TotalSegmentatorLib.environment import (
    EngineEnvironment,
    check_licence,
    has_licence,
    licence,
    licence_status,
    network,
    paths,
    remove_licence,
    store_licence,
)
from TotalSegmentatorLib.errors import SegmentationError, SetupError

NUMBER = "aca_0123456789ABCD"
VALID, INVALID = {"status": "valid_license"}, {"status": "invalid_license"}
PAGE = b"<html>Please log in</html>"
posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")


@pytest.fixture
def home(tmp_path):
    """Variables that let the settings lie in a folder of the test."""
    return {"TOTALSEG_HOME_DIR": str(tmp_path / "home")}


@pytest.fixture
def config(home):
    return Path(home["TOTALSEG_HOME_DIR"]) / "config.json"


@pytest.fixture
def server(monkeypatch):
    """Stands in for the network below requests: set ``answer`` to what comes back."""

    class Server:
        def __init__(self):
            self.answer: object = VALID
            self.status = 200
            self.asked: list[requests.PreparedRequest] = []

        def send(self, adapter, request, **_):
            self.asked.append(request)
            if isinstance(self.answer, Exception):
                raise self.answer
            response = requests.Response()
            response.status_code, response.request, response.url = self.status, request, request.url
            body = (
                self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
            )
            response.headers["Location"] = "https://elsewhere.org/"
            response._content = body
            return response

    server = Server()
    monkeypatch.setattr("ssl.SSLContext.load_default_certs", lambda *_: None)  # it takes long
    monkeypatch.setattr(
        requests.adapters.HTTPAdapter, "send", lambda a, r, **more: server.send(a, r, **more)
    )
    return server


def failing(number: str, variables: dict, **more) -> SegmentationError:
    with pytest.raises(SegmentationError) as caught:
        store_licence(number, variables, **more)
    return caught.value


def test_a_valid_number_is_stored_for_the_official_package(server, home, config):
    status = store_licence(f" {NUMBER}\n", home)
    assert status == licence.LicenceStatus("valid", "aca_...CD")
    values = json.loads(config.read_text("ascii"))
    assert values["license_number"] == NUMBER
    assert values["send_usage_stats"] is False
    assert values["prediction_counter"] == 0
    assert values["totalseg_id"].startswith("totalseg_")
    (request,) = server.asked
    assert (request.method, request.url) == (
        "POST",
        "https://backend.totalsegmentator.com/is_valid_license_number",
    )
    assert json.loads(request.body) == {"license_number": NUMBER}
    assert has_licence(home)


def test_what_the_package_keeps_is_left_as_it_is(server, home, config):
    config.parent.mkdir()
    kept = {"totalseg_id": "totalseg_X", "send_usage_stats": True, "prediction_counter": 7}
    config.write_text(json.dumps({**kept, "statistics_disclaimer_shown": True}))
    store_licence(NUMBER, home)
    values = json.loads(config.read_text())
    assert values == {**kept, "statistics_disclaimer_shown": True, "license_number": NUMBER}
    remove_licence(home)
    assert json.loads(config.read_text()) == {**kept, "statistics_disclaimer_shown": True}
    assert not has_licence(home)
    remove_licence(home)  # there is none


@posix
def test_only_the_user_can_read_the_number(server, home, config):
    config.parent.mkdir()
    config.write_text("{}")
    config.chmod(0o644)
    store_licence(NUMBER, home)
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("answer", "status", "state"),
    [
        (VALID, 200, "valid"),
        (INVALID, 200, "invalid"),
        (INVALID, 403, "invalid"),
        ({"status": "license_expired"}, 200, "expired"),
        ({"status": "internal_error", "message": NUMBER}, 500, "offline"),
        ({"message": "?"}, 200, "offline"),
        (["valid_license"], 200, "offline"),
        ({"status": None}, 200, "offline"),
        (PAGE, 200, "offline"),
        (PAGE, 302, "offline"),
        (b"", 204, "offline"),
        (b"[" * 100_000, 200, "offline"),
        (requests.ConnectionError(NUMBER), 0, "offline"),
        (requests.exceptions.ProxyError(NUMBER), 0, "offline"),
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), 0, "offline"),
        (requests.Timeout(NUMBER), 0, "offline"),
        (OSError("no file of certificates"), 0, "offline"),
    ],
)
def test_what_the_server_says(server, home, config, answer, status, state):
    store_licence(NUMBER, home, unchecked=True)
    assert licence_status(home) == licence.LicenceStatus("stored", "aca_...CD")
    assert server.asked == []
    server.answer, server.status = answer, status
    found = licence_status(home, online=True)
    assert found == licence.LicenceStatus(state, "aca_...CD")
    remove_licence(home)
    if state == "valid":
        return
    error = failing(NUMBER, home)
    assert error.code == f"licence.{state}"
    assert not has_licence(home)
    assert len(server.asked) == 2  # nothing was followed, nothing was tried again


def test_the_number_follows_no_redirection(server, home):
    server.answer, server.status = b"", 307
    assert failing(NUMBER, home).code == "licence.offline"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "number", ["", "aca_", NUMBER + "0", "aca_0123456789ABC\u00e9", "a\tb" * 6]
)
@pytest.mark.parametrize("unchecked", [True, False])
def test_what_cannot_be_a_number_is_sent_to_nobody(server, home, config, number, unchecked):
    assert failing(number, home, unchecked=unchecked).code == "licence.invalid"
    assert server.asked == []
    assert not config.exists()


def test_without_a_number_nobody_is_asked(server, home):
    assert licence_status(home, online=True) == licence.LicenceStatus("none")
    assert server.asked == []


@pytest.mark.parametrize("content", ["", "[]", "{", '{"license_number": null}'])
def test_damaged_settings_hold_no_number_and_are_made_anew(server, home, config, content):
    config.parent.mkdir()
    config.write_text(content)
    assert not has_licence(home)
    store_licence(NUMBER, home)
    assert has_licence(home)
    assert json.loads(config.read_text())["send_usage_stats"] is False


def test_a_number_of_another_length_is_invalid(server, home, config):
    config.parent.mkdir()
    config.write_text('{"license_number": "abc"}')
    assert licence_status(home, online=True) == licence.LicenceStatus("invalid", "...")
    assert server.asked == []


@pytest.mark.parametrize("text", ["abc", "a licence number! " * 2, "aca_0123456789ABC\u00e9"])
def test_what_cannot_be_a_number_is_none_for_a_task(home, config, text):
    config.parent.mkdir()
    config.write_text(json.dumps({"license_number": text}))
    assert not has_licence(home)
    assert licence_status(home).state == "invalid"
    with pytest.raises(SetupError) as caught:
        check_licence(["Face"], home)
    assert caught.value.code == "licence.invalid"
    assert text not in repr(caught.value.to_dict())
    check_licence([], home)


@pytest.fixture
def unreadable(config, monkeypatch):
    """Settings that are there and cannot be read, not even by root."""
    config.parent.mkdir()
    config.write_text('{"license_number": "of somebody else"}')
    opened = Path.open

    def open_other(path, *arguments, **options):
        if path == config:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_other)


def test_what_cannot_be_read_is_not_replaced(server, home, config, unreadable, monkeypatch):
    for work in (
        lambda: store_licence(NUMBER, home, unchecked=True),
        lambda: remove_licence(home),
        lambda: check_licence(["Face"], home),
    ):
        with pytest.raises(SetupError) as caught:
            work()
        assert caught.value.code == "licence.unreadable"
        assert os.strerror(errno.EACCES) in caught.value.message
    monkeypatch.undo()
    assert "somebody else" in config.read_text()


@posix
def test_what_another_user_shares_is_not_replaced(server, home, config, monkeypatch):
    store_licence(NUMBER, home)
    before = config.stat()
    monkeypatch.setattr(os, "geteuid", lambda: before.st_uid + 1)
    for work in (lambda: store_licence(NUMBER, home), lambda: remove_licence(home)):
        with pytest.raises(SetupError) as caught:
            work()
        assert caught.value.code == "licence.not_yours"
    assert config.stat() == before
    check_licence(["Face"], home)  # it may be used
    assert len(server.asked) == 1


def test_the_folder_is_the_official_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(paths.Path, "home", lambda: tmp_path)
    assert paths.official_folder({}) == tmp_path / ".totalsegmentator"
    assert paths.official_folder({"TOTALSEG_HOME_DIR": "/x"}) == Path("/x")
    monkeypatch.setattr(paths.Path, "home", lambda: Path("/"))  # in some containers
    assert paths.official_folder({}) == Path("/tmp/.totalsegmentator")


def test_a_task_that_needs_a_number_says_so(home):
    check_licence([], home)
    with pytest.raises(SetupError) as caught:
        check_licence(["Face"], home)
    assert caught.value.code == "licence.missing"
    # The remedy is true for every face.
    assert "(" not in caught.value.remedy.replace("(free for non-commercial use)", "")


@pytest.mark.parametrize(
    "answer",
    [
        VALID,
        {"status": "invalid_license", "message": f"{NUMBER} is invalid"},
        {"status": "license_expired", "message": NUMBER},
        f"<html>{NUMBER}</html>".encode(),
        requests.ConnectionError(NUMBER),
        ValueError(NUMBER),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_the_number_stands_nowhere_else(
    server, home, config, tmp_path, answer, writable, caplog, capfd, monkeypatch
):
    """Not in logs, outputs, errors, their causes, tracebacks, arguments, variables or files."""
    caplog.set_level(logging.DEBUG)
    started: list[object] = []
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: started.append((a, k)))
    if not writable:
        config.parent.write_text("a file where the folder should be")
    server.answer = answer
    told: list[object] = []
    try:
        told.append(store_licence(NUMBER, home))
    except SegmentationError as error:
        seen: BaseException | None = error
        while seen is not None:
            told += [seen, seen.args, vars(seen), "".join(traceback.format_exception(seen))]
            seen = seen.__context__ or seen.__cause__
        told.append(error.to_dict())
    told += [licence_status(home, online=True), EngineEnvironment(Path("python"), home)]
    told += [dataclasses.asdict(one) for one in told if dataclasses.is_dataclass(one)]
    told += [caplog.text, *capfd.readouterr(), sys.argv, started]
    assert all(NUMBER not in f"{one!r}{one}" for one in told)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [p for p in files if NUMBER in p.read_text()] == [config] * (
        answer is VALID and writable
    )


def test_an_error_of_the_network_holds_nothing_of_what_was_sent(server):
    server.answer = requests.ConnectionError(NUMBER)
    with pytest.raises(SetupError) as caught:
        network.ask("https://backend.totalsegmentator.com/", {"license_number": NUMBER})
    assert caught.value.__context__ is caught.value.__cause__ is None
    assert NUMBER not in repr(caught.value.to_dict())
