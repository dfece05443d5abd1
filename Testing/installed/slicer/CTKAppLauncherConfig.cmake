# The launcher starts a Slicer of the build tree with the extension: there is no such Slicer here.

function(ctkAppLauncherConfigureForExecutable)
endfunction()
