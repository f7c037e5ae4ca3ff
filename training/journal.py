"""What a training run leaves behind while it runs: its log, TensorBoard scalars, a picture of matched pairs."""

from __future__ import annotations

import json
import math
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lkpan_model.errors import ModelError
from lkpan_model.preprocess import to_batch
from lkpan_model.whole_file import write_whole
from training import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

LOG, STARTS, PAIRS, TENSORBOARD = "log.jsonl", "starts.jsonl", "pairs.png", "tensorboard"
ROWS = 8  # pairs in the picture
CELL = 192  # side of a view in the picture, pixels
CAPTION = 22  # height of a line of text, pixels
GREEN, RED, WHITE = (60, 200, 60), (230, 60, 60), (255, 255, 255)


class JournalError(ModelError):
    """The record of a run cannot be written."""


class Journal:
    """The record of a run in its folder.

    A run that goes on from a checkpoint writes over what came after that checkpoint: log lines of the same and
    later epochs are cut at the first `epoch`, TensorBoard hides the steps that are repeated.

    Files: `log.jsonl` (one line an epoch), `starts.jsonl` (one line each time the run was started or resumed:
    command, git revision, versions, machine), `pairs.png` (the last picture of pairs) and `tensorboard/`.

    Args:
        folder: The run folder, which exists; None: nothing is written or printed (the other ranks of many).

    Raises:
        JournalError: From every method: a file cannot be written.
    """

    def __init__(self, folder: Path | None, done: int = 0) -> None:
        """Of a run that has made `done` optimiser steps before."""
        self._folder = folder
        self._writer: SummaryWriter | None = None
        self._started = False
        self._step = done
        self._latest: dict[str, float] = {}

    def step(self, step: int, values: Mapping[str, float]) -> None:
        """Scalars of an optimiser step (`loss`, `learning_rate`, `scale`, ...) for TensorBoard."""
        if self._folder is None:
            return
        self._start(step)
        self._step, self._latest = step, dict(values)
        self._scalars("train", values)

    def epoch(self, line: Mapping[str, Any]) -> None:
        """Append a line to the log, print it, and show its numbers in TensorBoard.

        Args:
            line: `epoch` (from 1) and any JSON values; a mapping under the name of a held-out source holds its
                figures. The last step's values that the line lacks are added; numbers that JSON does not know
                (NaN, infinity) become null.
        """
        if self._folder is None:
            return
        self._start(self._step + 1)
        latest = {name: float(f"{value:.6g}") for name, value in self._latest.items() if name not in line}
        whole = {**line, **latest}
        text = json.dumps(_finite(whole), allow_nan=False)
        append(self._folder / LOG, text, key="epoch")
        print(text, flush=True)
        self._scalars("epoch", {n: v for n, v in line.items() if not hasattr(v, "items") and n != "epoch"})
        for name, figures in line.items():
            if hasattr(figures, "items"):
                self._scalars(name, figures)

    def pairs(self, epoch: int, drone: Tensor, satellite: Tensor, similarity: Tensor) -> None:
        """Show matched pairs: drone view, its true satellite view, and the one that the encoder finds nearest.

        Args:
            epoch: Named in the picture.
            drone: uint8 B x 3 x S x S.
            satellite: uint8 B x 3 x S x S, row i the same place as the drone's.
            similarity: Floating B x B, cosine of drone i and satellite j.
        """
        if self._folder is None:
            return
        self._start(self._step + 1)
        picture = draw_pairs(epoch, drone, satellite, similarity)
        encoded = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))[1]
        replace(self._folder / PAIRS, encoded.tobytes())
        if self._writer is not None:
            with accessing(self._folder / TENSORBOARD):
                self._writer.add_image("pairs", picture, self._step, dataformats="HWC")

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._writer is not None and self._folder is not None:
            with accessing(self._folder / TENSORBOARD):
                self._writer.close()
            self._writer = None

    def _start(self, step: int) -> None:
        """At the first event: note the first step of this start."""
        if self._started or self._folder is None:
            return
        self._started = True
        append(self._folder / STARTS, json.dumps({"step": step, **environment.describe()}), key="step")
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes seconds, may be missing
        except ImportError:
            print("note: no TensorBoard scalars (pip install -r requirements/training.txt)", file=sys.stderr)
            return
        with accessing(self._folder / TENSORBOARD):
            self._writer = SummaryWriter(str(self._folder / TENSORBOARD), purge_step=step)

    def _scalars(self, group: str, values: Mapping[str, Any]) -> None:
        if self._writer is None or self._folder is None:
            return
        with accessing(self._folder / TENSORBOARD):
            for name, value in values.items():
                if isinstance(value, int | float) and math.isfinite(value):
                    self._writer.add_scalar(f"{group}/{name}", value, self._step)


