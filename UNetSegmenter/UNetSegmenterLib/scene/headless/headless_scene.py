"""A MRML scene without an application: the real module logics of the `slicer-core` wheel.

Inside 3D Slicer the application has its own scene, and nothing here is needed.
"""

from __future__ import annotations

import logging
import tempfile
import weakref
from pathlib import Path

import slicer
import vtk

logger = logging.getLogger(__name__)


class HeadlessScene:
    """A scene with colours, volumes and segmentations logic, and what reading an `.mrb` needs.

    `scene` and `application_logic` are what the other modules of this package take. The cache folder of the scene's
    input and output is removed with the object. With `make_current` (the default) `slicer.mrmlScene` is set too, so
    that functions of `slicer.util` find it.
    """

    def __init__(self, make_current: bool = True) -> None:
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetMRMLScene(self.scene)
        colors = self.application_logic.GetColorLogic()
        colors.SetMRMLScene(self.scene)
        colors.AddDefaultColorNodes()
        self.application_logic.SetModuleLogic("Colors", colors)
        self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        self.volumes = self._add_logic(slicer.vtkSlicerVolumesLogic, "Volumes")
        self.segmentations = self._add_logic(slicer.vtkSlicerSegmentationsModuleLogic, "Segmentations")
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._cache = tempfile.TemporaryDirectory(prefix="unetsegmenter-scene-", ignore_cleanup_errors=True)
        self._add_input_output(Path(self._cache.name))
        if make_current:
            slicer.mrmlScene = self.scene
        weakref.finalize(self, self._cache.cleanup)

    def _add_logic(self, logic_class: type, name: str) -> vtk.vtkObject:
        logic = logic_class()
        logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name, logic)
        return logic

    def _add_input_output(self, cache: Path) -> None:
        """Without a data manager and its cache folder, `ReadFromMRB` refuses to unpack."""
        self._remote = slicer.vtkMRMLRemoteIOLogic()
        self._remote.SetMRMLScene(self.scene)
        self._remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
        self._remote.AddDataIOToScene()
        self._data_io = slicer.vtkDataIOManagerLogic()
        self._data_io.SetMRMLScene(self.scene)
        self._data_io.SetMRMLApplicationLogic(self.application_logic)
        self._data_io.SetAndObserveDataIOManager(self._remote.GetDataIOManager())
        self.scene.SetRootDirectory(str(cache))
