"""The one downloader, against a server of this computer that fails in every way."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
import traceback
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fault_table import note
from support.faulty_server import Fault, FaultyServer, faulty_server

from TotalSegmentatorLib.environment import network
from TotalSegmentatorLib.environment.network import download
from TotalSegmentatorLib.environment.observer import Observer
from TotalSegmentatorLib.errors import CancelledError, SetupError, from_dict

CONTENT = os.urandom(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PAGE = b"<!doctype html><title>Please log in</title>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
# The length is that of the whole file, as a server sends it before the connection breaks.
CUT = Fault(cut=1_500_000)


@pytest.fixture
def server(monkeypatch) -> Iterator[FaultyServer]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with faulty_server() as found:
        found.files["/file.bin"] = CONTENT
        yield found


@pytest.fixture
def get(server, tmp_path) -> Callable[..., str]:
    """Downloads the server's file with no pause between tries."""

    def get(url: str = "", **options) -> str:
        options = {"size": len(CONTENT), "sha256": SHA256, "pauses_s": (0.01, 0.01)} | options
        return download(url or f"{server.url}/file.bin", tmp_path / "new" / "file.bin", **options)

    return get


def names(tmp_path: Path) -> list[str]:
    folder = tmp_path / "new"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_there_as_a_whole_and_nothing_else(get, tmp_path):
    steps: list[tuple[float, str]] = []
    observer = Observer(on_step=lambda share, text: steps.append((share, text)))
    assert get(title="the file", observer=observer) == SHA256
    assert (tmp_path / "new" / "file.bin").read_bytes() == CONTENT
    assert names(tmp_path) == ["file.bin"]
    assert steps[0][1].startswith("Downloading the file: ") and steps[0][1].endswith(" of 3 MB")
    assert all(0 <= share <= 1 for share, _ in steps)


def test_neither_size_nor_checksum_need_be_known(get, server, tmp_path):
    server.faults = [Fault(headers={"Content-Length": None})]
    assert get(size=0, sha256="") == SHA256
    assert names(tmp_path) == ["file.bin"]


def test_a_checksum_may_be_known_without_the_size(get, tmp_path):
    assert get(size=0) == SHA256
    assert names(tmp_path) == ["file.bin"]


def test_a_file_that_is_there_is_replaced(get, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file.bin").write_text("old")
    get()
    assert (tmp_path / "new" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param([CUT], id="broken off"),
        pytest.param([CUT, CUT], id="twice"),
        pytest.param([Fault(status=503, body=b"")], id="out of order"),
        pytest.param([Fault(status=429, body=b"", headers={"Retry-After": "0"})], id="rate"),
        pytest.param([Fault(status=403, body=b"", headers={"Retry-After": "0"})], id="rate 403"),
        pytest.param([Fault(status=408, body=b"")], id="too slow for it"),
        pytest.param([CUT, Fault(status=416, body=b"")], id="range refused"),
        pytest.param([CUT, Fault(headers={"Content-Range": "bytes 7-8/9"})], id="wrong range"),
        pytest.param([Fault(silent_s=0.6)], id="silent"),
        pytest.param([Fault(cut=1_500_000, silent_s=0.6)], id="silent in the middle"),
        pytest.param([CUT, Fault(status=200, body=CONTENT)], id="ranges are ignored"),
    ],
)
def test_what_passes_is_tried_again(get, server, tmp_path, faults, request):
    server.faults = list(faults)
    assert get(timeout_s=0.3) == SHA256
    note(f"Download: {request.node.callspec.id}", "Tried again by itself; the file is there.")
    assert len(server.seen) > 1
    assert names(tmp_path) == ["file.bin"]


def test_a_later_call_goes_on_where_the_first_one_stopped(get, server, tmp_path):
    server.faults = [CUT]
    with pytest.raises(SetupError, match="broke off"):
        get(pauses_s=())
    assert names(tmp_path) == ["file.bin.part", "file.bin.part.tag"]
    get()
    headers = server.seen[-1].headers
    start = int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
    assert 1_000_000 < start <= 1_500_000 and headers["If-Range"]
    assert names(tmp_path) == ["file.bin"]


def test_another_state_of_the_file_is_not_mixed_with_the_first_one(get, server, tmp_path):
    server.faults = [CUT]
    with pytest.raises(SetupError):
        get(pauses_s=())
    server.files["/file.bin"] = other = os.urandom(len(CONTENT))
    assert get(sha256="") == hashlib.sha256(other).hexdigest()


def test_without_a_tag_nothing_is_added(get, server, tmp_path):
    server.resumes = False
    server.faults = [CUT]
    assert get() == SHA256
    assert "Range" not in server.seen[-1].headers


