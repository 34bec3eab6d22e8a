"""What a user has set for good on this computer; what a run shall do stands in its request."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import InputError
from .json_files import read_values, write_values
from .paths import user_data_folder

_FILE = "settings.json"
_YES, _NO = ("on", "yes", "true", "1"), ("off", "no", "false", "0")


@dataclass(frozen=True)
class UserSettings:
    """The settings, as they are if nothing was set.

    :param usage_statistics: let the official package tell its authors of every run.
    :param weights_mirror: base URL to use for weights instead of
        ``https://github.com/<owner>/<repository>/releases/download``.
    :param package_index: package index to use instead of PyPI, as pip takes it.
    :param torch_index: base URL to use instead of ``https://download.pytorch.org/whl``.
    :param weights_folder: where weights are kept, if not where the official package keeps them.
    """

    usage_statistics: bool = False
    weights_mirror: str = ""
    package_index: str = ""
    torch_index: str = ""
    weights_folder: str = ""

    def changed(self, name: str, text: str) -> UserSettings:
        """These settings with one that a person has typed; an empty text is the default again.

        :param name: of the field.
        :raises InputError: ``input.unknown_setting`` or ``input.bad_setting``.
        """
        names = [field.name for field in fields(self)]
        if name not in names:
            raise InputError(
                "input.unknown_setting",
                f"There is no setting '{name}'.",
                f"Use one of {', '.join(names)}.",
            )
        text = text.strip()
        value: bool | str = text
        if name == "usage_statistics":
            value = _switch(text)
        elif name == "weights_folder":
            value = _folder(text) if text else ""
        elif text:
            value = _url(text)
        return UserSettings(**{**asdict(self), name: value})


def _switch(text: str) -> bool:
    if text.casefold() not in (*_YES, *_NO, ""):
        raise InputError("input.bad_setting", "This setting is a switch.", "Use on or off.")
    return text.casefold() in _YES


def _folder(text: str) -> str:
    """The whole name of a folder."""
    try:
        return str(Path(text).expanduser().absolute())
    except RuntimeError:
        raise InputError(
            "input.bad_setting",
            "The home folder of that user is not known.",
            "Give the whole name of the folder.",
        ) from None


def _url(text: str) -> str:
    """An address without the slash at its end; a bad one is not shown: it may hold a password."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        # Else nobody can tell where its name and password end.
        clear = text.count("@") == parts.netloc.count("@") <= 1 and not re.search(r"\s", text)
    except ValueError:
        good = clear = False
    if not (good and clear):
        raise InputError(
            "input.bad_setting",
            "This setting is an address.",
            "Give it with https:// or http://, and with %40 and %2F for @ and / in a password.",
        )
    return text.rstrip("/")


def load_settings() -> UserSettings:
    """The user's settings; what is not there or cannot be understood is the default."""
    try:
        values = read_values(user_data_folder() / _FILE)
    except RuntimeError:  # there is no home folder
        return UserSettings()
    known = {f.name: type(f.default) for f in fields(UserSettings)}
    right = {n: v for n, v in values.items() if n in known and type(v) is known[n]}
    return UserSettings(**right)


def save_settings(settings: UserSettings) -> None:
    """Keep the settings.

    :raises SetupError: ``disk.full`` or ``disk.not_writable``; the former ones stay.
    """
    write_values(user_data_folder() / _FILE, asdict(settings))
