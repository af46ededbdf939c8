"""What happens while the next question is chosen: Qt may work then, and so may the user."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from napari_sam2.asker import Asker
from tests.fakes import HeldRunner


def question(name: str, *, is_ahead: bool = False) -> Any:
    prompts = () if is_ahead else ("a click",)
    return SimpleNamespace(name=name, plane=name, prompts=prompts, request=name)


class Table:
    """An asker that finds one plane to embed ahead, and what happens while it looks for it."""

    def __init__(self, finds: Any) -> None:
        self.finds = finds
        self.meanwhile: Callable[[], object] = lambda: None
        self.runner = HeldRunner()
        self.told = Mock()
        self.asker = Asker(
            self.runner, lambda request, _: request, lambda _: True, self.look_for_more
        )
        self.asker.answered.connect(lambda asked, answer: self.told(asked.name, answer))

    def look_for_more(self) -> Any:
        found, self.finds = self.finds, None
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return found


@pytest.mark.parametrize("finds", [None, question("ahead", is_ahead=True)])
def test_what_is_asked_while_more_is_looked_for_is_answered_too(finds: Any) -> None:
    table = Table(finds)
    table.meanwhile = lambda: table.asker.ask(question("click"))
    table.asker.look_around()
    table.runner.finish_all()
    names = ["ahead", "click"] if finds else ["click"]
    assert [call.args for call in table.told.call_args_list] == [(name, name) for name in names]


@pytest.mark.parametrize("finds", [None, question("ahead", is_ahead=True)])
def test_who_wants_the_worker_meanwhile_gets_it_when_it_is_free(finds: Any) -> None:
    table = Table(finds)
    freed = Mock()

    def hold() -> None:
        table.asker.hold(lambda: freed(table.runner.busy))
        freed.assert_not_called()

    table.meanwhile = hold
    table.asker.look_around()
    table.runner.finish_all()
    freed.assert_called_once_with(False)
    table.asker.ask(question("click"))
    assert not table.runner.busy
    table.asker.release()
    assert table.runner.busy


def test_nothing_starts_once_it_is_closed_meanwhile() -> None:
    table = Table(question("ahead", is_ahead=True))
    table.meanwhile = table.asker.close
    table.asker.look_around()
    assert table.runner.started == 0
