"""What a unit or a scope is called, from the node that names it. Pure: nodes and bytes in, names out."""

from __future__ import annotations

import re

import tree_sitter

MAX_NAME = 200
"""Characters kept of a name. Bounds the regular expressions below, too: they see no hostile length."""

_MACRO_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_PATH = re.compile(r"[\w$@#]+(?:(?:\.|->|::|\?\.)[\w$@#]+)*\Z")
_PATH_SEPARATOR = re.compile(r"\?\.|\.|->|::")
_LAST_WORD = re.compile(r"[\w$]+(?=\W*\Z)")
_BRACKETS = re.compile(r"<[^<>]*>|\[[^\[\]]*\]")
_SPACE = re.compile(r"\s+")
_ARROW = re.compile(r"[-=]>")
_COMPOUND = re.compile(r"[()<>]")
_POINTER_WORDS = re.compile(r"\b(?:mut|dyn|const)\s|'\w+\s")
# The owners in a target such as `module.exports.f` or `self.f` that say nothing about where `f` belongs.
_MUTE_OWNERS = frozenset({"this", "$this", "self", "cls", "static", "window", "exports", "module", "prototype"})
# The nodes of C and C++ that are the declared name itself, and those to pass through on the way to it.
_DECLARED_NAMES = frozenset(
    {
        "identifier",
        "field_identifier",
        "type_identifier",
        "primitive_type",
        "destructor_name",
        "operator_name",
        "operator_cast",
    }
)
_DECLARATORS = _DECLARED_NAMES | {
    "template_function",
    "template_method",
    "qualified_identifier",
    "function_declarator",
    "pointer_declarator",
    "reference_declarator",
    "parenthesized_declarator",
    "array_declarator",
    "attributed_declarator",
}


def text_of(source: bytes, node: tree_sitter.Node) -> str:
    """The node's text, or the end of it if it is far longer than a name can be."""
    start = max(node.start_byte, node.end_byte - 4 * MAX_NAME)
    return source[start : node.end_byte].decode("utf-8", "replace")


def plain_name(text: str) -> str:
    """A name as people say it: `"k"`, `:k` and `k:` are all `k`."""
    name = _SPACE.sub(" ", text).strip()
    if len(name) > 1 and name[0] in "\"'`" and name[-1] == name[0]:
        name = name[1:-1]
    if len(name) > 1 and name[0] == ":" and name[1] != ":":
        name = name[1:].strip("\"'")
    return name[:MAX_NAME]


def scope_name(text: str) -> str:
    """`a::S<T>` → `a.S`; `*List[T]` → `List`; `"./module"` → `./module`."""
    name = _ARROW.sub(" ", plain_name(text))
    for _ in range(8):
        shorter = _BRACKETS.sub("", name)
        if shorter == name:
            break
        name = shorter
    name = _POINTER_WORDS.sub("", name.replace("&", " ").replace("*", " "))
    name = dotted(name.strip(" ()?$"))
    # A type without a name, such as that of a function, is called by its first word.
    return _COMPOUND.split(name.lstrip("(<"), maxsplit=1)[0] if _COMPOUND.search(name) else name


def dotted(text: str) -> str:
    r"""`A\B`, `A::B` and `A.B` are all `A.B`."""
    parts = _PATH_SEPARATOR.split(_SPACE.sub("", text.replace("\\", ".")))
    return ".".join(filter(None, parts))


def object_name(text: str) -> str:
    """The name of an object literal's methods' owner: `module.exports = {…}` has none."""
    return ".".join(part for part in scope_name(text).split(".") if part not in _MUTE_OWNERS)


def target(source: bytes, node: tree_sitter.Node) -> tuple[str, tuple[str, ...], tuple[int, int]]:
    """Name and owners of an assignment's left side: `A.prototype.f` is `f` of `A`."""
    text = text_of(source, node)[-2 * MAX_NAME :]
    if _PATH.match(text):
        *owners, name = _PATH_SEPARATOR.split(text)
        size = len(name.encode("utf-8", "replace"))
        clean = tuple(owner for owner in owners if owner not in _MUTE_OWNERS)
        return name.lstrip("$@"), clean, (max(node.start_byte, node.end_byte - size), node.end_byte)
    found = _LAST_WORD.search(text)
    return (found.group() if found else plain_name(text)), (), node.byte_range


def declared(source: bytes, node: tree_sitter.Node) -> tuple[str, tuple[str, ...], tuple[int, int] | None]:
    """Walk a C or C++ declarator down to the name it declares; `A<T>::f` gives `f` and the owner `A`.

    The name is empty if it is not that of a function, as when a class was mistaken for one.
    """
    owners: list[str] = []
    current: tree_sitter.Node | None = node
    macro_arguments: tree_sitter.Node | None = None
    is_function = False
    while current is not None:
        kind = current.type
        if kind == "qualified_identifier":
            if (scope := current.child_by_field_name("scope")) is not None:
                owners.append(scope_name(text_of(source, scope)))
            current = current.child_by_field_name("name")
        elif kind in ("template_function", "template_method"):  # A specialisation: `f<int>`.
            current = current.child_by_field_name("name")
        elif kind in _DECLARED_NAMES:
            name = _SPACE.sub(" ", text_of(source, current)).strip()
            start, end = current.byte_range
            if kind == "operator_cast":  # The node goes on with the parameters.
                is_function = True
                name = name.split("(", 1)[0].strip()
                end = source.find(b"(", start, end) if b"(" in source[start:end] else end
            if not is_function:
                break
            if macro_arguments is not None and _MACRO_NAME.match(name) and not owners:
                return _macro_test(source, name, current, macro_arguments)
            return name[:MAX_NAME], tuple(filter(None, owners)), (start, end)
        else:
            is_function = is_function or kind in ("function_declarator", "parenthesized_declarator")
            if kind == "function_declarator":
                macro_arguments = current.child_by_field_name("parameters")
            inner = current.child_by_field_name("declarator")
            if inner is None:
                inner = next((child for child in current.named_children if child.type in _DECLARATORS), None)
            current = inner
    return "", (), None


def _macro_test(
    source: bytes, macro: str, name: tree_sitter.Node, arguments: tree_sitter.Node
) -> tuple[str, tuple[str, ...], tuple[int, int]]:
    """`TEST(Suite, Case) { … }` looks like a function called TEST; people call it Case of Suite."""
    parts = [text_of(source, child) for child in arguments.named_children[:3]]
    if len(parts) == 2 and all(re.fullmatch(r"\w+", part) for part in parts):
        return parts[1], (parts[0],), arguments.named_children[1].byte_range
    return macro, (), name.byte_range
