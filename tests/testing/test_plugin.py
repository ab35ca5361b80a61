"""The pytest plugin, in the project of somebody who writes an app."""

import pytest

pytest_plugins = ["pytester"]

APP = """
    from photoanimer_async import PhotoAnimerClient

    async def animate(photo, template):
        async with PhotoAnimerClient() as client:
            task_id = await client.submit(photo, template=template)
            return (await client.get_task_info(task_id)).result_url
"""
UNRELATED = """
    import sys

    def test_unrelated():
        loaded = {name for name in sys.modules if name.startswith("photoanimer_async")}
        assert loaded == {"photoanimer_async", "photoanimer_async.pytest_plugin"}
        assert not {"aiohttp", "attrs", "cattrs", "backoff"} & sys.modules.keys()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(app=APP)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_coroutines_and_plain_functions_are_served_alike(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio
        import os

        import pytest
        import requests

        from app import animate

        def test_with_a_client_that_blocks(photo_animer):
            query = {"imageUrl": "https://example.com/a.jpg", "templateId": 4}
            answer = requests.get(
                f"{os.environ['PHOTOANIMER_BASE_URL']}/faceDriven/submitTaskByUrl",
                params=query,
                headers={"APIKEY": os.environ["PHOTOANIMER_API_KEY"]},
                timeout=10,
            )
            assert answer.json()["code"] == 0
            assert photo_animer.ledger.seconds == 4.38

        def test_with_a_loop_of_its_own(photo_animer):
            url = asyncio.run(animate("https://example.com/a.jpg", 1))
            assert url.startswith(photo_animer.base_url.removesuffix("/api/v1"))

        @pytest.mark.asyncio
        async def test_on_the_loop_of_pytest_asyncio(photo_animer):
            assert (await animate("https://example.com/a.jpg", 1)).endswith(".mp4")
            assert photo_animer.ledger.seconds == 7.13

        def test_afterwards():
            assert "127.0.0.1" not in os.environ.get("PHOTOANIMER_BASE_URL", "")
        """
    )
    run(project).assert_outcomes(passed=4)


def test_no_other_plugin_and_none_of_the_extras_is_needed(project: pytest.Pytester) -> None:
    project.makeconftest(
        """
        import sys

        for name in ("numpy", "cv2", "av", "onnxruntime", "PIL", "rich", "cyclopts", "uvloop"):
            sys.modules[name] = None
        """
    )
    project.makepyfile(
        """
        import asyncio

        from app import animate

        def test_app(photo_animer):
            assert asyncio.run(animate("https://example.com/a.jpg", 1)).endswith(".mp4")
        """
    )
    run(project, "-p", "no:asyncio").assert_outcomes(passed=1)


def test_a_failure_shows_what_the_double_was_asked(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio

        from app import animate

        def test_app(photo_animer):
            photo_animer.script("task 1: takes 2 polls; submit 2: html")
            assert asyncio.run(animate("https://example.com/a.jpg?token=s3cret", 1))
        """
    )
    done = run(project)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*--- Requests to photo_animer ---*",
            "submit 1 (task 1) https://example.com/a.jpg?…: accepted, 7.13 video seconds",
            "poll 1 (task 1): processing",
        ]
    )


def test_a_rule_that_nothing_came_of_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio

        from app import animate

        def test_app(photo_animer):
            photo_animer.script("submit 2: reset after")
            asyncio.run(animate("https://example.com/a.jpg", 1))

        def test_on_purpose(photo_animer):
            photo_animer.script("submit 2: reset after", must_be_used=False)
        """
    )
    done = run(project)
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*UnusedRulesError: nothing came of 'submit 2: reset after':*"])


def test_a_script_that_is_none_shows_where(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        def test_app(photo_animer):
            photo_animer.script("submit 3: restart after")
        """
    )
    done = run(project)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "E*ScriptError: fault script, column 11: found 'restart'; allowed are: status, *",
            "E*submit 3: restart after",
            "E*          ^",
        ]
    )


def test_it_costs_nothing_where_it_is_not_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(UNRELATED)
    run(pytester, "-p", "no:hypothesispytest", "-p", "no:asyncio").assert_outcomes(passed=1)


def test_it_can_be_turned_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_app(photo_animer): pass")
    done = run(pytester, "-p", "no:photoanimer")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'photo_animer' not found"])
