"""The log of the package, and progress: a bar on a terminal, lines in the log."""

from __future__ import annotations

import logging
import sys
from time import monotonic
from typing import Any

from tqdm import tqdm

LOG = logging.getLogger("variscope")


class Progress:
    """A bar on a terminal, and a line in the log from time to time.

    Args:
        total: of what is done.
        unit: its name, for example ``"images"``.
        bar: show a bar; by default where standard error is a terminal.
    """

    def __init__(self, total: int, unit: str, bar: bool | None = None) -> None:
        shown = sys.stderr.isatty() if bar is None else bar
        self._bar: Any = tqdm(total=total, unit=f" {unit}", disable=not shown, mininterval=0.5)
        self._total, self._unit, self._done = total, unit, 0
        self._start = self._last = monotonic()

    def __call__(self, done: int) -> None:
        """Say that this many more are done."""
        self._bar.update(done)
        self._done += done
        now = monotonic()
        if now - self._last > 10 or self._done == self._total:
            rate = self._done / max(1e-9, now - self._start)
            left = (self._total - self._done) / max(1e-9, rate)
            LOG.info(
                "%d of %d %s, %.0f per second, %.0f s left",
                self._done, self._total, self._unit, rate, left,
            )  # fmt: skip
            self._last = now

    def expect(self, more: int) -> None:
        """Say that so many more are to be done than was said so far."""
        self._total += more
        self._bar.total = self._total
        self._bar.refresh()

    def note(self, text: str) -> None:
        """Say something beside the bar, and in the log."""
        self._bar.set_postfix_str(text)
        LOG.info("%s", text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
