"""The neural networks that come with the package.

Loading a network takes longer than running it, so each is loaded once for the process. It runs in
the caller's thread, and threads can share it.
"""

import functools
from importlib.resources import files

import onnxruntime

FACES = "blazeface_full_range.onnx"
LARGE_FACES = "blazeface_short_range.onnx"
LANDMARKS = "face_mesh_attention_478.onnx"
PEOPLE = "selfie_segmentation.onnx"


@functools.cache
def load_network(weights: str) -> onnxruntime.InferenceSession:
    """Return one of the package's networks.

    Args:
        weights: The name of a file in the `weights` folder: one of the constants above.
    """
    onnxruntime.disable_telemetry_events()  # if a program loaded it before the engine
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; do not print them too
    model = (files("photoanimer_async.engine") / "weights" / weights).read_bytes()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load_all() -> None:
    """Load all networks; otherwise the first photo does."""
    for weights in (FACES, LARGE_FACES, LANDMARKS, PEOPLE):
        load_network(weights)
