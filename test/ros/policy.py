"""The SROS 2 policy in config/, read as `ros2 security` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from test.ros.graph import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

POLICY = REPOSITORY / "config" / "sros2_policy.xml"


def allowed(enclave: str, action: str, name: Callable[[str], str]) -> set[str]:
    """Names, in full, that the nodes of an enclave may `publish`, `subscribe`, `reply` or `request`."""
    found = ET.parse(POLICY).find(f"./enclaves/enclave[@path='/lkpan/{enclave}']")
    assert found is not None
    return {name(entry.text or "") for group in found.iterfind(f".//*[@{action}='ALLOW']") for entry in group}
