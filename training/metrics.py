"""Retrieval metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def recall_at(
    similarity: NDArray[np.float32], positive: NDArray[np.bool_], ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Part of the queries with a true match among their k most similar gallery entries.

    A query without any true match counts as a miss; of equal similarities the first stands first.

    Args:
        similarity: Q x G, larger is more alike.
        positive: Q x G, True where the gallery entry shows the query's place.
        ks: Depths; one beyond G means the whole gallery.

    Raises:
        ValueError: The shapes differ or there is no query.
    """
    if similarity.shape != positive.shape or similarity.ndim != 2 or not len(similarity):
        raise ValueError(f"similarity {similarity.shape} and positive {positive.shape} must be alike, Q x G")
    order = np.argsort(-similarity, axis=1, kind="stable")  # Q x G
    hits = np.take_along_axis(positive, order, axis=1)  # Q x G
    return {k: float(hits[:, :k].any(axis=1).mean()) for k in ks}
