"""The benchmarks run in their short forms, and every figure on a page comes from one of them."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from .support.pages import ROOT, pages

BENCHMARKS = ROOT / "benchmarks"
# Imported or started by the others; `all` runs them.
PARTS = {"all", "contenders", "load_client", "load_servers", "machine", "stub"}
SCRIPTS = {path.stem for path in BENCHMARKS.glob("*.py")} - PARTS
LONG = {"soak"}  # its short form takes three minutes


def declared(script: str) -> set[str]:
    """The names of the blocks that a script prints."""
    tree = ast.parse((BENCHMARKS / f"{script}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == "figures"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return import_module("all")


def test_the_page_and_the_command_know_every_benchmark(run_all: ModuleType) -> None:
    page = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `python benchmarks/(\w+)\.py` \|", page, flags=re.MULTILINE)
    assert set(listed) == SCRIPTS
    assert set(run_all.SCRIPTS) == SCRIPTS


def test_each_block_of_a_page_is_printed_by_one_script_and_the_reverse(run_all: ModuleType) -> None:
    made = [name for script in SCRIPTS for name in declared(script)]
    shown = {name for page in pages() for name in run_all.blocks_in(page.text)}
    assert len(made) == len(set(made)), "two scripts print a block of the same name"
    assert shown == set(made)
    opened = sum(page.text.count("<!-- figures: ") for page in pages())
    assert opened == sum(len(run_all.blocks_in(page.text)) for page in pages())


@pytest.mark.parametrize(
    ("page", "heading"),
    [
        ("benchmarks/README.md", "# Benchmarks"),
        ("README.md", "## How it compares"),
        ("photoanimer_async/service/OPERATING.md", "## How much can one machine do?"),
    ],
)
def test_no_figure_is_typed_by_hand(page: str, heading: str, run_all: ModuleType) -> None:
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"{heading}\n")[2]
    assert text
    if heading.startswith("## "):
        text = text.partition("\n## ")[0]
    for block in run_all.blocks_in(text).values():
        text = text.replace(block, "")
    by_hand = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.DOTALL)
    assert re.findall(r".*\d.*", by_hand) == []


def test_blocks_are_replaced_by_those_of_the_same_name(run_all: ModuleType) -> None:
    def block(name: str, text: str) -> str:
        return f"<!-- figures: {name} -->\n{text}\n<!-- end -->"

    page = f"a\n\n{block('costs', '1')}\nb\n{block('counts', '2')}\n\nc"
    printed = f"noise\n{block('costs', '3 | 4')}\nmore noise\n{block('unknown', '5')}"
    blocks = run_all.blocks_in(printed)
    assert run_all.filled(page, blocks) == page.replace("1\n", "3 | 4\n")


def test_the_last_table_says_by_how_much_a_goal_is_missed(run_all: ModuleType) -> None:
    goal = import_module("machine").Goal
    text = run_all.compared(
        [goal("a poll", 30, 20, "us"), goal("busy", 0.9, 0.95, at_least=True), goal("calls", 1, 1)]
    )
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in text.splitlines()[2:]]
    assert cells == [
        ["a poll", "20 us", "30 us", "10 us more"],
        ["busy", "at least 0.95", "0.9", "0.05 less"],
        ["calls", "1", "1", "PASS"],
    ]


def test_goals_arrive_as_they_were_printed(
    run_all: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    goal = import_module("machine").Goal("a poll above aiohttp's", 1 / 3, 20, "us")
    goal.print()
    assert list(run_all.goals_in(f"noise\n{capsys.readouterr().out}noise")) == [goal]


def test_the_picture_of_growth_has_every_point_and_value(run_all: ModuleType) -> None:
    peers, growth = import_module("peers"), import_module("growth")

    def run(tasks: int) -> object:
        return peers.Run(
            cpu=0.001 * tasks,
            polls=2 * tasks,
            tasks=tasks,
            ended=tasks,
            delays=[0.5],
            connections=1,
            memory=4096 * tasks,
        )

    sizes = (10, 100, 1000, 10_000, 100_000)
    picture = ET.fromstring(growth.drawn({size: [run(size)] for size in sizes}))
    svg = "{http://www.w3.org/2000/svg}"
    for panel in picture.iter(f"{svg}g"):
        heights = [float(point.get("cy", "nan")) for point in panel.iter(f"{svg}circle")]
        assert len(heights) == len(sizes)
        assert all(growth.TOP <= height <= growth.HEIGHT for height in heights)
        texts = [text.text for text in panel.iter(f"{svg}text")]
        assert {f"{size:,}" for size in sizes} <= set(texts)
    shown = {text.text for text in picture.iter(f"{svg}text")}
    assert {"1,000", "0.50", "390.6"} <= shown  # us a task, s, MiB of 100,000 tasks


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(SCRIPTS - LONG))
def test_the_short_form_prints_its_blocks(script: str, run_all: ModuleType) -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / f"{script}.py", "--quick"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    blocks = run_all.blocks_in(done.stdout)
    assert set(blocks) == declared(script)
    assert all(", Python 3." in block for block in blocks.values()), "the machine is missing"
    assert "nan" not in done.stdout


@pytest.mark.slow
def test_a_script_that_fails_changes_no_page(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    (root / "benchmarks").mkdir(parents=True)
    for name in ("all.py", "machine.py"):
        (root / "benchmarks" / name).write_bytes((BENCHMARKS / name).read_bytes())
    page = "<!-- figures: {} -->\nold\n<!-- end -->\n"
    (root / "README.md").write_text(page.format("one") + page.format("two"))
    (root / "benchmarks" / "README.md").touch()
    for script, status, name in (("startup", 0, "one"), ("scale", 1, "two")):
        (root / "benchmarks" / f"{script}.py").write_text(
            "import sys\nfrom machine import Goal, figures\n"
            f"figures('{name}', 'new')\nGoal('g', 2, 1).print()\nsys.exit({status})\n"
        )
    command = [sys.executable, str(root / "benchmarks/all.py"), "--only", "scale", "startup"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "failed: scale" in done.stdout
    filled = (root / "README.md").read_text()
    assert "new" in filled.partition("two")[0]
    assert filled.endswith(page.format("two"))
    assert "new" in (root / "build" / "benchmarks" / "scale.md").read_text()
