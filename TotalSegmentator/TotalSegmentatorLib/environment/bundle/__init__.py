"""One file with which the engine and weights get onto a computer that has no internet."""

from .contents import Contents, read
from .creating import create, may_hold
from .installing import Installed, check_fits, install
from .packages import PLATFORMS, Packages, own_platform, title_of

__all__ = [
    "PLATFORMS",
    "Contents",
    "Installed",
    "Packages",
    "check_fits",
    "create",
    "install",
    "may_hold",
    "own_platform",
    "read",
    "title_of",
]
