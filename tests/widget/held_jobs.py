"""Jobs that are done when the test says so."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

Job = tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]]


class HeldJobs:
    """Stands in for `Jobs`; `waiting` holds those that were started."""

    def __init__(self) -> None:
        self.waiting: deque[Job] = deque()

    def start(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.waiting.append((work, done, failed))

    def do_next(self) -> None:
        work, done, failed = self.waiting.popleft()
        try:
            value = work()
        except Exception as error:  # noqa: BLE001  # as a worker thread would
            failed(error)
        else:
            done(value)

    def do_all(self) -> None:
        while self.waiting:
            self.do_next()
