"""A collector below a path of a host that others have, too, behind a real nginx."""

from __future__ import annotations

import http.cookiejar
import json
import re
import ssl
import urllib.request
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

from tests.collector.databases import with_collector
from tests.support import nginx
from tests.support.certificates import PrivateAuthority
from tests.support.collector import CollectorProcess
from tests.support.desk import PATIENT, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from migas.collector.collector import Collector
    from tests.collector.pages.site import Browsing

pytestmark = pytest.mark.skipif(nginx.COMMAND is None, reason=nginx.MISSING)

ROOT = "/tools/migas"


class Served(NamedTuple):
    """A collector that is told its path, and a token that opens its project."""

    port: int
    token: str

    def behind(self, **settings: Any) -> AbstractContextManager[str]:
        """An nginx before it; gives the URL of the host."""
        return nginx.running_nginx(self.port, ROOT, **settings)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    tokens: list[str] = []

    async def prepare(collector: Collector) -> None:
        await collector.projects.register(["lab/tool"])
        tokens.append(await collector.tokens.issue("lab/tool"))

    database = tmp_path_factory.mktemp("served") / "db.sqlite"
    with_collector(f"sqlite:///{database}", prepare)
    arguments = ["--root-path", f"{ROOT}/", "--forwarded-allow-ips", "127.0.0.1"]
    collector = CollectorProcess(database, open_registration=False, arguments=arguments)
    collector.start()
    try:
        assert urlsplit(collector.url).path == ROOT
        yield Served(collector.port, *tokens)
    finally:
        collector.stop()


class Visit:
    """A browser without a screen: it keeps cookies and follows redirections."""

    def __init__(self, host: str, trust: ssl.SSLContext | None = None, **headers: str) -> None:
        self.host = host
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=trust),
            urllib.request.HTTPCookieProcessor(self.jar),
        )
        self._opener.addheaders = [("Origin", host), ("Accept", "text/html"), *headers.items()]

    def get(self, path: str, form: dict[str, str] | None = None) -> tuple[str, str]:
        """Where a request leads, as a path, and what is there."""
        data = None if form is None else urlencode(form).encode()
        with self._opener.open(self.host + path, data, timeout=30) as answer:
            return answer.url.removeprefix(self.host), answer.read().decode("utf-8", "replace")


def addresses(html: str) -> set[str]:
    return set(re.findall(r'(?:href|src|action)="([^"#][^"]*)"', html))


@pytest.mark.parametrize("strips", [True, False], ids=["path taken away", "path handed on"])
def test_all_of_it_is_below_its_path(strips: bool, served: Served, tmp_path: Path) -> None:
    authority = PrivateAuthority(str(tmp_path))
    authority.server_context()
    trust = ssl.create_default_context(cafile=authority.path)
    with served.behind(strips=strips, certificate=tmp_path / "valid.pem") as host:
        visit = Visit(host, trust)
        path, asked = visit.get(f"{ROOT}/p/lab/tool?period=1y")
        assert path == f"{ROOT}/sign-in?next=%2Fp%2Flab%2Ftool%3Fperiod%3D1y"
        (following,) = re.findall(r'name="next" value="([^"]*)"', asked)
        path, _ = visit.get(f"{ROOT}/sign-in", {"token": served.token, "next": following})
        assert path == f"{ROOT}/p/lab/tool?period=1y"

        seen, waiting = set(), {f"{ROOT}/", path, f"{ROOT}/sign-in"}
        while waiting:
            page = waiting.pop()
            seen.add(page)
            found, html = visit.get(page)
            assert not html.startswith("neighbour")
            assert found.startswith(f"{ROOT}/")
            here = {urljoin(found, address) for address in addresses(html)}
            assert all(address.startswith(f"{ROOT}/") for address in here), here
            waiting |= {address for address in here if "sign-out" not in address} - seen
        assert f"{ROOT}/p/lab/tool" in seen
        assert any(address.endswith("/page.css") for address in seen)

        (cookie,) = visit.jar
        assert (cookie.name, cookie.path) == ("__Secure-migas-tools-migas", ROOT)
        assert visit.get("/elsewhere")[1] == "neighbour:"
        assert visit.get(f"{ROOT}/p/lab/tool/")[0] == f"{ROOT}/p/lab/tool"
        assert visit.get(f"{ROOT}/sign-out", {})[0] == f"{ROOT}/sign-in"
        assert not list(visit.jar)
        servers = json.loads(visit.get(f"{ROOT}/openapi.json")[1])["servers"]
        assert servers == [{"url": ROOT}]


@pytest.mark.parametrize("strips", [True, False], ids=["path taken away", "path handed on"])
def test_breadcrumbs_arrive_there(strips: bool, served: Served, tmp_path: Path) -> None:
    version = f"1.{strips:d}"
    with served.behind(strips=strips) as host:
        desk = Desk(tmp_path, f"{host}{ROOT}", delivery="inline")
        program = f"{PATIENT}\nwith migas.session('lab/tool', '{version}'):\n    pass"
        assert desk.run(program).status == 0
        visit = Visit(host, Authorization=f"Bearer {served.token}")
        counted = json.loads(visit.get(f"{ROOT}/api/usage/lab/tool")[1])
    (mine,) = [row for row in counted if row["version"] == version]
    assert (mine["status"], mine["count"]) == ("C", 1)


def test_nothing_is_served_beside_it(served: Served) -> None:
    with served.behind() as host:
        with pytest.raises(HTTPError, match="404"):
            Visit(host).get(f"{ROOT}/nothing")
        assert Visit(host).get("/healthz")[1] == "neighbour:"


def test_no_template_forgets_the_path() -> None:
    for template in resources.files("migas.collector.pages").joinpath("templates").iterdir():
        html = template.read_text(encoding="utf-8")
        assert not [address for address in addresses(html) if address.startswith("/")], template


@pytest.mark.slow
def test_a_browser_signs_in_and_out_there(browsing: Browsing, served: Served) -> None:
    with served.behind() as host:
        page = browsing.open(f"{host}{ROOT}/p/lab/tool")
        page.get_by_label("Token").fill(served.token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="lab/tool").wait_for()
        page.get_by_role("link", name="1 year").first.click()
        page.wait_for_url(f"{host}{ROOT}/p/lab/tool?period=1y")
        page.get_by_role("link", name="Projects").click()
        page.get_by_role("link", name="lab/tool").click()
        page.wait_for_url(f"{host}{ROOT}/p/lab/tool")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{host}{ROOT}/sign-in")
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.brand')).display") != "inline"
        )
