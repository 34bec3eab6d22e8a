"""The official package's usage statistics: off, unless the user has switched them on.

Nothing but the package's own function sends them. It never fails a run, and hardly delays one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ...jobs import Request
from ..contract import USAGE_STATISTICS

_LONGEST_WAIT_S = 2.0


def set_up() -> None:
    """Make the package's settings file, with its statistics off, before the package makes one."""
    from totalsegmentator import config

    if config.get_config() is None:
        config.setup_totalseg()
        config.set_config_key("send_usage_stats", False)


def send(settings: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Stands in for the package's function of this purpose, and calls it if the user agreed.

    :param settings: what the package's settings file holds.
    :param run: what the package tells of a run.
    """
    from totalsegmentator import config

    _try(lambda: config.send_usage_stats({**settings, "send_usage_stats": True}, dict(run)))


def tell_of(request: Request) -> None:
    """Tell of a run that another engine has done with the package's models."""
    from totalsegmentator import config

    run = {
        "task": request.task,
        "fast": request.speed == "fast",
        "preview": False,
        "multilabel": True,
        "roi_subset": list(request.structures) or None,
        "statistics": False,
        "radiomics": False,
    }

    def tell() -> None:
        set_up()
        config.send_usage_stats(
            {**config.increase_prediction_counter(), "send_usage_stats": True}, run
        )

    _try(tell)


def _try(tell: Callable[[], None]) -> None:
    """Give it a short time, if the user agreed; whether it succeeds is nobody's concern."""
    if os.environ.get(USAGE_STATISTICS) != "on":
        return

    def attempt() -> None:
        with suppress(Exception):
            tell()

    thread = threading.Thread(target=attempt, name="usage-statistics", daemon=True)
    thread.start()
    thread.join(_LONGEST_WAIT_S)
