"""Who gets in, who does not, and what an intruder learns: nothing."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import itertools
import re
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.collector.databases import Database
from tests.collector.live import PROJECT, LiveCollector
from tests.collector.pages.site import Site, cookie_of, readable
from tests.collector.pages.two_hundred import NOON
from tests.support.collector import COMMAND, plain_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.collector.live import LiveServer, Reply

PAGE = f"/p/{PROJECT}"
OTHER = "nipreps/nipreps"


def is_sent_to_sign_in(reply: Reply) -> bool:
    return reply.status == 303 and reply.headers["Location"].startswith("/sign-in")


def test_whoever_has_not_signed_in_is_asked_to(site: Site) -> None:
    assert site.get("/").headers["Location"] == "/sign-in"
    reply = site.get(f"{PAGE}?period=1y")
    assert reply.status == 303
    assert reply.headers["Location"] == f"/sign-in?next={quote(PAGE + '?period=1y', safe='')}"


@pytest.mark.parametrize("page", ["", "/periods", "/compare", "/users", "/api", "/errors/0123"])
def test_signing_in_leads_back_to_the_page_that_was_asked_for(site: Site, page: str) -> None:
    address = site.get(f"{PAGE}{page}?period=90d").headers["Location"]
    assert f'name="next" value="{PAGE}{page}?period=90d"' in site.text(address)


def test_a_program_with_a_token_needs_no_cookie(site: Site) -> None:
    for token, status in ((site.token(PROJECT), 200), ("wrong", 401), (site.token(OTHER), 404)):
        reply = site.get(f"{PAGE}/sessions.csv", Authorization=f"Bearer {token}")
        assert reply.status == status
        assert reply.body.startswith(b'"start"') == (status == 200)
    assert is_sent_to_sign_in(site.get(f"{PAGE}/sessions.csv"))


def test_whether_a_project_exists_is_not_told_before_signing_in(site: Site) -> None:
    there, not_there = site.get(PAGE), site.get("/p/nobody/nothing")
    assert (there.status, there.body) == (not_there.status, not_there.body)


def test_a_token_in_the_form_opens_the_page_that_was_asked_for(site: Site) -> None:
    reply = site.post("/sign-in", token=site.token(PROJECT), next=f"{PAGE}?period=7d")
    assert (reply.status, reply.headers["Location"]) == (303, f"{PAGE}?period=7d")
    assert PROJECT in site.text(PAGE, cookie_of(reply))


def test_the_cookie_is_for_this_site_and_its_server_alone_and_ends(site: Site) -> None:
    attributes = site.post("/sign-in", token=site.token(None)).headers["Set-Cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"} <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)


@pytest.fixture
def site_behind_tls(tmp_path: Path) -> Iterator[Site]:
    """`migas serve` behind a proxy that it believes; the tests are the proxy."""
    database = Database(f"sqlite:///{tmp_path / 'collector.sqlite'}")
    arguments = ("serve", "--db", database.url, "--port", "0", "--forwarded-allow-ips", "127.0.0.1")
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, env=plain_environment()
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None
            yield Site(LiveCollector(int(found[1]), database))
        finally:
            process.terminate()


def test_over_tls_the_cookie_is_secure_and_bound_to_its_host(site_behind_tls: Site) -> None:
    site = site_behind_tls
    reply = site.post_from(
        f"https://{site.address}",
        "/sign-in",
        None,
        {"token": site.token(None)},
        X_Forwarded_Proto="https",
    )
    assert reply.headers["Set-Cookie"].startswith("__Host-migas=")
    assert "; Secure" in reply.headers["Set-Cookie"]
    cookie = cookie_of(reply)
    assert site.get("/", cookie, X_Forwarded_Proto="https").status == 200
    plain = cookie.replace("__Host-", "")
    assert is_sent_to_sign_in(site.get("/", plain, X_Forwarded_Proto="https"))


def test_nothing_in_the_database_makes_a_cookie(site: Site) -> None:
    token = site.token(None)
    name, value = cookie_of(site.post("/sign-in", token=token)).split("=")
    end = value.split(".")[1]
    (row,) = site.collector.rows("SELECT id, hash FROM tokens")
    kept = bytes(row["hash"])
    secrets = ["", kept.hex(), base64.urlsafe_b64encode(kept).decode().rstrip("=")]
    parts = [row["id"], *(f"migas_{row['id']}_{secret}" for secret in secrets)]
    keys = [kept, kept.hex().encode(), row["id"].encode(), *(part.encode() for part in parts)]
    for part, key, signed in itertools.product(parts, keys, [[end], [row["id"], end]]):
        message = b"\0".join([b"migas page session", *(text.encode() for text in signed)])
        code = hmac.new(key, message, hashlib.sha256).hexdigest()
        assert is_sent_to_sign_in(site.get("/", f"{name}={part}.{end}.{code}"))
    right = hmac.new(token.encode(), b"migas page session\0" + end.encode(), hashlib.sha256)
    assert value == f"{token}.{end}.{right.hexdigest()}"


def test_the_hash_of_a_token_is_not_in_its_cookie(site: Site) -> None:
    cookie = site.cookie()
    assert bytes(site.collector.rows("SELECT hash FROM tokens")[0]["hash"]).hex() not in cookie


def test_a_token_of_one_project_shows_that_one_alone(site: Site) -> None:
    cookie = site.cookie(PROJECT)
    assert PROJECT in site.text("/", cookie)
    assert OTHER not in site.text("/", cookie)
    hidden, missing = site.get(f"/p/{OTHER}", cookie), site.get("/p/nobody/nothing", cookie)
    assert hidden.status == 404
    assert (hidden.status, hidden.body) == (missing.status, missing.body)


def test_a_root_token_shows_everything(site: Site) -> None:
    cookie = site.cookie()
    assert site.get(PAGE, cookie).status == 200
    assert site.get(f"/p/{OTHER}", cookie).status == 200


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "migas__",
        "migas_0000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "' OR '1'='1",
        "migas_' OR '1'='1_x",
        "m" * 1500,
        "\x00\ud7ff😀",
    ],
)
def test_a_wrong_token_learns_nothing_and_gets_no_cookie(site: Site, token: str) -> None:
    reply = site.post("/sign-in", token=token)
    assert reply.status == 401
    assert "Set-Cookie" not in reply.headers
    assert "This token opens nothing here." in readable(reply.body.decode())
    assert reply.body == site.post("/sign-in", token="migas_something_else").body


def test_a_right_name_with_a_wrong_secret_is_as_wrong(site: Site) -> None:
    token = site.token(None)
    assert (
        site.post("/sign-in", token=token[:-1] + ("A" if token[-1] != "A" else "B")).status == 401
    )


def test_a_revoked_token_opens_nothing_and_ends_what_it_had_opened(site: Site) -> None:
    token = site.token(None)
    cookie = cookie_of(site.post("/sign-in", token=token))
    assert site.get("/", cookie).status == 200
    site.revoke(token)
    assert is_sent_to_sign_in(site.get("/", cookie))
    assert site.post("/sign-in", token=token).status == 401


def test_the_token_itself_is_no_cookie(site: Site) -> None:
    assert is_sent_to_sign_in(site.get("/", f"migas={site.token(None)}"))


def test_a_cookie_cannot_be_lengthened_or_turned_to_another_token(site: Site) -> None:
    name, value = site.cookie(PROJECT).split("=")
    token, end, code = value.split(".")
    root = site.token(None)
    for forged in (
        f"{token}.{int(end) + 1}.{code}",
        f"{root}.{end}.{code}",
        f"{token}.{end}.{'0' * 64}",
        f"{token}.{end}.{code.upper()}",
        f"{token}.{end}.",
        f"{token}.{end}",
        "..",
        f"{token}.{'9' * 400}.{code}",
        f"{token}.٣.{code}",
    ):
        assert is_sent_to_sign_in(site.get("/", f"{name}={quote(forged, safe='.')}")), forged


def test_a_cookie_of_another_collector_opens_nothing(
    site: Site, pages_server: LiveServer, tmp_path: Path
) -> None:
    elsewhere = Database(f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    with pages_server.collector(elsewhere, clock=NOON.timestamp) as other:
        stranger = Site(other).cookie()
        assert Site(other).get("/", stranger).status == 200
        assert is_sent_to_sign_in(site.get("/", stranger))


def test_a_cookie_ends_with_its_life_whatever_the_browser_does(
    pages_server: LiveServer, tmp_path: Path
) -> None:
    now = NOON
    database = Database(f"sqlite:///{tmp_path / 'collector.sqlite'}")
    with pages_server.collector(database, clock=lambda: now.timestamp()) as running:  # noqa: PLW0108  now moves on
        site = Site(running)
        cookie = site.cookie()
        now = NOON + dt.timedelta(hours=11, minutes=59)
        assert site.get("/", cookie).status == 200
        now = NOON + dt.timedelta(hours=12)
        assert is_sent_to_sign_in(site.get("/", cookie))


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://localhost:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "http://127.0.0.1:{port}@evil.example",
        "file://127.0.0.1:{port}",
        "http://[",
    ],
)
def test_a_form_from_elsewhere_is_refused_without_looking_at_it(
    site: Site, origin: str | None
) -> None:
    told = origin and origin.format(port=site.collector.port)
    fields = {"token": site.token(None)}
    reply = site.post_from(told, "/sign-in", None, fields)
    assert (reply.status, reply.headers["Set-Cookie"]) == (403, None)
    reply = site.post_from(told, "/sign-out", site.cookie(), {})
    assert (reply.status, reply.headers["Set-Cookie"]) == (403, None)


def test_a_browser_that_says_cross_site_is_believed(site: Site) -> None:
    fields = {"token": site.token(None)}
    for said in ("cross-site", "same-site"):
        reply = site.post_from(site.url, "/sign-in", None, fields, Sec_Fetch_Site=said)
        assert reply.status == 403


def test_signing_out_takes_the_cookie_back(site: Site) -> None:
    reply = site.post("/sign-out", site.cookie())
    assert (reply.status, reply.headers["Location"]) == (303, "/sign-in")
    assert re.match(r'migas=""; .*Max-Age=0', reply.headers["Set-Cookie"])


def test_signing_out_ends_no_other_browsers_visit(site: Site) -> None:
    token = site.token(None)
    here, there = (cookie_of(site.post("/sign-in", token=token)) for _ in range(2))
    site.post("/sign-out", here)
    assert site.get("/", there).status == 200


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/p/../../sign-out",
        "/sign-out",
        "javascript:alert(1)",
        "/p/a/b\r\nSet-Cookie: a=b",
        "/p/a/b?x=%0d%0a",
        "",
    ],
)
def test_signing_in_leads_to_a_page_of_this_site_alone(site: Site, address: str) -> None:
    reply = site.post("/sign-in", token=site.token(None), next=address)
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    form = site.text(f"/sign-in?next={quote(address)}")
    assert 'name="next" value="/"' in form


def test_the_form_is_not_shown_to_whoever_has_signed_in(site: Site) -> None:
    reply = site.get("/sign-in", site.cookie())
    assert (reply.status, reply.headers["Location"]) == (303, "/")


def test_without_open_even_this_machine_has_to_sign_in(site: Site) -> None:
    assert is_sent_to_sign_in(site.get("/"))


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
def test_an_open_collector_lets_this_machine_in(open_site: Site, host: str) -> None:
    name = host.format(port=open_site.collector.port)
    assert open_site.get(PAGE, Host=name).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", "["]
)
def test_an_open_collector_is_no_use_to_a_name_that_was_made_to_mean_this_machine(
    open_site: Site, host: str
) -> None:
    assert is_sent_to_sign_in(open_site.get(PAGE, Host=host))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("X_Forwarded_For", "192.0.2.1"),
        ("X_Forwarded_For", "127.0.0.1"),
        ("X_Forwarded_Host", "localhost"),
        ("X_Forwarded_Proto", "http"),
        ("X_Real_IP", "127.0.0.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("Via", "1.1 proxy"),
    ],
)
def test_an_open_collector_behind_a_proxy_asks_to_sign_in(
    open_site: Site, name: str, text: str
) -> None:
    assert is_sent_to_sign_in(open_site.get(PAGE, None, **{name: text}))


def test_a_form_that_is_none_is_a_wrong_token(site: Site) -> None:
    for body in (b"", b"&" * 2000, b"token", b"\xff\xfe=%ff", b"a=1&" * 400, b'{"token": "x"}'):
        reply = site.collector.send("/sign-in", body, {"Origin": site.url})
        assert reply.status == 401, body
