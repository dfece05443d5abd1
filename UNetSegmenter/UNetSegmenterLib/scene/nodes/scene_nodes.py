"""Nodes of a scene: find them, remove them with their display and storage nodes, put them into a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import slicer


def nodes_of_class(scene: slicer.vtkMRMLScene, name: str) -> list[Any]:
    """All nodes of a class, in the order of the scene."""
    return [scene.GetNthNodeByClass(number, name) for number in range(scene.GetNumberOfNodesByClass(name))]


@contextmanager
def removed_on_error(*nodes: slicer.vtkMRMLNode) -> Iterator[None]:
    """Remove these newly added nodes from the scene if the block raises."""
    try:
        yield
    except BaseException:
        for node in nodes:
            remove_node(node)
        raise


def remove_node(node: slicer.vtkMRMLNode) -> None:
    """Remove a node, and the display and storage nodes that it has."""
    scene = node.GetScene()
    for part in with_own_nodes([node]) if scene is not None else ():
        if scene.IsNodePresent(part):
            scene.RemoveNode(part)


def place_beside(node: slicer.vtkMRMLNode, neighbour: slicer.vtkMRMLNode) -> None:
    """Put a node into the folder (study, patient) of `neighbour` in the subject hierarchy, if that is in one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    if hierarchy is None:
        return
    beside = hierarchy.GetItemByDataNode(neighbour)
    if not beside:
        return
    folder = hierarchy.GetItemParent(beside)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
    hierarchy.SetItemParent(item, folder)


def with_own_nodes(nodes: Sequence[Any]) -> list[Any]:
    """Nodes, and the display and storage nodes that belong to them, which can't be found once a node is gone."""
    parts = list(nodes)
    for node in nodes:
        if node.IsA("vtkMRMLDisplayableNode"):
            parts += [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        parts += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
    return [part for part in parts if part is not None]


def remove_nodes(nodes: Sequence[Any]) -> None:
    """Remove those nodes that are still in their scene."""
    for node in nodes:
        if node.GetScene() is not None:
            node.GetScene().RemoveNode(node)


def remove_nodes_by_id(scene: slicer.vtkMRMLScene, ids: Iterable[str]) -> None:
    """Remove nodes, and the display and storage nodes that only they use."""
    for node_id in ids:
        node = scene.GetNodeByID(node_id)
        if node is not None:
            remove_node(node)
