from __future__ import annotations

import re
from collections import Counter

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.conftest import Rest, openapi
from ztp_server.api.application import NOUNS
from ztp_server.domain.access import PERMISSIONS

OPERATIONS = [(path, method, row) for path, methods in openapi()["paths"].items() for method, row in methods.items()]


async def test_the_document_is_valid_and_served_to_anybody(rest: Rest) -> None:
    answer = await rest.ask("GET", "/api/v1/openapi.json", token=None)

    assert answer.status == 200 and answer.json == openapi()
    assert not list(OpenAPIV31SpecValidator(answer.json).iter_errors())


def test_no_two_operations_share_a_name() -> None:
    names = Counter(row["operationId"] for _, _, row in OPERATIONS)

    assert [name for name, count in names.items() if count > 1] == []


def test_every_operation_says_what_it_is_for() -> None:
    for path, method, row in OPERATIONS:
        assert row["summary"] != row["operationId"] and len(row["summary"]) < 100, f"{method} {path}"


def test_paths_are_plural_nouns_with_dashes() -> None:
    for path, _, _ in OPERATIONS:
        for part in path.removeprefix("/api/v1/").split("/"):
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*|{[a-z_][a-z_0-9]*}", part), path


def test_only_logging_in_takes_no_token() -> None:
    public = {row["operationId"] for _, _, row in OPERATIONS if row.get("security") == []}
    assert public == {"login", "open_session", "add_first_account"}
    assert all("401" in row["responses"] for _, _, row in OPERATIONS)


def test_a_program_shows_a_token_and_a_browser_its_cookie() -> None:
    schemes = openapi()["components"]["securitySchemes"]

    assert openapi()["security"] == [{"token": []}, {"session": []}]
    assert schemes["token"]["scheme"] == "bearer"
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "__Host-ztp")
    # A browser may always be refused in the name of another page.
    assert all("403" in row["responses"] for _, method, row in OPERATIONS if method != "get")


def test_a_permission_that_is_named_is_one() -> None:
    named = {name for noun in NOUNS for row in noun.operations for name in row.permissions}

    assert named <= set(PERMISSIONS)


def test_a_stream_is_described_event_by_event_and_has_no_etag() -> None:
    answer = openapi()["paths"]["/api/v1/phones/status/stream"]["get"]["responses"]["200"]

    event = answer["content"]["text/event-stream"]["schema"]
    assert set(event["properties"]) == {"event", "id", "data", "retry"}
    assert event["properties"]["data"]["type"] == "string"
    assert "ETag" not in answer.get("headers", {})
