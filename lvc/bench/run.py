"""All points of a benchmark, each once: from the report folder, from the cache, or measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from lvc.bench.cache import Cache, Row
from lvc.bench.clips import Clip
from lvc.bench.codecs import CodecSpec
from lvc.bench.kept import KeptClips
from lvc.bench.measure import Conditions, MeasureError, measure, row_key
from lvc.bench.ours import our_identity
from lvc.bench.results import Results
from lvc.bench.workers import Workers
from lvc.errors import LvcError, ModelError
from lvc.media import peers


@dataclass(frozen=True)
class Task:
    """One point to measure.

    Attributes:
        key: hash of all that the row depends on.
        weight: luma samples to code, for estimates of time.
    """

    clip: Clip
    spec: CodecSpec
    point: float
    key: str
    weight: int


@dataclass
class Plan:
    """What there is to do.

    Attributes:
        tasks: points of clips and codecs that can run, clip by clip.
        failures: one sentence for each clip or codec that is left out.
        notes: what clips are not any more when they are coded, one sentence each.
    """

    tasks: list[Task] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clips(self) -> list[Clip]:
        """Clips that can be read, in order."""
        return list({task.clip.path: task.clip for task in self.tasks}.values())

    @property
    def specs(self) -> list[CodecSpec]:
        """Codecs that can run, in order, equal names once."""
        return list({task.spec.name: task.spec for task in self.tasks}.values())


def make_plan(clips: Sequence[Clip], specs: Sequence[CodecSpec], conditions: Conditions) -> Plan:
    """Look at every clip and codec once; what cannot run is named in ``failures`` and left out."""
    plan = Plan()
    able = []
    for spec in specs:
        if not spec.is_ours and not peers.is_available(spec.codec):
            plan.failures.append(f"{spec.codec}: this PyAV build has no encoder and decoder for it; skipped")
            continue
        try:
            if spec.is_ours:
                our_identity(spec.model)
        except ModelError as error:
            plan.failures.append(f"{spec.name}: {error} Skipped.")
            continue
        able.append(spec)
    for clip in clips:
        try:
            info, changes = clip.info, clip.changes
            keys = {(spec, point): row_key(clip, spec, point, conditions) for spec in able for point in spec.points}
        except LvcError as error:
            plan.failures.append(f"{error} Skipped.")
            continue
        plan.notes += [f"{clip.name}: {change}" for change in changes]
        frames = clip.frames or info.frames or 100
        weight = info.width * info.height * frames
        plan.tasks += [Task(clip, spec, point, key, weight) for (spec, point), key in keys.items()]
    return plan


def run_plan(
    plan: Plan,
    conditions: Conditions,
    results: Results,
    cache: Cache,
    jobs: int = 1,
    on_start: Callable[[Task], None] | None = None,
) -> Iterator[tuple[Task, Row | None]]:
    """Measure what is not known yet, each point in a process of its own. Rows are on disk before they are yielded.

    A point that fails is stored as a row with an ``error``, its sentence goes into ``plan.failures``, and the rest of
    that codec's points on that clip are left out.

    Args:
        jobs: points to measure at a time; more than 1 disturbs the speeds.

    Yields:
        Each task with its row, None where it failed or was left out; in order where ``jobs`` is 1.

    Raises:
        OutputError: the results cannot be written.
    """
    failed: set[tuple[str, str]] = set()
    unknown = [task.clip for task in plan.tasks if _known(task, results, cache) is None]
    # not torch, which would count in the memory of peers
    with KeptClips(unknown) as clips, Workers[Task](jobs, ("lvc.bench.measure",)) as workers:
        for task in plan.tasks:
            while workers.is_full:
                yield from _collect(workers, clips, plan, conditions, results, cache, failed)
            row = _known(task, results, cache)
            if row is not None:
                row = named(task, row)
                results.add(row)
                yield task, row
            elif _pair(task) in failed:
                clips.done(task.clip)
                yield task, None
            else:
                if on_start is not None:
                    on_start(task)
                workers.start(task, _measure, replace(task, clip=clips.of(task.clip)), conditions, cache)
                while jobs == 1 and not workers.is_idle:
                    yield from _collect(workers, clips, plan, conditions, results, cache, failed)
        while not workers.is_idle:
            yield from _collect(workers, clips, plan, conditions, results, cache, failed)


def _collect(
    workers: Workers[Task],
    clips: KeptClips,
    plan: Plan,
    conditions: Conditions,
    results: Results,
    cache: Cache,
    failed: set[tuple[str, str]],
) -> Iterator[tuple[Task, Row | None]]:
    """Wait for a point or more, and keep what came of it."""
    for task, answer in workers.finished():
        clips.done(task.clip)
        if isinstance(answer, dict) and answer["key"] != task.key:
            answer = MeasureError("the clip, the model or lvc's own code changed during this run; start it again")
        if isinstance(answer, LvcError):
            failed.add(_pair(task))
            plan.failures.append(f"{task.clip.name}: {task.spec.point_string(task.point)}: {answer}")
            results.add(_failure(task, conditions, answer))
            yield task, None
        else:
            cache.store(task.key, answer)
            results.add(answer)
            yield task, answer


def _measure(task: Task, conditions: Conditions, cache: Cache) -> Row:
    keep = partial(cache.keep, task.key), partial(cache.keep_picture, task.key)
    return measure(task.clip, task.spec, task.point, conditions, *keep)


def _pair(task: Task) -> tuple[str, str]:
    return task.clip.name, task.spec.name


def named(task: Task, row: Row) -> Row:
    """The row under the names by which it is asked for now: it may have been measured under others."""
    return {**row, "clip": task.clip.name, "codec": task.spec.name}


def known_weight(plan: Plan, results: Results, cache: Cache) -> int:
    """Luma samples of the tasks that need not be measured."""
    return sum(task.weight for task in plan.tasks if _known(task, results, cache) is not None)


def _known(task: Task, results: Results, cache: Cache) -> Row | None:
    """The row of a point that need not be measured."""
    return results.finished(task.key) or cache.load(task.key)


def _failure(task: Task, conditions: Conditions, error: LvcError) -> Row:
    return {
        "key": task.key,
        "clip": task.clip.name,
        "clip_sha256": task.clip.sha256,
        "codec": task.spec.name,
        "string": task.spec.point_string(task.point),
        "point": task.point,
        "conditions": asdict(conditions),
        "error": str(error),
    }
