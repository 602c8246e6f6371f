"""What the library logs, told by commands."""

import contextlib
import logging
from collections.abc import Iterator

from lvc.cli.events import Events


class _NoteHandler(logging.Handler):
    """Turns what is logged into notes."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.INFO)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        self._events.note(record.getMessage())


@contextlib.contextmanager
def log_as_notes(events: Events) -> Iterator[None]:
    """While it lasts, what the library logs becomes notes."""
    logger, handler = logging.getLogger("lvc"), _NoteHandler(events)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
