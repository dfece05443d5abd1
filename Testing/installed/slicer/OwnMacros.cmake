# Own small macros of the names that this extension calls: each listed file must be there, and is installed where Slicer installs it.

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(NOT MODULE_NAME OR MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule has no NAME, or something else: ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "${MODULE_NAME} lists ${file}, which is not there")
    endif()
    get_filename_component(folder "${file}" DIRECTORY)
    install(FILES "${file}" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${folder}")
  endforeach()
endfunction()

function(slicer_add_python_unittest)
endfunction()
