"""Prints the N-th of README's commands, so that what is tested is what is written."""

import re
import sys
from pathlib import Path

readme = (Path(__file__).parent.parent / "README.md").read_text()
start = readme.index("## Two commands")
blocks = re.findall(r"```sh\n(.+?)\n```", readme[start:], flags=re.DOTALL)
print(blocks[int(sys.argv[1]) - 1])  # noqa: T201 - its output is its product
