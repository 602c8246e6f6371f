"""What ``lvc train`` tells while it runs."""

import sys
import time

from lvc.cli.events import Events
from lvc.cli.progress import ReportLine, duration
from lvc.training.progress import TrainingProgress

_VERBS = {"reading": "reading clips"}
_BAR = "{desc}: {percentage:5.1f} % |{bar}| {elapsed}{postfix}"


class TrainingLine(ReportLine[TrainingProgress]):
    """Shows one phase after the other: how far it is, what a training costs so far, time left. The end of each is told.

    Args:
        quiet, events: see :class:`ReportLine`.
    """

    def __init__(self, *, quiet: bool, events: Events) -> None:
        super().__init__(quiet=quiet, events=events)
        self._first: TrainingProgress | None = None

    def __call__(self, report: TrainingProgress) -> None:
        """Take a report."""
        before = self._last
        if before is None or before.phase != report.phase or before.done > report.done:
            self._first = report
            self.begin()
            self._end_bar()
        super().__call__(report)

    def _is_due(self, report: TrainingProgress, seconds: float) -> bool:
        return report.share >= 1 or super()._is_due(report, seconds)

    def _draw(self, report: TrainingProgress) -> None:
        if self._bar is None:
            from tqdm import tqdm

            desc = _verb(report)
            self._bar = tqdm(desc=desc, total=1.0, file=sys.stderr, dynamic_ncols=True, miniters=0, bar_format=_BAR)
        self._bar.set_postfix_str(self._details(report), refresh=False)
        self._bar.update(report.share - self._bar.n)
        if report.share >= 1:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _text(self, report: TrainingProgress) -> str:
        return f"{_verb(report)}: {100 * report.share:.1f} %, {self._details(report)}"

    def _details(self, report: TrainingProgress) -> str:
        pieces = [f"step {report.done}" if report.phase == "training" else f"{report.done} of {report.total}"]
        if report.frames is not None:
            pieces += [f"{report.frames} frames", f"cost {_cost(report.intra)} / {_cost(report.inter)}"]
        begun = 0.0 if self._first is None else self._first.share
        if begun < report.share < 1:
            seconds = (time.monotonic() - self._began) * (1 - report.share) / (report.share - begun)
            pieces.append(f"{duration(seconds)} left")
        return ", ".join(pieces)


def _verb(report: TrainingProgress) -> str:
    return _VERBS.get(report.phase, report.phase)


def _cost(cost: float | None) -> str:
    return "-" if cost is None else f"{cost:.3f}"
