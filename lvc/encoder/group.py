"""Encoding of one group of pictures."""

import hashlib
import math
import threading
from dataclasses import replace
from typing import NamedTuple

import torch

from lvc.compute import pictures_at_a_time
from lvc.container import BETWEEN, PREDICTED, FrameRecord, Gop, Step, coding_order, levels
from lvc.encoder import run_choice
from lvc.encoder.around import Around
from lvc.encoder.attempt import Attempt, Place
from lvc.encoder.chroma_choice import choose_chroma_drop
from lvc.encoder.loop_filter_choice import FilterObserver
from lvc.encoder.picture import CodedPicture, PictureEncoder, Task
from lvc.encoder.settings import AVERAGED, RUN, TRY_EVERY, EncoderSettings, quality_bonus
from lvc.encoder.still import stillness
from lvc.exact.threads import Start, called, together
from lvc.model import Model
from lvc.model.entropy import GroupTables, Observer
from lvc.model.group import GroupState, fresh_tables
from lvc.video import Frame, VideoInfo

_GOLDEN = (5**0.5 - 1) / 2
_NEEDED = 2
"""As many pictures of a run are coded without others between in any case, to see whether that may be cheaper."""


class _Begun(NamedTuple):
    """A run whose anchor has been coded, and whose pictures between will be, beside the next anchor.

    steps: of those.
    """

    run: list[Frame]
    steps: list[Step]
    anchor: CodedPicture


def _steps(kind: int, first: int, length: int) -> list[Step]:
    """Those of a run from a position on that ends with an anchor, all others being of one kind."""
    way = [PREDICTED, *[kind] * (length - 1), PREDICTED]
    return [step.moved(first - 1) for step in coding_order(way)[1:]]


def _digest(frame: Frame) -> bytes:
    """Frames are the same where it is."""
    digest = hashlib.blake2b(digest_size=16)
    for plane in frame.planes:
        digest.update(plane.tobytes())
    return digest.digest()


