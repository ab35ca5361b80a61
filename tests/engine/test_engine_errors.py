"""The errors module."""

import subprocess
import sys


def test_importing_the_errors_does_not_import_numpy() -> None:
    code = (
        "import sys, photoanimer_async.engine.engine_errors; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'cv2', 'av', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
