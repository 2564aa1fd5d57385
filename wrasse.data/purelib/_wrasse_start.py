"""What ``00_wrasse.pth`` does where WRASSE is set.

A module, because its code is kept compiled, while that of a ``.pth`` file is compiled at each
start, twice in a virtual environment.
"""

import os
import sys

try:
    if os.environ["WRASSE"] not in ("", "0", "off"):
        # What follows, Python has imported already.
        import _frozen_importlib
        import _frozen_importlib_external
        import _imp

        # The extension module alone: few programs need the package around it.
        start = os.path.join(os.path.dirname(__file__), "wrasse", "_core")
        for suffix in _imp.extension_suffixes():
            if os.path.exists(start + suffix):
                name = "wrasse._core"
                loader = _frozen_importlib_external.ExtensionFileLoader(name, start + suffix)
                spec = _frozen_importlib.spec_from_loader(name, loader)
                _core = _frozen_importlib._load(spec)
                break
        else:
            from wrasse import _core
        _core.boot(os.environ["WRASSE"])
except BaseException as error:
    print(f"wrasse: not started, running on stock: {error!r}", file=sys.stderr)
