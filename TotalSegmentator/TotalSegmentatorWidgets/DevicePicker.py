"""The choice of what computes."""

from collections.abc import Callable, Iterable

from slicer.i18n import tr as _

from TotalSegmentatorLib.environment import Device


class DevicePicker:
    """Automatic, the processor, and each GPU with its free memory.

    GPUs are asked of the engine, which takes seconds: until then only those that the scene knows of
    are listed.

    :param ui: the panel's widgets.
    :param onChanged: called when a person has chosen a device.
    :param onRefresh: called when a person wants GPUs to be looked for.
    """

    def __init__(self, ui, onChanged: Callable[[], None], onRefresh: Callable[[], None]) -> None:
        self._box = ui.deviceComboBox
        self._refreshButton = ui.refreshDevicesButton
        self._onChanged = onChanged
        self._devices: tuple[Device, ...] = ()
        self._fill("auto")
        self._box.connect("activated(int)", self._onActivated)
        self._refreshButton.connect("clicked()", onRefresh)

    @property
    def device(self) -> str:
        """``auto``, ``cpu``, ``gpu:N`` or ``mps``."""
        return self._box.itemData(self._box.currentIndex)

    @device.setter
    def device(self, device: str) -> None:
        device = "gpu:0" if device == "gpu" else device
        if self._box.findData(device) < 0:
            self._fill(device)
        self._box.currentIndex = self._box.findData(device)

    def setDevices(self, devices: Iterable[Device]) -> None:
        """List what was found on this computer."""
        self._devices = tuple(devices)
        self._fill(self.device)

    def setLooking(self, looking: bool) -> None:
        """Say that devices are being looked for."""
        self._refreshButton.enabled = not looking
        self._refreshButton.text = _("Looking...") if looking else _("Look again")

    def _onActivated(self, index: int) -> None:
        self._onChanged()

    def _fill(self, chosen: str) -> None:
        titles = {"auto": _("Automatic"), "cpu": _("Processor (CPU)")}
        for device in self._devices:
            if device.kind != "cpu":
                titles[device.id] = _("{name} ({free} of {total} GB free)").format(
                    name=device.title,
                    free=round(device.free_bytes / 1e9),
                    total=round(device.total_bytes / 1e9),
                )
        if chosen not in titles:  # from another computer, or not looked for yet
            titles[chosen] = _("{device} (not seen on this computer yet)").format(device=chosen)
        wasBlocked = self._box.blockSignals(True)
        self._box.clear()
        for device, title in titles.items():
            self._box.addItem(title, device)
        self._box.currentIndex = self._box.findData(chosen)
        self._box.blockSignals(wasBlocked)
