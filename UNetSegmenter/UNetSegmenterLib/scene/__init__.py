"""Between the engine's arrays and Slicer's MRML nodes; needs `slicer` and `vtk`, never Qt."""
