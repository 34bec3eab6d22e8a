"""A web server of this computer that fails as a test says."""

from __future__ import annotations

import hashlib
import http.server
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

# For a host that nobody trusts, until 2126. It guards nothing.
_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUWilL9OSwpfiOgvaYDR9fGSHRhqwwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTE3MDkzMloYDzIxMjYxMDI4
MTcwOTMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT5D7jT22vBw/ZSILMkSGzqA7YJxGa+w1X/Mt1XkL1wEHT9h2ZPWfvU
26cyzklqua8ZBKB4SKPP5jfKO1CJLaJro28wbTAdBgNVHQ4EFgQUx3I42f2GzLEP
3D9hsWKi0tRdhPowHwYDVR0jBBgwFoAUx3I42f2GzLEP3D9hsWKi0tRdhPowDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgfa9nzUOFQIeaopAaYGX6JvMdAW5lXGkr3BrCX7KxifgCIQDC
ongOCYab0kuUh93MRhi92KCQyBNLEUlOb3Rvgupl4Q==
-----END CERTIFICATE-----
"""
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIHKaSnCzlyiH+A3q
1XLVsRAxzMwrEPBy26mJmIRydRChRANCAAT5D7jT22vBw/ZSILMkSGzqA7YJxGa+
w1X/Mt1XkL1wEHT9h2ZPWfvU26cyzklqua8ZBKB4SKPP5jfKO1CJLaJr
-----END PRIVATE KEY-----
"""


@dataclass(frozen=True)
class Fault:
    """What one answer does otherwise than it should.

    :param status: HTTP status; 0: that of a good answer.
    :param headers: further ones; they replace those of a good answer, and None leaves one out.
    :param body: instead of the file.
    :param cut: the connection breaks after so many bytes of the body.
    :param silent_s: so long nothing comes, where it is cut or else before the answer.
    """

    status: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    silent_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class FaultyServer:
    """Serves files, after it has gone through its faults, one for each request.

    :param files: content by path, e.g. ``/release/file.zip``.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.url = ""
        #: With ranges and tags, as most servers have them.
        self.resumes = True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyServer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        owner = self.owner
        owner.seen.append(Seen(self.command, self.path, dict(self.headers), body))
        fault = owner.faults.pop(0) if owner.faults else Fault()
        status, headers, content = self._good_answer()
        content = content if fault.body is None else fault.body
        if fault.body is not None:
            headers["Content-Length"] = str(len(content))
        if fault.cut is None:
            time.sleep(fault.silent_s)
        self.send_response(fault.status or status)
        for name, value in {**headers, **fault.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[: fault.cut])
        if fault.cut is not None:
            self.wfile.flush()
            time.sleep(fault.silent_s)
        self.close_connection = True

    do_POST = do_CONNECT = do_GET

    def _good_answer(self) -> tuple[int, dict[str, str], bytes]:
        path = self.path.removeprefix("http://any.invalid")  # as a proxy is asked
        content = self.owner.files.get(path)
        if content is None:
            return 404, {"Content-Length": "0"}, b""
        tag = f'"{hashlib.sha256(content).hexdigest()[:8]}"'
        headers = {"Content-Type": "application/octet-stream"}
        wanted = self.headers.get("Range", "")
        if self.owner.resumes:
            headers["ETag"] = tag
            if wanted and self.headers.get("If-Range") == tag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                rest = content[start:]
                size = len(content)
                headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
                return 206, {**headers, "Content-Length": str(len(rest))}, rest
        return 200, {**headers, "Content-Length": str(len(content))}, content

    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        """Whoever asked has gone."""


@contextmanager
def faulty_server(certificate: Path | None = None) -> Iterator[FaultyServer]:
    """A server that runs during the block.

    :param certificate: serve over TLS, with a certificate that is written there.
    """
    owner = FaultyServer()
    handler = type("Handler", (_Handler,), {"owner": owner})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate:
        certificate.write_text(_CERTIFICATE + _KEY)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    owner.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield owner
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
