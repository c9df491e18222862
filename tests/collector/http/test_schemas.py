"""What the schemas allow, and what they do not, invented at random: no answer is a crash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.collector.http.test_schema import RECORDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.collector.databases import Databases
    from tests.collector.live import LiveCollector, LiveServer

schemathesis = pytest.importorskip("schemathesis")

pytestmark = [
    pytest.mark.slow,
    # What its own dependencies do is not ours to mend.
    pytest.mark.filterwarnings("ignore"),
]

INVENTED = settings(
    max_examples=40,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NOT_STORED = {"success": False, "message": "Error during ingestion."}
"""What the wire answers with 500 to who waits for a breadcrumb that no row can hold."""


@pytest.fixture(params=["sqlite", "postgresql"])
def collector(
    request: pytest.FixtureRequest, live_server: LiveServer, databases: Databases
) -> Iterator[LiveCollector]:
    with (
        databases.fresh(request.param) as database,
        live_server.collector(database, open_registration=True) as running,
    ):
        yield running


def test_rest_never_crashes(collector: LiveCollector, caplog: pytest.LogCaptureFixture) -> None:
    base = f"http://127.0.0.1:{collector.port}"
    described = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 5
    for operation in operations:

        @INVENTED
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            response = case.call(base_url=base)
            is_known = response.status_code == 500 and "wait" in (case.query or {})
            assert response.status_code < 500 or (is_known and response.json() == NOT_STORED)

        answers()
    assert "failed" not in caplog.text


def test_graphql_never_crashes(collector: LiveCollector, caplog: pytest.LogCaptureFixture) -> None:
    from hypothesis_graphql import nodes

    texts = st.text() | st.sampled_from(["1.0", "v2.x", "2026-01-31", "2026-01-31T00:00:00Z"])
    for scalar in ("Version", "SafeStr", "DateTime"):
        schemathesis.graphql.scalar(scalar, texts.map(nodes.String))
    base = f"http://127.0.0.1:{collector.port}"
    described = schemathesis.graphql.from_file(RECORDED.read_text())
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) == 8
    for operation in operations:

        @INVENTED
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            response = case.call(base_url=f"{base}/graphql")
            assert response.status_code in {200, 400, 413}
            assert "Internal error." not in response.text

        answers()
    assert caplog.text == ""
