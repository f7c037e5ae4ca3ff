"""The encoder that settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lkpan_model.encoder import Encoder

if TYPE_CHECKING:
    from lkpan_ros.localization.config import EncoderSettings


def load_encoder(
    settings: EncoderSettings, weights: str | None = None, *, threads: int | None = None
) -> Encoder:
    """The encoder of the section `encoder` of a configuration.

    Args:
        settings: The section.
        weights: In place of those that it names.
        threads: As of `Encoder`.

    Raises:
        ModelError: The weights cannot be read, or engine, device or precision are not available here.
    """
    return Encoder(
        weights or settings.weights,
        engine=settings.engine,
        device=settings.device,
        precision=settings.precision,
        threads=threads,
    )
