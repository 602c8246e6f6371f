"""One ``lvc bench`` run from arguments to report folder; the command line only parses and prints."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lvc.bench.cache import Cache, Row
from lvc.bench.clips import Clip, find_clips, with_distinct_names
from lvc.bench.codecs import CodecSpec, CodecStringError, merged, parse_codec
from lvc.bench.crops import CropRow, make_crops
from lvc.bench.measure import Conditions
from lvc.bench.plots import can_plot, write_plots
from lvc.bench.progress import BenchProgress
from lvc.bench.report import About, html_report
from lvc.bench.results import Results, locked
from lvc.bench.run import Plan, Task, known_weight, make_plan, named, run_plan
from lvc.bench.summary import Summary
from lvc.bench.workers import Workers
from lvc.errors import InputError, LvcError, OutputError


class NoCodecError(InputError):
    """Not one codec string is of a codec that can be measured."""

    exit_status = 2


class AnchorError(LvcError):
    """An anchor that is no codec of the run, or could be several."""

    exit_status = 2


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        clips: files and folders.
        codecs: codec strings.
        conditions: see :class:`lvc.bench.measure.Conditions`.
        folder: of the report.
        cache: of rows; a cache without a folder measures everything.
        anchor: name, codec string or family (``x265``) of one of the codecs; None chooses.
        crops: whether the report shows crops side by side.
        frame: number of the frame to show; None for the middle one.
        command: the command line, to be printed in the report.
        jobs: points to measure at a time.
        quiet: no progress.
    """

    clips: Sequence[Path]
    codecs: Sequence[str]
    conditions: Conditions
    folder: Path
    cache: Cache
    anchor: str | None = None
    crops: bool = True
    frame: int | None = None
    command: str = "lvc bench"
    jobs: int = 1
    quiet: bool = False


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        summary: of all finished rows of this run.
        failures: one sentence for everything that was left out.
        report: the page.
        interrupted: the Ctrl-C that ended it early, to be raised in the end; finished rows are kept and reported.
        notes: what else the user should know.
    """

    summary: Summary
    failures: list[str]
    report: Path
    interrupted: KeyboardInterrupt | None = None
    notes: list[str] = field(default_factory=list)


def run_session(request: Request) -> Outcome:
    """Measure, then write ``results.jsonl``, ``report.html`` and ``curves/*.png`` into the report folder.

    Bad clips, codec strings and codecs that fail are named in the outcome and left out.

    Raises:
        NoCodecError: not one codec string parses.
        AnchorError: the anchor is not one of the codecs that can run.
        InputError: nothing is left to measure.
        OutputError: the report folder cannot be written.
    """
    failures: list[str] = []
    specs = parse_codecs(request.codecs, failures)
    clips = find_all_clips(request.clips, request.conditions.frames, failures)
    plan = make_plan(clips, specs, request.conditions)
    plan.failures[:0] = failures
    if not plan.tasks:
        raise InputError("nothing to measure: " + " ".join(plan.failures))
    anchor = _anchor_name(request.anchor, plan.specs)
    with locked(request.folder):
        return _run(plan, request, anchor)


def _run(plan: Plan, request: Request, anchor: str | None) -> Outcome:
    rows, interrupted = _measure(plan, request, Results(request.folder))
    outcome = Outcome(Summary(rows, anchor), plan.failures, request.folder / "report.html", interrupted, plan.notes)
    crops = _crops(plan, request, outcome) if request.crops and interrupted is None else []
    _write(outcome, request, crops)
    return outcome


def parse_codecs(strings: Sequence[str], failures: list[str]) -> list[CodecSpec]:
    """Codecs of strings; a sentence is added to the failures for each that does not parse.

    Raises:
        NoCodecError: none does.
    """
    specs: list[CodecSpec] = []
    for text in strings:
        try:
            specs.append(parse_codec(text))
        except CodecStringError as error:
            failures.append(f"{error}; skipped")
    if not specs:
        raise NoCodecError("nothing to measure: " + " ".join(failures))
    return merged(specs)


def find_all_clips(paths: Sequence[Path], frames: int | None, failures: list[str]) -> list[Clip]:
    """Clips of files and folders, each once; a sentence is added to the failures for each path that has none."""
    clips: list[Clip] = []
    for path in paths:
        try:
            clips += find_clips([path], frames)
        except InputError as error:
            failures.append(f"{error} Skipped.")
    return with_distinct_names(list({clip.path.resolve(): clip for clip in clips}.values()))


def _anchor_name(anchor: str | None, specs: Sequence[CodecSpec]) -> str | None:
    """The name of the codec that is meant by a name, a codec string or a family such as ``x265``.

    Without an anchor: lvc as it is, where parts of it are switched off in others; else None.
    """
    names = [spec.name for spec in specs]
    if anchor is None and any(spec.ablate for spec in specs):
        return next((spec.name for spec in specs if spec.is_ours and not spec.ablate), None)
    if anchor is None or anchor in names:
        return anchor
    found: list[str] = []
    with contextlib.suppress(CodecStringError):
        meant = parse_codec(anchor)
        found = [spec.name for spec in specs if spec.point_string(0) == meant.point_string(0)]
        if not found and ":" not in anchor:
            found = [spec.name for spec in specs if spec.codec == meant.codec]
    if len(found) != 1:
        many = "several" if found else "none"
        raise AnchorError(f"anchor {anchor!r} names {many} of this run's codecs, which are {', '.join(names)}")
    return found[0]


def _measure(plan: Plan, request: Request, results: Results) -> tuple[list[Row], KeyboardInterrupt | None]:
    """Rows of this run in the plan's order, and what interrupted it."""
    interrupted = None
    total = sum(task.weight for task in plan.tasks) - known_weight(plan, results, request.cache)
    with BenchProgress(total, quiet=request.quiet) as progress:
        started: set[str] = set()

        def start(task: Task) -> None:
            started.add(task.key)
            progress.begin(f"{task.clip.name} {task.spec.point_string(task.point)}")

        try:
            for task, row in run_plan(plan, request.conditions, results, request.cache, request.jobs, start):
                if task.key in started:
                    progress.advance(task.weight)
                elif row is None:
                    progress.shrink(task.weight)
        except KeyboardInterrupt as error:
            interrupted = error
    rows = [named(task, row) for task in plan.tasks if (row := results.finished(task.key)) is not None]
    return rows, interrupted


def _crops(plan: Plan, request: Request, outcome: Outcome) -> list[CropRow]:
    """Crops of each clip, some at a time; what fails and Ctrl-C are told in the outcome."""
    specs = sorted((spec for spec in plan.specs if not spec.ablate), key=lambda spec: not spec.is_ours)
    made: dict[int, CropRow | LvcError] = {}
    try:
        with Workers[int](request.jobs, ("lvc.bench.crops",)) as workers:
            for number, clip in enumerate(plan.clips):
                own = [row for row in outcome.summary.rows if row["clip_sha256"] == clip.sha256]
                able = [spec for spec in specs if any(row["codec"] == spec.name for row in own)]
                if not able:
                    continue
                while workers.is_full:
                    made.update(workers.finished())
                workers.start(number, make_crops, clip, able, own, request.conditions, request.cache, request.frame)
            while not workers.is_idle:
                made.update(workers.finished())
    except KeyboardInterrupt as error:
        outcome.interrupted = error
    crops: list[CropRow] = []
    for number, row in sorted(made.items()):
        name = plan.clips[number].name
        if isinstance(row, LvcError):
            outcome.failures.append(f"{name}: no crops: {row}")
            continue
        crops.append(row)
        outcome.failures += [f"{name}: {failure}" for failure in row.failures]
        if request.frame is not None and request.frame != row.frame:
            outcome.notes.append(f"{name} has no frame {request.frame}: frame {row.frame} is shown")
    return crops


def _write(outcome: Outcome, request: Request, crops: Sequence[CropRow]) -> None:
    versions = list(dict.fromkeys(row["version"] for row in outcome.summary.rows))
    about = About(
        request.command,
        datetime.now(UTC).isoformat(timespec="seconds"),
        request.conditions.describe(),
        versions,
        outcome.failures,
        list(outcome.notes),
    )
    try:
        temporary = outcome.report.with_suffix(".part")
        temporary.write_text(html_report(outcome.summary, about, crops), "utf-8")
        temporary.replace(outcome.report)
        if can_plot():
            write_plots(outcome.summary, request.folder / "curves")
        else:
            outcome.notes.append("no PNG of the curves: matplotlib is not installed (pip install 'lvc[plots]')")
    except OSError as error:
        raise OutputError(f"{request.folder}: {error.strerror}.") from error
