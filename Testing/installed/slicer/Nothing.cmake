# Configuration and package of an extension are made by Slicer's own files alone (SlicerConfig.cmake).
