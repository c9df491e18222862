"""What a courier puts off is loaded when somebody uses it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# How packages are installed decides whether this interpreter has loaded it already.
PUT_OFF = (
    "import sys; sys.modules.pop('importlib.metadata', None); "
    "from migas.courier import unused; unused.put_off(); "
)
IS_LOADED = "print('Distribution' in vars(sys.modules['importlib.metadata']))"


def said(program: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout.strip()


def test_importing_urllib3_loads_no_metadata() -> None:
    assert said(f"import sys, urllib3; {IS_LOADED}") == "True"
    assert said(f"{PUT_OFF}import urllib3; {IS_LOADED}") == "False"


def test_what_is_put_off_is_loaded_by_no_step_of_the_warm_up() -> None:
    program = (
        f"{PUT_OFF}stand_ins = {{name: sys.modules[name] for name in unused._MODULES}}\n"
        "from migas.courier import warm; from importlib import import_module\n"
        "for step in warm._STEPS: import_module(step)\n"
        "from migas.transport import connections; connections.rehearse()\n"
        "print([name for name in stand_ins if sys.modules[name] is not stand_ins[name]])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "from importlib.metadata import version; print(version('urllib3'))",
        "import importlib.metadata as m; print(m.distribution('urllib3').version)",
        "import urllib3, importlib.metadata; print(importlib.metadata.version('urllib3'))",
    ],
)
def test_what_was_put_off_is_there_when_it_is_used(use: str) -> None:
    assert said(PUT_OFF + use) == said("import urllib3; print(urllib3.__version__)")


@pytest.mark.parametrize(
    "use",
    [
        "import traceback; print(traceback.format_exception_only(ValueError('x')))",
        "import random; print(random.Random(1).random(), random.uniform(2, 2))",
        "from textwrap import dedent; print(dedent('  x'))",
        "import calendar, locale; print(calendar.timegm((1970, 1, 2, 0, 0, 0)))",
        "import email.header as h; print(h.decode_header('=?utf-8?q?a=C3=A9?='))",
        "import email.message as m; a = m.Message(); a['x'] = 'é' * 99; print(a.as_bytes())",
        "import email; print(email.message_from_string('x: =?utf-8?b?w6k=?=\\n\\ny')['x'])",
        "import hashlib; print(hashlib.sha256(b'x').hexdigest(), hashlib.new('md5').digest_size)",
        "from hashlib import sha1; print(sha1(usedforsecurity=False).name)",
        "import hmac; print(hmac.new(b'k', b'x', 'sha256').hexdigest())",
        "import urllib3.util.ssl_ as s; print(s.HASHFUNC_MAP[64](b'x').hexdigest())",
        "import ipaddress; print(ipaddress.ip_address('::1'))",
        "from urllib.parse import urlsplit; print(urlsplit('http://[::1]:80/x').port)",
        "import urllib3; print(urllib3.proxy_from_url('http://[::1]:80').proxy)",
        "import mimetypes; print(mimetypes.guess_type('a.png'))",
        "import re; print(re.compile('(a)|b', flags=re.I).sub(r'<\\1>', 'AB'))",
        "print('straße.example'.encode('idna'))",
        "import urllib3; print(urllib3.util.parse_url('http://[::1]:80/a?b=c#d'))",
        "import ssl; print(ssl.create_default_context().check_hostname)",
        "import re; print(re.sub(re.compile('a'), 'b', 'a'))",
        "import string; print(string.Template('$a').substitute(a=1))",
    ],
)
def test_a_courier_finds_what_was_put_off(use: str) -> None:
    assert said(PUT_OFF + use) == said(use)


def test_a_courier_promises_to_understand_no_more_than_it_needs() -> None:
    use = "import urllib3; print(urllib3.util.make_headers(accept_encoding=True))"
    assert said(PUT_OFF + use) == "{'accept-encoding': 'gzip,deflate'}"


def test_metadata_that_is_loaded_stays() -> None:
    program = "import importlib.metadata as m; from migas.courier import unused; unused.put_off()"
    assert said(f"import sys; {program}; print(sys.modules['importlib.metadata'] is m)") == "True"
