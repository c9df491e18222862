"""Every exchange that was recorded on a running migas server 0.9, asked of our own.

Left out are those that show the other server's own troubles: its database, its cache or the site
that it asks for releases out of reach. Those with tokens and with the rate
limit have files of their own.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.collector.live import PROJECT, LiveCollector, LiveServer, Reply

if TYPE_CHECKING:
    from migas.collector.collector import Collector
    from tests.collector.databases import Database

FOLDER = Path(__file__).with_name("exchanges")
ELSEWHERE = ("rest_usage_", "rest_auth_", "ratelimit_")
EXCHANGES = sorted(
    path.stem for path in FOLDER.glob("*.json") if not path.stem.startswith(ELSEWHERE)
)

LIES = {
    "err_language_33_add_project_vars": "'language' must have at most 32 characters, not 33.",
    "err_lone_surrogate_status_desc_add_project_vars": (
        "'status_desc' must not contain NUL or a lone surrogate."
    ),
    "err_nul_in_error_desc_add_project_vars": (
        "'error_desc' must not contain NUL or a lone surrogate."
    ),
    "err_platform_65_add_project_vars": "'platform' must have at most 64 characters, not 65.",
    "err_user_id_bad_add_project_vars": "'user_id' must be a UUID, or be left out.",
}
"""Answered `success: true` there, and lost; what ours says instead. Nothing is stored by either."""

LIBRARY_WORDS = {
    "err_container_unknown_value_add_project_vars": ["'podman'"],
    "err_language_version_nonpep440_add_project_vars": ["Invalid version: '3.13.0 free-threading'"],
    "err_status_unknown_add_project_vars": ["'wtf'"],
    "err_version_dirty_add_project_vars": ["Invalid version: '1.2.x-dirty'"],
    "get_usage_bad_date": ["Invalid isoformat string: 'not-a-date'"],
    "get_usage_iso_offset": ["Invalid isoformat string: '2026-11-22T18:54:28+00:00'"],
    "gql_add_breadcrumb_no_ctx_proc": [
        "'ContextInput!' is required",
        "'ProcessInput!' is required",
    ],
    "gql_add_project_status_as_string_literal": ['cannot represent non-enum value: "C"'],
    "proto_gql_unknown_input_field": ["'arguments'"],
}
"""Errors that graphql-core words anew from release to release, and what each must still say."""

REWORDED = {
    "proto_gql_syntax_error": {"data": None, "errors": [{"message": str}]},
    "rest_breadcrumb_status_alias_running": {
        "detail": [
            {
                "type": "enum",
                "loc": ["body", "proc", "status"],
                "msg": "Input should be 'R', 'C', 'F' or 'S'",
                "input": "running",
                "ctx": {"expected": "'R', 'C', 'F' or 'S'"},
            }
        ]
    },
}
"""Where ours says the same in other words; a type stands for any value of it."""


@pytest.mark.parametrize("name", EXCHANGES)
def test_recorded_exchange(name: str, live_server: LiveServer, database: Database) -> None:
    recorded = json.loads((FOLDER / f"{name}.json").read_text())

    async def prepare(collector: Collector) -> None:
        has_bad_version = name in ("gql_add_project_bad_version", "check_project_flagged")
        latest = "forbidden" if name == "gql_add_project_forbidden" else "0.0.4"
        await collector.projects.set_release(PROJECT, latest, ["0.0.3"] if has_bad_version else [])
        await collector.projects.set_release("foo/bar", "9.9")

    with live_server.collector(database, prepare=prepare) as collector:
        if name.startswith("get_usage"):
            seed_usage(collector)
        seeded = len(collector.crumbs())
        reply = collector.send(
            recorded["path"],
            request_bytes(recorded),
            recorded["request_headers"],
            recorded["method"],
        )
        stored = {"crumbs": collector.crumbs()[seeded:], "users": collector.users()}

    assert reply.status == recorded["status"]
    assert reply.headers["X-Backend-Server"].startswith("migas@")
    assert reply.headers["Content-Type"] == recorded["response_headers"].get("content-type")
    if location := recorded["response_headers"].get("location"):
        assert (
            reply.headers["Location"].partition("//")[2].partition("/")[2]
            == (location.partition("//")[2].partition("/")[2])
        )
    assert_same_answer(name, reply, recorded["response_body"])
    assert stored == recorded["stored"]


def test_the_exceptions_name_recorded_exchanges() -> None:
    assert set(LIES) | set(LIBRARY_WORDS) | set(REWORDED) <= set(EXCHANGES)


def assert_same_answer(name: str, reply: Reply, recorded: str) -> None:
    if name in LIES:
        (error,) = reply.json().pop("errors")
        assert reply.json()["data"] is None
        assert error["message"] == LIES[name]
        assert error["path"] == ["add_project"]
    elif name in LIBRARY_WORDS:
        expected = json.loads(recorded)
        assert same_shape(reply.json(), expected), reply
        assert [error["locations"] for error in reply.json()["errors"]] == [
            error["locations"] for error in expected["errors"]
        ]
        for error, words in zip(reply.json()["errors"], LIBRARY_WORDS[name], strict=True):
            assert words in error["message"]
    elif name in REWORDED:
        assert matches(reply.json(), REWORDED[name]), reply
        assert same_shape(reply.json(), json.loads(recorded))
    elif recorded.startswith("{"):
        assert reply.json() == json.loads(recorded)
    else:
        assert reply.body.decode() == recorded


def matches(found: Any, expected: Any) -> bool:
    if isinstance(expected, type):
        return isinstance(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            matches(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(matches, found, expected))
    return bool(found == expected)


def same_shape(found: Any, expected: Any) -> bool:
    """Whether two JSON values have the same keys and the same types all the way down."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(
            same_shape(found[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same_shape, found, expected))
    return type(found) is type(expected)


def request_bytes(recorded: dict[str, Any]) -> bytes:
    """The request's body; bytes that are no text were recorded as `\\xNN`."""
    body = recorded["request_body"].encode()
    if "Content-Encoding" in recorded["request_headers"]:
        body = re.sub(rb"\\x([0-9a-f]{2})", lambda escape: bytes.fromhex(escape[1].decode()), body)
    assert len(body) == int(recorded["request_headers"]["Content-Length"])
    return bytes(body)


def seed_usage(collector: LiveCollector) -> None:
    """The 120 breadcrumbs of 24 users that the recorded server had got that day."""
    noon = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    people = [str(uuid4()) for _ in range(24)]
    collector.database.executemany(
        "INSERT INTO crumbs (project, version, language, language_version, timestamp, user_id,"
        " status, is_ci) VALUES (?, '0.4.0', 'python', '3.11.7', ?, ?, 'C', false)",
        [(PROJECT, noon, people[number % 24]) for number in range(120)],
    )
