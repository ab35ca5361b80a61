"""Lists of photos with options of their own."""

import os
from pathlib import Path

import pytest

from photoanimer_async import AnimationOptions, AnimationRequest, OutputFormat, Template
from photoanimer_async.cli.exit_status import UsageError
from photoanimer_async.cli.manifest import RowDefaults, read_manifest

VOICE = "http://v.example/a.mp3"
TEMPLATES = "0, 1, 2, 3, 4, 5, talking, looking-around, wink, laughter, head-shake, kiss"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(
    text: str | bytes, name: str = "list.csv", defaults: RowDefaults | None = None
) -> list[AnimationRequest]:
    path = Path("sub") / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_manifest(path, defaults or RowDefaults())


def errors_in(text: str | bytes, name: str = "list.csv") -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(text, name)
    lines = str(caught.value).splitlines()
    assert all(line.isprintable() for line in lines)
    return [line.removeprefix(f"sub/{name} ") for line in lines]


ROWS = [
    AnimationRequest(
        Path("sub/anna.jpg"),
        AnimationOptions(template=3, output_format="gif"),
        "Anna laughs, twice",
    ),
    AnimationRequest(
        "https://x.example/b.jpg",
        AnimationOptions(template=0, voice_url=VOICE, voice_seconds=12.5),
    ),
    AnimationRequest(Path("/abs/c.jpg"), AnimationOptions(template=1)),
]


@pytest.mark.usefixtures("folder")
class TestRows:
    def test_of_csv(self) -> None:
        text = (
            "photo,template,format,voice_url,voice_seconds,name\r\n"
            'anna.jpg,3,GIF,,,"Anna laughs, twice.gif"\r\n'
            "\r\n"
            f"https://x.example/b.jpg,,,{VOICE}, 12.5 ,\r\n"
            "/abs/c.jpg\r\n"
        )
        assert read(text) == ROWS
        assert read("\ufeff" + text) == ROWS

    @pytest.mark.parametrize("delimiter", [";", "\t"])
    def test_of_csv_as_spreadsheets_write_it(self, delimiter: str) -> None:
        text = "Photo,Template\nanna.jpg,2\n".replace(",", delimiter)
        assert read(text) == [AnimationRequest(Path("sub/anna.jpg"), AnimationOptions(template=2))]

    def test_of_json_lines(self) -> None:
        text = (
            '{"photo": "anna.jpg", "template": 3, "format": "gif", "name": "Anna laughs, twice"}\n'
            "\n"
            f'{{"photo": "https://x.example/b.jpg", "voice_url": "{VOICE}", "voice_seconds": 12.5,'
            ' "template": null, "name": ""}\r\n'
            '{"photo": "/abs/c.jpg", "template": "1"}'
        )
        assert read(text, "list.jsonl") == ROWS
        assert read(text, "list.ndjson") == ROWS

    def test_take_missing_options_from_the_batch(self) -> None:
        defaults = RowDefaults(template=5, output_format=OutputFormat.GIF)
        first, second = read("photo,template\na.jpg,\nb.jpg,2\n", defaults=defaults)
        assert first.options == AnimationOptions(template=5, output_format="gif")
        assert second.options == AnimationOptions(template=2, output_format="gif")

    def test_with_a_voice_have_template_0(self) -> None:
        [row] = read("photo\na.jpg\n", defaults=RowDefaults(voice_url=VOICE))
        assert row.options.template is Template.T0

    def test_can_name_files_in_any_encoding(self) -> None:
        [row] = read(b"photo\nlatin \xe9.jpg\n")
        assert os.fsencode(row.photo) == b"sub/latin \xe9.jpg"


