"""Completion in the shells, by the scripts that cyclopts generates."""

import os
import subprocess
from pathlib import Path

import pytest

from photoanimer_async.cli.commands import build_app

from ..support import missing
from ..support.command_line import CommandLine

_IN_BASH = """
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_photoanimer
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "photoanimer"
    path.write_text(build_app().generate_completion(shell="bash"))
    return path


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["anim"], {"animate"}),
        (["animate", "a.jpg", "--temp"], {"--template"}),
        (["animate", "a.jpg", "--template", "la"], {"laughter"}),
        (["estimate", "--template", "k"], {"kiss"}),
        (["serve", "ke"], {"keys"}),
    ],
)
def test_in_bash(bash_script: Path, words: list[str], completions: set[str]) -> None:
    bash = missing.require_program("bash")
    done = subprocess.run(
        [bash, "--norc", "-c", _IN_BASH, "bash", str(bash_script), "photoanimer", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completions <= {*done.stdout.split()}
    assert done.stderr == ""


def test_in_zsh(tmp_path: Path) -> None:
    zsh = missing.require_program("zsh")
    script = tmp_path / "_photoanimer"
    script.write_text(build_app().generate_completion(shell="zsh"))
    subprocess.run([zsh, "-n", str(script)], check=True)
    # `compinit` finds the script by its name, and takes from it which command it completes.
    found = (
        f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -D; echo $_comps[photoanimer]"
    )
    done = subprocess.run([zsh, "-f", "-c", found], capture_output=True, text=True, check=True)
    assert done.stdout == "_photoanimer\n"


def test_in_fish(tmp_path: Path) -> None:
    fish = missing.require_program("fish")
    script = tmp_path / "photoanimer.fish"
    script.write_text(build_app().generate_completion(shell="fish"))
    for words, expected in (("anim", "animate"), ("animate --temp", "--template")):
        done = subprocess.run(
            [fish, "--no-config", "-c", f"source {script}; complete -C 'photoanimer {words}'"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},  # fish makes folders there
        )
        assert expected in done.stdout


@pytest.mark.slow
def test_it_is_installed_by_an_option(photoanimer: CommandLine) -> None:
    home = photoanimer.folder / "home"
    home.mkdir()
    photoanimer.environment |= {"HOME": str(home), "SHELL": "/bin/bash"}
    done = photoanimer.run_process("--install-completion", "--shell", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    installed = [path for path in home.rglob("*") if path.is_file()]
    assert any("_photoanimer" in path.read_text() for path in installed)
