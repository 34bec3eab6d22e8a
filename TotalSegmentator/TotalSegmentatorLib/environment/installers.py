"""What puts packages into an environment: uv, and pip where uv cannot be had.

Of the settings of this computer, those count that say where packages come from (index, folders with
wheels, proxy, certificates). uv does not read pip's, so they are handed on to it. All others are
left out: with some, packages would be put elsewhere, or others be installed than those wanted.
Addresses may hold passwords and go by environment variables, never by arguments, which every user
of a computer can see.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..errors import SetupError
from ..jobs import processes
from . import json_files
from .environments import DOWNLOADS
from .lock import INSTALLER_LOCK, read_lock
from .observer import Observer, observed_run
from .paths import import_folder, interpreter

# pip's settings, and what uv calls them. Lists are separated by white space in pip.
_UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
    "cert": "SSL_CERT_FILE",
}
_COMMAS = ("UV_FIND_LINKS",)
# The settings that count; "timeout" is what pip's configuration calls it.
_PIP_SETTINGS = (
    *_UV_NAMES,
    "client-cert",
    "proxy",
    "no-index",
    "cache-dir",
    "keyring-provider",
    "use-feature",
    "use-deprecated",
)
_UV_SETTINGS = re.compile(
    r"UV_((DEFAULT_|EXTRA_)?INDEX(_URL)?|INDEX_\w+_(USERNAME|PASSWORD)|FIND_LINKS|NO_INDEX"
    r"|INSECURE_HOST|KEYRING_PROVIDER|OFFLINE|CACHE_DIR|NATIVE_TLS|SYSTEM_CERTS"
    r"|HTTP_\w+|REQUEST_TIMEOUT|CONCURRENT_DOWNLOADS|PYTHON_(CPYTHON_)?(INSTALL_MIRROR|BUILD\w*)"
    r"|PYTHON_DOWNLOADS_JSON_URL|PYTHON_CACHE_DIR)"
)

# What uv, pip and the systems say -> code, sentence, remedy. The first that fits is told; the
# cause stands before its consequences.
_FAILURES = (
    (
        r"no space left|not enough space|(os |win)error 112|errno 28|disk quota",
        "disk.full",
        "The disk became full while {what}.",
        "Free some space, then try again: what was downloaded is kept.",
    ),
    (
        r"(os |win)error 32\b|being used by another process",
        "environment.in_use",
        "A file is in use by another program, so {what} stopped.",
        "Close other programs, also virus scanners if need be, then try again.",
    ),
    (
        r"no usable temporary (directory|file)",
        "disk.not_writable",
        "The temporary folder cannot be written to, so {what} stopped.",
        "Free some space on its disk, or set TMPDIR (Windows: TEMP) to another folder.",
    ),
    (
        r"permission denied|access is denied|read-only file system|(os |win)error (13|5|30)\b",
        "environment.not_writable",
        "A file could not be written while {what}.",
        "Check that you may write to the folder, then try again.",
    ),
    (
        r"proxy authentication|\b407\b|tunnel.*(failed|error|unsuccessful)|proxy.*(refused|error)",
        "network.proxy",
        "The proxy did not let a request through while {what}.",
        "Check the proxy's address and password (HTTPS_PROXY), then try again.",
    ),
    (
        r"certificate|unknownissuer|tls handshake",
        "network.certificate",
        "The identity of the package index could not be checked while {what}.",
        "Give your network's certificate with SSL_CERT_FILE or pip's setting 'cert'.",
    ),
    (
        r"dns error|name resolution|getaddrinfo|could not resolve|network is unreachable"
        r"|connection refused|tcp connect error|failed to establish|no route to host",
        "network.unreachable",
        "The package index cannot be reached.",
        "Check the internet connection and the proxy, or install from a bundle.",
    ),
    (
        r"connection (reset|broken|closed)|incomplete ?read|end of file|unexpected eof|timed out"
        r"|error decoding response body|body from connection",
        "network.broken_off",
        "A package did not arrive as a whole while {what}.",
        "Try again: what has arrived as a whole is kept.",
    ),
    (
        r"hash mismatch|do not match the hashes|no hash(es)? (was|were) provided"
        r"|invalid (zip|header)|bad zip|not a (zip|wheel)|unable to locate the end of central"
        r"|failed to (extract|unzip)|unexpected header",
        "environment.wrong_file",
        "A package is damaged or not the one that was locked, so {what} stopped{package}.",
        "Try again; if it happens again, ask who runs your network or package index.",
    ),
    (
        r"no matching distribution|not found in the (package registry|provided package)"
        r"|no solution found|has no wheels|no (usable|compatible) wheels|not find a version"
        r"|is not a supported wheel|is not compatible with",
        "environment.package_missing",
        "A package that fits this computer was not found, so {what} stopped{package}.",
        "Check the package index in the settings and in pip's configuration, then try again.",
    ),
    (
        r"http.*status|status code|failed to fetch|error sending request|max retries",
        "network.refused",
        "The package index did not give what it was asked for while {what}.",
        "Try again later, or check the package index in the settings.",
    ),
)


@dataclass(frozen=True)
class Source:
    """Where packages come from.

    :param index: package index; empty means that of pip's configuration, else PyPI.
    :param find_links: folders with wheels.
    :param no_index: take them from folders with wheels alone.
    :param only: no other index than this one is asked.
    """

    index: str = ""
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    only: bool = False

    @property
    def arguments(self) -> list[str]:
        """What uv and pip are told in the same words; an index may hold a password."""
        # As addresses: uv takes a comma in a path for the end of it.
        places = [Path(path).as_uri() for path in self.find_links]
        folders = [part for place in places for part in ("--find-links", place)]
        return [*(["--no-index"] if self.no_index else []), *folders]

    @property
    def pip_variables(self) -> dict[str, str]:
        """Environment variables for pip; an empty one is as none."""
        index = {"PIP_INDEX_URL": self.index} if self.index else {}
        return {**index, **({"PIP_EXTRA_INDEX_URL": ""} if self.only else {})}

    @property
    def uv_variables(self) -> dict[str, str]:
        """Environment variables for uv; an empty one is as none."""
        index = {"UV_DEFAULT_INDEX": self.index} if self.index else {}
        # From any index where hashes are checked; else the first that has a package is the one.
        strategy = {"UV_INDEX_STRATEGY": "first-index" if self.only else "unsafe-best-match"}
        others = dict.fromkeys(("UV_INDEX", "UV_EXTRA_INDEX_URL"), "") if self.only else {}
        return {**index, **strategy, **others}


@dataclass(frozen=True)
class Console:
    """Runs the commands of an installation.

    :param variables: environment variables to start from; those of this process by default.
    :param on_wait: called some times a second while a command runs.
    """

    observer: Observer = field(default_factory=Observer)
    variables: Mapping[str, str] | None = None
    on_wait: Callable[[], None] = lambda: None

    def run(
        self, command: Sequence[str | Path], what: str, more: Mapping[str, str] | None = None
    ) -> list[str]:
        """Run a command and return its lines.

        :param what: what is being done, as the end of a sentence: ``installing PyTorch``.
        :param more: further environment variables.
        :raises SetupError: why it failed, as far as its lines tell.
        :raises CancelledError: if the observer says so.
        """
        variables = {**processes.clean_variables(self.variables), **(more or {})}
        try:
            status, lines = observed_run(
                command, self.observer, import_folder(), variables, self.on_wait
            )
        except OSError as error:
            raise failure([str(error)], what) from error
        if status:
            raise failure(lines, what)
        return lines


def failure(lines: Sequence[str], what: str) -> SetupError:
    """The error for people that stands for the last lines of a command."""
    text = "\n".join(lines[-60:])
    for pattern, code, message, remedy in _FAILURES:
        if re.search(pattern, text, re.IGNORECASE):
            package = re.search(r"\b([a-z][\w.-]*)==\d", text[text.lower().find("error") :], re.I)
            named = f" ({package[1]})" if package else ""
            return SetupError(code, message.format(what=what, package=named), remedy, text)
    return SetupError(
        "environment.install_failed",
        f"An error occurred while {what}.",
        "Try again; if it fails again, report it with the log.",
        text,
    )


class Installer(Protocol):
    """Makes environments and puts packages into them."""

    name: str

    def make(self, base: Path, folder: Path) -> None:
        """Make an empty environment from an interpreter."""

    def install(
        self, folder: Path, arguments: Sequence[str | Path], source: Source, what: str
    ) -> None:
        """Put packages into it.

        :param arguments: as of ``pip install``.
        :param what: see :meth:`Console.run`.
        """

    def finish(self, folder: Path) -> None:
        """Make the environment fit for another name."""


@dataclass(frozen=True)
class Uv:
    """Installs with uv: fast, and with a cache that lets a failed installation go on.

    :param console: as of :func:`for_uv`.
    :param settings: as of :func:`uv_settings`.
    """

    program: Path
    console: Console
    settings: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"uv {locked_uv()}"

    def make(self, base: Path, folder: Path) -> None:
        command = [self.program, "venv", "--quiet", "--no-project", "--relocatable"]
        more = {**self.settings, "UV_PYTHON_DOWNLOADS": "never"}
        self.console.run([*command, "--python", base, folder], "making the environment", more)

    def install(
        self, folder: Path, arguments: Sequence[str | Path], source: Source, what: str
    ) -> None:
        command = [self.program, "pip", "install", "--python", interpreter(folder)]
        command += [*source.arguments, *arguments]
        self.console.run(command, what, {**self.settings, **source.uv_variables})

    def finish(self, folder: Path) -> None:
        """Nothing to do: its launchers find their interpreter by themselves."""


@dataclass(frozen=True)
class Pip:
    """Installs with the pip of the new environment.

    :param console: as of :func:`for_pip`.
    """

    console: Console
    name = "pip"

    def make(self, base: Path, folder: Path) -> None:
        try:
            self.console.run([base, "-m", "venv", folder], "making the environment")
        except SetupError as error:
            if error.code != "environment.install_failed":
                raise
            raise SetupError(
                "environment.venv_failed",
                "A virtual environment could not be made.",
                "Install Python's venv module (Debian: apt-get install python3-venv).",
                error.details,
            ) from error

    def install(
        self, folder: Path, arguments: Sequence[str | Path], source: Source, what: str
    ) -> None:
        command = [interpreter(folder), "-m", "pip", "install", "--no-input"]
        command += [*source.arguments, *arguments]
        self.console.run(command, what, source.pip_variables)

    def finish(self, folder: Path) -> None:
        """Remove the launchers: they hold the name under which the environment was made."""
        for path in interpreter(folder).parent.iterdir():
            if not path.name.lower().startswith("python"):
                path.unlink()


def find_installer(
    python: Path, own: Console, data: Path, console: Console, source: Source
) -> Installer:
    """uv, fetched if it is not there; else pip.

    :param python: an interpreter with pip, to fetch uv and to tell pip's settings.
    :param own: runs that interpreter, which may need other variables than the rest.
    :param data: the folder that keeps uv and, unless the user's variables say otherwise, downloads.
    :param source: where uv comes from.
    """
    pip = pip_configuration(python, own)
    try:
        uv = get_uv(python, data, own, source)
    except SetupError as error:
        console.observer.on_line(f"Without uv, as it could not be had: {error.message}")
        return Pip(for_pip(console, pip))
    settings = uv_settings(pip, data / DOWNLOADS, console.variables)
    return Uv(uv, for_uv(console), settings)


def for_pip(console: Console, settings: Mapping[str, str]) -> Console:
    """The console for pip, which is told those of its settings that count, and no others.

    :param settings: see :func:`pip_configuration`.
    """
    kept = {name: text for name, text in settings.items() if name in _PIP_SETTINGS}
    told = {f"PIP_{name.upper().replace('-', '_')}": text for name, text in kept.items()}
    return _replaced(console, "PIP_", {**told, "PIP_CONFIG_FILE": os.devnull})


def for_uv(console: Console) -> Console:
    """The console for uv, which is told those of its settings that count, and no others."""
    kept = {n: text for n, text in _variables(console).items() if _UV_SETTINGS.fullmatch(n)}
    return _replaced(console, "UV_", {**kept, "UV_NO_CONFIG": "1"})


def _replaced(console: Console, prefix: str, variables: Mapping[str, str]) -> Console:
    """The console with these environment variables in place of all with a prefix."""
    own = {n: text for n, text in _variables(console).items() if not n.startswith(prefix)}
    return replace(console, variables={**own, **variables})


def _variables(console: Console) -> Mapping[str, str]:
    return os.environ if console.variables is None else console.variables


def locked_uv() -> str:
    """The version of uv that is used."""
    return next(one.version for one in read_lock(INSTALLER_LOCK) if one.name == "uv")


def get_uv(python: Path, data: Path, console: Console, source: Source) -> Path:
    """The program uv, fetched by pip if it is not there.

    :param python: an interpreter with pip, which is not changed.
    :param data: the folder that keeps it.
    :raises SetupError: why it cannot be had.
    """
    folder = data / "tools" / f"uv-{locked_uv()}"
    found = _working_uv(folder, console)
    if found:
        return found
    part = folder.with_name(f"{folder.name}-{secrets.token_hex(3)}")
    # No message of pip is of interest but an error.
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--target", part, *source.arguments]
    pip, what = for_pip(console, pip_configuration(python, console)), "getting the installer uv"
    try:
        pip.run([*command, "-r", INSTALLER_LOCK], what, source.pip_variables)
        if not _working_uv(folder, console):  # another process may just have got it
            shutil.rmtree(folder, ignore_errors=True)
            json_files.replace(part, folder)
    except OSError as error:
        raise failure([str(error)], what) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    found = _working_uv(folder, console)
    if not found:
        raise failure(["it does not start"], what)
    return found


def _working_uv(folder: Path, console: Console) -> Path | None:
    """The program uv in a folder; None if it is not there or does not start."""
    program = _uv_in(folder)
    if program:
        with contextlib.suppress(SetupError):
            console.run([program, "--version"], "starting the installer uv")
            return program
    return None


def _uv_in(folder: Path) -> Path | None:
    name = "uv.exe" if sys.platform == "win32" else "uv"
    places = (folder / "bin" / name, folder / "Scripts" / name)
    return next((path for path in places if path.is_file()), None)


def pip_configuration(python: Path, console: Console) -> dict[str, str]:
    """pip's settings for an installation on this computer; empty if it does not tell them."""
    quiet = Console(Observer(cancelled=console.observer.cancelled), console.variables)
    try:
        lines = quiet.run([python, "-m", "pip", "config", "list"], "asking pip for its settings")
    except SetupError:
        return {}
    return read_pip_configuration(lines)


def read_pip_configuration(lines: Sequence[str]) -> dict[str, str]:
    """What ``pip config list`` prints: ``global.index-url='...'``, one setting a line.

    Variables win over the section of a command, and that over the global one.
    """
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in lines:
            match = re.fullmatch(rf"{section}\.([\w-]+)=(['\"].*['\"])", line)
            if match:
                found[match[1]] = str(ast.literal_eval(match[2]))
    return found


def uv_settings(
    pip: Mapping[str, str], cache: Path, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """pip's settings as environment variables of uv; what the user set for uv itself stays.

    :param cache: keeps downloads.
    """
    own = os.environ if variables is None else variables
    settings = {
        "UV_CACHE_DIR": str(cache),
        "UV_HTTP_TIMEOUT": "120",  # slow networks need more than 30 s
        "UV_SYSTEM_CERTS": "1",  # the system's certificates too, as pip has it
    }
    for name, uv_name in _UV_NAMES.items():
        words = pip.get(name, "").split()
        if words:
            settings[uv_name] = ("," if uv_name in _COMMAS else " ").join(words)
    if pip.get("proxy"):
        settings["ALL_PROXY"] = pip["proxy"]
    return {name: own.get(name, value) for name, value in settings.items()}
