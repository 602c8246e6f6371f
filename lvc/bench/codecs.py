"""Codec strings such as ``x265:preset=slow:crf=22,27,32,37`` and the points they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass

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
        ablate: names of parts of lvc that are switched off.
    """

    codec: str
    preset: str
    points: tuple[float, ...]
    model: str | None = None
    tune: str | None = None
    ablate: tuple[str, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether this is lvc and not a peer."""
        return self.codec == OURS

    @property
    def name(self) -> str:
        """What tables and legends call it, such as ``x265 slow``; equal names are one curve."""
        words = [self.codec, self.preset]
        words += [self.model.rsplit("/", 1)[-1]] if self.model else []
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
    for x264 and x265, ``tune``. What is not given takes the codec's default.

    Raises:
        CodecStringError: what does not parse, and what would.
    """
    name, *rest = text.strip().split(":")
    codec = _ALIASES.get(name.lower(), name.lower())
    fields: dict[str, str] = {}
    for field in rest:
        key, equals, value = field.partition("=")
        if not equals or not value:
            raise CodecStringError(f"{text!r}: {field!r} is not of the form key=value")
        if key in fields:
            raise CodecStringError(f"{text!r}: {key} is given twice")
        fields[key] = value
    if codec == OURS:
        return _parse_ours(text, fields)
    if codec not in CODECS:
        raise CodecStringError(f"{text!r}: there is no codec {name!r}; there are {', '.join((OURS, *CODECS))}")
    entry = CODECS[codec]
    preset = _choice(text, "preset", fields.pop("preset", entry.preset), entry.presets)
    tune = _tune(text, fields, entry.tunes)
    points = _numbers(text, "crf", fields.pop("crf", None), 0, entry.highest_rate) or entry.rates
    _check_empty(text, fields, "preset, crf and tune" if entry.tunes else "preset and crf")
    return CodecSpec(codec, preset, points, tune=tune)


def _parse_ours(text: str, fields: dict[str, str]) -> CodecSpec:
    preset = _choice(text, "preset", fields.pop("preset", "medium"), OUR_PRESETS)
    points = _numbers(text, "quality", fields.pop("quality", None), 1, 100) or OUR_QUALITIES
    tune = _tune(text, fields, OUR_TUNES)
    model = fields.pop("model", None)
    ablate = tuple(sorted(filter(None, fields.pop("ablate", "").split("+"))))
    _check_empty(text, fields, "preset, quality, tune, model and ablate")
    return CodecSpec(OURS, preset, points, model=model, tune=tune, ablate=ablate)


def _tune(text: str, fields: dict[str, str], allowed: Sequence[str]) -> str | None:
    tune = fields.pop("tune", None)
    return None if tune is None else _choice(text, "tune", tune, allowed)


def _choice(text: str, key: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        known = f"there are {', '.join(allowed)}" if allowed else "this codec has none"
        raise CodecStringError(f"{text!r}: no {key} {value!r}; {known}")
    return value


def _numbers(text: str, key: str, values: str | None, lowest: float, highest: float) -> tuple[float, ...]:
    if values is None:
        return ()
    try:
        numbers = tuple(float(value) for value in values.split(","))
    except ValueError:
        raise CodecStringError(f"{text!r}: {key} takes numbers with commas between them") from None
    if not all(lowest <= number <= highest for number in numbers):
        raise CodecStringError(f"{text!r}: {key} goes from {lowest:g} to {highest:g}")
    return tuple(sorted(set(numbers)))


def _check_empty(text: str, fields: dict[str, str], known: str) -> None:
    if fields:
        raise CodecStringError(f"{text!r}: {', '.join(fields)} is not understood; this codec takes {known}")
