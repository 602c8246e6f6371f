#!/usr/bin/env python3
"""Make clips of screens for training: rendered pages of text, code, tables and controls that stand, scroll or fill.

    python scripts/make_screens.py FOLDER --pages 48

Screen recordings found on the web have been compressed before, and their letters are soft. These are sharp. The words
are those of Python's own documentation strings and sources, the fonts those that the machine has, and Chromium draws.
"""

import argparse
import ast
import html
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

WIDTH, HEIGHT, FRAMES = 448, 256, 16
PAGE_WIDTH, PAGE_HEIGHT = 960, 1200
CLIPS_OF_PAGE = 4
LCD_SHARE = 0.5
"""Pages with colour fringes; headless Chromium draws none itself."""
SUBPIXELS = 3
SUBPIXEL_FILTER = (8 / 256, 77 / 256, 86 / 256, 77 / 256, 8 / 256)
"""FreeType's default one."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
LIGHT = ("#ffffff", "#fdf6e3", "#f4f4f4", "#eef2f7", "#fafafa", "#e8e8e8", "#fffbe6")
DARK = ("#1e1e1e", "#282c34", "#002b36", "#0d1117", "#202124", "#000000", "#2d2a2e")
ACCENTS = ("#d73a49", "#005cc5", "#22863a", "#6f42c1", "#e36209", "#b58900", "#2aa198", "#e91e63", "#ffb300", "#607d8b")

Image = npt.NDArray[np.uint8]


class Words:
    """Prose and code of the standard library."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        self.sources = [file.read_text("utf-8", "replace") for file in chance.sample(files, min(60, len(files)))]
        self.prose = [text for source in self.sources for text in _docstrings(source) if len(text) > 200]

    def paragraph(self) -> str:
        """Some sentences."""
        words = self.chance.choice(self.prose).split()
        at = self.chance.randrange(max(1, len(words) - 40))
        return html.escape(" ".join(words[at : at + self.chance.randint(20, 120)]))

    def phrase(self, most: int = 4) -> str:
        """A few words."""
        words = self.chance.choice(self.prose).split()
        at = self.chance.randrange(max(1, len(words) - most))
        return html.escape(" ".join(words[at : at + self.chance.randint(1, most)]))

    def code(self, lines: int = 80) -> list[str]:
        """Lines of a source."""
        source = self.chance.choice(self.sources).splitlines()
        at = self.chance.randrange(max(1, len(source) - lines))
        return source[at : at + lines]


def _docstrings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


