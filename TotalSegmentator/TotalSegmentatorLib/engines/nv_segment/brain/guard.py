"""Runs a command, and ends it with all that it started when standard input closes.

A command has a process group of its own, so that it can be ended without the engine. If the engine
itself is ended from outside, that group would go on; but the pipe to this process closes then.
Started by its path: python guard.py PROGRAM ARGUMENT...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def end_with_owner() -> None:
    """Wait for the end of standard input, and end this process and its descendants."""
    os.read(0, 1)  # nothing is ever written to it
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/PID", str(os.getpid()), "/T", "/F"], check=False)
    else:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_owner, daemon=True).start()
    sys.exit(subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode)
