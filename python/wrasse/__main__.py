"""The command line: ``wrasse …`` and ``python -m wrasse …``."""

import site
import sys

from wrasse import _core


def _site_directories() -> list[str]:
    """The directories whose .pth files this interpreter reads at its start."""
    if sys.flags.no_site:
        return []
    directories = site.getsitepackages()
    if site.ENABLE_USER_SITE:
        directories.append(site.getusersitepackages())
    return directories


def main() -> int:
    """Run the command line and return its exit code."""
    executable = sys.executable or ""
    return _core.main(sys.argv, executable, sys.orig_argv, _site_directories())


if __name__ == "__main__":
    sys.exit(main())
