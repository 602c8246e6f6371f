"""Codec strings such as ``x265:preset=slow:crf=22,27,32,37`` and the points they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from lvc.bench.names import distinct_names
from lvc.errors import LvcError
from lvc.media.peers import CODECS

OURS = "lvc"
OUR_PRESETS = ("fast", "medium", "slow")
OUR_TUNES = ("psnr", "ssim")
OUR_QUALITIES = (15.0, 35.0, 55.0, 75.0)
_ALIASES = {"libx264": "x264", "libx265": "x265", "libsvtav1": "svtav1", "libvpx-vp9": "vp9", "av1": "svtav1"}


class CodecStringError(LvcError):
    """A codec string that does not parse."""

    exit_status = 2


@dataclass(frozen=True)
class CodecSpec:
    """A codec with everything but its rate, and the rates to run it at: one curve of a report.

    Attributes:
        codec: ``lvc`` or a key of :data:`lvc.media.peers.CODECS`.
        preset: a preset of that codec.
        points: constant rate factors of a peer, or qualities 1...100 of lvc.
        model: model name or file of lvc; None for its default.
        tune: ``tune`` of lvc, x264 or x265; None for their default.
        ablate: parts of lvc that are switched off, of :data:`lvc.encoder.settings.ABLATIONS`.
        model_name: what tables call the model; None for its file name.
    """

    codec: str
    preset: str
    points: tuple[float, ...]
    model: str | None = None
    tune: str | None = None
    ablate: tuple[str, ...] = ()
    model_name: str | None = field(default=None, compare=False)

    @property
    def is_ours(self) -> bool:
        """Whether this is lvc and not a peer."""
        return self.codec == OURS

    @property
    def name(self) -> str:
        """What tables and legends call it, such as ``x265 slow``; equal names are one curve."""
        words = [self.codec, self.preset]
        words += [self.model_name or _forms(self.model)[0]] if self.model else []
        words += [f"tune {self.tune}"] if self.tune else []
        words += [f"without {part}" for part in self.ablate]
        return " ".join(words)

    def point_string(self, point: float) -> str:
        """The codec string of one point, which names it in ``results.jsonl``."""
        fields = [self.codec, f"preset={self.preset}"]
        fields += [f"model={self.model}"] if self.model else []
        fields += [f"tune={self.tune}"] if self.tune else []
        fields += [f"ablate={'+'.join(self.ablate)}"] if self.ablate else []
        return ":".join([*fields, f"{'quality' if self.is_ours else 'crf'}={point:g}"])


def parse_codec(text: str) -> CodecSpec:
    """Read a codec string: a name, then ``key=value`` fields, each after a colon.

    Names are ``lvc``, ``x264``, ``x265``, ``svtav1`` and ``vp9``. Keys of lvc: ``preset``, ``quality`` (numbers
    1...100), ``tune``, ``model``, ``ablate`` (names joined by ``+``). Keys of peers: ``preset``, ``crf`` (numbers) and,
    for x264 and x265, ``tune``. What is not given takes the codec's default. Qualities, and the ``crf`` of svtav1 and
    vp9, are whole numbers. The path of a model may have colons where no ``=`` follows.

    Raises:
        CodecStringError: what does not parse, and what would.
    """
    name, *rest = text.strip().split(":")
    codec = _ALIASES.get(name.lower(), name.lower())
    fields: dict[str, str] = {}
    last = ""
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals and codec == OURS and last == "model":
            fields[last] += f":{part}"
            continue
        if not equals or not value:
            raise CodecStringError(f"{text!r}: {part!r} is not of the form key=value")
        if key in fields:
            raise CodecStringError(f"{text!r}: {key} is given twice")
        fields[key] = value
        last = key
    if codec == OURS:
        return _parse_ours(text, fields)
    if codec not in CODECS:
        raise CodecStringError(f"{text!r}: there is no codec {name!r}; there are {', '.join((OURS, *CODECS))}")
    entry = CODECS[codec]
    preset = _choice(text, "preset", fields.pop("preset", entry.preset), entry.presets)
    tune = _tune(text, fields, entry.tunes)
    points = _numbers(text, "crf", fields.pop("crf", None), 0, entry.highest_rate, entry.whole) or entry.rates
    _check_empty(text, fields, "preset, crf and tune" if entry.tunes else "preset and crf")
    return CodecSpec(codec, preset, points, tune=tune)


def _parse_ours(text: str, fields: dict[str, str]) -> CodecSpec:
    preset = _choice(text, "preset", fields.pop("preset", "medium"), OUR_PRESETS)
    points = _numbers(text, "quality", fields.pop("quality", None), 1, 100, whole=True) or OUR_QUALITIES
    tune = _tune(text, fields, OUR_TUNES)
    model = fields.pop("model", None)
    ablate = _parts(text, fields.pop("ablate", None))
    _check_empty(text, fields, "preset, quality, tune, model and ablate")
    return CodecSpec(OURS, preset, points, model=model, tune=tune, ablate=ablate)


def merged(specs: Sequence[CodecSpec]) -> list[CodecSpec]:
    """Each curve once, with the points of all specs that ask for it, and a name of its own."""
    points: dict[CodecSpec, set[float]] = {}
    for spec in specs:
        points.setdefault(replace(spec, points=()), set()).update(spec.points)
    models = list(dict.fromkeys(spec.model for spec in points if spec.model))
    names = dict(zip(models, distinct_names([_forms(model) for model in models]), strict=True))
    return [
        replace(spec, points=tuple(sorted(own)), model_name=names[spec.model] if spec.model else None)
        for spec, own in points.items()
    ]


def _forms(model: str) -> list[str]:
    """What a model can be called, from its file name to its whole path."""
    parts = PurePath(model).parts
    return ["/".join(parts[-count:]) for count in range(1, max(2, len(parts)))] + [model]


def _parts(text: str, parts: str | None) -> tuple[str, ...]:
    """Names joined by ``+``."""
    if parts is None:
        return ()
    from lvc.encoder.settings import ABLATIONS  # imports torch

    return tuple(sorted({_choice(text, "part", part, ABLATIONS) for part in parts.split("+")}))


def _tune(text: str, fields: dict[str, str], allowed: Sequence[str]) -> str | None:
    tune = fields.pop("tune", None)
    return None if tune is None else _choice(text, "tune", tune, allowed)


def _choice(text: str, key: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        known = f"there are {', '.join(allowed)}" if allowed else "this codec has none"
        raise CodecStringError(f"{text!r}: no {key} {value!r}; {known}")
    return value


def _numbers(text: str, key: str, values: str | None, lowest: float, highest: float, whole: bool) -> tuple[float, ...]:
    if values is None:
        return ()
    try:
        numbers = tuple(float(value) for value in values.split(","))
    except ValueError:
        raise CodecStringError(f"{text!r}: {key} takes numbers with commas between them") from None
    if not all(lowest <= number <= highest for number in numbers):
        raise CodecStringError(f"{text!r}: {key} goes from {lowest:g} to {highest:g}")
    if whole and not all(number.is_integer() for number in numbers):
        raise CodecStringError(f"{text!r}: {key} takes whole numbers here")
    return tuple(sorted(set(numbers)))


def _check_empty(text: str, fields: dict[str, str], known: str) -> None:
    if fields:
        raise CodecStringError(f"{text!r}: {', '.join(fields)} is not understood; this codec takes {known}")
