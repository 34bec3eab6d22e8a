"""The one downloader: a file is there whole and checked, or it is not there.

What has arrived of a file lies in ``NAME.part`` beside it, so that a later call goes on from there;
``NAME.part.tag`` says of which state of the file it is. Proxies and certificates are those of the
computer. Sentences name a host and nothing else of an address, which may hold a password.
"""

from __future__ import annotations

import errno
import os
import queue
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from ..errors import CancelledError, SetupError
from ..jobs.checksums import sha256_of
from .hosts import hosts
from .json_files import replace
from .observer import Observer

if TYPE_CHECKING:
    import requests

_PIECE_BYTES = 1 << 18
_POLL_S = 0.2
_ONLINE_TIMEOUT_S = 1.5
# A try that brought as much as this was not in vain.
_PROGRESS_BYTES = 1 << 20
# More than any file that is downloaded, for those whose size nobody tells.
_MOST_BYTES = 20_000_000_000
_LONGEST_WAIT_S = 60.0
_PASSING = (408, 425, 429, *range(500, 600))
FULL_DISK = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_OTHER_WAY = "Use another network, a mirror, or a file from another computer."


@dataclass(frozen=True)
class _Source:
    """What is downloaded; the fields are those of :func:`download`."""

    url: str = field(repr=False)
    title: str
    size: int
    sha256: str
    json: Mapping[str, Any] | None = field(repr=False)
    timeout_s: float

    @property
    def host(self) -> str:
        return host_of(self.url)


@dataclass(frozen=True)
class _Head:
    """How an answer begins.

    :param start: place of its first byte in the file.
    :param total: size of the whole file; 0 if the host does not tell.
    :param tag: names this state of the file; empty if the host does not tell.
    """

    start: int
    total: int
    tag: str


class _Failed(Exception):
    """A try that failed.

    :param error: for people.
    :param passes: whether another try may succeed.
    :param wait_s: how long the host asks to wait before it.
    :param fresh: whether what has arrived is of no use.
    """

    def __init__(
        self, error: SetupError, passes: bool = False, wait_s: float = 0.0, fresh: bool = False
    ) -> None:
        super().__init__(error.code)
        self.error = error
        self.passes = passes
        self.wait_s = wait_s
        self.fresh = fresh


def host_of(url: str) -> str:
    """The name of the host in an address, which is all that people are shown of it."""
    try:
        return urlsplit(url).hostname or "The host"
    except ValueError:
        return "The host"


