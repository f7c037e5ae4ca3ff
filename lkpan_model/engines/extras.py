"""Libraries that only some engines need."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from lkpan_model.errors import DeviceError


def extra(name: str, what_for: str) -> Any:
    """Import an optional library.

    Args:
        name: Of the package, which is what `pip install` calls it too.
        what_for: Said when it is missing: `engine onnxruntime`.

    Raises:
        DeviceError: It is not installed.
    """
    # OpenVINO reports its use over the network where it finds this package. A vehicle's software calls nobody.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DeviceError(
            f"{what_for} needs the package {name} ({error}): pip install {name}, in the version that "
            "requirements/extras.txt names"
        ) from error
