"""Dialogs that are answered before they are asked."""

from __future__ import annotations

from pathlib import Path


class FakeDialogs:
    """Gives the answers in turn, and the empty text of a cancelled dialog after the last one.

    Attributes
    ----------
    answers : list of path or str
        Still to be given.
    asked : list of (title, start, kinds)
        Every question.
    """

    def __init__(self, *answers: Path | str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, str]] = []

    def ask_where_to_save(self, title: str, start: str, kinds: str) -> str:
        return self._answer(title, start, kinds)

    def ask_what_to_open(self, title: str, start: str, kinds: str) -> str:
        return self._answer(title, start, kinds)

    def ask_for_folder(self, title: str, start: str) -> str:
        return self._answer(title, start, "")

    def _answer(self, *question: str) -> str:
        self.asked.append(question)
        return str(self.answers.pop(0)) if self.answers else ""
