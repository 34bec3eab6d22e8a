"""The way to public hosts: the proxy, certificates, and whether they answer.

Hosts that an organisation has set are not named: people paste a diagnosis into public forums.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from ..errors import SetupError
from .findings import ERROR, OK, WARNING, Finding
from .hosts import hosts
from .network import ask
from .settings import UserSettings

_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_PURPOSES = ("packages", "torch", "weights", "licence")
_TIMEOUT_S = 5.0


def proxy(proxies: Mapping[str, str]) -> Finding:
    """Whether requests to public hosts can use the proxy that is set.

    :param proxies: address of the proxy by scheme, as ``urllib.request.getproxies`` gives them.
    """
    address = proxies.get("https") or proxies.get("all")
    if not address:
        return Finding("proxy", OK, "No proxy is set.")
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        usable = bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        usable = False
    if not usable:
        return Finding(
            "proxy",
            ERROR,
            "The proxy that is set is not an address.",
            "Set HTTPS_PROXY to an address such as http://proxy.example.org:3128.",
        )
    if parts.scheme.startswith("socks") and not importlib.util.find_spec("socks"):
        return Finding(
            "proxy",
            ERROR,
            "The proxy that is set is a SOCKS proxy, which cannot be used.",
            "Set HTTPS_PROXY to the address of an HTTP proxy.",
        )
    return Finding("proxy", OK, "A proxy is set, and used.")


def certificates(variables: Mapping[str, str]) -> Finding:
    """Whether the file with the certificates to trust is there, where one is set.

    :param variables: environment variables.
    """
    lost = [v for v in _CERTIFICATES if variables.get(v) and not os.path.exists(variables[v])]
    if lost:
        return Finding(
            "certificates",
            ERROR,
            f"{lost[0]} names a file of certificates that is not there.",
            f"Set {lost[0]} to the right file, or remove it.",
        )
    return Finding("certificates", OK, "The certificates to trust are there.")


def answers(problems: Mapping[str, SetupError | None]) -> Finding:
    """Whether the hosts answer that packages and weights come from.

    :param problems: host, or what stands for it -> why it gave no answer.
    """
    lost = {name: error for name, error in problems.items() if error}
    if not lost:
        return Finding("network", OK, f"There is a connection to {_all(problems)}.")
    first = next(iter(lost.values())).remedy.rstrip(".")
    return Finding(
        "network",
        WARNING,
        f"There is no connection to {_all(lost)}.",
        f"{first}, or use a bundle that was made on another computer.",
    )


def addresses(settings: UserSettings, purposes: Sequence[str] = _PURPOSES) -> dict[str, str]:
    """What to ask whether it answers: host, or what stands for it -> address.

    :param purposes: what for, see :mod:`.hosts`.
    """
    own = {
        "packages": ("your package index", settings.package_index),
        "torch": ("your PyTorch index", settings.torch_index),
        "weights": ("your mirror of the weights", settings.weights_mirror),
    }
    found = {}
    for purpose in purposes:
        title, address = own.get(purpose, ("", ""))
        public = hosts(purpose)[0]
        found[title if address else public] = address or f"https://{public}/"
    return found


def problems(
    places: Mapping[str, str], timeout_s: float = _TIMEOUT_S
) -> dict[str, SetupError | None]:
    """Ask addresses whether they answer, all at once.

    :param places: name -> address.
    :return: name -> why it gave no answer, or None.
    """
    found: dict[str, SetupError | None] = dict.fromkeys(places, _no_answer())

    def look(name: str) -> None:
        try:
            ask(places[name], timeout_s=timeout_s)
            found[name] = None
        except SetupError as error:
            found[name] = error

    threads = [threading.Thread(target=look, args=(n,), daemon=True) for n in places]
    end = time.monotonic() + timeout_s
    for thread in threads:
        thread.start()
    for thread in threads:  # a name look-up cannot be given a time limit
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)


def _no_answer() -> SetupError:
    return SetupError(
        "network.unreachable",
        "There was no answer in time.",
        "Check the internet connection, the firewall and the proxy.",
    )


def _all(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