def download(
    url: str,
    target: Path,
    *,
    title: str = "",
    size: int = 0,
    sha256: str = "",
    json: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    timeout_s: float = 30.0,
    pauses_s: Sequence[float] = (1.0, 3.0, 10.0),
) -> str:
    """Download a file: go on where an earlier call stopped, and try again what may pass.

    Only one process at a time may download to a target.

    :param target: where it shall lie; its folder is made if it is missing.
    :param title: what it is, for people; the name of ``target`` by default.
    :param size: its size in bytes; 0 if it is not known.
    :param sha256: its checksum; empty if it is not known.
    :param json: sent with POST. It stands in no message and is not sent on to another host.
    :param observer: is told the megabytes, and asked five times a second whether to stop.
    :param timeout_s: the longest silence of the host.
    :param pauses_s: how long to wait after each failure in a row before another try.
    :returns: the SHA-256 of the file.
    :raises SetupError: ``network.unreachable``, ``network.proxy``, ``network.certificate``,
        ``network.refused``, ``network.broken_off``, ``network.wrong_file``, ``disk.full`` or
        ``disk.not_writable``. What a further call can use is kept.
    :raises CancelledError: if the observer says so. What has arrived is kept.
    """
    source = _Source(url, title or target.name, size, sha256, json, timeout_s)
    part = _Part(target.with_name(target.name + ".part"))
    with _disk_errors(part):
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = _fetch(source, part, observer or Observer(), pauses_s)
        replace(part.path, target)
        part.remove()
    return digest


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """
    :param folder: a folder on the disk in question.
    :param what: begins the sentence, e.g. ``The download``.
    :raises SetupError: ``disk.full`` if fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise SetupError(
            "disk.full",
            f"{what} needs {_mb(needed_bytes)} MB on the disk, and {_mb(free)} MB are free.",
            "Free some space or choose another disk.",
        )


def is_online(purpose: str) -> bool:
    """Whether the first host for a purpose, or the proxy, answers in time."""
    if {"https", "all"} & getproxies().keys():
        return True  # only the proxy knows
    host = hosts(purpose)[0]
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection((host, 443), _ONLINE_TIMEOUT_S).close()
            answered.set()
        except OSError:
            pass

    # A name look-up cannot be given a timeout, so it waits in a thread of its own.
    threading.Thread(target=knock, daemon=True).start()
    return answered.wait(_ONLINE_TIMEOUT_S)


def ask(url: str, json: Mapping[str, Any] | None = None, timeout_s: float = 10.0) -> bytes:
    """What a host answers, whatever its status; no redirection is followed.

    :param json: values to send with POST; they stand in no message. Without them only the answer's
        head is asked for, to know whether the host can be reached.
    :param timeout_s: longest silence of the host.
    :raises SetupError: ``network.*`` if there is no answer.
    """
    source = _Source(url, "an answer", 0, "", json, timeout_s)
    method = "HEAD" if json is None else "POST"
    try:
        with (
            _session(url) as session,
            session.request(
                method, url, json=json, timeout=timeout_s, allow_redirects=False
            ) as answer,
        ):
            return answer.content
    except Exception as error:  # as in _receive
        failed = _failure(error, source)
    raise failed.error  # here, where it cannot hold what was sent


class _Part:
    """What has arrived of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(path.name + ".tag")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def tag(self) -> str:
        """Of which state of the file it is; empty if nothing can be added to it."""
        try:
            return self._note.read_text("utf-8")
        except (OSError, ValueError):
            return ""

    def begin(self, head: _Head) -> None:
        """Make room for an answer."""
        if head.start == 0:
            self.remove()
            self._note.write_text(head.tag, "utf-8")

    def remove(self) -> None:
        for path in (self.path, self._note):
            path.unlink(missing_ok=True)


@contextmanager
def _disk_errors(part: _Part) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            part.remove()  # other programs need the space
            raise SetupError(
                "disk.full",
                "The disk became full during the download.",
                "Free some space or choose another disk, then try again.",
                str(error),
            ) from error
        raise SetupError(
            "disk.not_writable",
            f"The download cannot be stored in the folder {part.path.parent.name} "
            f"({error.strerror or error}).",
            "Check that you may write to the folder, then try again.",
            str(error),
        ) from error


def _fetch(source: _Source, part: _Part, observer: Observer, pauses_s: Sequence[float]) -> str:
    """Try until the whole file is there, and return its checksum."""
    most, pauses = part.size, list(pauses_s)
    while True:
        try:
            return _attempt(source, part, observer)
        except _Failed as failed:
            if failed.fresh:
                part.remove()
            if part.size >= most + _PROGRESS_BYTES:
                most, pauses = part.size, list(pauses_s)
            if not failed.passes or not pauses:
                raise failed.error from None
            pause = max(pauses.pop(0), min(failed.wait_s, _LONGEST_WAIT_S))
            observer.on_line(f"{failed.error.message} Another try follows.")
        _wait(pause, observer)


def _attempt(source: _Source, part: _Part, observer: Observer) -> str:
    begun = part.size > 0
    if not (source.sha256 and source.size and part.size == source.size):
        _transfer(source, part, observer)
    digest = sha256_of(part.path, lambda: _check_cancel(observer))
    if source.sha256 not in ("", digest):
        # What was there before may be the reason, so a file from one piece gets a chance.
        error = _wrong(source, "is not the expected one: its checksum is another")
        raise _Failed(error, passes=begun, fresh=True)
    return digest


