"""GraphQL documents: read, limited, validated, and remembered.

By fragments that spread each other twice, two kilobytes stand for more fields than anybody can
walk. So what a document expands to is counted first, each fragment once, and only what is small
is validated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    NameNode,
    NoFragmentCyclesRule,
    OperationDefinitionNode,
    SelectionSetNode,
    UniqueFragmentNamesRule,
    VariableDefinitionNode,
    VariableNode,
    parse,
    validate,
)

from migas.collector.http.resolvers import schema

if TYPE_CHECKING:
    from graphql import Node

MAX_TOKENS = 500
"""Tokens in one document: a breadcrumb written inline has about a hundred."""

MAX_SELECTIONS = 1000
"""Fields and fragments in all that a document expands to: an introspection has five hundred."""

MAX_DEPTH = 8
MAX_ALIASES = 10


class Document(NamedTuple):
    """A document that could be parsed.

    Args:
        node: What was parsed.
        errors: Why it must not be executed, if so.
        breadcrumb: The variable and the answer's name, if all that it asks is one `add_project`.
    """

    node: DocumentNode
    errors: list[GraphQLError]
    breadcrumb: tuple[str, str] | None


@lru_cache(maxsize=64)
def read(text: str) -> Document:
    """Parse, limit and validate a document; the last few are remembered.

    Args:
        text: Of the document. `BodyLimit` keeps it to 2,500 bytes; 64 of the worst take 12 MiB.

    Raises:
        GraphQLSyntaxError: It cannot be parsed, or has too many tokens.
    """
    node = parse(text, max_lexical_tokens=MAX_TOKENS)
    errors = (
        validate(schema, node, [UniqueFragmentNamesRule, NoFragmentCyclesRule])
        or _excess(node)
        or validate(schema, node)
    )
    return Document(node, errors, None if errors else _breadcrumb(node))


def _breadcrumb(document: DocumentNode) -> tuple[str, str] | None:
    """See `Document`; the validation has seen to it that types and names fit."""
    match document.definitions:
        case (
            OperationDefinitionNode(
                variable_definitions=(VariableDefinitionNode(default_value=None) as variable,),
                selection_set=SelectionSetNode(
                    selections=(
                        FieldNode(
                            name=NameNode(value="add_project"),
                            arguments=(ArgumentNode(value=VariableNode()),),
                        ) as field,
                    )
                ),
            ) as operation,
        ) if not (operation.directives or variable.directives or field.directives):
            return variable.variable.name.value, (field.alias or field.name).value
    return None


class _Size(NamedTuple):
    """What a node's selections expand to; fields of introspection have no depth."""

    selections: int = 0
    aliases: int = 0
    depth: int = 0


def _excess(document: DocumentNode) -> list[GraphQLError]:
    """What a document has too much of; its fragments must not be circular."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, _Size] = {}
    sizes = {node: _size(node, fragments, known) for node in document.definitions}
    operations = [node for node in sizes if isinstance(node, OperationDefinitionNode)]
    selections = sum(size.selections for size in sizes.values())
    aliases = sum(sizes[node].aliases for node in operations)
    problems = []
    if selections > MAX_SELECTIONS:
        problems.append(f"{selections} selections found. Allowed: {MAX_SELECTIONS}")
    if aliases > MAX_ALIASES:
        problems.append(f"{aliases} aliases found. Allowed: {MAX_ALIASES}")
    for node in operations:
        if sizes[node].depth > MAX_DEPTH:
            name = node.name.value if node.name else "anonymous"
            problems.append(f"'{name}' exceeds maximum operation depth of {MAX_DEPTH}")
    return [GraphQLError(problem) for problem in problems]


def _size(
    node: Node, fragments: dict[str, FragmentDefinitionNode], known: dict[str, _Size]
) -> _Size:
    """Measure a node, and each fragment the first time that it is met."""
    chosen: SelectionSetNode | None = getattr(node, "selection_set", None)
    selections = aliases = depth = 0
    for selection in chosen.selections if chosen else ():
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name not in known:  # an unknown fragment is for the validation to tell
                known[name] = _size(fragments.get(name, selection), fragments, known)
            inner = known[name]
        else:
            inner = _size(selection, fragments, known)
        selections += 1 + inner.selections
        aliases += inner.aliases
        depth = max(depth, inner.depth)
    if isinstance(node, FieldNode):
        aliases += node.alias is not None
        depth = depth + 1 if chosen and not node.name.value.startswith("__") else 0
    return _Size(selections, aliases, depth)
