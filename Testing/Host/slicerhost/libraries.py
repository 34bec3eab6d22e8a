"""The system libraries that PySide6 and VTK load, and which Debian packages hold them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from types import MappingProxyType

# Read from the libraries mapped by a process that has imported slicer-core and PySide6 with the
# offscreen platform, less those that every Python has (libc, libstdc++ and what they need).
DEBIAN_PACKAGES = MappingProxyType(
    {
        "libEGL.so.1": "libegl1",
        "libGL.so.1": "libgl1",
        "libX11.so.6": "libx11-6",
        "libxkbcommon.so.0": "libxkbcommon0",
        "libfontconfig.so.1": "libfontconfig1",
        "libfreetype.so.6": "libfreetype6",
        "libdbus-1.so.3": "libdbus-1-3",
        "libglib-2.0.so.0": "libglib2.0-0",
        "libz.so.1": "zlib1g",
    }
)
FONT_PACKAGES = ("fontconfig", "fonts-dejavu-core")  # text in screenshots


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_libraries(libraries: Iterable[str] = tuple(DEBIAN_PACKAGES)) -> str:
    """Return one line naming what to install, or an empty string when nothing is missing.

    :param libraries: sonames to look for, keys of DEBIAN_PACKAGES
    """
    packages = sorted({DEBIAN_PACKAGES[name] for name in libraries if not _loads(name)})
    if not packages:
        return ""
    needed = " ".join((*packages, *FONT_PACKAGES))
    return f"The Slicer stand-in needs system libraries: apt-get install {needed}"
