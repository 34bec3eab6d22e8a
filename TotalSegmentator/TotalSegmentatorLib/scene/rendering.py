"""One picture of a volume and its segmentation: surfaces and three slices.

Drawn by Slicer's own displayable managers, without a window or a display:
``python -m TotalSegmentatorLib.scene.rendering VOLUME SEGMENTATION PICTURE --banner TEXT``
does it in a process of its own, which a broken graphics driver can end without harm to the caller.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import SegmentationError, SetupError
from ..images import Image
from ..images.whole_file import whole_file
from .headless import HeadlessApplication
from .segmentations import segmentation_to_labels
from .volumes import matrix_to_array, volume_to_image

SIZE = (1600, 900)
"""Width and height of the picture in pixels."""
_OVERSAMPLING = 2
"""The picture is drawn larger and averaged: smooth edges, also without the driver's help."""

_CT_WINDOW_LEVEL = (350.0, 40.0)
"""The usual window for soft tissue, HU."""
_MIN_VIEW_MM = 120.0
"""Slices show at least this much, however small the structures."""
_BACKGROUND = (0.043, 0.055, 0.071)
_BACKGROUND_TOP = (0.145, 0.18, 0.22)
_TEXT = (0.86, 0.89, 0.92)
_LETTERS = (0.98, 0.80, 0.35)
_BANNER = (0.78, 0.16, 0.13)

_GAP = 8
_HEADER = 52
_BANNER_HEIGHT = 40


