"""What importing costs, what is public, and which room may look into which."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import migas

PACKAGE = Path(migas.__file__).parent

HOUSE = """
    __main__ pytest_plugin pyinstaller pyinstaller.hook-migas
    cli.main
    cli.controls cli.supervise cli.demo
    cli.local_data
    cli.parser cli
    testing helpers operations request tracker api.rest
    api.operations api config error error.nipype
    tracking.decorator
    tracking.exits
    tracking.wrapper
    tracking.generators
    tracking.wrapt_types
    tracking.session
    calls
    tracking
    tracking.signals tracking.nesting tracking.update_notice tracking.handlers
    tracking.nipype
    delivery.hooks
    delivery
    delivery.couriers delivery.privacy
    delivery.spawn delivery.courier_thread
    courier.warm
    courier.main
    courier.drain courier.sender
    courier.recovery
    courier.pace courier.tidy courier.unused courier
    transport.client
    transport.deadlines
    transport.connections transport.answers
    transport.exchanges transport
    spool
    spool.marks spool.lease
    spool.servers spool.releases spool.record
    spool.layout
    settings.setup
    settings.permission
    settings.identity
    settings.values
    settings.policy settings.first_run settings.own_file
    settings.places
    settings
    message.outcome message.redact
    message.redact.arguments message.redact.machines message.redact.paths message.redact.people
    message.excerpt
    message.redact.shapes message.redact.words
    host.children
    host.environment host.files host.process host.threads
    host.terminal host
    log
    collector.admin.serve collector.admin.project collector.admin.token
    collector.admin.report collector.admin.database
    collector.admin.demo_data collector.admin.export
    collector.admin.command collector.admin
    collector.server.serve
    collector.app
    collector.server.access_log collector.server.upkeep collector.server.workers
    collector.server.package_index collector.server.webhook_delivery collector.server.slow_clients
    collector.server
    collector.pages
    collector.pages.views collector.pages.refusals collector.pages.feed collector.pages.sharing
    collector.pages.responses collector.pages.signin
    collector.pages.chart
    collector.pages.address collector.pages.figures collector.pages.error_figures
    collector.pages.user_figures collector.pages.version_figures
    collector.pages.shown
    collector.pages.periods collector.pages.origin collector.pages.words
    collector.http.administration collector.http.rate_limit
    collector.http.tables collector.http.usage collector.http.metrics
    collector.http.graphql collector.http.rest collector.http.health
    collector.http.documents
    collector.http.resolvers collector.http.exchanges
    collector.http.access collector.http.middleware collector.http
    collector.collector
    collector.ingestion.ingestion
    collector.ingestion.recorder
    collector.ingestion.crumb collector.ingestion.group_commit
    collector.ingestion.timing collector.ingestion
    collector.news.totals
    collector.news.webhooks
    collector.news.news
    collector.news.rules collector.news
    collector.counts.tables
    collector.counts.period_table
    collector.counts.columns collector.counts.reports
    collector.counts.lasting collector.counts.lost collector.counts.people
    collector.counts.differences
    collector.counts.failures
    collector.counts.error_spread
    collector.counts.most_hit collector.counts.active_days collector.counts.likelihood
    collector.counts.sample collector.counts.version_days
    collector.counts.activity collector.counts.visited
    collector.counts.releases collector.counts.sums
    collector.counts.usage
    collector.counts.slice_sums
    collector.counts.error_counts
    collector.counts.reading collector.counts.removal
    collector.counts.adoption
    collector.migrations.migrate collector.counts.ledger
    collector.counts.last_days
    collector.migrations.env collector.migrations.versions
    collector.migrations.versions.step_0001_breadcrumbs
    collector.migrations.versions.step_0002_sessions
    collector.migrations.versions.step_0003_time
    collector.migrations.versions.step_0004_errors
    collector.migrations.versions.step_0005_news
    collector.migrations.versions.step_0006_slices
    collector.migrations.versions.step_0007_visits
    collector.migrations.versions.step_0008_daily
    collector.migrations.versions.step_0009_profiles
    collector.migrations.versions.step_0010_blocks
    collector.migrations.versions.step_0011_appearances
    collector.migrations.versions.step_0012_numbers
    collector.migrations.versions.step_0013_arrivals
    collector.migrations.versions.step_0014_packed_visits
    collector.migrations.versions.step_0015_packed_durations
    collector.migrations.versions.step_0016_failed_at
    collector.migrations.versions.step_0017_error_indexes collector.migrations
    collector.counts.rebuild
    collector.counts.durations_anew
    collector.counts.appearances collector.counts.visit_packing
    collector.counts.duration_packing
    collector.counts.numbers collector.counts.told collector.counts.packed_visits
    collector.counts.packed_durations
    collector.counts.packed_groups
    collector.counts.filters collector.counts.history
    collector.counts.comparison collector.counts.durations collector.counts.visits
    collector.counts.outcomes collector.counts.slices collector.counts.rows
    collector.counts.chance collector.counts.fingerprint collector.counts.frequency
    collector.counts.sessions collector.counts
    collector.tokens collector.projects.projects collector.projects.moves
    collector.projects.names collector.projects.versions collector.projects
    collector.database.request_counts collector.database.claims
    collector.database.connections collector.database.breaker collector.database.size
    collector.database.sqlite_writer collector.database.sqlite_reader
    collector.database.engine collector.database.json_rows
    collector.database.idle collector.database.outage
    collector.database.prompt collector.database.statements collector.database.tables
    collector.database.value_lists
    collector.database.packing_locks
    collector.database
    collector.clock
    collector.days collector.errors collector.nouns collector
    message
