"""The documentation pages, and the code blocks on them."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "photoanimer_async"
_BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    flags=re.DOTALL | re.MULTILINE,
)


@frozen
class Block:
    """One fenced code block of a page, with the marker in the HTML comment before it."""

    page: "Page"
    number: int
    line: int
    language: str
    text: str
    marker: str

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"

    @property
    def not_run(self) -> str:
        """Why the block does not run here, or an empty string."""
        return self.marker.removeprefix("not run: ") if self.marker.startswith("not run: ") else ""

    @property
    def file(self) -> str:
        """The name under which the page's other blocks find this one, or an empty string."""
        return self.marker.removeprefix("file: ") if self.marker.startswith("file: ") else ""

    @property
    def program(self) -> str:
        """The text moved down to its line on the page, so that tracebacks point there."""
        return "\n" * self.line + self.text

    @property
    def commands(self) -> str:
        """The shell commands: all lines of `sh`, those after `$ ` of `console`."""
        if self.language == "sh":
            return self.text
        lines = [line for line in self.text.splitlines() if line.startswith("$ ")]
        return "\n".join(line.removeprefix("$ ") for line in lines)


@frozen
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        inside = self.path.is_relative_to(PACKAGE) and self.path.parent != PACKAGE
        return self.path.relative_to(PACKAGE if inside else ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> Iterator[Block]:
        """The blocks in these languages, by default all."""
        text = self.text
        for number, found in enumerate(_BLOCK.finditer(text), start=1):
            if not languages or found["language"] in languages:
                yield Block(
                    page=self,
                    number=number,
                    line=text.count("\n", 0, found.start("text")),
                    language=found["language"],
                    text=textwrap.dedent(found["text"]),
                    marker=found["marker"] or "",
                )

    def block(self, language: str, containing: str) -> Block:
        """The one block that contains a text, for a test of its own."""
        [found] = [each for each in self.blocks(language) if containing in each.text]
        return found


def page(name: str) -> Page:
    """A page by its name, as `README.md` (at the root) or `polling/README.md`."""
    path = ROOT / name
    return Page(path if path.is_file() else PACKAGE / name)


def pages() -> list[Page]:
    """Every page: the root's, the package's, each room's, the benchmarks'."""
    paths = [ROOT / "README.md", *sorted(PACKAGE.rglob("*.md")), ROOT / "benchmarks" / "README.md"]
    return [Page(path) for path in paths if path.is_file()]
