"""The schema is the wire's: the same names, types and defaults."""

from __future__ import annotations

from pathlib import Path

from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLSchema, build_schema

from migas.collector.http.graphql import schema

RECORDED = build_schema((Path(__file__).parent / "exchanges" / "schema.graphql").read_text())
OURS = build_schema(schema.as_str())


def fields(described: GraphQLSchema, name: str) -> dict[str, str]:
    """Each field of a type with its arguments, its type and its default, as text."""
    found = described.type_map[name]
    if isinstance(found, GraphQLEnumType):
        return {
            member: str(value.deprecation_reason or "") for member, value in found.values.items()
        }
    if isinstance(found, GraphQLObjectType):
        return {
            field: f"{[argument(n, a) for n, a in definition.args.items()]} {definition.type}"
            for field, definition in found.fields.items()
        }
    return {
        field: f"{argument(field, definition)} {definition.description}"
        for field, definition in getattr(found, "fields", {}).items()
    }


def argument(name: str, definition: object) -> str:
    node = definition.ast_node  # type: ignore[attr-defined]
    default = node.default_value
    written = "" if default is None else getattr(default, "value", "null")
    return f"{name}: {definition.type} = {written}"  # type: ignore[attr-defined]


def test_every_type_of_the_wire_is_there() -> None:
    wanted = {name for name in RECORDED.type_map if not name.startswith("__")}
    assert {name for name in OURS.type_map if not name.startswith("__")} == wanted


def test_every_type_has_the_fields_of_the_wire() -> None:
    for name in OURS.type_map:
        if not name.startswith("__"):
            assert fields(OURS, name) == fields(RECORDED, name), name


def test_scalars_and_inputs_are_described_as_on_the_wire() -> None:
    for name in ("DateTime", "SafeStr", "Version", "JSON"):
        assert OURS.type_map[name].description == RECORDED.type_map[name].description
