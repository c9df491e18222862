"""The pytest fixture `capture_breadcrumbs`, found by pytest through an entry point."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from migas.testing import CapturedBreadcrumb


@pytest.fixture(name="capture_breadcrumbs")
def _capture_breadcrumbs() -> Iterator[list[CapturedBreadcrumb]]:
    """The breadcrumbs that would have been sent in this test, oldest first; nothing is sent."""
    from migas.testing import capture_breadcrumbs

    with capture_breadcrumbs() as captured:
        yield captured
