"""Pages and files as answers: rendered, and under headers that keep a browser strict."""

from __future__ import annotations

import hashlib
import mimetypes
from importlib import resources
from inspect import isfunction
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from starlette.responses import HTMLResponse, RedirectResponse, Response

from migas.collector.counts.filters import OUTCOMES
from migas.collector.http.middleware import root_path
from migas.collector.pages import chart, words
from migas.collector.projects.versions import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jinja2.runtime import Context
    from starlette.requests import Request

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What a page may load, run and be put into: its own files, and nothing else."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a browser would send our own forms without their origin.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FOREVER = "public, max-age=31536000, immutable"


class File(NamedTuple):
    """A file that pages load."""

    body: bytes
    media_type: str


def _read_files() -> dict[str, File]:
    folder = resources.files(__package__) / "static"
    return {
        entry.name: File(entry.read_bytes(), mimetypes.guess_type(entry.name)[0] or "text/plain")
        for entry in folder.iterdir()
        if entry.is_file()
    }


FILES: Mapping[str, File] = _read_files()
"""Every file there is, by its name: no request's path ever reaches the file system."""

EDITION = hashlib.sha256(
    b"".join(name.encode() + file.body for name, file in sorted(FILES.items()))
).hexdigest()[:12]
"""Part of the files' addresses, so that a browser may keep them until they change."""


@pass_context
def _address_of_file(context: Context, name: str) -> str:
    return f"{context['root']}/static/{EDITION}/{name}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        name: word for name, word in vars(words).items() if isfunction(word) and name[0] != "_"
    }
    environment.filters["spark"] = chart.spark
    environment.filters["ages"] = _ages
    environment.globals |= {
        "file": _address_of_file,
        "span": words.span,
        "outcomes": tuple(OUTCOMES),
        "bar_width": chart.width,
        "spark_size": (chart.SPARK_WIDTH, chart.SPARK_HEIGHT),
    }
    return environment


def _ages(versions: Iterable[str]) -> dict[str, int]:
    """How many older ones there are of each of some versions, for tables sorted by these."""
    return {version: age for age, version in enumerate(reversed(newest_first(versions)))}


_templates = _environment()


def page(request: Request, template: str, status: int = 200, **values: object) -> Response:
    """Render a page.

    Args:
        request: What it answers; its links begin with the path below which that was asked.
        template: A file in `templates`.
        status: The HTTP status.
        values: What the template shows; every text in it is escaped.
    """
    return HTMLResponse(rendered(request, template, **values), status, HEADERS)


def rendered(request: Request, template: str, **values: object) -> bytes:
    """The text of a page; see `page`."""
    values["root"] = root_path(request.scope)
    return _templates.get_template(template).render(values).encode()


def cached(request: Request, body: bytes, media_type: str, control: str) -> Response:
    """An answer that may be kept, empty for whoever has it already.

    Args:
        request: What it answers.
        body: The answer.
        media_type: What it is.
        control: For how long it may be kept, and by whom, as `Cache-Control` says it.
    """
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = HEADERS | {"Cache-Control": control, "ETag": tag}
    if media_type.startswith("image/"):
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # for pages of others
    known = request.headers.get("if-none-match", "")
    if tag in (text.strip().removeprefix("W/") for text in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def attachment(name: str, text: str) -> Response:
    """A file to be saved, named in letters, digits, `.`, `_` and `-`, of the type of its ending."""
    headers = HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    kind = "application/json" if name.endswith(".json") else "text/csv"
    return Response(text, headers=headers, media_type=kind)


def redirect(request: Request, address: str) -> Response:
    """Send a browser to another of our pages."""
    return RedirectResponse(root_path(request.scope) + address, 303, HEADERS)


def static_file(edition: str, name: str) -> Response | None:
    """A file for a page; None if there is none of this name in this edition."""
    file = FILES.get(name) if edition == EDITION else None
    if file is None:
        return None
    headers = HEADERS | {"Cache-Control": _FOREVER}
    return Response(file.body, headers=headers, media_type=file.media_type)
