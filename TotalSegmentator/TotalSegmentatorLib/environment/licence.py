"""The TotalSegmentator licence number, which some tasks need.

It lies where the official package looks for it, and goes to its authors' host only. It stands in
no argument, log, report or error, and whoever holds it in a name of their own does so for as short
as possible.
"""

from __future__ import annotations

import json
import os
import random
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import SetupError
from .hosts import hosts
from .json_files import read_values, write_values
from .network import ask
from .paths import official_folder

NONE, STORED, VALID = "none", "stored", "valid"
EXPIRED, INVALID, OFFLINE = "expired", "invalid", "offline"

_KEY = "license_number"
_LENGTH = 18  # the package refuses a run with any other
_GET_ONE = "Get one (free for non-commercial use) and store it."


@dataclass(frozen=True)
class LicenceStatus:
    """What is known of the licence number on this computer.

    :param state: ``none``, ``stored`` (nobody was asked), ``valid``, ``expired``, ``invalid`` or
        ``offline`` (stored, and nobody could be asked).
    :param shown: the number as it may be shown, e.g. ``aca_...X7``; empty if there is none.
    """

    state: str
    shown: str = ""


def licence_status(
    variables: Mapping[str, str] | None = None, online: bool = False
) -> LicenceStatus:
    """Whether a number is stored, and whether it is valid.

    :param variables: see :func:`check_licence`.
    :param online: ask TotalSegmentator's authors, which takes seconds.
    """
    number = stored_number(variables)
    if not number:
        return LicenceStatus(NONE)
    if not _may_be_one(number):
        return LicenceStatus(INVALID, _masked(number))
    return LicenceStatus(_ask(number) if online else STORED, _masked(number))


def check_licence(tasks: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Fail early if tasks need a licence number and none is stored.

    :param tasks: titles of the tasks that need one.
    :param variables: environment variables of the engine, which may say where settings lie; None:
        those of this process.
    :raises SetupError: ``licence.missing``, ``licence.invalid`` or ``licence.unreadable``.
    """
    if not tasks:
        return
    check_readable(config_file(variables))
    problems = {
        NONE: ("licence.missing", "none is stored"),
        INVALID: ("licence.invalid", "what is stored is none"),
    }
    state = licence_status(variables).state
    if state in problems:
        code, what = problems[state]
        raise SetupError(
            code,
            f"A TotalSegmentator licence number is needed for {', '.join(tasks)}, and {what}.",
            _GET_ONE,
        )


def has_licence(variables: Mapping[str, str] | None = None) -> bool:
    """Whether what may be a licence number is stored; if it is valid, only its authors can tell.

    :param variables: see :func:`check_licence`.
    """
    return licence_status(variables).state == STORED


def stored_number(variables: Mapping[str, str] | None = None) -> str:
    """The licence number, for nothing but a request to the authors' host; empty if there is none.

    :param variables: see :func:`check_licence`.
    """
    return str(read_values(config_file(variables)).get(_KEY) or "")


def store_licence(
    number: str, variables: Mapping[str, str] | None = None, unchecked: bool = False
) -> LicenceStatus:
    """Ask TotalSegmentator's authors whether a licence number is valid, and store it if so.

    :param number: as a person has entered it.
    :param variables: see :func:`check_licence`.
    :param unchecked: ask nobody, for a computer without internet.
    :raises SetupError: ``licence.invalid``, ``licence.expired``, ``licence.offline`` if nobody
        could be asked, ``licence.unreadable``, ``licence.not_yours``, ``disk.*``; nothing was
        changed.
    """
    number = number.strip()
    config = config_file(variables)
    _check_own(config)
    state = STORED if unchecked else VALID
    if not _may_be_one(number):
        state = INVALID
    elif not unchecked:
        state = _ask(number)
    _refuse(state)
    write_values(config, {**_new_config(), **read_values(config), _KEY: number})
    return LicenceStatus(state, _masked(number))


def remove_licence(variables: Mapping[str, str] | None = None) -> None:
    """Forget the licence number.

    :param variables: see :func:`check_licence`.
    :raises SetupError: ``licence.unreadable``, ``licence.not_yours``, ``disk.*``; the number is
        still stored.
    """
    config = config_file(variables)
    _check_own(config)
    values = read_values(config)
    if values.pop(_KEY, None) is not None:
        write_values(config, values)


def config_file(variables: Mapping[str, str] | None = None) -> Path:
    """The official package's settings, with the licence number in them.

    :param variables: see :func:`check_licence`.
    """
    return official_folder(variables) / "config.json"


def check_readable(config: Path) -> None:
    """Tell settings of the official package that cannot be read from those that are not there.

    :raises SetupError: ``licence.unreadable``.
    """
    try:
        config.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise SetupError(
            "licence.unreadable",
            f"The file with the licence number cannot be read ({error.strerror}).",
            "Ask its owner, or set TOTALSEG_HOME_DIR to a folder of your own.",
        ) from None


def is_of_another(config: Path) -> bool:
    """Whether the official package's settings belong to another user, who shares them."""
    return sys.platform != "win32" and config.exists() and config.stat().st_uid != os.geteuid()


def _may_be_one(text: str) -> bool:
    """Whether a text has the shape of a licence number."""
    return len(text) == _LENGTH and text.isascii() and text.isprintable()


def _check_own(config: Path) -> None:
    """
    :raises SetupError: if the official package's settings must not be replaced.
    """
    check_readable(config)
    if is_of_another(config):
        raise SetupError(
            "licence.not_yours",
            "The file with the licence number belongs to another user of this computer.",
            "Ask its owner, or set TOTALSEG_HOME_DIR to a folder of your own.",
        )


def _new_config() -> dict[str, Any]:
    """What the package expects there, with its usage statistics off."""
    name = "".join(random.choices(string.ascii_uppercase + string.digits, k=8))
    return {
        "totalseg_id": f"totalseg_{name}",
        "send_usage_stats": False,
        "prediction_counter": 0,
    }


def _masked(number: str) -> str:
    return f"{number[:4]}...{number[-2:]}" if len(number) >= _LENGTH else "..."


def _refuse(state: str) -> None:
    """
    :raises SetupError: if a number in this state is not to be stored.
    """
    if state == INVALID:
        raise SetupError(
            "licence.invalid",
            "The licence number was not accepted.",
            "Check it for typing errors and try again.",
        )
    if state == EXPIRED:
        raise SetupError("licence.expired", "The licence has expired.", "Renew it, or get another.")
    if state == OFFLINE:
        raise SetupError(
            "licence.offline",
            "The licence number could not be checked: TotalSegmentator's server gave no answer.",
            "Check the internet connection and the proxy and try again, or store it unchecked.",
        )


def _ask(number: str) -> str:
    """What TotalSegmentator's authors say of a number.

    :return: ``valid``, ``expired``, ``invalid`` or ``offline``.
    """
    answer = _answer(number)
    status = answer.get("status") if isinstance(answer, dict) else None
    if not isinstance(status, str):  # a page of a proxy, or an error of the server
        return OFFLINE
    if status == "valid_license":
        return VALID
    if "expired" in status:
        return EXPIRED
    return INVALID if "license" in status else OFFLINE


def _answer(number: str) -> Any:
    """What the server answers; None if there is no answer that could be understood."""
    address = f"https://{hosts('licence')[0]}/is_valid_license_number"
    try:
        return json.loads(ask(address, {_KEY: number}))
    except (SetupError, ValueError, RecursionError):
        return None
