"""The schema is the wire's: the very text that was recorded."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, cast

from migas.collector.http.resolvers import schema
from migas.message import CONTAINERS, STATUSES, USER_TYPES

if TYPE_CHECKING:
    from graphql import GraphQLEnumType

RECORDED = Path(__file__).with_name("exchanges") / "schema.graphql"


def test_the_package_ships_the_schema_that_was_recorded() -> None:
    shipped = resources.files("migas.collector.http") / "schema.graphql"
    assert shipped.read_bytes() == RECORDED.read_bytes()


def test_every_field_of_a_root_has_a_resolver_of_its_own() -> None:
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    fields = {**schema.query_type.fields, **schema.mutation_type.fields}
    assert {name: getattr(field.resolve, "__name__", None) for name, field in fields.items()} == {
        name: name for name in fields
    }


def test_what_is_stored_knows_the_choices_of_the_schema() -> None:
    for name, known in (("Status", STATUSES), ("User", USER_TYPES), ("Container", CONTAINERS)):
        assert set(cast("GraphQLEnumType", schema.type_map[name]).values) == set(known)
