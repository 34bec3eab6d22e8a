"""A package index on this computer that can fail in several ways."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORTAL = b"<html><body>Please sign in to use this network.</body></html>"


class _Index(BaseHTTPRequestHandler):
    """Serves ``/simple/NAME/`` and ``/files/WHEEL`` from a folder of wheels."""

    def __init__(self, wheels: Path, fault: str, *arguments: object) -> None:
        self._wheels = wheels
        self._fault = fault
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def do_CONNECT(self) -> None:
        """What a proxy is asked for a host with https."""
        self._answer(407, b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        is_file = path.startswith("/files/")
        if self._fault == "hang" and is_file:
            time.sleep(60)
        if self._fault == "500":
            self._answer(500, b"")
        elif self._fault == "portal" or (self._fault == "html" and is_file):
            self._answer(200, PORTAL)
        elif is_file:
            self._file(self._wheels / Path(path).name)
        else:
            self._page(Path(path).name)

    def _page(self, name: str) -> None:
        found = sorted(self._wheels.glob(f"{name}-*.whl"))
        links = "".join(f'<a href="/files/{one.name}">{one.name}</a>' for one in found)
        self._answer(200 if found else 404, f"<html><body>{links}</body></html>".encode())

    def _file(self, path: Path) -> None:
        data = path.read_bytes()
        kept = data[: len(data) // 2] if self._fault == "break" else data
        self._answer(200, kept, "application/octet-stream", len(data))

    def _answer(
        self, status: int, data: bytes, kind: str = "text/html", size: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def package_index(wheels: Path, fault: str = "") -> Iterator[str]:
    """The address of an index, for the time of the block.

    :param fault: ``break`` (files end half-way), ``html`` (files are a web page), ``portal``
        (everything is one), ``hang`` (files never
        come) or ``500``. As a proxy it always wants a password.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, wheels, fault))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
