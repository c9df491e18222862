"""Everything that a project has, in whichever tables: told, taken away, or given another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, exists, func, select, update

from migas.collector.database.packing_locks import hold_both
from migas.collector.database.tables import (
    aliases,
    crumbs,
    metadata,
    project_users,
    projects,
    tokens,
    webhooks,
)
from migas.collector.errors import CollectorError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

AT_ONCE = 5000
"""Breadcrumbs that go in one transaction, so that no writer waits long."""

_TABLES = [table for table in metadata.sorted_tables if "project" in table.c]


async def has_rows(connection: AsyncConnection, project: str) -> bool:
    """Whether anything is kept of a project, registered or not."""
    for table in _TABLES:
        if await connection.scalar(select(exists().where(table.c.project == project))):
            return True
    return False


async def breadcrumbs_of(connection: AsyncConnection, project: str) -> int:
    """How many breadcrumbs a project has, registered or not."""
    number = select(func.count()).select_from(crumbs).where(crumbs.c.project == project)
    return await connection.scalar(number) or 0


async def unregister(project: str, connection: AsyncConnection) -> dict[str, Any] | None:
    """Take no breadcrumb of a project from now on; return what its registration said."""
    mine = projects.c.project == project
    row = (await connection.execute(select(projects).where(mine))).mappings().one_or_none()
    await connection.execute(delete(projects).where(mine))
    return None if row is None else {name: row[name] for name in row if name != "idx"}


async def delete_some(project: str, connection: AsyncConnection) -> int:
    """Delete some breadcrumbs of a project that takes no more; return how many."""
    some = select(crumbs.c.idx).where(crumbs.c.project == project).limit(AT_ONCE)
    return (await connection.execute(delete(crumbs).where(crumbs.c.idx.in_(some)))).rowcount


async def delete_rows(project: str, connection: AsyncConnection) -> None:
    """Delete what else a project has, in tables that name it."""
    await hold_both(connection)
    for table in _TABLES:
        await connection.execute(delete(table).where(table.c.project == project))


async def rename_rows(
    project: str, new: str, registration: dict[str, Any], connection: AsyncConnection
) -> int:
    """Give everything that a project has, and its registration, a name that has nothing yet.

    The name that it had goes on to mean it, for programs that were released under it.

    Returns:
        How many breadcrumbs it has.

    Raises:
        CollectorError: Meanwhile something came under the new name.
    """
    await hold_both(connection)
    if await has_rows(connection, new):
        raise CollectorError(f"there is something under the name {new} already")
    await unregister(project, connection)  # in an open collector it may be there again
    await connection.execute(delete(aliases).where(aliases.c.alias.in_((project, new))))
    number = 0
    for table in _TABLES:
        named = update(table).where(table.c.project == project).values(project=new)
        changed = await connection.execute(named)
        if table is crumbs:
            number = changed.rowcount
    await connection.execute(projects.insert(), registration | {"project": new})
    await connection.execute(aliases.insert(), {"alias": project, "project": new})
    return number


async def facts(connection: AsyncConnection) -> dict[str, dict[str, Any]]:
    """What is known of each registered project; times are seconds since 1970 in UTC."""
    found: dict[str, dict[str, Any]] = {}
    for row in await connection.execute(select(projects).order_by(projects.c.idx)):
        found[row.project] = {"registered": row.registered, "package": row.package}
        found[row.project]["shared"] = row.shared is not None
        found[row.project] |= {"breadcrumbs": 0, "first": None, "last": None}
        found[row.project] |= {"users": 0, "tokens": 0, "webhooks": 0, "former_names": []}
    times = func.min(crumbs.c.timestamp), func.max(crumbs.c.timestamp)
    questions = {
        ("breadcrumbs", "first", "last"): select(crumbs.c.project, func.count(), *times),
        ("users",): select(project_users.c.project, func.count()),
        ("tokens",): select(tokens.c.project, func.count()).where(tokens.c.revoked.is_(None)),
        ("webhooks",): select(webhooks.c.project, func.count()),
    }
    for names, question in questions.items():
        rows = await connection.execute(question.group_by("project"))
        for project, *values in rows:
            if project in found:
                found[project] |= dict(zip(names, values, strict=True))
    for row in await connection.execute(select(aliases).order_by(aliases.c.alias)):
        if row.project in found:
            found[row.project]["former_names"].append(row.alias)
    return found