class Pages:
    """Pages of many looks, as HTML."""

    def __init__(self, chance: random.Random, fonts: list[str]) -> None:
        self.chance = chance
        self.fonts = fonts
        self.words = Words(chance)

    def page(self) -> str:
        """One page, of a look by chance."""
        chance = self.chance
        body = chance.choice([self._paper, self._article, self._code, self._table, self._controls, self._slide])()
        dark = chance.random() < 0.3
        background = chance.choice(DARK if dark else LIGHT)
        ink = chance.choice(("#e6e6e6", "#ffffff", "#abb2bf") if dark else ("#000000", "#222222", "#333333", "#24292e"))
        size = chance.choice((10, 11, 12, 13, 14, 15, 16, 18, 22))
        font = chance.choice(self.fonts)
        style = (
            f"body{{background:{background};color:{ink};font:{size}px '{font}';margin:{chance.randint(4, 40)}px;"
            f"line-height:{chance.uniform(1.1, 1.7):.2f}}} h1,h2{{color:{chance.choice((ink, *ACCENTS))}}}"
            f"a,b.k{{color:{chance.choice(ACCENTS)}}} i.c{{color:{chance.choice(ACCENTS)}}}"
        )
        return f"<meta charset=utf-8><style>{style}</style><body>{body}"

    def _paper(self) -> str:
        text = "".join(f"<p style='text-indent:1.5em;margin:0'>{self.words.paragraph()}</p>" for _ in range(40))
        return (
            f"<h1 style='text-align:center'>{self.words.phrase(8)}</h1>"
            f"<div style='columns:{self.chance.choice((1, 2, 2, 3))};column-gap:24px;text-align:justify'>{text}</div>"
        )

    def _article(self) -> str:
        parts = []
        for _ in range(12):
            parts.append(f"<h2>{self.words.phrase(6)}</h2>")
            parts += [f"<p>{self.words.paragraph()} <a>{self.words.phrase()}</a></p>" for _ in range(2)]
            if self.chance.random() < 0.4:
                points = "".join(f"<li>{self.words.phrase(9)}" for _ in range(self.chance.randint(2, 7)))
                parts.append(f"<ul>{points}</ul>")
        return "".join(parts)

    def _code(self) -> str:
        font = self.chance.choice([name for name in self.fonts if "Mono" in name or "Code" in name] or self.fonts)
        rows = []
        for number, line in enumerate(self.words.code(), self.chance.randint(1, 900)):
            shown = html.escape(line, quote=False)
            for word in ("def", "return", "if", "for", "import", "class", "raise", "else"):
                shown = shown.replace(f"{word} ", f"<b class=k>{word}</b> ")
            if "#" in shown:
                shown = shown.replace("#", "<i class=c>#", 1) + "</i>"
            rows.append(f"<i class=c>{number:4}</i> {shown}")
        return f"<pre style=\"font-family:'{font}',monospace\">" + "\n".join(rows) + "</pre>"

    def _table(self) -> str:
        columns, chance = self.chance.randint(4, 10), self.chance
        edge = chance.choice(("1px solid #999", "1px solid #ccc", "none", "1px dotted #555"))
        rows = []
        for row in range(60):
            shade = "background:rgba(128,128,128,.15)" if row % 2 and chance.random() < 0.9 else ""
            cells = (
                f"{chance.uniform(0, 10 ** chance.randint(1, 6)):.2f}" if column else self.words.phrase(2)
                for column in range(columns)
            )
            rows.append(
                f"<tr style='{shade}'>" + "".join(f"<td style='border:{edge};padding:2px 8px'>{c}" for c in cells)
            )
        return f"<table style='border-collapse:collapse'>{''.join(rows)}</table>"

    def _controls(self) -> str:
        chance, parts = self.chance, []
        for _ in range(70):
            colour, other = chance.choice(ACCENTS), chance.choice(ACCENTS)
            fill = chance.choice((colour, f"linear-gradient({chance.randint(0, 180)}deg,{colour},{other})", "none"))
            look = (
                f"display:inline-block;margin:6px;padding:{chance.randint(3, 26)}px {chance.randint(6, 40)}px;"
                f"background:{fill};border:{chance.randint(0, 2)}px solid {other};"
                f"border-radius:{chance.randint(0, 14)}px;"
                f"box-shadow:0 {chance.randint(0, 4)}px {chance.randint(0, 12)}px rgba(0,0,0,.3);"
                f"font-size:{chance.randint(9, 26)}px;color:{chance.choice(('#fff', '#000', other))}"
            )
            field = f"<input value='{self.words.phrase(2)}'><input type=checkbox checked><input type=range>"
            sign = chance.choice("★☰✓✕→▶♥⚙●◆▲■ ")
            parts.append(
                field if chance.random() < 0.15 else f"<div style='{look}'>{sign} {self.words.phrase(5)}</div>"
            )
        return "".join(parts)

    def _slide(self) -> str:
        parts = []
        for _ in range(5):
            points = "".join(f"<li>{self.words.phrase(7)}" for _ in range(self.chance.randint(1, 4)))
            size = self.chance.randint(22, 64)
            parts.append(f"<div style='font-size:{size}px'><b>{self.words.phrase(3)}</b><ul>{points}</ul></div>")
        return "".join(parts)