def _transfer(source: _Source, part: _Part, observer: Observer) -> None:
    with closing(_answer(source, part, observer)) as answer:
        head = next(answer)
        total = head.total or source.size
        if source.size and total != source.size:
            what = f"is not the expected one: {total} bytes instead of {source.size}"
            raise _Failed(_wrong(source, what), fresh=True)
        check_space(part.path.parent, total - head.start, f"The download of {source.title}")
        part.begin(head)
        done, told = head.start, -_POLL_S
        with open(part.path, "ab") as file:
            for piece in answer:
                done += len(piece)
                if done > (total or _MOST_BYTES):
                    raise _Failed(_wrong(source, "is larger than it should be"), fresh=True)
                file.write(piece)
                if time.monotonic() - told > _POLL_S:
                    told = time.monotonic()
                    observer.on_step(done / total if total else 0.0, _step(source, done, total))
            file.flush()
            os.fsync(file.fileno())
    if done < total:
        raise _Failed(_broken_off(source), passes=True)


def _step(source: _Source, done: int, total: int) -> str:
    of_all = f" of {_mb(total)}" if total else ""
    return f"Downloading {source.title}: {_mb(done)}{of_all} MB"


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f}"


def _wait(seconds: float, observer: Observer) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _check_cancel(observer)
        time.sleep(min(left, _POLL_S))


def _check_cancel(observer: Observer) -> None:
    if observer.cancelled():
        raise CancelledError(message="The download was cancelled.")


def _answer(source: _Source, part: _Part, observer: Observer) -> Iterator[Any]:
    """The answer's :class:`_Head` and then its bytes.

    A thread of its own waits for the host, so that this one can stop at any time. Only this one
    touches files.

    :raises _Failed: how the answer ended, unless it is complete as far as its host says.
    :raises CancelledError: if the observer says so.
    """
    items: queue.Queue[Any] = queue.Queue(maxsize=8)
    gone = threading.Event()

    def put(item: Any) -> bool:
        while not gone.is_set():
            try:
                items.put(item, timeout=_POLL_S)
                return True
            except queue.Full:
                continue
        return False

    tag = part.tag if source.json is None else ""
    start = part.size if tag else 0
    threading.Thread(target=_receive, args=(source, start, tag, put), daemon=True).start()
    try:
        while True:
            _check_cancel(observer)
            try:
                item = items.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, _Failed):
                raise item
            yield item
    finally:
        gone.set()


def _receive(source: _Source, start: int, tag: str, put: Callable[[Any], bool]) -> None:
    """Hand over an answer piece by piece; None is its end."""
    headers = {"Accept-Encoding": "identity"}  # sizes are those of the file
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": tag}
    try:
        with (
            _session(source.url) as session,
            session.request(
                "GET" if source.json is None else "POST",
                source.url,
                headers=headers,
                json=source.json,
                timeout=source.timeout_s,
                stream=True,
                allow_redirects=source.json is None,
            ) as answer,
        ):
            put(_head(answer, source, start))
            for piece in answer.iter_content(_PIECE_BYTES):
                if not put(piece):
                    return
            put(None)
    except _Failed as failed:
        put(failed)
    except Exception as error:  # of requests, urllib3, ssl and socket
        put(_failure(error, source))


