"""The collector's pages: a list of projects, and one page for each, rendered on the server."""

from migas.collector.pages.views import router

__all__ = ["router"]