@pytest.mark.usefixtures("folder")
class TestErrors:
    @pytest.mark.parametrize(
        ("row", "error"),
        [
            (",1,,,,", "column photo: is empty; allowed are a URL and the name of a file"),
            ("a,smile,,,,", f"column template: found 'smile'; allowed: {TEMPLATES}"),
            ("a,6,,,,", f"column template: found '6'; allowed: {TEMPLATES}"),
            ("a,1,avi,,,", "column format: found 'avi'; allowed: mp4, gif"),
            ("a,0,,a.mp3,,", "column voice_url: found 'a.mp3'; allowed: an http or https URL"),
            (
                f"a,2,,{VOICE},,",
                "column voice_url: voice_url goes with template 0 only, not with template 2",
            ),
            ("a,0,,,-1,", "column voice_seconds: found '-1'; allowed: a number above 0"),
            ("a,0,,,nan,", "column voice_seconds: found 'nan'; allowed: a number above 0"),
            ("a,1,,,,,,", "found 8 fields; the header has 6"),
        ],
    )
    def test_in_csv_name_line_and_column(self, row: str, error: str) -> None:
        head = "photo,template,format,voice_url,voice_seconds,name"
        assert errors_in(f'{head}\n"fine\nname.jpg",1\n\n{row}\n') == [f"line 5, {error}"]

    @pytest.mark.parametrize(
        ("row", "error"),
        [
            ('{"photo": 3}', "column photo: found 3; allowed: text"),
            ('{"photo": "a", "template": true}', "column template: found True; allowed: 0, 1,"),
            ('{"photo": "a", "template": 1.0}', "column template: found 1.0; allowed: 0, 1,"),
            ('{"photo": "a", "voice_seconds": []}', "column voice_seconds: found []; allowed"),
            ('{"photo": "a", "name": "\\ud800"}', "column name: found '\\ud800'; allowed: text"),
            ('{"photo": "a", "voice": ""}', "column 'voice': is unknown; allowed are photo,"),
            ('{"photo" "a"}', "column 10: is not JSON (Expecting ':' delimiter)"),
            ("[1]", "found [1]; allowed is an object with photo, template"),
            ("[" * 100_000, "JSON is nested too deeply, or a number"),
            ("9" * 5000, "JSON is nested too deeply, or a number"),
        ],
        ids=range(10),
    )
    def test_in_json_lines_name_line_and_column(self, row: str, error: str) -> None:
        [found] = errors_in(f'\n{{"photo": "a"}}\n{row}\n', "list.jsonl")
        assert found.startswith(f"line 3, {error}")

    @pytest.mark.parametrize(
        ("head", "error"),
        [
            ("foto,template", "column 'foto': is unknown; allowed are photo, template, format"),
            ("template,format", "column photo: is missing"),
            ("photo,photo", "column photo: appears twice"),
            ('"photo', "is not CSV"),
        ],
    )
    def test_in_the_header_line(self, head: str, error: str) -> None:
        [found] = errors_in(f"{head}\na,1\n")
        assert found.startswith(f"line 1, {error}")

    def test_are_all_reported_up_to_ten(self) -> None:
        said = errors_in("photo,template\n" + "a,7\n" * 25)
        assert said[0].startswith("line 2, ")
        assert said[9].startswith("line 11, ")
        assert said[10:] == ["and 15 more"]

    def test_hide_queries_of_urls(self) -> None:
        assert "s3cret" not in errors_in("photo,voice_url\na,xhttp://v.example/a?sig=s3cret\n")[0]

    @pytest.mark.parametrize("text", ["", "photo\n", "\n\n"])
    def test_an_empty_manifest(self, text: str) -> None:
        assert errors_in(text) == ["sub/list.csv: lists no photo"]

    def test_a_file_that_cannot_be_read(self) -> None:
        with pytest.raises(UsageError, match=r"gone\.csv cannot be read: No such file"):
            read_manifest(Path("gone.csv"), RowDefaults())
        with pytest.raises(UsageError, match=r"neither \*.csv nor \*.jsonl"):
            read_manifest(Path("list.txt"), RowDefaults())


@pytest.mark.usefixtures("folder")
def test_texts_that_are_no_text_are_named_or_made_safe() -> None:
    lines = [
        '{"photo": "http://h/\\ud800.jpg"}',
        '{"photo": "a.jpg", "name": "\\ud800"}',
        '{"photo": "a.jpg", "voice_url": "http://h/\\ud800"}',
    ]
    assert [error.partition(":")[0] for error in errors_in("\n".join(lines), "list.jsonl")] == [
        "line 1, column photo",
        "line 2, column name",
        "line 3, column voice_url",
    ]
    assert errors_in(b"photo\nhttp://h/\xff.jpg\n")[0].startswith("line 2, column photo")
    (request,) = read('{"photo": "a.jpg", "name": "gran\\u001b[2Jma"}', "list.jsonl")
    assert request.name == "gran_[2Jma"
