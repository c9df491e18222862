"""What a good migas server says, and the canned answers of those that are not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MIGAS = "migas@0.9"

GRAPHQL_PATH = "/graphql"
REST_PATH = "/api/breadcrumb"
MAX_REQUEST_BYTES = 2500

UNREGISTERED = "no/such"
"""A project that the good server does not know."""

NO_RELEASES = {"unreleased": "unknown", "private": "forbidden"}
"""Repositories of whose releases the good server knows nothing; it stores all the same."""

_VERSION = re.compile(
    r"v?\d+(\.\d+)*([-_.]?(a|b|c|rc|alpha|beta|pre|post|dev)[-_.]?\d*)*(\+[\w.]+)?$"
)
_INLINE_FIELD = re.compile(r'(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(\w+))')


@dataclass(frozen=True)
class Request:
    """What a client sent, and when (seconds since the epoch). Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    time: float

    def json(self) -> Any:
        """The body, decoded; raises ValueError when it is no JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Only `from_migas` gives it the header that a migas server sets."""

    status: int
    body: bytes | str | dict[str, Any] | list[Any]
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    from_migas: bool = True

    def encode(self) -> bytes:
        """The answer as it goes over the wire."""
        body = self.body if isinstance(self.body, str | bytes) else json.dumps(self.body)
        content = body.encode() if isinstance(body, str) else body
        headers = [("Content-Length", str(len(content))), ("Content-Type", self.content_type)]
        if self.from_migas:
            headers.append(("X-Backend-Server", MIGAS))
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Other')}"]
        lines += [f"{name}: {value}" for name, value in (*headers, *self.headers)]
        return "\r\n".join([*lines, "", ""]).encode() + content


_REASONS = {200: "OK", 202: "Accepted", 307: "Temporary Redirect", 403: "Forbidden"}
_HTML = "text/html; charset=utf-8"
_PLAIN = "text/plain; charset=utf-8"
_TOO_MANY = {"data": None, "errors": [{"message": "Too many requests, wait a minute."}]}

CANNED = {
    "500": Answer(500, "Internal Server Error", _PLAIN, from_migas=False),
    "503": Answer(503, "<html><h1>503 Service Unavailable</h1></html>", _HTML, from_migas=False),
    "portal": Answer(403, "<html>Please log in to this network</html>", _HTML, from_migas=False),
    "portal-200": Answer(200, "<html>Please log in to this network</html>", _HTML, (), False),
    "403": Answer(403, {"detail": "Forbidden"}),
    "429": Answer(429, _TOO_MANY),
    "429-retry-after": Answer(429, _TOO_MANY, headers=(("Retry-After", "120"),)),
    "413": Answer(413, {"detail": "Request body (2501) exceeds maximum size (2500)"}),
    "invalid-json": Answer(200, '{"data": {"add_project": {"succ'),
    "list": Answer(200, []),
    "string": Answer(200, '"success"'),
    "null-data": Answer(200, {"data": None}),
}
"""Manners that give everybody the same answer."""


def answer_well(
    request: Request, stored: list[dict[str, Any]]
) -> tuple[Answer, dict[str, Any] | None]:
    """What a good migas server says, and the breadcrumb that it stores, if any.

    Every `owner/repo` but `UNREGISTERED` counts as registered. Paths that a migas server does not
    have answer `{}`: other clients are measured against the same server and post to their own.
    """
    path = request.path.partition("?")[0]
    if path == GRAPHQL_PATH + "/":
        return redirect(GRAPHQL_PATH), None
    if path not in (GRAPHQL_PATH, REST_PATH):
        return Answer(200, {}), None
    if len(request.body) > MAX_REQUEST_BYTES:
        message = f"Request body ({len(request.body)}) exceeds maximum size ({MAX_REQUEST_BYTES})"
        return Answer(413, {"detail": message}), None
    try:
        message = request.json()
    except ValueError:
        return Answer(400, "Unable to parse request body as JSON", _PLAIN), None
    if path == REST_PATH:
        return _answer_rest(message, waits=request.path.endswith("wait=true"))
    return _answer_graphql(str(message.get("query")), message.get("variables") or {}, stored)


def _answer_rest(message: dict[str, Any], *, waits: bool) -> tuple[Answer, dict[str, Any] | None]:
    breadcrumb = _flat(message)
    if "/" not in breadcrumb.get("project", "") or breadcrumb["project"] == UNREGISTERED:
        return Answer(400, {"detail": "Invalid project format (expected owner/repo)."}), None
    return Answer(200 if waits else 202, {"success": True, "message": ""}), breadcrumb


def _answer_graphql(
    query: str, variables: dict[str, Any], stored: list[dict[str, Any]]
) -> tuple[Answer, dict[str, Any] | None]:
    fields = _flat(variables) or {
        name: json.loads(f'"{text}"') if text else word
        for name, text, word in _INLINE_FIELD.findall(query)
    }
    project = fields.get("project", "")
    if "get_projects" in query:
        return _data("get_projects", sorted({crumb["project"] for crumb in stored})), None
    if "get_usage" in query:
        found = [crumb for crumb in stored if crumb["project"] in (project, fields.get("p"))]
        unique = any(fields.get(name) in (True, "true") for name in ("unique", "u"))
        hits = len({crumb.get("user_id") for crumb in found} if unique else found)
        usage = {"hits": hits, "message": "", "unique": unique, "success": True}
        return _data("get_usage", usage), None
    if not _VERSION.match(version := str(fields.get("project_version"))):
        return graphql_error(f"Expected type 'Version'. Invalid version: {version!r}"), None
    if "check_project" in query:
        check = {"success": True, "flagged": False, "latest": version, "message": ""}
        return _data("check_project", check), None
    good = "/" in project and project != UNREGISTERED
    if "add_breadcrumb" in query:
        said = {"success": good, "message": "" if good else "Invalid project"}
        return _data("add_breadcrumb", said), fields if good else None
    if "add_project" not in query:
        return graphql_error("Cannot query field."), None
    if not good:
        return _data("add_project", {"success": False}), None
    latest = NO_RELEASES.get(project.partition("/")[2], version)
    result = {"bad_versions": [], "cached": True, "latest_version": latest, "message": ""}
    return _data("add_project", {**result, "success": latest == version}), fields


def _flat(message: dict[str, Any]) -> dict[str, Any]:
    """The fields of a breadcrumb, whatever objects they are nested in."""
    fields: dict[str, Any] = {}
    for name, value in message.items():
        fields |= _flat(value) if isinstance(value, dict) else {name: value}
    return fields


def _data(operation: str, result: Any) -> Answer:
    return Answer(200, {"data": {operation: result}})


def graphql_error(message: str, **details: Any) -> Answer:
    """GraphQL's way to fail: status 200, `errors` and no data."""
    error = {"message": message, "locations": [{"line": 1, "column": 10}], **details}
    return Answer(200, {"data": None, "errors": [error]})


def redirect(location: str) -> Answer:
    """A redirect that keeps the method and the body."""
    return Answer(307, b"", headers=(("Location", location),))
