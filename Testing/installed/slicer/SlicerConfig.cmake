# Stands in for the build tree of a 3D Slicer: what find_package(Slicer) brings, as far as this extension needs it.
#
# Without more it installs by own small macros (OwnMacros.cmake), with the folders and checks of Slicer's. With
#   -DSLICER_SOURCE=DIR -DCTK_SOURCE=DIR
# source trees of Slicer and CTK, Slicer's own macros configure, install and package (docs/publishing.md). Nothing is compiled.

set(Slicer_USE_PYTHONQT ON)
set(Slicer_MAIN_PROJECT_APPLICATION_NAME Slicer)
set(Slicer_LAUNCHER_EXECUTABLE "Slicer")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer-5.12/qt-scripted-modules")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_FOUND TRUE)

if(NOT SLICER_SOURCE)
  include("${CMAKE_CURRENT_LIST_DIR}/OwnMacros.cmake")
  set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
  set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
  return()
endif()

# Slicer's own macros, and the values of its build tree that they read.
set(Slicer_CMAKE_DIR "${SLICER_SOURCE}/CMake")
set(Slicer_EXTENSIONS_CMAKE_DIR "${SLICER_SOURCE}/Extensions/CMake")
set(CTK_CMAKE_DIR "${CTK_SOURCE}/CMake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${Slicer_CMAKE_DIR}/SlicerExtensionGenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${Slicer_CMAKE_DIR}/SlicerExtensionCPack.cmake")
set(Slicer_PYTHON_MODULE_TEST_TEMPLATES_DIR "${SLICER_SOURCE}/Base/QTCore/Testing/Python")
set(Slicer_ExternalData_DATA_MANAGEMENT_TARGET SlicerData)
set(Slicer_REVISION 0)
set(Slicer_OS linux)
set(Slicer_ARCHITECTURE amd64)
set(EXTENSION_OPERATING_SYSTEM "${Slicer_OS}")
set(EXTENSION_ARCHITECTURE "${Slicer_ARCHITECTURE}")
set(Slicer_WC_ROOT NA)
set(Slicer_INSTALL_ROOT "")
set(Slicer_BUNDLE_EXTENSIONS_LOCATION "")
set(Slicer_SHARE_DIR "share/Slicer-5.12")
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(PYTHON_EXECUTABLE "${Python3_EXECUTABLE}")
set(PYTHON_LIBRARIES "${Python3_EXECUTABLE}")  # only its folder is looked at, to find Python's libraries
set(PYTHONINTERP_FOUND TRUE)
set(PYTHONLIBS_FOUND TRUE)
set(CTKAppLauncher_DIR "${CMAKE_CURRENT_LIST_DIR}")
list(INSERT CMAKE_MODULE_PATH 0 "${Slicer_CMAKE_DIR}" "${Slicer_EXTENSIONS_CMAKE_DIR}" "${CTK_CMAKE_DIR}")
include(ExternalData)
include(ctkFunctionExtractOptimizedLibrary)
include(ctkMacroCompilePythonScript)
include(SlicerMacroConfigureGenericPythonModuleTests)
include(SlicerMacroPythonTesting)
include(SlicerMacroBuildScriptedModule)