def test_what_was_damaged_on_the_disk_is_downloaded_anew(get, server, tmp_path):
    server.faults = [CUT]
    with pytest.raises(SetupError):
        get(pauses_s=())
    (tmp_path / "new" / "file.bin.part").write_bytes(bytes(1_500_000))
    assert get() == SHA256


def test_progress_earns_further_tries(get, server):
    """With one pause only, four breaks in a row are survived, as each try brought a megabyte."""
    server.files["/file.bin"] = content = os.urandom(6_000_000)
    server.faults = [Fault(cut=1_200_000)] * 4
    assert get(size=0, sha256="", pauses_s=(0.01,)) == hashlib.sha256(content).hexdigest()


def test_no_progress_ends(get, server):
    server.faults = [Fault(cut=1000)] * 50
    with pytest.raises(SetupError, match="broke off") as caught:
        get(title="the file")
    note("Download: breaks off each time", caught.value)
    assert len(server.seen) == 3


def test_a_host_that_asks_to_wait_gets_its_time(get, server):
    server.faults = [Fault(status=503, body=b"", headers={"Retry-After": "1"})]
    began = time.monotonic()
    get()
    assert 1 <= time.monotonic() - began < 3


# Fault -> code and words of the sentence, and whether the next call succeeds from where it is.
FINAL = {
    "not there": (Fault(status=404, body=b""), "network.refused", "does not have the file (404)"),
    "forbidden": (Fault(status=403, body=b""), "network.refused", "refuses the file (403)"),
    "log in": (Fault(status=401, body=b""), "network.refused", "refuses the file (401)"),
    "proxy wants a password": (
        Fault(status=407, body=b""),
        "network.proxy",
        "The proxy of this computer does not let 127.0.0.1 be reached.",
    ),
    "page of a proxy or network": (
        Fault(body=PAGE, headers=HTML),
        "network.wrong_file",
        "Instead of the file, a web page came from 127.0.0.1.",
    ),
    "page that says it is a file": (Fault(body=PAGE), "network.wrong_file", "bytes instead of"),
    "shorter file": (Fault(body=CONTENT[:-1]), "network.wrong_file", "bytes instead of"),
    "longer file": (
        Fault(body=CONTENT + b"x", headers={"Content-Length": None}),
        "network.wrong_file",
        "is larger than it should be",
    ),
    "other file": (
        Fault(body=CONTENT[::-1]),
        "network.wrong_file",
        "its checksum is another",
    ),
    "endless redirection": (
        Fault(status=302, body=b"", headers={"Location": "/loop"}),
        "network.refused",
        "leads to an address that cannot be used",
    ),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_does_not_pass_is_told_in_a_sentence(get, server, tmp_path, name):
    fault, code, words = FINAL[name]
    server.faults = [fault] * 40
    with pytest.raises(SetupError) as caught:
        get(title="the file", pauses_s=(0.01,))
    error = caught.value
    note(f"Download: {name}", error)
    assert error.code == code and words in error.message
    assert error.message.endswith(".") and error.remedy.endswith(".")
    assert isinstance(from_dict(error.to_dict()), SetupError)
    assert names(tmp_path) == []
    server.faults = []
    assert get() == SHA256


def test_a_page_is_not_asked_for_twice(get, server):
    server.faults = [Fault(body=PAGE, headers=HTML)]
    with pytest.raises(SetupError):
        get()
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:9/file", "127.0.0.1"),
        ("https://no-such-host.invalid/file", "no-such-host.invalid"),
        ("https://[not-an-address/file", "The host"),
        ("ftp://example.invalid/file", "example.invalid"),
    ],
)
def test_who_cannot_be_reached_is_named(get, url, name):
    with pytest.raises(SetupError) as caught:
        get(url, pauses_s=(0.01,), timeout_s=5)
    note(f"Download: {name} cannot be reached", caught.value)
    assert caught.value.code in ("network.unreachable", "network.refused")
    assert caught.value.message.startswith(name)


