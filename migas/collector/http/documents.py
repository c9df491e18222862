"""GraphQL documents: read, limited, validated, and remembered.

By fragments that spread each other twice, two kilobytes stand for more fields than anybody can
walk. So what a document expands to is counted first, each fragment once, and only what is small
is validated.
"""

from __future__ import annotations

from collections import Counter
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

MAX_NAMESAKES = 30
"""Fields of one name that a document may write: each is compared with all others of that name."""

MAX_ERRORS = 5
"""Each costs milliseconds and may quote half of the document."""

_LISTS = frozenset({"get_projects", "__schema", "__type"})
"""Fields whose answer is large however short the question: one of them is enough."""


class Document(NamedTuple):
    """A document that could be parsed.

    Args:
        node: What was parsed.
        errors: Why it must not be executed, if so.
        breadcrumb: The variable and the answer's name, if all that it asks is one `add_project`.
        aliases: By so many it asks for more than a document without any could.
    """

    node: DocumentNode
    errors: list[GraphQLError]
    breadcrumb: tuple[str, str] | None
    aliases: int


@lru_cache(maxsize=64)
def read(text: str) -> Document:
    """Parse, limit and validate a document; the last few are remembered.

    Args:
        text: Of the document. `BodyLimit` keeps it to 2,500 bytes; 64 of the worst take 12 MiB.

    Raises:
        GraphQLSyntaxError: It cannot be parsed, or has too many tokens.
    """
    node = parse(text, max_lexical_tokens=MAX_TOKENS)
    errors = validate(
        schema, node, [UniqueFragmentNamesRule, NoFragmentCyclesRule], max_errors=MAX_ERRORS
    )
    if errors:
        return Document(node, errors, None, 0)
    size, problems = _measured(node)
    errors = [GraphQLError(problem) for problem in problems[:1]]
    errors = errors or validate(schema, node, max_errors=MAX_ERRORS)
    return Document(node, errors, None if errors else _breadcrumb(node), size.aliases)


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
    lists: int = 0
    depth: int = 0


def _measured(document: DocumentNode) -> tuple[_Size, list[str]]:
    """What a document expands to, and what is too much of it; no fragment may be circular."""
    fragments = {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, _Size] = {}
    names: Counter[str] = Counter()
    sizes = {
        node: _size(node, fragments, known, names)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    for name, node in fragments.items():
        if name not in known:
            known[name] = _size(node, fragments, known, names)
    size = _Size(
        sum(size.selections for size in (*sizes.values(), *known.values())),
        sum(size.aliases for size in sizes.values()),
        sum(size.lists for size in sizes.values()),
    )
    found = (
        (size.selections, "selections", MAX_SELECTIONS),
        (size.aliases, "aliases", MAX_ALIASES),
        (size.lists, "fields that list everything", 1),
        (max(names.values(), default=0), "fields of one name", MAX_NAMESAKES),
    )
    problems = [
        f"{number} {what} found. Allowed: {limit}"
        for number, what, limit in found
        if number > limit
    ]
    for operation, expanded in sizes.items():
        if expanded.depth > MAX_DEPTH:
            name = operation.name.value if operation.name else "anonymous"
            problems.append(f"'{name}' exceeds maximum operation depth of {MAX_DEPTH}")
    return size, problems


def _size(
    node: Node,
    fragments: dict[str, FragmentDefinitionNode],
    known: dict[str, _Size],
    names: Counter[str],
) -> _Size:
    """Measure a node, and each fragment the first time that it is met; count the fields' names."""
    chosen: SelectionSetNode | None = getattr(node, "selection_set", None)
    selections = aliases = lists = depth = 0
    for selection in chosen.selections if chosen else ():
        if isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name not in known:  # an unknown fragment is for the validation to tell
                known[name] = _size(fragments.get(name, selection), fragments, known, names)
            inner = known[name]
        else:
            inner = _size(selection, fragments, known, names)
        selections += 1 + inner.selections
        aliases += inner.aliases
        lists += inner.lists
        depth = max(depth, inner.depth)
    if isinstance(node, FieldNode):
        names[(node.alias or node.name).value] += 1
        aliases += node.alias is not None
        lists += node.name.value in _LISTS
        depth = depth + 1 if chosen and not node.name.value.startswith("__") else 0
    return _Size(selections, aliases, lists, depth)
