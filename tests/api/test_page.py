"""The page on which the REST interface is tried out."""

from __future__ import annotations

import re

import pytest

from tests.api.conftest import Rest


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_page_and_all_it_loads_come_from_here(rest: Rest, method: str) -> None:
    page = await rest.ask("GET", "/api/", token=None)
    loads = re.findall(r'(?:src|href)="([^"]*)"', page.body.decode())
    files = [name for name in loads if name not in ("data:,", "../oidc/start")]

    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(files) == 5 and not any(":" in name or name.startswith("/") for name in files)
    for name in files:
        assert (await rest.ask(method, f"/api/{name}", token=None)).status == 200


async def test_the_browser_is_told_to_run_nothing_else(rest: Rest) -> None:
    policy = (await rest.ask("GET", "/api/", token=None)).headers["Content-Security-Policy"]

    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"
    )
    assert "unsafe" not in policy and "http" not in policy


async def test_the_page_has_no_script_and_no_style_in_it(rest: Rest) -> None:
    page = (await rest.ask("GET", "/api/", token=None)).body.decode()

    assert not re.search(r"<script(?! src)|<style|style=|\son\w+=", page)


async def test_the_slash_may_be_left_out(rest: Rest) -> None:
    answer = await rest.ask("GET", "/api", token=None)

    assert (answer.status, answer.headers["Location"]) == (308, "/api/")


async def test_a_browser_that_has_the_page_is_not_sent_it_again(rest: Rest) -> None:
    tag = (await rest.ask("GET", "/api/page.js", token=None)).headers["ETag"]
    again = await rest.ask("GET", "/api/page.js", token=None, headers={"If-None-Match": tag})

    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/api/page.py", "/api/../application.py", "/api/page/page.js", "/api/LICENSE"])
async def test_nothing_else_of_the_folder_is_served(rest: Rest, path: str) -> None:
    assert (await rest.ask("GET", path, token=None)).status == 404