def append(path: Path, line: str, *, key: str) -> None:
    """Add a line of JSON to a file whose lines stand in the order of `key`; those from its place on are cut.

    So is a line that is not JSON, the half of one that a power cut left.
    """
    place = json.loads(line)[key]
    kept = [text for old, text in read_lines(path) if old.get(key, place) < place]
    replace(path, "".join(f"{text}\n" for text in (*kept, line)).encode())


def read_lines(path: Path) -> list[tuple[dict[str, Any], str]]:
    """The lines of a file that are JSON objects, parsed and as they stand; none where there is no file."""
    if not path.exists():
        return []
    with accessing(path):
        content = path.read_text(encoding="utf-8", errors="replace")
    lines = []
    for text in content.splitlines():
        with suppress(json.JSONDecodeError):
            lines.append((json.loads(text), text))
    return [(value, text) for value, text in lines if isinstance(value, dict)]


def replace(path: Path, content: bytes) -> None:
    """Write a file that is either the old one or whole.

    Raises:
        JournalError: It cannot be written, for instance because the disk is full.
    """
    with accessing(path):
        write_whole(path, content)


@contextmanager
def accessing(path: Path) -> Iterator[None]:
    """Name the file, and what to do, in the error of a full disk."""
    try:
        yield
    except OSError as error:
        raise JournalError(
            f"cannot read or write {path}: {error.strerror or error}; make room or access, then --resume"
        ) from error


def draw_pairs(epoch: int, drone: Tensor, satellite: Tensor, similarity: Tensor) -> NDArray[np.uint8]:
    """The picture of `Journal.pairs`: uint8 RGB, one row a pair, the first ROWS of the batch."""
    rows = []
    best = similarity.argmax(dim=1).tolist()
    for index in range(min(ROWS, len(drone))):
        true, found = float(similarity[index, index]), float(similarity[index, best[index]])
        colour = GREEN if best[index] == index else RED
        rows.append(
            np.hstack([
                _cell(drone[index], f"#{index}", WHITE),
                _cell(satellite[index], f"{true:.3f}", WHITE),
                _cell(satellite[best[index]], f"{found:.3f} #{best[index]}", colour),
            ])
        )  # fmt: skip
    titles = (f"epoch {epoch}: drone", "true satellite", "best satellite")
    return np.vstack([np.hstack([_caption(title, WHITE) for title in titles]), *rows])


def _cell(view: Tensor, text: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = to_batch([view.permute(1, 2, 0).cpu().numpy()], CELL)[0].permute(1, 2, 0).numpy()
    image = cv2.copyMakeBorder(image[3:-3, 3:-3], 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=colour)
    return np.vstack([image, _caption(text, colour)]).astype(np.uint8, copy=False)


def _caption(text: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    strip = np.zeros((CAPTION, CELL, 3), np.uint8)
    cv2.putText(strip, text, (4, CAPTION - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
    return strip


def _finite(value: Any) -> Any:
    """The same with None for each number that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    return value
