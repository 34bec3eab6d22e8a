"""What a person can do about an error with one click.

An error's own remedy is a sentence. Where the program can do it itself, a face shows a button
besides: which ones follows from the error's code and from how the run was asked for, unless the
error itself names them. Copying the details is possible for every error, so it is no remedy. This
module is on the floor of the house, beside the errors, and imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

RETRY = "retry"
RETRY_ON_CPU = "retry_on_cpu"
USE_FASTER_SPEED = "use_faster_speed"
CHOOSE_REGION = "choose_region"
CHANGE_OPTIONS = "change_options"
OPEN_SETUP = "open_setup"
OPEN_LICENCE = "open_licence"
ACCEPT_TERMS = "accept_terms"
DOWNLOAD_WEIGHTS = "download_weights"
REINSTALL_ENGINE = "reinstall_engine"
CHOOSE_BUILD = "choose_build"
RUN_ANYWAY = "run_anyway"

_LESS_GPU_MEMORY = (USE_FASTER_SPEED, CHOOSE_REGION, RETRY_ON_CPU)
# Codes whose remedy is not that of their family. What failed for a reason that passes is tried
# again: the network, another installation that is at work, an engine that ended by itself.
_BY_CODE = {
    "environment.busy": (RETRY, OPEN_SETUP),
    "environment.sample_data": (RETRY,),
    "licence.not_accepted": (ACCEPT_TERMS,),
    "weights.missing": (DOWNLOAD_WEIGHTS,),
    "weights.not_writable": (OPEN_SETUP, RETRY),
    "weights.untrusted_mirror": (OPEN_SETUP,),
    "network.certificate": (OPEN_SETUP, RETRY),
    "network.proxy": (OPEN_SETUP, RETRY),
    "engine.crashed": (RETRY,),
    "gpu.out_of_memory": _LESS_GPU_MEMORY,
    "gpu.will_not_fit": _LESS_GPU_MEMORY,
    "gpu.not_found": (RETRY_ON_CPU, OPEN_SETUP),
}
_BY_FAMILY = {
    "environment": (OPEN_SETUP,),
    "gpu": (RETRY_ON_CPU,),
    "licence": (OPEN_LICENCE,),
    "memory": (USE_FASTER_SPEED, CHOOSE_REGION),
    "network": (RETRY,),
    "weights": (RETRY,),
}


@dataclass(frozen=True)
class Remedy:
    """A one-click action.

    :param action: one of the constants of this module, e.g. ``retry_on_cpu``.
    :param value: the speed to use for ``use_faster_speed``, the id of the terms for
        ``accept_terms``, how it is run then for ``change_options``; else empty.
    :param options: what changes for ``change_options``.
    """

    action: str
    value: str = ""
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict, hash=False)


def remedies(
    code: str,
    *,
    speeds: Sequence[str] = (),
    speed: str = "",
    device: str = "auto",
    has_region: bool = False,
) -> tuple[Remedy, ...]:
    """The actions that make sense for an error, the best one first; empty if there are none.

    :param code: the error's code.
    :param speeds: the speeds of the task, slowest first.
    :param speed: the speed of the run that failed.
    :param device: the device that was asked for.
    :param has_region: whether the run was confined to a region already.
    """
    faster = _faster_speed(speeds, speed)
    senseless = {
        USE_FASTER_SPEED: not faster,
        CHOOSE_REGION: has_region,
        RETRY_ON_CPU: device == "cpu",
    }
    actions = _BY_CODE.get(code) or _BY_FAMILY.get(code.partition(".")[0], ())
    return tuple(
        Remedy(action, faster if action == USE_FASTER_SPEED else "")
        for action in actions
        if not senseless.get(action, False)
    )


def _faster_speed(speeds: Sequence[str], speed: str) -> str:
    """The next faster speed; empty if there is none."""
    following = list(speeds)[list(speeds).index(speed) + 1 :] if speed in speeds else []
    return following[0] if following else ""