"""
"""Every file of the package, from top to bottom: a file imports only from lines below its own.
This is the one place that says so."""

HEIGHT = {name: -number for number, line in enumerate(HOUSE.split("\n")) for name in line.split()}


def _files() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("migas", *path.relative_to(PACKAGE).with_suffix("").parts)
        files[".".join(part for part in parts if part != "__init__")] = path
    return files


FILES = _files()


def _place(module: str) -> str:
    """A module as the house names it."""
    return module.removeprefix("migas").removeprefix(".")


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _imports(node: ast.AST, *, types: bool = False) -> set[str]:
    """The modules of the package that a piece of code imports, inside functions too.

    With `types` also those of which only type checkers know.
    """
    found: set[str] = set()
    if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "migas":
        for name in node.names:
            full = f"{node.module}.{name.name}"
            found.add(full if full in FILES else str(node.module))
    elif isinstance(node, ast.Import):
        found.update(name.name for name in node.names if name.name.split(".")[0] == "migas")
    for child in ast.iter_child_nodes(node):
        if types or not _is_for_types_only(child):
            found |= _imports(child, types=types)
    return found


EDGES = sorted(
    {
        (_place(module), _place(imported))
        for module, path in FILES.items()
        for imported in _imports(
            ast.parse(path.read_text(encoding="utf-8")), types=module.startswith("migas.collector")
        )
    }
)
"""Which file imports which; in the collector not even for types does one import upwards."""


def test_every_file_has_its_place_in_the_house() -> None:
    assert {_place(module) for module in FILES} - {""} == set(HEIGHT)


def test_files_import_only_downwards() -> None:
    upwards = {
        (file, imported)
        for file, imported in EDGES
        if imported and file != imported and HEIGHT[file] <= HEIGHT[imported]
    }
    assert upwards == set()


def test_only_commands_reach_the_collector() -> None:
    reaching = {file for file, imported in EDGES if imported.partition(".")[0] == "collector"}
    assert {file.partition(".")[0] for file in reaching} <= {"collector", "cli"}


def test_nothing_inside_imports_a_door() -> None:
    doors = {"config", "operations", "request", "helpers", "api", "error", "testing", "tracker"}
    through = {edge for edge in EDGES if edge[1].partition(".")[0] in doors}
    assert {file.partition(".")[0] for file, _door in through} <= {*doors, "pytest_plugin"}


def test_no_import_of_a_room_is_relative_or_takes_everything() -> None:
    for path in FILES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0 or path.parent != PACKAGE, path
                assert node.names[0].name != "*", path


def test_no_room_hides_a_public_name() -> None:
    assert not {path.stem for path in PACKAGE.iterdir()} & set(migas.__all__)


def _loaded_by(statement: str) -> set[str]:
    text = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        f"before = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    return set(shown.stdout.split())


def test_importing_migas_loads_migas_alone() -> None:
    assert _loaded_by("import migas") <= {"migas", "__future__"}


@pytest.mark.parametrize("heavy", ["wrapt", "urllib3", "ssl", "asyncio", "logging", "json"])
def test_importing_migas_does_not_load(heavy: str) -> None:
    assert heavy not in _loaded_by("import migas")


FORMS = {
    "a session": "with migas.session('lab/tool', '1.0.0'):\n    pass",
    "a decorator": "@migas.track('lab/tool', '1.0.0')\ndef run():\n    pass\nrun()",
}
MAX_MODULES = 33


def _loaded_by_run(form: str, state: Path, delivery: str, **environment: str) -> set[str]:
    said = {"MIGAS_STATE_DIR": str(state), "MIGAS_DELIVERY": delivery, **environment}
    return _loaded_by(
        f"import os\nos.environ.update({said!r})\n"
        f"import migas; migas.setup(endpoint='http://127.0.0.1:9')\n{FORMS[form]}"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("delivery", ["spool", "detached"])
def test_a_tracked_run_loads_few_modules_of_ours(form: str, delivery: str, tmp_path: Path) -> None:
    loaded = _loaded_by_run(form, tmp_path / "state", delivery)
    ours = {module for module in loaded if module.partition(".")[0] == "migas"}
    assert len(ours) <= MAX_MODULES


@pytest.mark.parametrize("form", FORMS)
def test_a_tracked_run_loads_no_network(form: str, tmp_path: Path) -> None:
    loaded = _loaded_by_run(form, tmp_path / "state", "spool")
    assert not {"urllib3", "ssl", "asyncio", "socket", "http"} & loaded


@pytest.mark.parametrize("form", FORMS)
def test_a_tracked_run_loads_no_expressions_and_no_enumerations(form: str, tmp_path: Path) -> None:
    """They, and what imports them, would be a third of what it takes."""
    loaded = _loaded_by_run(form, tmp_path / "state", "detached")
    assert not {"re", "json", "enum", "signal", "contextlib", "ci_info"} & loaded


@pytest.mark.parametrize("form", FORMS)
def test_who_is_opted_out_loads_nothing_that_only_runs_need(form: str, tmp_path: Path) -> None:
    loaded = _loaded_by_run(form, tmp_path / "state", "detached", MIGAS_OPTOUT="1")
    settings = {"settings", "settings.permission", "settings.setup", "settings.values"}
    form_file = "tracking.session" if form == "a session" else "tracking.decorator"
    needed = {"host", "log", *settings, "tracking", form_file}
    assert loaded - {"__future__", "_weakref", "atexit"} == {
        "migas",
        *(f"migas.{name}" for name in needed),
    }


def test_no_proxy_is_looked_for_where_the_environment_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    statement = "from migas.transport import connections\nconnections.pool_for('http://[::1]', 'x')"
    assert "urllib.request" not in _loaded_by(statement)


def test_what_is_public_is_there() -> None:
    for name in migas.__all__:
        assert getattr(migas, name) is not None


def test_nothing_else_is_public() -> None:
    modules = {name for name, value in vars(migas).items() if inspect.ismodule(value)}
    shown = {name for name in dir(migas) if not name.startswith("_")} - modules
    allowed = {"annotations", "TYPE_CHECKING"}
    assert shown - allowed == set(migas.__all__) - {"__version__"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'migas' has no attribute 'nothing'"):
        migas.nothing  # noqa: B018


def test_public_names_are_sorted_and_documented() -> None:
    assert list(migas.__all__) == sorted(migas.__all__)
    for name in set(migas.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(migas, name)), name


def test_type_checkers_see_the_same_names_in_the_same_rooms() -> None:
    tree = ast.parse(FILES["migas"].read_text(encoding="utf-8"))
    block = next(node for node in tree.body if _is_for_types_only(node))
    assert isinstance(block, ast.If)
    seen = {
        name.name: str(node.module).removeprefix("migas.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == migas._ROOMS


def test_public_functions_come_from_the_room_that_is_named() -> None:
    for name, room in migas._ROOMS.items():
        assert getattr(migas, name) is getattr(import_module(f"migas.{room}"), name)