@dataclass(frozen=True)
class Box:
    """A part of the picture in pixels; the origin is at the lower left, as in VTK."""

    left: int
    bottom: int
    width: int
    height: int

    @property
    def viewport(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top as fractions of the picture."""
        width, height = SIZE
        return (
            self.left / width,
            self.bottom / height,
            (self.left + self.width) / width,
            (self.bottom + self.height) / height,
        )


@dataclass(frozen=True)
class Layout:
    """Where everything is: surfaces on the left, the slices on the right."""

    surfaces: Box
    axial: Box
    coronal: Box
    sagittal: Box


@dataclass(frozen=True)
class Aim:
    """Where the slices look: RAS, mm.

    :param point: (3,), on all three slices.
    :param middle: (3,), in the middle of each slice's view.
    :param extent: (3,), size of what the views show.
    """

    point: np.ndarray
    middle: np.ndarray
    extent: np.ndarray


def make_layout(banner: bool) -> Layout:
    """The layout, with room for a banner at the bottom if there is one."""
    width, height = SIZE
    floor = (_BANNER_HEIGHT if banner else 0) + _GAP
    tall = height - _HEADER - floor
    left = 860
    right = width - left - 3 * _GAP
    half = (right - _GAP) // 2
    low = (tall - _GAP) * 43 // 100
    right_left = left + 2 * _GAP
    return Layout(
        Box(_GAP, floor, left, tall),
        Box(right_left, floor + low + _GAP, right, tall - low - _GAP),
        Box(right_left, floor, half, low),
        Box(right_left + half + _GAP, floor, right - half - _GAP, low),
    )


def render_preview(
    volume: str | Path,
    segmentation: str | Path,
    picture: str | Path,
    banner: str = "",
    title: str = "",
) -> None:
    """Draw a volume and its segmentation into a PNG file of 1600 x 900 pixels.

    The surfaces are seen from the front, the slices as radiologists see them: the patient's right
    is on the left. Each slice lies where it cuts most structures.

    :param volume: image file or DICOM folder.
    :param segmentation: .seg.nrrd file.
    :param banner: a warning across the bottom.
    :param title: a line above; the default counts the structures.
    :raises SetupError: ``environment.rendering``.
    :raises InputError: if a file cannot be loaded; ``output.not_writable``.
    """
    window = make_window()
    application = HeadlessApplication()
    volume_node = application.load_volume(volume)
    segmentation_node = application.load_segmentation(segmentation)
    layout = make_layout(bool(banner))
    _prepare_display(volume_node, segmentation_node)
    keep = [_add_surfaces(window, layout.surfaces, application, segmentation_node)]
    aim = _aim(volume_node, segmentation_node)
    for orientation, box in (
        ("Axial", layout.axial),
        ("Coronal", layout.coronal),
        ("Sagittal", layout.sagittal),
    ):
        keep.append(_add_slice(window, box, application, volume_node, orientation, aim))
    count = segmentation_node.GetSegmentation().GetNumberOfSegments()
    _add_texts(window, layout, title or f"{count} structures", banner)
    window.Render()
    _write_png(window, Path(picture))


#
# The window
#


def make_window() -> vtk.vtkRenderWindow:
    """A window that is never shown, drawn with whatever library this computer has.

    VTK ends the process if it finds none, so this looks first.

    :raises SetupError: ``environment.rendering``.
    """
    window = _window()
    window.SetOffScreenRendering(True)
    window.SetSize(*(pixels * _OVERSAMPLING for pixels in SIZE))
    window.SetMultiSamples(0)
    window.SetNumberOfLayers(2)
    return window


def _window() -> vtk.vtkRenderWindow:
    if not sys.platform.startswith("linux"):
        return vtk.vtkRenderWindow()
    if _loads("libEGL.so.1"):
        window = vtk.vtkEGLRenderWindow()
        if window.SupportsOpenGL():  # not so if the library is there without a driver
            return window
    if _loads("libOSMesa.so.8"):
        return vtk.vtkOSOpenGLRenderWindow()
    raise SetupError(
        "environment.rendering",
        "This computer has no library that draws pictures without a display.",
        "Install EGL with Mesa's driver, or OSMesa; on Debian and Ubuntu: "
        "'apt-get install libegl1 libgl1 libopengl0 libegl-mesa0' or 'apt-get install libosmesa6'.",
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _add_renderer(
    window: vtk.vtkRenderWindow, viewport: Sequence[float], layer: int = 0
) -> vtk.vtkRenderer:
    renderer = vtk.vtkRenderer()
    renderer.SetViewport(*viewport)
    renderer.SetLayer(layer)
    renderer.SetBackground(*_BACKGROUND)
    window.AddRenderer(renderer)
    return renderer


def _displayable_managers(
    renderer: vtk.vtkRenderer,
    application: HeadlessApplication,
    view_node: slicer.vtkMRMLAbstractViewNode,
    managers: Iterable[slicer.vtkMRMLAbstractDisplayableManager],
) -> slicer.vtkMRMLDisplayableManagerGroup:
    """Let displayable managers draw a view; they draw for as long as the group lives.

    The application's factories are not used: they are shared by the process, and Slicer's own.
    """
    group = slicer.vtkMRMLDisplayableManagerGroup()
    group.SetRenderer(renderer)
    for manager in managers:
        manager.SetMRMLApplicationLogic(application.logic)
        group.AddDisplayableManager(manager)
    group.SetMRMLDisplayableNode(view_node)
    return group


#
# Surfaces
#


def _prepare_display(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> None:
    display = volume_node.GetScalarVolumeDisplayNode()
    if volume_to_image(volume_node).array.min() < -500:  # only CT knows air
        window, level = _CT_WINDOW_LEVEL
        display.AutoWindowLevelOff()
        display.SetWindowLevel(window, level)
    segmentation_node.CreateClosedSurfaceRepresentation()
    display = segmentation_node.GetDisplayNode()
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    display.SetPreferredDisplayRepresentationName3D(surface)
    display.SetPreferredDisplayRepresentationName2D(surface)
    display.SetOpacity2DFill(0.45)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(_OVERSAMPLING)


def _add_surfaces(
    window: vtk.vtkRenderWindow,
    box: Box,
    application: HeadlessApplication,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> object:
    view = application.scene.AddNewNodeByClass("vtkMRMLViewNode")
    view.SetLayoutName("Preview")
    view.SetBoxVisible(False)
    view.SetAxisLabelsVisible(False)
    renderer = _add_renderer(window, box.viewport)
    interactor = vtk.vtkGenericRenderWindowInteractor()  # the managers ask for one
    interactor.SetRenderWindow(window)
    group = _displayable_managers(
        renderer, application, view, [slicer.vtkMRMLSegmentationsDisplayableManager3D()]
    )
    renderer.GradientBackgroundOn()
    renderer.SetBackground2(*_BACKGROUND_TOP)
    lights = vtk.vtkLightKit()
    lights.SetKeyLightIntensity(0.9)
    lights.SetKeyToFillRatio(2.0)
    lights.AddLightsToRenderer(renderer)
    _look_from_front(renderer, box)
    return group, interactor, lights


def _look_from_front(renderer: vtk.vtkRenderer, box: Box) -> None:
    """Fill the view with what is in it, seen from the front with the head up."""
    bounds = renderer.ComputeVisiblePropBounds()
    if not vtk.vtkMath.AreBoundsInitialized(bounds):
        return
    left, right, back, front, low, high = bounds
    middle = np.array([(left + right) / 2, (back + front) / 2, (low + high) / 2])
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(middle[0], front + 1000, middle[2])
    camera.SetViewUp(0, 0, 1)
    camera.SetParallelScale(1.08 * max(high - low, (right - left) * box.height / box.width) / 2)
    renderer.ResetCameraClippingRange()


#
# Slices
#


def _aim(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> Aim:
    """At the structures, or at the middle of the volume if none was found."""
    empty = not segmentation_node.GetSegmentation().GetNumberOfSegments()
    bounds = np.zeros(6)
    (volume_node if empty else segmentation_node).GetRASBounds(bounds)
    low, high = bounds[::2], bounds[1::2]
    middle = (low + high) / 2
    point = middle if empty else _most_visible(segmentation_to_labels(segmentation_node))
    return Aim(point, middle, high - low)


def _most_visible(labels: Image) -> np.ndarray:
    """The point (RAS mm) whose axial, coronal and sagittal slices show the structures best.

    A structure counts in full where its cross-section is largest, and less elsewhere; so a slice
    through the middle of the kidneys wins over one that touches the tips of many ribs. The ends
    are left out: there the image cuts structures off.
    """
    size = int(labels.array.max()) + 1
    index = np.ones(4)
    for axis in range(3):
        slices = np.moveaxis(labels.array, 2 - axis, 0)
        areas = np.array([np.bincount(s[::2, ::2].ravel(), minlength=size) for s in slices])[:, 1:]
        shown = (areas / np.maximum(areas.max(axis=0), 1)).sum(axis=1)
        margin = len(shown) * 15 // 100
        index[axis] = margin + shown[margin : len(shown) - margin].argmax()
    return (labels.ijk_to_ras @ index)[:3]


def _add_slice(
    window: vtk.vtkRenderWindow,
    box: Box,
    application: HeadlessApplication,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    orientation: str,
    aim: Aim,
) -> object:
    width, height = box.width * _OVERSAMPLING, box.height * _OVERSAMPLING
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(application.logic)
    logic.SetMRMLScene(application.scene)
    view = logic.AddSliceNode(orientation)
    view.SetOrientation(orientation)
    view.SetDimensions(width, height, 1)
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
    _aim_slice(view, aim)
    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    image = vtk.vtkActor2D()
    image.SetMapper(mapper)
    image.GetProperty().SetDisplayLocationToBackground()
    renderer = _add_renderer(window, box.viewport)
    renderer.SetBackground(0, 0, 0)
    renderer.AddViewProp(image)
    group = _displayable_managers(
        renderer, application, view, [slicer.vtkMRMLSegmentationsDisplayableManager2D()]
    )
    return group, logic


def _aim_slice(view: slicer.vtkMRMLSliceNode, aim: Aim) -> None:
    """Place a slice through the point and fit its plane to the bounds, with some margin."""
    axes = matrix_to_array(view.GetSliceToRAS())[:3, :3]
    width, height, _ = view.GetDimensions()
    across, up, _ = np.abs(axes.T) @ aim.extent
    scale = max(across / width, up / height, _MIN_VIEW_MM / width) * 1.12
    view.SetFieldOfView(scale * width, scale * height, 1)
    normal = axes[:, 2]
    view.JumpSliceByCentering(*(aim.middle + normal * (normal @ (aim.point - aim.middle))))
    view.UpdateMatrices()


#
# Texts
#


def _add_texts(window: vtk.vtkRenderWindow, layout: Layout, title: str, banner: str) -> None:
    renderer = _add_renderer(window, (0, 0, 1, 1), layer=1)
    width, height = SIZE
    _add_text(renderer, title, (2 * _GAP, height - _HEADER // 2), 24, _TEXT, align_left=True)
    _add_directions(renderer, layout.surfaces, "", "RLSI")
    _add_directions(renderer, layout.axial, "Axial", "RLAP")
    _add_directions(renderer, layout.coronal, "Coronal", "RLSI")
    _add_directions(renderer, layout.sagittal, "Sagittal", "APSI")
    if banner:
        _add_bar(renderer, Box(0, 0, width, _BANNER_HEIGHT), _BANNER)
        _add_text(renderer, banner, (width // 2, _BANNER_HEIGHT // 2), 22, (1, 1, 1))


def _add_directions(renderer: vtk.vtkRenderer, box: Box, name: str, letters: str) -> None:
    """The name of a view, and where its left, right, top and bottom point to in the patient."""
    middle_x, middle_y = box.left + box.width // 2, box.bottom + box.height // 2
    edge = 16
    places = (
        (box.left + edge, middle_y),
        (box.left + box.width - edge, middle_y),
        (middle_x, box.bottom + box.height - edge),
        (middle_x, box.bottom + edge),
    )
    for letter, place in zip(letters, places, strict=True):
        _add_text(renderer, letter, place, 17, _LETTERS)
    _add_text(
        renderer, name, (box.left + 12, box.bottom + box.height - edge), 15, _TEXT, align_left=True
    )


def _add_text(
    renderer: vtk.vtkRenderer,
    text: str,
    place: tuple[int, int],
    size: int,
    color: tuple[float, float, float],
    align_left: bool = False,
) -> None:
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    actor.SetPosition(*(pixels * _OVERSAMPLING for pixels in place))
    style = actor.GetTextProperty()
    style.SetFontSize(size * _OVERSAMPLING)
    style.SetFontFamilyToArial()
    style.BoldOn()
    style.SetColor(*color)
    style.ShadowOn()
    style.SetJustification(vtk.VTK_TEXT_LEFT if align_left else vtk.VTK_TEXT_CENTERED)
    style.SetVerticalJustificationToCentered()
    renderer.AddViewProp(actor)


def _add_bar(renderer: vtk.vtkRenderer, box: Box, color: tuple[float, float, float]) -> None:
    plane = vtk.vtkPlaneSource()
    left, bottom = box.left * _OVERSAMPLING, box.bottom * _OVERSAMPLING
    right, top = left + box.width * _OVERSAMPLING, bottom + box.height * _OVERSAMPLING
    plane.SetOrigin(left, bottom, 0)
    plane.SetPoint1(right, bottom, 0)
    plane.SetPoint2(left, top, 0)
    mapper = vtk.vtkPolyDataMapper2D()
    mapper.SetInputConnection(plane.GetOutputPort())
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(*color)
    renderer.AddViewProp(actor)


#
# The file
#


def _write_png(window: vtk.vtkRenderWindow, path: Path) -> None:
    pixels = _averaged(_read_pixels(window))
    data = vtk.vtkImageData()
    data.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
    data.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, 3), deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetInputData(data)
    with whole_file(path, suffix=".png") as part:
        writer.SetFileName(str(part))
        writer.Write()


def _read_pixels(window: vtk.vtkRenderWindow) -> np.ndarray:
    """Shape (rows, columns, 3), uint8, the lowest row first."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.ShouldRerenderOff()
    grab.Update()
    data = grab.GetOutput()
    width, height, _ = data.GetDimensions()
    return vtk_to_numpy(data.GetPointData().GetScalars()).reshape(height, width, 3)


def _averaged(pixels: np.ndarray) -> np.ndarray:
    rows, columns, channels = pixels.shape
    n = _OVERSAMPLING
    blocks = pixels.reshape(rows // n, n, columns // n, n, channels)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of this module; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m TotalSegmentatorLib.scene.rendering",
        description="Draw a volume and its segmentation into a PNG file.",
    )
    parser.add_argument("volume", type=Path, help="image file or folder of a DICOM series")
    parser.add_argument("segmentation", type=Path, help=".seg.nrrd file")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--banner", default="", help="a warning across the bottom")
    parser.add_argument("--title", default="", help="a line at the top")
    options = parser.parse_args(arguments)
    try:
        render_preview(**vars(options))
    except SegmentationError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
