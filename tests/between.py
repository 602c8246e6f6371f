"""Encodes with pictures between anchors wherever there is room for them, whatever is cheaper."""

import pytest

from lvc.encoder import group
from lvc.encoder.attempt import Attempt
from lvc.encoder.settings import TRY_EVERY
from tests.test_codec import groups


def always_between(monkeypatch: pytest.MonkeyPatch, run: int = 4) -> None:
    """Until the test is over anchors are ``run`` pictures apart, with every preset, also in what is cheaper without
    and in what stands still.
    """
    original = group.GroupEncoder._cheaper

    def cheaper(self: group.GroupEncoder, plain: Attempt, between: Attempt) -> Attempt:
        original(self, plain, between)
        return self._go_on(between)

    monkeypatch.setattr(group.GroupEncoder, "_cheaper", cheaper)
    monkeypatch.setattr(group.GroupEncoder, "_stands_still", lambda *_: False)
    monkeypatch.setattr(group, "RUN", run)
    for preset in TRY_EVERY:
        monkeypatch.setitem(TRY_EVERY, preset, 2)


def kinds_of(data: bytes) -> list[list[int]]:
    """Of the pictures of each group, in display order."""
    return [[record.kind for record in chunk.gop.frames] for chunk in groups(data)]