def _session(url: str) -> requests.Session:
    """For https it trusts what requests trusts and what the operating system does, and it never
    leaves it."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.ssl_ import create_urllib3_context

    session = requests.Session()
    if urlsplit(url).scheme != "https":
        return session
    context = create_urllib3_context()
    context.load_default_certs()

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, ssl_context=context, **options)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
            return super().proxy_manager_for(proxy, ssl_context=context, **options)

    session.mount("https://", Adapter())
    del session.adapters["http://"]  # where a redirection could lead to
    return session


def _head(answer: requests.Response, source: _Source, start: int) -> _Head:
    """
    :raises _Failed: if it is no answer with the file.
    """
    _check_status(answer, source)
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise _Failed(_page(source), fresh=True)
    if kind == "application/json" and source.json is not None:
        raise _Failed(_refused(source, f"refuses {source.title}", _said(answer)))
    total = int(answer.headers.get("Content-Length") or 0)
    if answer.status_code == 206:
        begin, _, whole = answer.headers.get("Content-Range", "").rpartition("/")
        if not begin.startswith(f"bytes {start}-") or not whole.isdigit():
            raise _Failed(_broken_off(source), passes=True, fresh=True)
        return _Head(start, int(whole), "")
    tag = answer.headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak one says nothing about single bytes
        tag = answer.headers.get("Last-Modified", "")
    return _Head(0, total, tag)


def _check_status(answer: requests.Response, source: _Source) -> None:
    """
    :raises _Failed: if it is no success.
    """
    status = answer.status_code
    if status in (200, 206):
        return
    if status == 416:
        raise _Failed(_broken_off(source), passes=True, fresh=True)
    if status == 407:
        raise _Failed(_proxy(source))
    said = answer.headers.get("Retry-After", "")
    passes = status in _PASSING or (status == 403 and bool(said))
    if not passes:
        what = "does not have" if status in (404, 410) else "refuses"
        raise _Failed(_refused(source, f"{what} {source.title} ({status})", _said(answer)))
    what = "is out of order" if status >= 500 else "has had too many requests from this network"
    wait_s = float(said) if said.isdigit() else 0.0
    raise _Failed(_busy(source, f"{what} ({status})"), passes=True, wait_s=wait_s)


def _said(answer: requests.Response) -> str:
    return f"HTTP {answer.status_code}"


def _failure(error: Exception, source: _Source) -> _Failed:
    """What an exception of the network means. Its own text may hold an address with a password, so
    only the names of the exceptions are kept."""
    from requests import exceptions
    from urllib3.exceptions import NewConnectionError

    chain = _chain(error)
    names = " <- ".join(type(one).__name__ for one in chain)
    if isinstance(error, exceptions.ProxyError):
        return _Failed(_proxy(source, names))
    if isinstance(error, (exceptions.InvalidSchema, exceptions.TooManyRedirects)):  # see _session
        return _Failed(_refused(source, "leads to an address that cannot be used", names))
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE" in str(error).upper():
        return _Failed(_not_trusted(source, names))
    if isinstance(error, exceptions.ConnectTimeout) or any(
        isinstance(one, NewConnectionError) for one in chain
    ):
        return _Failed(_unreachable(source, names), passes=True)
    if isinstance(error, (exceptions.RequestException, OSError)):
        return _Failed(_broken_off(source, names), passes=True)
    return _Failed(_unreachable(source, names))


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _unreachable(source: _Source, details: str = "") -> SetupError:
    return SetupError(
        "network.unreachable",
        f"{source.host} cannot be reached.",
        "Check the internet connection, the firewall and the proxy (HTTPS_PROXY), then try again.",
        details,
    )


def _busy(source: _Source, what: str) -> SetupError:
    return SetupError("network.unreachable", f"{source.host} {what}.", "Try again later.")


def _proxy(source: _Source, details: str = "") -> SetupError:
    return SetupError(
        "network.proxy",
        f"The proxy of this computer does not let {source.host} be reached.",
        "Check the proxy's address, name and password (HTTPS_PROXY or the system's settings).",
        details,
    )


def _not_trusted(source: _Source, details: str) -> SetupError:
    return SetupError(
        "network.certificate",
        f"This computer does not trust the certificate of {source.host}.",
        "If a proxy inspects the traffic, set REQUESTS_CA_BUNDLE to the file with its certificate; "
        "else check the clock of this computer.",
        details,
    )


def _refused(source: _Source, what: str, details: str = "") -> SetupError:
    return SetupError("network.refused", f"{source.host} {what}.", _OTHER_WAY, details)


def _broken_off(source: _Source, details: str = "") -> SetupError:
    return SetupError(
        "network.broken_off",
        f"The download of {source.title} from {source.host} broke off.",
        "Try again: what has arrived is kept, and the download goes on from there.",
        details,
    )


def _wrong(source: _Source, what: str) -> SetupError:
    return SetupError(
        "network.wrong_file",
        f"What {source.host} sent as {source.title} {what}.",
        f"Try again. {_OTHER_WAY}",
    )


def _page(source: _Source) -> SetupError:
    return SetupError(
        "network.wrong_file",
        f"Instead of {source.title}, a web page came from {source.host}.",
        "A proxy or the login page of a network is in between: open a page in a browser and log "
        f"in, or allow the host. {_OTHER_WAY}",
    )
