"""What the stories share: hands, eyes, a synthetic scan, checkpoints made on the spot."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import qt
import slicer

WINDOW_SIZES = ((1366, 768), (1900, 1150))  # a laptop's and a desk's, in pixels
PANEL_PIXELS = 400  # as wide as the panel may ask to be
CENTER_LPS_MM = (-60.0, -140.0, 683.0)  # of the scan: 700 mm from the origin, as scanners place them


def _turned(*degrees):
    """Direction matrix of a scan turned about x, y and z, one after the other."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[one, one] = turn[two, two] = np.cos(angle)
        turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


DIRECTIONS = {
    "tilted": _turned(8.0, 0.0, 0.0),
    "oblique": _turned(8.0, -12.0, 20.0),
    "flipped": np.diag((-1.0, -1.0, 1.0)),
    "feet first, mirrored": np.diag((1.0, 1.0, -1.0)),
}


class Skip(Exception):
    """A story that this application cannot tell, with the reason."""


class World:
    """The application as a person has it before them."""

    Skip = Skip

    def __init__(self, folder, output=None, quick=False):
        self.folder, self.output, self.quick = folder, output, quick
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
        self.smaller = {}  # sizes of the window that the screen did not allow, and what it became
        self._checkpoints = None

    @property
    def widget(self):
        """The panel's Python object."""
        return slicer.util.getModuleWidget("UNetSegmenter")

    @property
    def panel(self):
        return self.widget.panel

    @property
    def ui(self):
        return self.widget.ui

    def empty(self):
        """An empty scene with the panel open, no choice of an earlier story, and nobody who answers questions by chance."""
        self.let_choose_a_model(False)
        qt.QSettings().remove("UNetSegmenter/Last")
        slicer.mrmlScene.Clear(0)
        slicer.util.selectModule("UNetSegmenter")
        panel = self.panel
        panel.model.choose("")
        slicer.mrmlScene.Clear(0)
        panel.ask = self._unexpected
        self.settle()

    @staticmethod
    def let_choose_a_model(itself=True):
        """Whether the panel may choose a model by itself in an empty scene, as it does when it is used."""
        from UNetSegmenterLib.panel import panel
        from UNetSegmenterLib.panel.sections import model_section

        panel.model_at_hand = model_section.model_at_hand if itself else lambda: ""

    def close(self):
        self.panel.worker.close()

    @staticmethod
    def _unexpected(question):
        raise AssertionError(f"nobody expected to be asked: {question}")

    @staticmethod
    def turn(until, seconds=60.0):
        """Turn the event loop until something holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds:.0f} s in vain")
            slicer.app.processEvents()
            time.sleep(0.001)

    def settle(self, seconds=0.15):
        end = time.monotonic() + seconds
        self.turn(lambda: time.monotonic() >= end)

    @staticmethod
    def press(button):
        """Click a button that is shown and enabled."""
        assert button.isVisible(), f"{button.objectName} is not shown, so nobody can press it"
        assert button.isEnabled(), f"{button.objectName} is disabled: {button.toolTip}"
        button.click()

    @staticmethod
    def view_is_on_screen():
        """Whether a 3D view can be seen."""
        manager = slicer.app.layoutManager()
        return any(manager.threeDWidget(number).visible for number in range(manager.threeDViewCount))

    @staticmethod
    def window():
        """Slicer's main window, None where nobody sees it."""
        window = slicer.util.mainWindow()
        return window if window is not None and window.isVisible() else None

    def resize(self, size):
        """Give the main window a size and let the views follow; a screen may be too small for it."""
        window = self.window()
        if window.maximized:
            window.showNormal()
        window.resize(*size)
        self.settle(0.2)
        got = window.size.width(), window.size.height()
        if got != size:
            self.smaller[size] = got

    def at_each_size(self):
        """Go on at each size of the window, the first one last; once where there is no window."""
        if self.window() is None:
            yield "no window"
            return
        for size in WINDOW_SIZES[::-1]:
            self.resize(size)
            yield "x".join(map(str, size))

    def picture(self, name):
        """A screenshot of the whole window, or of the panel where there is no window."""
        if self.output is None:
            return
        self.settle()
        draw = getattr(slicer.app.layoutManager(), "draw", None)
        if draw is not None:  # the stand-in draws its views when it is told to
            draw()
        (self.window() or self.widget.parent).grab().save(str(self.output / f"{name}.png"))

    def pictures(self, name):
        """A screenshot at each size of the window."""
        if self.output is not None:
            for size in self.at_each_size():
                self.picture(f"{name} {size}")

    def wanted_width(self):
        """The width that the panel asks Slicer for, in pixels."""
        hints = (self.widget.parent.sizeHint, self.widget.parent.minimumSizeHint)
        return max((hint() if callable(hint) else hint).width() for hint in hints)

    def panel_pixels(self):
        """How wide the panel is, or asks to be where it may be wider; all up to what is allowed counts the same."""
        shown = self.widget.parent.width if self.window() is not None else 0
        return max(PANEL_PIXELS, self.wanted_width(), shown)

    @staticmethod
    def need(module_name):
        """Skip a story where a part of Slicer is not there (the stand-in of the panel's own tests)."""
        if not hasattr(slicer.modules, module_name.lower()):
            raise Skip(f"no module {module_name} here")

    # --- material ---

    def add_scan(
        self, name="Synthetic CT", slices=24, size=96, spacing_mm=(3.0, 1.6, 1.6), lies="tilted", center=CENTER_LPS_MM
    ):
        """A body of soft tissue with a bright organ, as a volume node far from the origin; `lies` names its directions."""
        from UNetSegmenterLib.engine.io.geometry import Geometry
        from UNetSegmenterLib.engine.io.volume import Volume
        from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node

        y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
        plane = np.full((size, size), -1000, np.int16)
        plane[(x / 0.85) ** 2 + (y / 0.7) ** 2 < 1] = 40
        plane[(x + 0.35) ** 2 + (y + 0.1) ** 2 < 0.06] = 110
        array = np.repeat(plane[None], slices, axis=0) + np.arange(slices, dtype=np.int16)[:, None, None] % 7
        direction = DIRECTIONS[lies]
        half = direction @ (np.array(spacing_mm[::-1]) * (np.array(array.shape[::-1]) - 1) / 2)
        origin, direction = (tuple(np.subtract(center, half).tolist()), tuple(map(tuple, direction.tolist())))
        node = volume_to_node(
            Volume(array, Geometry(array.shape, spacing_mm, origin, direction), name), slicer.mrmlScene
        )
        slicer.util.setSliceViewerLayers(background=node, fit=True)  # as every reader of Slicer does
        self.widget.initializeParameterNode()
        self.settle()
        return node

    def add_segmentation(self, name, shift=0, slices=24, size=96):
        """A liver, `shift` voxels off, and a spleen, which only an unshifted one has; on the grid of the scan there is."""
        from UNetSegmenterLib.engine.labels.segmentation import Segmentation
        from UNetSegmenterLib.engine.labels.structures import known_structure
        from UNetSegmenterLib.scene.nodes.node_grids import volume_geometry
        from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

        scan = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        labels = np.zeros((slices, size, size), np.uint8)
        labels[4:-4, 30:60, 10 + shift : 40 + shift] = 1
        if not shift:
            labels[4:-4, 30:50, 60:80] = 2
        pair = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
        segmentation = Segmentation(labels, volume_geometry(scan), pair, name)
        return segmentation_to_node(segmentation, slicer.mrmlScene, scan)

    def checkpoint(self, name="tiny"):
        """Path of "tiny" (fast), "slow" (seconds), or a broken one: "text", "no card"."""
        if self._checkpoints is None:
            if importlib.util.find_spec("torch") is None:
                raise AssertionError(
                    "PyTorch is not installed in this Slicer: install it in the panel, then run the stories again"
                )
            self._checkpoints = self._write_checkpoints()
        return self._checkpoints[name]

    def _write_checkpoints(self):
        import torch
        from UNetSegmenterLib.engine.labels.structures import known_structure
        from UNetSegmenterLib.engine.model.architectures import unet
        from UNetSegmenterLib.engine.model.card import Card
        from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
        from UNetSegmenterLib.engine.model.network import UNet
        from UNetSegmenterLib.engine.model.normalisation import window
        from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

        pair = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
        paths = {name: self.folder / f"{name} ü.pt" for name in ("tiny", "slow", "text", "no card")}
        for name, width, spacing_mm in (("tiny", 4, 1.5), ("slow", 16, 0.8)):
            torch.manual_seed(3)
            card = Card(
                name,
                unet(1, 3, width, 2),
                pair,
                Preprocessing((spacing_mm, spacing_mm), window(-200.0, 300.0), size_multiple=4),
            )
            weights = UNet(1, 3, width, 2).state_dict()
            # "slow" finds nothing and "tiny" liver everywhere: surfaces of noise would take longer than a run
            weights["exit.bias"][0 if name == "slow" else 1] = 100.0
            save_checkpoint(paths[name], card, weights)
        paths["text"].write_text("not a network", encoding="utf-8")
        torch.save({"format": 1, "weights": {}}, paths["no card"])
        return paths

    # --- what a person does ---

    def choose(self, name="tiny"):
        """Choose a checkpoint and wait for its card or its refusal."""
        path = str(self.checkpoint(name))
        self.panel.model.choose(path)
        self.turn(lambda: self.panel.model.path == path and (self.panel.model.card or self.panel.model.refusal))
        self.settle()

    def apply(self):
        """Press Apply and wait for the end."""
        self.press(self.ui.applyButton)
        self.turn(lambda: not self.panel.segment.state.is_busy, 120)
        self.settle()
        return self.panel.segment.state.value

    def words(self):
        return " ".join(note.text for note in self.panel.segment.notes)

    def segmentations(self):
        return list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


class Stalls:
    """The longest time for which the event loop was away."""

    def __init__(self):
        self.longest_ms, self._last = 0.0, time.perf_counter()
        self._timer = qt.QTimer()
        self._timer.setInterval(5)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def stop(self):
        self._timer.stop()

    def _tick(self):
        now = time.perf_counter()
        self.longest_ms = max(self.longest_ms, 1000 * (now - self._last))
        self._last = now
