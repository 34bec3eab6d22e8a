"""The engine's worker, whose networks compute few windows and then give the same values again.

What they are given and what becomes of their values stays as it is. For measurements of memory,
which a hundred windows more do not change. Run with the engine environment's Python.
"""

from __future__ import annotations

import torch

from TotalSegmentatorLib.engines import worker
from TotalSegmentatorLib.engines.nnunet.network import Network

_WINDOWS = 2  # of each network: the second one is computed while the first one's sums are held


class FewWindows:
    """Stands in for ``Network.features``."""

    def __init__(self) -> None:
        self._compute = Network.features
        self._network: Network | None = None
        self._computed = 0
        self._values = torch.empty(0)

    def features(self, network: Network, window: torch.Tensor) -> torch.Tensor:
        """Computed, or those of the window before."""
        if network is not self._network:
            self._network, self._computed = network, 0
        if self._computed < _WINDOWS:
            self._computed += 1
            self._values = torch.empty(0)  # nobody holds them at this time
            self._values = self._compute(network, window)
        return self._values


if __name__ == "__main__":
    few = FewWindows()
    Network.features = lambda network, window: few.features(network, window)
    worker.main()
