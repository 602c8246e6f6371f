"""Encodes with pictures between anchors wherever there is room for them, whatever is cheaper."""

import math
from typing import Any

import pytest

from lvc.encoder import group
from lvc.encoder.settings import TRY_EVERY


def always_between(monkeypatch: pytest.MonkeyPatch, run: int = 4) -> None:
    """Until the test is over anchors are ``run`` pictures apart, with every preset, also in what is cheaper without."""
    original = group.GroupEncoder._attempt

    def attempt(self: group.GroupEncoder, *arguments: Any, **named: Any) -> group._Attempt:
        found = original(self, *arguments, **named)
        return found if found.has_between else found._replace(cost=math.inf)

    monkeypatch.setattr(group.GroupEncoder, "_attempt", attempt)
    monkeypatch.setattr(group, "RUN", run)
    for preset in TRY_EVERY:
        monkeypatch.setitem(TRY_EVERY, preset, 2)
