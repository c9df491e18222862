"""The collector's pages: a list of projects, and one page for each, rendered on the server."""

from migas.collector.pages import feed, sharing, views

routers = (sharing.router, feed.router, views.router)
"""The feed's path comes before that of tables, which would take it for one."""

__all__ = ["routers"]