class GroupEncoder:
    """Codes the pictures of a group in runs from anchor to anchor; the first one is intra.

    Call :meth:`encode` and :meth:`finish` within :func:`lvc.exact.arithmetic.exact_arithmetic`.

    Args:
        waits: whether pictures between anchors may wait for the next anchor, to be coded at the same time.
        chooses: whether the order of the first run is chosen at the same quality whatever is wanted, so that a clip is
            coded in one order at all. Then the first pictures wait for each other. Rate control, which learns what
            pictures cost as they come, does without.

    Attributes:
        quality: of the next run, as in the settings; rate control, for which nothing may wait, changes it.
        records: the coded pictures so far, in display order.
    """

    def __init__(
        self,
        model: Model,
        info: VideoInfo,
        settings: EncoderSettings,
        device: torch.device,
        observer: Observer | None = None,
        filter_observer: FilterObserver | None = None,
        waits: bool = False,
        chooses: bool = True,
    ) -> None:
        self._info, self._settings, self._device = info, settings, device
        # observers are not called by several threads
        self._at_a_time = 1 if observer or filter_observer else pictures_at_a_time(info)
        self._waits, self._chooses = waits, chooses
        self._pictures = PictureEncoder(model, info, settings, device, observer, filter_observer)
        self._start = Place(GroupState(fresh_tables(model.statistics)))
        if "scalar" in settings.ablate:
            self._start.state.tables.latents = [quantiser.tables() for quantiser in self._pictures.quantisers]
        self._place = self._start.copied()
        self._try_every = 0 if "nobetween" in settings.ablate else TRY_EVERY[settings.preset]
        self._runs, self._is_between_better = 0, False
        self._waiting: list[Frame] = []
        self._begun: _Begun | None = None
        self._around: dict[int, Around] = {}
        self._digests: list[bytes] = []
        self._still = 0.0
        self.quality = settings.quality
        self.records: list[FrameRecord] = []
        self._motion_bits = self._hyper_bits = 0.0

    @property
    def gop(self) -> Gop:
        """The coded pictures so far as a group."""
        gop = Gop(tuple(self.records))
        motion = min(round(self._motion_bits / 8), gop.payload_bytes)
        hyper = min(round(self._hyper_bits / 8), gop.payload_bytes - motion)
        return replace(gop, motion_bytes=motion, hyper_bytes=hyper)

    @property
    def tables(self) -> GroupTables:
        """The adaptive tables."""
        return self._place.state.tables

    @property
    def estimated_bits(self) -> float:
        """What symbols cost by their probabilities."""
        return self._place.estimated_bits

    @property
    def is_between_runs(self) -> bool:
        """Whether all pictures so far have been coded."""
        return not self._waiting

    def encode(self, frame: Frame, around: Around = Around()) -> list[CodedPicture]:  # noqa: B008 -- it cannot change
        """Take the next picture; gives those that this completes, in display order.

        Args:
            around: those around it, from :func:`lvc.encoder.around.with_around`; they are only looked at.
        """
        if not self._digests:
            self._still = stillness(frame, around.after[-1], self._info.bit_depth) if around.after else 0.0
        self._around[len(self._digests)] = around
        self._digests.append(_digest(frame))
        self._waiting.append(frame)
        return self._code_waiting() if len(self._waiting) >= self._enough else []

    def finish(self) -> list[CodedPicture]:
        """Code the pictures that wait, the last one as an anchor."""
        return [*self._code_waiting(), *self._complete()]

    @property
    def _enough(self) -> int:
        """So many pictures are coded in one go."""
        if not self._try_every:
            return 1
        return RUN if self.records else 1 + RUN * self._chooses

    def _code_waiting(self) -> list[CodedPicture]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        return self._code_run(waiting) if self.records else self._code_beginning(waiting)

    def _code_beginning(self, frames: list[Frame]) -> list[CodedPicture]:
        """Code an intra picture, and what else there is as a run, once its order has been chosen."""
        run = frames[1:]
        chooses = self._chooses and self._try_every and len(run) > 1
        chooses = chooses and not (self._stands_still(run) or self._tells_nothing(run))
        wanted, around = self.quality, self._around.copy()
        if chooses:
            self.quality = run_choice.ORDER_QUALITY
        coded = self._code_first_run(frames)
        if self.quality == wanted:
            return coded
        self.quality = wanted
        self._place, self._around = self._start, around
        self.records, self._motion_bits, self._hyper_bits, self._runs = [], 0.0, 0.0, 0
        return self._code_first_run(frames, tries=False)

    def _code_first_run(self, frames: list[Frame], tries: bool = True) -> list[CodedPicture]:
        coded = self._keep([self._code_first(frames[0])])
        return coded + self._code_run(frames[1:], tries) if len(frames) > 1 else coded

    def _keep(self, coded: list[CodedPicture]) -> list[CodedPicture]:
        """Pictures that are complete."""
        for picture in coded:
            del self._around[len(self.records)]
            self.records.append(picture.record)
            self._motion_bits += picture.motion_bits
            self._hyper_bits += picture.hyper_bits
        return coded

    def _step(self) -> Step:
        """The next picture as an anchor."""
        position = len(self.records)
        before = position - 1 if position else None
        return Step(position, before, latest=before)

    def _code_first(self, frame: Frame) -> CodedPicture:
        """Code the intra picture, once more if it shows that chroma should be coarser."""
        before = self._place.copied()
        (coded,) = self._code_level(self._place, [frame], [self._step()])
        if "nodrop" in self._settings.ablate:
            return coded
        drop = choose_chroma_drop(frame.planes, coded.planes)
        if drop:
            self._place = before
            before.state.chroma_drop = drop
            (coded,) = self._code_level(before, [frame], [self._step()])
        return coded

    def _code_run(self, run: list[Frame], tries: bool = True) -> list[CodedPicture]:
        """Code what follows an anchor, with pictures between anchors or without; both where that is tried."""
        if len(run) < 2:
            return self._complete() + self._keep(self._code_level(self._place, run, [self._step()]))
        stands = self._stands_still(run)
        tries = tries and not stands and self._runs % self._try_every == 0
        self._runs += not stands
        if tries and len(self.records) == 1 and self._tells_nothing(run):
            tries, self._is_between_better = False, True
        has_between = self._is_between_better and not stands
        if self._waits and has_between and not tries:
            return self._begin_run(run)
        done = self._complete()
        if tries:
            plain, between = (self._attempt(kind, run, self._place.copied()) for kind in (PREDICTED, BETWEEN))
            attempt = self._cheaper(plain, between)
            self._is_between_better = attempt.has_between
        else:
            attempt = self._go_on(self._attempt(BETWEEN if has_between else PREDICTED, run, self._place))
        self._place = attempt.place
        return done + self._keep(attempt.shown)

    def _stands_still(self, run: list[Frame]) -> bool:
        """Whether a run, the last one so far, shows only what the picture before it does."""
        return len(set(self._digests[-len(run) - 1 :])) == 1

    def _tells_nothing(self, run: list[Frame]) -> bool:
        """Whether the first run of a group shows too little for those to come."""
        still = stillness(run[0], run[-1], self._info.bit_depth)
        return still > run_choice.MOSTLY_STILL and not self._around[len(run)].ends

    def _attempt(self, kind: int, run: list[Frame], place: Place) -> Attempt:
        """To code the next run, whose pictures up to an anchor are of a kind; it changes the place."""
        steps = _steps(kind, len(self.records), len(run))
        return Attempt(run, levels(steps), place, 8 * len(self.records[0].payload), self.quality)

    def _begin_run(self, run: list[Frame]) -> list[CodedPicture]:
        """Code the anchor of a run beside what of the run before waits; then the pictures between of this one wait."""
        before = self._begun
        first = len(self.records) + (0 if before is None else len(before.run))
        step, *between = _steps(BETWEEN, first, len(run))
        with together(self._device, self._at_a_time if before else 1) as start:
            self._place.state.hold()
            coming = start(self._code, self._place, run[-1], step)
            done = [] if before is None else self._code_between(start, before)
            anchor = coming.result()
        self._learn(self._place, [anchor])
        self._begun = _Begun(run, between, anchor)
        return self._keep(done)

    def _complete(self) -> list[CodedPicture]:
        """Code what waits for the next anchor, without it."""
        begun, self._begun = self._begun, None
        if begun is None:
            return []
        with together(self._device, self._at_a_time) as start:
            return self._keep(self._code_between(start, begun))

    def _code_between(self, start: Start, begun: _Begun) -> list[CodedPicture]:
        """The pictures of a run, in display order."""
        coded, first = [begun.anchor], len(self.records)
        for level in levels(begun.steps):
            frames = [begun.run[step.position - first] for step in level]
            coded += self._code_with(start, self._place, frames, level)
        return sorted(coded, key=lambda picture: picture.step.position)

    def _cheaper(self, plain: Attempt, between: Attempt) -> Attempt:
        """Code a run in two orders, as far as it takes to know which is cheaper."""
        enough = threading.Event()
        with together(self._device, self._at_a_time) as start:
            # there is only one picture at a time between anchors at first
            ahead = start(self._code_ahead, plain, enough)
            try:
                while between.levels:
                    self._advance(between, start)
            finally:
                enough.set()
            ahead.result()
        plain.most = between.cost
        self._go_on(plain)
        return between if plain.is_given_up else plain

    def _code_ahead(self, attempt: Attempt, enough: threading.Event) -> None:
        """Go on with a run in this thread: as far as is needed in any case, and until it is enough."""
        while attempt.levels and (len(attempt.coded) < _NEEDED or not enough.is_set()):
            self._advance(attempt, called)

    def _go_on(self, attempt: Attempt) -> Attempt:
        """Code what of a run is still to be coded, or worth it; the same."""
        while attempt.levels and not attempt.is_given_up:
            with together(self._device, min(self._at_a_time, len(attempt.levels[0]))) as start:
                self._advance(attempt, start)
        return attempt

    def _advance(self, attempt: Attempt, start: Start) -> None:
        """Code the next level of a run."""
        level, first = attempt.levels.pop(0), len(self.records)
        frames = [attempt.run[step.position - first] for step in level]
        coded = self._code_with(start, attempt.place, frames, level)
        attempt.coded += coded
        attempt.costs += [self._cost(*pair) for pair in zip(frames, coded, strict=True)]

    def _cost(self, frame: Frame, coded: CodedPicture) -> run_choice.Cost:
        error, inherited = (
            run_choice.squared_error(planes, coded.planes, self._info.bit_depth)
            for planes in (frame.planes, coded.aim or frame.planes)
        )
        return run_choice.Cost(8.0 * len(coded.record.payload), error, inherited)

    def _quality(self, step: Step, ends: bool) -> int:
        # a fraction of a quality is a share of pictures one quality finer, spread evenly; the first one's is rounded
        quality = min(100, max(1, math.floor(self.quality + (0.5 + step.position * _GOLDEN) % 1.0)))
        if "nocascade" in self._settings.ablate:
            return quality
        return min(100, max(1, quality + quality_bonus(step, quality, self._still, ends)))

    def _code_level(self, place: Place, frames: list[Frame], level: list[Step]) -> list[CodedPicture]:
        """Code pictures that do not need each other."""
        with together(self._device, min(self._at_a_time, len(level))) as start:
            return self._code_with(start, place, frames, level)

    def _code_with(self, start: Start, place: Place, frames: list[Frame], level: list[Step]) -> list[CodedPicture]:
        """The same, where others may be under way."""
        started = [start(self._code, place, *pair) for pair in zip(frames, level, strict=True)]
        coded = [each.result() for each in started]
        self._learn(place, coded)
        return coded

    def _learn(self, place: Place, level: list[CodedPicture]) -> None:
        """After pictures of one level."""
        steps = [picture.step for picture in level]
        if "noadapt" not in self._settings.ablate:
            place.state.learn(steps, [picture.seen for picture in level])
        if steps[0].depth == 0:
            place.state.forget(steps[0])
        place.estimated_bits += sum(picture.bits for picture in level)

    def _code(self, place: Place, frame: Frame, step: Step) -> CodedPicture:
        around = self._around[step.position] if self._is_averaged(step) else Around()
        shown = {self._digests[at] for at in (step.position, step.first, step.second) if at is not None}
        ends = self._around[step.position].ends
        quality = self._quality(step, ends)
        task = Task(frame, step, quality, self.quality, place.state, around, is_repeat=len(shown) == 1, ends=ends)
        return self._pictures.code(task)

    def _is_averaged(self, step: Step) -> bool:
        """Whether a picture is worth being averaged with those around it: many are predicted from it."""
        if not AVERAGED[self._settings.preset] or "noaverage" in self._settings.ablate:
            return False
        return step.first is None or (step.depth == 0 and step.position - step.first > 1)
