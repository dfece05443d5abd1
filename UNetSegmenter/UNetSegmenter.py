"""Segment CT slice by slice with a trained 2D U-Net and check whether the result is plausible anatomy.

This file is what 3D Slicer sees: module, parameters, widget, logic, self test. What it wires together is in
`UNetSegmenterLib`, of which nothing but the names of the layouts is imported before the panel is opened.
"""

import os
import sys
from typing import Annotated, get_type_hints

if sys.version_info < (3, 10):  # noqa: UP036 (what comes next would fail with a sentence about the operator "|")
    raise ImportError("UNetSegmenter needs 3D Slicer 5.10 or later (https://download.slicer.org).")

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode  # isort: skip

# "Reload" in developer mode reads this file alone: take the Lib along
if hasattr(slicer.modules, "UNetSegmenterWidget"):
    for _name in [name for name in sys.modules if name == "UNetSegmenterLib" or name.startswith("UNetSegmenterLib.")]:
        del sys.modules[_name]

HOMEPAGE = "https://github.com/UNetSegmenter/SlicerUNetSegmenter"


class UNetSegmenter(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("UNetSegmenter")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["The UNetSegmenter developers"]
        self.parent.helpText = _(
            "Segments a CT scan slice by slice with a trained 2D U-Net. Choose a checkpoint, choose a scan, press Apply. "
            'Step by step: <a href="{homepage}/blob/main/docs/tutorial.md">tutorial</a>. Not a medical device.'
        ).format(homepage=HOMEPAGE)
        self.parent.acknowledgementText = _(
            "The network follows O. Ronneberger, P. Fischer and T. Brox, U-Net: Convolutional Networks for Biomedical Image "
            "Segmentation, MICCAI 2015."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerLayouts)


def registerLayouts():
    """Make the module's layouts known: a scene that was saved while one was on screen would else be opened without views."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        from UNetSegmenterLib.scene.views.layout import add_layouts

        add_layouts(manager.layoutLogic().GetLayoutNode())


def registerSampleData():
    """Put the sample scan and its reference into Slicer's Sample Data module; downloaded only on demand."""
    try:
        import SampleData
    except ImportError:
        return
    from UNetSegmenterLib.panel.sample_data import register

    register(SampleData.SampleDataLogic, title=_("UNetSegmenter"))


@parameterNodeWrapper
class UNetSegmenterParameterNode:
    """What the user chose; saved with the scene.

    checkpointPath: the checkpoint file; inputVolume: the scan; outputSegmentation: the result to replace, None for a new
    one; device: where the network runs; showIn3D, keepPartial, mirroring (each slice is segmented mirrored too, where the
    model allows it), postprocessing (what the model's card asks for is done): the options of section Segment;
    comparedPrediction, groundTruth (a segmentation or a label map): what section Compare compares; distanceScale: where
    its distance colours end, in mm; viewsLayout, outlines, softTissue (the scan in the model's window), opacity (percent,
    of areas in the slices), sliceCurve: how its layout shows them; distinctColors: whether structures are shown there, in the
    table and in the report in colours that one can tell apart;
    reviewFolder, reviewResults, reviewCase: the test set that is reviewed, where its predictions and verdicts are ("" for
    the same folder), and the case that was looked at last.
    """

    checkpointPath: str = ""
    inputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"
    showIn3D: bool = True
    keepPartial: bool = True
    mirroring: bool = False
    postprocessing: bool = True
    comparedPrediction: vtkMRMLSegmentationNode
    groundTruth: vtkMRMLSegmentationNode | vtkMRMLLabelMapVolumeNode | None
    distanceScale: Annotated[int, WithinRange(1, 100)] = 10
    viewsLayout: Annotated[str, Choice(["Two rows", "One row", "3D only"])] = "Two rows"
    outlines: bool = False
    softTissue: bool = True
    opacity: Annotated[int, WithinRange(0, 100)] = 50
    sliceCurve: bool = False
    distinctColors: bool = False
    reviewFolder: str = ""
    reviewResults: str = ""
    reviewCase: str = ""


PARAMETERS = get_type_hints(UNetSegmenterParameterNode, include_extras=True)


class UNetSegmenterWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Life cycle of the panel; its behaviour is in `UNetSegmenterLib.panel`."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._isNewScene = True

    def setup(self):
        """Build the panel and follow the scene."""
        ScriptedLoadableModuleWidget.setup(self)
        from UNetSegmenterLib.panel.panel import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/UNetSegmenter.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = UNetSegmenterLogic()
        self.panel = Panel(self.ui, self.logic.worker)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        selection = slicer.app.applicationLogic().GetSelectionNode()
        if selection is not None:
            self.addObserver(selection, vtk.vtkCommand.ModifiedEvent, self.onSelectionModified)
        self.panel.views.tidy()
        self.initializeParameterNode()
        if self.parent.isEntered:  # reloaded: Slicer does not call `enter` again
            self.panel.result_views.start()

    def cleanup(self):
        """The module is unloaded or reloaded: nothing may be left running."""
        self.setParameterNode(None)
        self.removeObservers()
        if self.panel is not None:
            self.panel.close()

    def enter(self):
        """The module is shown."""
        self.initializeParameterNode()
        self.panel.came_back()
        self.panel.look_for_packages()
        self.panel.result_views.start()

    def exit(self):
        """The panel is left: a run goes on, the layout of before comes back."""
        self.panel.views.leave()
        self.panel.result_views.stop()

    def onSceneStartClose(self, caller=None, event=None):
        """Stop what is going on: the nodes are about to go."""
        self._isNewScene = True
        self.setParameterNode(None)
        self.panel.on_scene_closing()

    def onSceneEndClose(self, caller=None, event=None):
        """Begin with the empty scene."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller=None, event=None):
        """Follow the choices that a loaded scene brought along."""
        self.panel.views.tidy()
        if self.parent.isEntered:
            self.initializeParameterNode()
            self.panel.fill_model(self._parameterNode)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node):
        """Let go of a node before the scene does."""
        self.panel.on_node_going(node)

    def onSelectionModified(self, caller=None, event=None):
        """Another volume is on screen: a scan that is loaded while the panel is open is chosen if there is none yet."""
        from UNetSegmenterLib.scene.nodes.volume_nodes import scan_on_screen

        if self.parent.isEntered and self._parameterNode is not None and not self._parameterNode.inputVolume:
            self._parameterNode.inputVolume = scan_on_screen(slicer.app.applicationLogic())

    def initializeParameterNode(self):
        """Follow the scene's parameter node; an empty scan becomes the one on screen, a new scene takes the choices of before.

        Only once the panel is shown: reading a model starts a process, and a module that was never opened starts none.
        The wrapper is kept as long as the scene: each one leaves its observers on the script node, which outlives scenes.
        """
        from UNetSegmenterLib.panel.remembered import forget_unreadable
        from UNetSegmenterLib.scene.nodes.volume_nodes import first_scan, scan_on_screen

        parameters = self._parameterNode
        if parameters is None or parameters.parameterNode.GetScene() is None:
            parameters = self.logic.getParameterNode()
        else:
            forget_unreadable(parameters.parameterNode, PARAMETERS)
        if not parameters.inputVolume:
            parameters.inputVolume = scan_on_screen(slicer.app.applicationLogic()) or first_scan(slicer.mrmlScene)
        if self._isNewScene and self.parent.isEntered:
            self._isNewScene = False
            self.panel.fill(parameters)
        self.setParameterNode(parameters)

    def setParameterNode(self, parameters):
        """Connect the panel to a parameter node, or to none."""
        before, self._parameterNode = self._parameterNode, parameters
        if before is not None and before is not parameters:
            before.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(before, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if parameters is not None and parameters is not before:
            self._parameterNodeGuiTag = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        if self.panel is not None:
            self.panel.set_parameters(parameters)

    def onParametersModified(self, caller=None, event=None):
        """A choice was changed, by the user or a script."""
        self.panel.on_parameters()


class UNetSegmenterLogic(ScriptedLoadableModuleLogic):
    """The scripting interface; works without the panel.

    In Slicer's Python console:

        logic = slicer.util.getModuleLogic("UNetSegmenter")
        segmentation = logic.segment(getNode("CT"), "/models/abdomen.pt")          # waits, Slicer stays alive

        logic.startSegment(getNode("CT"), "/models/abdomen.pt", onEnd=lambda result: print(result.node))   # does not wait

        for row in logic.compare(segmentation, getNode("GroundTruth")).rows:
            print(row.structure, row.measures and row.measures.dice)

        errors = logic.errorMap(segmentation, getNode("GroundTruth"), "liver")
        painted = logic.distanceColors(segmentation, getNode("GroundTruth"), scale=5)

        for finding in logic.check(segmentation, getNode("CT"), "/models/abdomen.pt"):
            print(finding.severity, finding.sentence)

        print(logic.writeReport(segmentation, getNode("GroundTruth"), getNode("CT"), "/reports/case 1"))
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._worker = None

    @property
    def worker(self):
        """The child process that runs the network; it starts with the first request."""
        if self._worker is None:
            from UNetSegmenterLib.panel.jobs.worker_process import WorkerProcess

            self._worker = WorkerProcess()
        return self._worker

    def getParameterNode(self):
        """The choices that are saved with the scene."""
        from UNetSegmenterLib.panel.remembered import forget_unreadable

        node = super().getParameterNode()
        forget_unreadable(node, PARAMETERS)
        return UNetSegmenterParameterNode(node)

    def startSegment(
        self,
        volumeNode,
        checkpointPath,
        segmentationNode=None,
        device="auto",
        *,
        onProgress=None,
        onEnd=None,
        onStage=None,
        **options,
    ):
        """Begin to segment and return the job at once; `job.cancel()` ends it.

        One scan is segmented at a time: a job that is started meanwhile, here or in the panel, waits for its turn.

        :param volumeNode: the CT scan (vtkMRMLScalarVolumeNode).
        :param checkpointPath: the checkpoint file (.pt).
        :param segmentationNode: segmentation to replace; None makes a new one.
        :param device: "auto", "cpu", "cuda" or "mps".
        :param onProgress: called with a SegmentationProgress (done, total, seconds) once a batch.
        :param onEnd: called once with a SegmentationResult (node, outcome, notes).
        :param onStage: called with a text that says what the job waits for.
        :param options: `surfaces` and `keep_partial`, both True; `mirroring`, False: segment mirrored slices too, if the
            model allows it; `postprocessing`, True: do what the model's card asks for with the labels.
        :raises InputError: (a ValueError) if there is no scan to segment.
        """
        from UNetSegmenterLib.panel.jobs.segmenter import JobCallbacks, SegmentationJob, SegmentationOptions

        chosen = SegmentationOptions(os.path.abspath(checkpointPath), device, segmentationNode, **options)
        wanted = {"on_progress": onProgress, "on_end": onEnd, "on_stage": onStage}
        callbacks = JobCallbacks(**{name: function for name, function in wanted.items() if function is not None})
        job = SegmentationJob(self.worker, volumeNode, chosen, callbacks)
        job.start()
        return job

    def segment(self, volumeNode, checkpointPath, segmentationNode=None, device="auto", **options):
        """Segment a scan and wait for the segmentation node; Slicer stays alive meanwhile.

        Parameters as in `startSegment`. :raises InputError: (a ValueError) with the reason, for a checkpoint or scan that
        cannot be used. :raises RuntimeError: if the worker dies, or whatever else goes wrong.
        """
        from UNetSegmenterLib.panel.jobs.scripting import segment_and_wait
        from UNetSegmenterLib.panel.jobs.segmenter import SegmentationOptions

        chosen = SegmentationOptions(os.path.abspath(checkpointPath), device, segmentationNode, **options)
        return segment_and_wait(self.worker, volumeNode, chosen)

    def compare(self, predictionNode, referenceNode, volumeNode=None, byHand=None):
        """Measures of all structures of a prediction against a reference; waits.

        :param predictionNode: the segmentation to compare.
        :param referenceNode: the ground truth, a segmentation or label map node; its grid is the one that counts.
        :param volumeNode: the scan; its name becomes the case.
        :param byHand: names in the prediction to names in the reference; None takes what was matched in the panel.
        :returns: a Comparison: `rows` (structure, status, measures, largest_error_ras in world coordinates) and `notes`.
        :raises InputError: (a ValueError) for nodes that cannot be compared.
        """
        from UNetSegmenterLib.panel.jobs.scripting import compare_nodes

        return compare_nodes(predictionNode, referenceNode, volumeNode, byHand)

    def errorMap(self, predictionNode, referenceNode, structure=None):
        """Where a prediction differs from a reference, as a segmentation node "<prediction> errors"; waits.

        Its segments are agreement, false positive, false negative and, over all structures, confused (either side says
        another structure), with their volumes in ml in the names; docs/metrics.md defines them.

        :param structure: name of the only structure to show; None shows all that are on both sides.
        :returns: the node, on the reference's grid and under its transform; the next call for this prediction replaces it.
        :raises InputError: (a ValueError) for nodes that cannot be compared or a structure that is not on both sides.
        """
        from UNetSegmenterLib.engine.stepwise import run_to_end
        from UNetSegmenterLib.scene.nodes.error_map_node import error_map_node_steps

        return run_to_end(error_map_node_steps(predictionNode, referenceNode, structure))

    def distanceColors(self, predictionNode, referenceNode, structure=None, scale=10.0):
        """The surface of a prediction painted with its signed distance from a reference's, in mm; waits.

        :param structure: name of the only structure to paint; None paints all that are on both sides.
        :param scale: distance in mm at which the colours are full: blue inside the reference, red outside.
        :returns: a new model node "<prediction> distances" with a colour bar; its points carry the distances.
        :raises InputError: (a ValueError) for nodes that cannot be compared or a structure that is not on both sides.
        """
        from UNetSegmenterLib.engine.stepwise import run_to_end
        from UNetSegmenterLib.scene.views.distance_colors import distance_colors_steps

        return run_to_end(distance_colors_steps(predictionNode, referenceNode, structure, scale_mm=scale)).node

    def check(self, segmentationNode, volumeNode=None, checkpointPath=None):
        """Plausibility findings of a segmentation, without any ground truth.

        :param volumeNode: its scan, which the checks of HU need.
        :param checkpointPath: checkpoint whose training statistics give the expected ranges; None goes by rules of thumb.
        """
        from UNetSegmenterLib.panel.jobs.scripting import check_nodes

        return check_nodes(self.worker, segmentationNode, volumeNode, checkpointPath)

    def writeReport(
        self,
        predictionNode,
        referenceNode,
        volumeNode,
        folder,
        checkpointPath=None,
        overwrite=False,
        *,
        distinctColors=False,
    ):
        """Compare, check and write report.html, metrics.csv and summary.json into a folder; waits.

        :param volumeNode: the scan, or None.
        :param folder: made if it isn't there.
        :param overwrite: replace what an earlier report, or anybody else, has left there under the same names.
        :param checkpointPath: as in `check`.
        :param distinctColors: show the structures in colours that one can tell apart; the nodes keep theirs.
        :returns: the path of report.html. The verdict that is kept with the prediction stands in it.
        :raises InputError: (a ValueError) for nodes that cannot be compared and folders that cannot be written to.
        """
        from UNetSegmenterLib.panel.jobs.scripting import write_report

        options = {"checkpoint": checkpointPath, "overwrite": overwrite, "distinct_colors": distinctColors}
        return write_report(self.worker, (predictionNode, referenceNode, volumeNode), folder, **options)

    def close(self):
        """End the worker; the next request starts another one."""
        if self._worker is not None:
            self._worker.close()


class UNetSegmenterTest(ScriptedLoadableModuleTest):
    """Self test: a scan of noise, an untrained network, the whole way from volume to segmentation."""

    def setUp(self):
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        self.setUp()
        self.test_segment()
        self.setUp()
        self.test_refusal()

    def test_segment(self):
        """Geometry, names and provenance come through, whatever the labels are."""
        from UNetSegmenterLib.panel.jobs.dependencies import PYTORCH

        if not PYTORCH.is_installed():
            self.delayDisplay("PyTorch is not installed: skipped")
            return
        from UNetSegmenterLib.panel.self_test import noise_volume, tiny_checkpoint

        logic = UNetSegmenterLogic()
        with tiny_checkpoint() as path:
            volumeNode = noise_volume()
            segmentationNode = logic.segment(volumeNode, path, device="cpu")
        logic.close()
        self.assertEqual(segmentationNode.GetSegmentation().GetNumberOfSegments(), 2)
        self.assertEqual(segmentationNode.GetTransformNodeID(), volumeNode.GetTransformNodeID())
        self.assertTrue(segmentationNode.GetAttribute("UNetSegmenter.CheckpointSHA256"))
        self.delayDisplay("Segmented")

    def test_refusal(self):
        """Without a scan there is one clear sentence."""
        with self.assertRaisesRegex(ValueError, "no scan"):
            UNetSegmenterLogic().segment(None, "/nowhere.pt")
        self.delayDisplay("Refused")