def test_a_proxy_that_does_not_answer(get, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    with pytest.raises(SetupError) as caught:
        get("http://any.invalid/file.bin")
    note("Download: the proxy does not answer", caught.value)
    assert caught.value.code == "network.proxy"
    assert "secret" not in repr(caught.value.to_dict())


def test_a_proxy_that_refuses_to_connect(get, server, monkeypatch):
    monkeypatch.setenv("https_proxy", server.url)
    server.faults = [Fault(status=407, body=b"")]
    with pytest.raises(SetupError) as caught:
        get("https://any.invalid/file.bin")
    assert caught.value.code == "network.proxy"
    assert server.seen[0].method == "CONNECT"


def test_a_proxy_is_used(get, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    assert get("http://any.invalid/file.bin") == SHA256


def test_a_certificate_that_nobody_knows_is_refused_until_it_is_known(
    get, server, tmp_path, monkeypatch
):
    certificate = tmp_path / "certificate.pem"
    with faulty_server(certificate) as secret:
        secret.files["/file.bin"] = CONTENT
        with pytest.raises(SetupError) as caught:
            get(f"{secret.url}/file.bin")
        note("Download: a certificate that nobody knows", caught.value)
        assert caught.value.code == "network.certificate"
        assert "REQUESTS_CA_BUNDLE" in caught.value.remedy
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert get(f"{secret.url}/file.bin") == SHA256


def test_https_is_never_left(get, server, tmp_path, monkeypatch):
    certificate = tmp_path / "certificate.pem"
    with faulty_server(certificate) as secret:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        secret.faults = [Fault(302, {"Location": f"{server.url}/file.bin"}, b"")]
        with pytest.raises(SetupError) as caught:
            get(f"{secret.url}/file.bin")
    note("Download: sent on from https to http", caught.value)
    assert (caught.value.code, server.seen) == ("network.refused", [])


def test_a_secret_is_not_sent_on_and_stands_nowhere(get, server):
    secret = {"license_number": "aca_SECRET"}
    for fault in (
        Fault(302, {"Location": "http://other.invalid/"}, b""),
        Fault(307, {"Location": f"{server.url}/file.bin"}, b""),
        Fault(403, body=b"aca_SECRET"),
        Fault(200, {"Content-Type": "application/json"}, b'{"number": "aca_SECRET"}'),
        CUT,
    ):
        server.faults, server.seen = [fault], []
        with pytest.raises(SetupError) as caught:
            get(json=secret, pauses_s=())
        assert [(one.method, one.body) for one in server.seen] == [
            ("POST", b'{"license_number": "aca_SECRET"}')
        ]
        shown = "".join(traceback.format_exception(caught.value))
        assert "aca_SECRET" not in shown + repr(caught.value.to_dict())


def test_passwords_of_an_address_stand_nowhere(get, server):
    server.faults = [Fault(503, body=b""), Fault(404, body=b"")]
    password, lines = "".join(["se", "cret"]), []
    url = server.url.replace("://", f"://user:{password}@")
    with pytest.raises(SetupError) as caught:
        get(f"{url}/file.bin?token={password}", observer=Observer(on_line=lines.append))
    shown = "".join(traceback.format_exception(caught.value))
    assert password not in shown + repr(caught.value.to_dict()) + "".join(lines) and lines


@pytest.mark.parametrize("where", ["before the answer", "in the middle", "between tries"])
def test_cancel_is_heeded_within_a_second(get, server, tmp_path, where):
    fault = {
        "before the answer": Fault(silent_s=5),
        "in the middle": Fault(cut=1_500_000, silent_s=5),
        "between tries": Fault(status=503, body=b"", headers={"Retry-After": "30"}),
    }[where]
    server.faults, stop = [fault], threading.Event()
    timer = threading.Timer(0.5, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(CancelledError) as caught:
        get(observer=Observer(cancelled=stop.is_set), pauses_s=(30,))
    note(f"Download: cancelled {where}", caught.value)
    assert time.monotonic() - began < 1.5
    assert "file.bin" not in names(tmp_path)


def test_a_full_disk_is_known_before(get, server, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(network.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 2_000_000))
    with pytest.raises(SetupError) as caught:
        get(title="the file")
    note("Download: too little space", caught.value)
    assert caught.value.code == "disk.full"
    assert caught.value.message == (
        "The download of the file needs 3 MB on the disk, and 2 MB are free."
    )
    assert names(tmp_path) == []


def test_a_disk_that_becomes_full_gets_its_space_back(get, tmp_path, monkeypatch):
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(network.os, "fsync", full)
    with pytest.raises(SetupError) as caught:
        get()
    note("Download: the disk becomes full in the middle", caught.value)
    assert caught.value.code == "disk.full" and names(tmp_path) == []


def test_a_folder_that_cannot_be_written_to(get, tmp_path):
    (tmp_path / "new").write_text("a file, not a folder")
    with pytest.raises(SetupError) as caught:
        get()
    note("Download: a folder that cannot be written to", caught.value)
    assert caught.value.code == "disk.not_writable"
    assert str(tmp_path) not in caught.value.message


def test_online_is_asked_of_the_first_host(monkeypatch):
    asked: list[object] = []
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr(network, "hosts", lambda purpose: ("one.invalid", "two.invalid"))

    def refuse(address: object, timeout: float) -> None:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(network.socket, "create_connection", refuse)
    monkeypatch.setattr(network, "_ONLINE_TIMEOUT_S", 0.1)
    assert not network.is_online("weights")
    assert asked == [("one.invalid", 443)]
    for name in ("https", "all"):
        monkeypatch.setattr(network, "getproxies", lambda name=name: {name: "http://proxy"})
        assert network.is_online("weights")
