"""Who follows a piece of work that takes minutes, and commands that run under such eyes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import CancelledError
from ..jobs import processes


@dataclass(frozen=True)
class Observer:
    """Who follows the work.

    :param on_step: called with (share done, phrase for people).
    :param on_line: called with every line for the log.
    :param cancelled: returns True when it shall stop.
    """

    on_step: Callable[[float, str], None] = lambda share, text: None
    on_line: Callable[[str], None] = lambda line: None
    cancelled: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Stop here if it shall stop.

        :raises CancelledError: it shall.
        """
        if self.cancelled():
            raise CancelledError(message="The installation was cancelled.")

    def part(self, start: float, end: float) -> Observer:
        """The same observer for a part of the work, given by shares of the whole."""
        return replace(
            self,
            on_step=lambda share, text: self.on_step(start + (end - start) * share, text),
        )

    def counting(self, text: str, size: int) -> Callable[[int], None]:
        """What to call again and again with the number of bytes just done; it stops if it shall.

        :param text: what is being done.
        :param size: of all in bytes.
        """
        done = 0

        def on_bytes(count: int) -> None:
            nonlocal done
            self.check()
            done += count
            megabytes = f"{done / 1e6:.0f} of {size / 1e6:.0f} MB"
            self.on_step(done / max(size, 1), f"{text}: {megabytes}")

        return on_bytes


def without_secrets(text: str) -> str:
    """A text without the names, passwords and queries that addresses in it hold.

    A password may hold what ends one elsewhere: all before the last ``@`` of a word is taken out,
    and all of the word if that may stand in a query.
    """
    text = re.sub(r"://\S*\?\S*@\S*", "://***", text)
    text = re.sub(r"://\S*@", "://***@", text)
    return re.sub(r"(://[^\s?]*)\?\S*", r"\1", text)


def observed_run(
    command: Sequence[str | Path],
    observer: Observer,
    folder: Path,
    variables: Mapping[str, str],
    on_wait: Callable[[], None] = lambda: None,
) -> tuple[int, list[str]]:
    """Run a command to its end; return its exit status and its lines, without passwords.

    :param folder: working folder.
    :param variables: its environment variables.
    :param on_wait: called some times a second while it runs.
    :raises OSError: it cannot be started.
    :raises CancelledError: if the observer says so; no process is left behind.
    """
    process = processes.start(command, variables, folder)
    assert process.stdout and process.stderr and process.stdin
    process.stdin.close()
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(without_secrets(line))
        observer.on_line(lines[-1])

    readers = [processes.read_lines(s, on_line) for s in (process.stdout, process.stderr)]
    try:
        while process.poll() is None:
            observer.check()
            on_wait()
            try:
                process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    finally:
        processes.kill_tree(process)
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()
    return process.returncode, lines