def draw(browser: str, page: str, scale: float, times: int = 1) -> Image:
    """A page as an RGB picture [H, W, 3], ``times`` as large."""
    scale, width, height = scale * times, PAGE_WIDTH * times, PAGE_HEIGHT * times
    with tempfile.TemporaryDirectory() as folder:
        source, picture = Path(folder) / "page.html", Path(folder) / "page.png"
        source.write_text(page, "utf-8")
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--hide-scrollbars",
            f"--force-device-scale-factor={scale:.2f}",
            f"--window-size={int(width / scale)},{int(height / scale)}",
            f"--screenshot={picture}",
            source.as_uri(),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        with av.open(str(picture)) as container:
            image: Image = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(np.uint8, copy=False)
            return image


def with_subpixels(page: Image, is_hinted: bool) -> Image:
    """What a liquid crystal display shows, whose red, green and blue stand side by side: colour fringes.

    Args:
        page: three times as large in both directions, [3 H, 3 W, 3].
        is_hinted: edges lie between rows of samples, as hinting makes them, and are not smoothed vertically.

    Returns:
        [H, W, 3]; horizontally each colour is smoothed over five of its thirds of a sample, as FreeType does it.
    """
    height, width = (size // SUBPIXELS for size in page.shape[:2])
    rows = page[: height * SUBPIXELS, : width * SUBPIXELS].reshape(height, SUBPIXELS, width * SUBPIXELS, 3)
    lines = rows[:, 1].astype(np.float32) if is_hinted else rows.mean(1, dtype=np.float32)
    reach = len(SUBPIXEL_FILTER) // 2
    padded = np.pad(lines, ((0, 0), (reach, reach), (0, 0)), "edge")
    smooth = sum(weight * padded[:, at : at + lines.shape[1]] for at, weight in enumerate(SUBPIXEL_FILTER))
    colours = [np.asarray(smooth)[:, colour::SUBPIXELS, colour] for colour in range(3)]
    return np.stack(colours, -1).round().clip(0, 255).astype(np.uint8)


def played(page: Image, chance: random.Random) -> Iterator[Image]:
    """Windows of a page: it stands, scrolls with stops, or is filled in line by line."""
    height, width = page.shape[:2]
    left, top = chance.randrange(width - WIDTH + 1), chance.randrange(height - HEIGHT + 1)
    act = chance.choice(("stand", "scroll", "scroll", "fill"))
    speed = chance.choice((-1, 1)) * chance.choice((1, 2, 3, 5, 8, 12, 20)) if act == "scroll" else 0
    plain = page[0, 0]
    for frame in range(FRAMES):
        if speed and chance.random() < 0.1:
            speed = chance.choice((0, speed, -speed, speed * 2))
        top = min(max(top + speed, 0), height - HEIGHT)
        window = page[top : top + HEIGHT, left : left + WIDTH].copy()
        if act == "fill":
            done = (frame + 3) * HEIGHT // (FRAMES + 2)
            window[done:] = plain
            window[max(done - 12, 0) : done, WIDTH * ((frame * 7) % 10) // 10 :] = plain
        yield window


def write(path: Path, windows: Iterator[Image]) -> None:
    """A clip without loss after the conversion to 4:2:0."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0", "preset": "fast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for window in windows:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(window), format="rgb24")))
        container.mux(stream.encode(None))


def fonts_here() -> list[str]:
    """Families of the fonts that are installed."""
    listed = subprocess.run(["fc-list", ":lang=en", "family"], check=True, capture_output=True, text=True).stdout
    return sorted({line.split(",")[0].strip() for line in listed.splitlines() if line.strip()})


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    browser = next((path for path in map(shutil.which, CHROMIUM) if path), None)
    if browser is None:
        sys.exit("Chromium is needed")
    options.folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(options.seed)
    pages = Pages(chance, fonts_here())
    for number in tqdm(range(options.pages), unit="page"):
        scale = chance.choice((1.0, 1.0, 1.0, 1.25, 1.5, 2.0))
        if chance.random() < LCD_SHARE:
            picture = with_subpixels(draw(browser, pages.page(), scale, SUBPIXELS), chance.random() < 0.5)
        else:
            picture = draw(browser, pages.page(), scale)
        for part in range(CLIPS_OF_PAGE):
            write(options.folder / f"screen_{number:03}_{part}.mp4", played(picture, chance))


if __name__ == "__main__":
    main()
