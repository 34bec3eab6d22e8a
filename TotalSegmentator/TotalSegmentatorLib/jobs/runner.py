"""One engine process: sends it a run, passes on its events, ends it."""

from __future__ import annotations

import collections
import json
import queue
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CancelledError, EngineError, InputError, SegmentationError, SetupError
from . import cgroups, processes, shortage
from .events import PROTOCOL, Event, Failed, Finished, Log, from_line
from .job import JobContext
from .request import Request
from .result import EngineResult

CANCEL_GRACE_S = 3.0
_LAST_WORDS_S = 1.0
_LOG_LINES_KEPT = 200
# The last words of a process; what lines before them tell of need not be why it ended.
_LAST_LINES = 10
_TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class EngineCommand:
    """How an engine process is started.

    :param arguments: the interpreter and its arguments, never a shell line.
    :param variables: its environment variables.
    """

    arguments: Sequence[str | Path]
    variables: Mapping[str, str]

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start it in a folder; see :func:`.processes.start`.

        :raises SetupError: ``environment.no_interpreter``.
        """
        try:
            return processes.start(self.arguments, self.variables, folder)
        except OSError as error:
            raise SetupError(
                "environment.no_interpreter",
                f"The engine's Python could not be started ({error.strerror}).",
                "Run the setup again.",
                str(error),
            ) from error


def run_message(request: Request, image: Path, labels: Path, folder: Path) -> dict[str, Any]:
    """The protocol's ``run`` command: segment ``image`` (NIfTI) into ``labels`` (NIfTI).

    :param folder: the private folder that the run works in, a :func:`~.workspace.workspace`.
    """
    return {
        "v": PROTOCOL,
        "command": "run",
        "request": request.to_dict(),
        "image": str(image),
        "labels": str(labels),
        "folder": str(folder),
    }


def dicom_message(order: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The protocol's ``write_dicom`` command: write the DICOM objects of an order.

    :param order: :meth:`~..dicom.orders.Order.to_dict`.
    :param folder: as in :func:`run_message`.
    """
    return {"v": PROTOCOL, "command": "write_dicom", "order": dict(order), "folder": str(folder)}


class EngineProcess:
    """An engine process that serves run after run, and is replaced whenever it has ended.

    Starting one is most of a short run's time. It is started at once, so that it gets ready while
    the application prepares the image.

    :param command: how it is started.
    :param folder: its working folder between runs, in which it leaves nothing.
    :raises SetupError: ``environment.no_interpreter``.
    """

    def __init__(self, command: EngineCommand, folder: Path) -> None:
        self.command = command
        self._folder = folder
        self._conversation = _Conversation(command.start(folder))

    @property
    def alive(self) -> bool:
        """Whether it can take a run."""
        return self._conversation.alive

    def run(self, message: Mapping[str, Any], context: JobContext) -> EngineResult:
        """Run the engine once, to its end.

        :param message: see :func:`run_message`.
        :param context: see :meth:`ask`.
        :raises SegmentationError: see :meth:`ask`.
        """
        return EngineResult.from_dict(self.ask(message, context))

    def ask(self, message: Mapping[str, Any], context: JobContext) -> Mapping[str, Any]:
        """Send a command, and give the values of its result.

        A process that ended while nobody used it is replaced without a word; one whose work ended
        in another way than by a result, a cancellation or wrong input is in doubt, and is ended.

        :param message: see :func:`run_message`, :func:`dicom_message`.
        :param context: receives the events, and says when to stop.
        :raises CancelledError: if the context was cancelled.
        :raises SegmentationError: what the engine reported, or ``engine.crashed``.
        """
        if not self.alive:
            self._restart()
        try:
            return self._conversation.ask(message, context)
        except SegmentationError as error:
            if self._conversation.answered or isinstance(error, CancelledError):
                raise
        self._restart()  # it ended at the moment at which it was sent the run
        return self._conversation.ask(message, context)

    def _restart(self) -> None:
        self.end()
        self._conversation = _Conversation(self.command.start(self._folder))

    def end(self) -> None:
        """End it, and all that it started."""
        self._conversation.close()


