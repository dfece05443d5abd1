"""Check, before anything is installed, that the system has what the wheels can't bring; name the packages if not."""

import ctypes.util
import platform
import sys

LIBRARIES = {  # library: Debian and Ubuntu package
    "EGL": "libegl1",
    "GL": "libgl1",
    "xkbcommon": "libxkbcommon0",
    "dbus-1": "libdbus-1-3",
    "fontconfig": "libfontconfig1",
    "glib-2.0": "libglib2.0-0",
}


def missing() -> list[str]:
    """Packages to install, in apt's names."""
    packages = [package for library, package in LIBRARIES.items() if not ctypes.util.find_library(library)]
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        packages.append("python3-venv")
    return packages


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file runs before anything is known of the machine
        print(
            f"Python {platform.python_version()} is too old: 3.11 or newer is needed (make PYTHON=python3.11 ...)",
            file=sys.stderr,
        )
        return 1
    if sys.platform == "linux" and (packages := missing()):
        print("System libraries are missing. On Debian and Ubuntu:", file=sys.stderr)
        print(f"  sudo apt-get install -y {' '.join(packages)} libgl1-mesa-dri fonts-dejavu-core", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
