"""The button that shows a segmentation in 3D."""

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from TotalSegmentatorLib.errors import SegmentationError
from TotalSegmentatorLib.scene.surfaces import SurfaceBuilder


class SurfaceView:
    """Builds surfaces when somebody asks for them, bit by bit, so that Slicer goes on meanwhile.

    :param ui: the panel's widgets.
    :param onError: called with what went wrong.
    """

    INTERVAL_MSEC = 5

    def __init__(self, ui, onError: Callable[[SegmentationError], None]) -> None:
        self._button = ui.show3DButton
        self._title = self._button.text
        self._onError = onError
        self._node = None
        self._smoothing = 0.5
        self._builder: SurfaceBuilder | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(self.INTERVAL_MSEC)
        self._timer.connect("timeout()", self._step)
        self._button.connect("clicked(bool)", self._onClicked)

    def setSegmentation(self, node, smoothing: float) -> None:
        """Say which segmentation the button is for.

        :param smoothing: of the surfaces, 0 to 1; surfaces that are shown follow it.
        """
        isOther = node is not self._node
        if isOther:
            self.stop()
        changed = not isOther and smoothing != self._smoothing
        self._node, self._smoothing = node, smoothing
        self._button.enabled = node is not None and node.GetSegmentation().GetNumberOfSegments() > 0
        self._button.checked = self._builder is not None or self._isShown()
        if changed and self._button.checked:
            self._begin()

    def stop(self) -> None:
        """Give up surfaces that are being built; the segmentation is as before."""
        self._timer.stop()
        if self._builder is not None:
            self._builder.close()
        self._builder = None
        self._button.text = self._title

    def _isShown(self) -> bool:
        display = self._node.GetDisplayNode() if self._node else None
        return bool(
            display
            and display.GetVisibility()
            and display.GetVisibility3D()
            and self._node.GetSegmentation().ContainsRepresentation("Closed surface")
        )

    def _onClicked(self, checked: bool) -> None:
        if checked:
            self._begin()
        elif self._builder is not None:
            self.stop()
        elif self._node.GetDisplayNode():
            self._node.GetDisplayNode().SetVisibility3D(False)

    def _begin(self) -> None:
        self.stop()
        try:
            self._builder = SurfaceBuilder(self._node, self._smoothing)
        except SegmentationError as error:
            self._fail(error)
        else:
            self._timer.start()

    def _step(self) -> None:
        try:
            if not self._builder.done:
                self._builder.step()
                percent = round(100 * self._builder.fraction)
                self._button.text = _("Building 3D ({percent} %)").format(percent=percent)
                return
            self._builder.finish()
            self.stop()
        except SegmentationError as error:
            self._fail(error)

    def _fail(self, error: SegmentationError) -> None:
        self.stop()
        self._button.checked = False
        self._onError(error)