class _Conversation:
    """The pipes of one process, read by two threads into one queue.

    :ivar answered: whether the process has told anything about the run that it was last sent.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._context: JobContext
        self._usable = self._closed = False
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._tail: collections.deque[str] = collections.deque(maxlen=_LOG_LINES_KEPT)
        self.answered = False
        assert process.stdout and process.stderr
        self._readers = [
            processes.read_lines(process.stdout, lambda line: self._events.put(from_line(line))),
            processes.read_lines(process.stderr, lambda line: self._events.put(Log(line))),
        ]

    @property
    def alive(self) -> bool:
        """Whether the process is there and waits for a run."""
        return not self._closed and self._process.poll() is None

    def ask(self, message: Mapping[str, Any], context: JobContext) -> Mapping[str, Any]:
        """Send a command and listen until its result or its failure comes.

        Unless the process is known to be fit for another command then, it is ended.
        """
        self._context = context
        self._tail.clear()
        self._usable = self.answered = False
        self._kills = cgroups.kills_by_system()
        self._send(message)
        try:
            return self._listen()
        finally:
            if not self._usable:
                self.close()
                self._pass_on_last_lines()

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write((json.dumps(message) + "\n").encode())
            self._process.stdin.flush()
        except OSError:
            pass  # the process has ended; _listen() finds out why

    def _listen(self) -> Mapping[str, Any]:
        give_up_at: float | None = None
        while give_up_at is None or time.monotonic() < give_up_at:
            try:
                result = self._handle(self._events.get(timeout=0.1))
                if result is not None:
                    return result
            except queue.Empty:
                if not any(reader.is_alive() for reader in self._readers):
                    break
            if give_up_at is None and self._context.cancelled.is_set():
                self._send({"v": PROTOCOL, "command": "cancel"})
                give_up_at = time.monotonic() + CANCEL_GRACE_S
            elif give_up_at is None and self._process.poll() is not None:
                # Descendants of the engine may hold its pipes open after its end.
                give_up_at = time.monotonic() + _LAST_WORDS_S
        self._context.check()
        raise self._crash()

    def _handle(self, event: Event) -> Mapping[str, Any] | None:
        if isinstance(event, Log):
            self._tail.append(event.text)
        else:
            self.answered = True
        if isinstance(event, Finished):
            self._usable = True
            return event.result
        if isinstance(event, Failed):
            error = event.exception()
            self._usable = isinstance(error, (CancelledError, InputError))
            raise self._with_log(self._explained(error))
        self._context.emit(event)
        return None

    def _with_log(self, error: SegmentationError) -> SegmentationError:
        error.details = "\n".join([*self._tail, error.details]).strip()
        return error

    def _explained(self, error: SegmentationError) -> SegmentationError:
        """An error, or the lack of memory behind it: a helper that ended by itself has left a
        traceback, one that the system ended has not."""
        if error.code != "engine.failed" or not shortage.tells_of_gone_helper(error.message):
            return error
        fell = any(line.startswith(_TRACEBACK) for line in self._tail)
        if fell and not self._system_kills():
            said = shortage.shortage_in(self._last_words())
            return shortage.shortage_error(said, details=error.details) if said else error
        return self._ended("a process of the engine", error.details)

    def _ended(self, what: str, details: str = "") -> SegmentationError:
        why = ("" if self._system_kills() else "most likely ") + "because memory ran out"
        message = f"The operating system ended {what}, {why}."
        return shortage.shortage_error(shortage.MAIN, message, details)

    def _system_kills(self) -> bool:
        """Whether the system has ended a process in this run because memory ran out."""
        return cgroups.kills_by_system() > self._kills

    def _last_words(self) -> str:
        return "\n".join(list(self._tail)[-_LAST_LINES:])

    def _crash(self) -> SegmentationError:
        code = self._process.wait()
        said = shortage.shortage_in(self._last_words())
        error: SegmentationError
        if shortage.is_end_by_shortage(code):
            error = self._ended("the engine")
        elif said:
            error = shortage.shortage_error(said)
        else:
            error = EngineError(
                "engine.crashed",
                f"The engine process ended unexpectedly (exit code {code}).",
                "See the log; if the packages are damaged, run the setup again.",
            )
        return self._with_log(error)

    def close(self) -> None:
        """End the process and all that it started."""
        if self._closed:  # its number may be another process's by now
            return
        self._closed = True
        processes.kill_tree(self._process)
        for thread in self._readers:
            thread.join(timeout=CANCEL_GRACE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream:
                try:
                    stream.close()
                except OSError:
                    pass  # unsent bytes to an ended process

    def _pass_on_last_lines(self) -> None:
        """What the news of the other pipe overtook."""
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Log):
                self._context.emit(event)
