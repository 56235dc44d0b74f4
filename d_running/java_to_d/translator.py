"""A rule-based Java to D translator on tree-sitter's Java grammar.

It is the reference "model" of KECode, and the source of right and wrong D for the embedded model: each place where D
differs from Java is a named rule, and a rule that is switched off copies the Java spelling, which is the error that
code models really make. Statements are here, expressions in `expressions`, the library in `library`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from d_running.java_to_d.calls import CallTranslator, child_of
from d_running.java_to_d.d_expression import ASSIGNMENT, Expression
from d_running.java_to_d.runtime import IMPORTS, helpers
from d_running.java_to_d.spelling import Facts, needs_zeros
from d_running.java_to_d.syntax import field_of, java_parser, text_of
from d_running.java_to_d.types import BUILDERS, LISTS, MAPS, SETS, VOID, JavaType, type_of, unsupported
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

RULES = {
    "arrays": "`int dp[]` becomes `int[] dp`",
    "builders": "`StringBuilder b`, `b.append(x)` become `char[] b`, `b ~= x`",
    "casts": "`(int) x` becomes `cast(int) x`",
    "characters": "`(char) (c + k)` becomes `cast(wchar) (c + k)` where it may lie beyond 127",
    "clashes": "a variable `max` becomes `max_` where the function `max` is used",
    "concatenation": "`s + x` becomes `s ~ to!string(x)`",
    "constants": "`Integer.MIN_VALUE` becomes `int.min`",
    "defaults": "`new double[n]` is filled with zeros",
    "exceptions": "`throw new IllegalArgumentException(s)` becomes `throw new Exception(s)`",
    "foreach": "`for (int v : a)` becomes `foreach (int v; a)`",
    "identity": "`s == t` of two strings becomes `s is t`",
    "initializers": "`{1, 2}` becomes `[1, 2]`",
    "keywords": "a variable `in` becomes `in_`",
    "length": "`int n = s.length` becomes `int n = cast(int) s.length`",
    "lists": "`List<Integer> l`, `l.add(x)` become `int[] l`, `l ~= x`",
    "literals": "`017`, `0xFFFFFFFF`, `1d` become `15`, `cast(int) 0xFFFFFFFF`, `1.0`",
    "maps": "`HashMap<Integer, Integer> m = new HashMap<>()`, `m.put(k, v)` become `int[int] m`, `m[k] = v`",
    "math": "`Math.max(a, b)` becomes `max(a, b)`",
    "matrices": "`new int[n][m]` becomes `new int[][](n, m)`",
    "nulls": "`s == null` becomes `s is null`",
    "overloads": "`sqrt(n)` becomes `sqrt(cast(double) n)`",
    "precedence": "`a & b == c` becomes `a & (b == c)`",
    "printing": "`System.out.println(x)` becomes `writeln(x)`",
    "saturation": "`cast(int) x` of a real number becomes `toInt(x)`, which has the nearest int",
    "shifts": "`1 << n` becomes `1 << (n & 31)`",
    "strings": "`s.charAt(i)` becomes `s[i]`",
    "switches": "a `case` that falls through gets `goto case`, a switch without `default` an empty one",
    "types": "`boolean` becomes `bool`, `String` becomes `string`",
    "utilities": "`Arrays.sort(a)` becomes `a.sort()`",
    "wrappers": "`Integer.parseInt(s)` becomes `to!int(s)`",
}

_INDENT = "    "
_LEAVES = {"break_statement", "continue_statement", "return_statement", "throw_statement"}
_CAUGHT = {"NumberFormatException": "ConvException", "Throwable": "Throwable"}


def translate_java(java: str, without: Iterable[str] = ()) -> str:
    """The D translation of one Java method.

    Args:
        java: source of one method, without a class around it; methods and fields beside it are translated too.
        without: names of `RULES` that are switched off.

    Returns:
        The D function, one statement a line, indented by four spaces; behind it what it needs and D's library lacks.

    Raises:
        BenchmarkError: if a rule is unknown, the Java does not parse, or a construct has no rule; the text names it.
    """
    without = frozenset(without)
    check_rules(without)
    tree = java_parser().parse(b"class C {\n" + java.encode() + b"\n}")
    if tree.root_node.has_error:
        raise BenchmarkError(f"This Java does not parse: {java.strip().splitlines()[0]!r}…" if java.strip() else "The Java source is empty.")
    body = field_of(tree.root_node.children[0], "body")
    facts: Facts = frozenset()
    while True:  # what a later line tells about a name can change an earlier one
        translation = _Translation(without, facts, body)
        text = translation.program()
        if translation.found <= facts:
            return text
        facts |= translation.found


def check_rules(names: Iterable[str]) -> None:
    """See that all ``names`` are rules.

    Raises:
        BenchmarkError: naming those that are not.
    """
    if unknown := sorted(set(names) - RULES.keys()):
        raise BenchmarkError(f"There is no rule {', '.join(unknown)}; the rules are {', '.join(RULES)}.")


class _Translation(CallTranslator):
    """One pass over the methods and fields of a class body."""

    def __init__(self, without: frozenset[str], facts: Facts, body: "Node") -> None:
        self.members = [child for child in body.named_children if "comment" not in child.type]
        self.method_nodes = [node for node in self.members if node.type == "method_declaration"]
        if not self.method_nodes:
            raise BenchmarkError("The Java source holds no method to translate.")
        methods = {text_of(field_of(node, "name")): type_of(field_of(node, "type")) for node in self.method_nodes}
        super().__init__(without, facts, methods)
        self.result_type = VOID
        self.declared_names: set[str] = set()

    def program(self) -> str:
        """The whole translation: the methods in order, the fields, the helpers."""
        fields = []
        for node in self.members:
            if node.type == "field_declaration":
                fields.append("; ".join(self.declaration(node)) + ";")
            elif node.type != "method_declaration":
                raise unsupported(node)
        shared = dict(self.types)
        methods = []
        for node in self.method_nodes:
            self.types = dict(shared)
            methods.append(self.method(node))
        self.found |= {("clash", name) for name in self.declared_names & self.library}
        return "\n\n".join([*methods, *fields, *helpers(self.library)])

    # Declarations

    def declared(self, node: "Node", base: JavaType) -> str:
        """``type name`` of a declarator or parameter, where Java may write brackets behind the name."""
        name = text_of(field_of(node, "name"))
        dimensions = node.child_by_field_name("dimensions")
        brackets = text_of(dimensions).count("[") if dimensions else 0
        kind = base.with_brackets(brackets)
        self.types[name] = kind
        self.declared_names.add(name)
        self.elements.discard(name)
        self.aliases.discard(name)
        if kind.name == "PriorityQueue" or "Entry" in (kind.name, kind.element.name):
            return f"auto {self.name(name)}"
        behind = "[]" * brackets if not self.on("arrays") else ""
        spelled = self.spell(base if behind else kind, ("ordered", name) in self.facts, ("wide", name) in self.facts)
        return f"{spelled} {self.name(name)}{behind}"

    def method(self, node: "Node") -> str:
        self.result_type = type_of(field_of(node, "type"))
        parameter_nodes = field_of(node, "parameters").named_children
        if any(parameter.type != "formal_parameter" for parameter in parameter_nodes):
            raise unsupported(field_of(node, "parameters"))
        parameters = ", ".join(self.declared(parameter, type_of(field_of(parameter, "type"))) for parameter in parameter_nodes)
        self.elements, self.aliases = set(), set()
        self.parameters = {text_of(field_of(parameter, "name")) for parameter in parameter_nodes}
        earlier, self.library = self.library, set()
        lines = self.lines(field_of(node, "body"), 1)
        imports = sorted((IMPORTS[name], name) for name in self.library & IMPORTS.keys())
        self.library |= earlier
        head = f"{self.spell(self.result_type)} {self.name(text_of(field_of(node, 'name')))}({parameters})"
        return f"{head} {_braces([f'import {module} : {name};' for module, name in imports] + lines, 0)}"

    def declaration(self, node: "Node") -> list[str]:
        """The D declarations, without semicolons, and assignments of one Java declaration."""
        base = type_of(field_of(node, "type"))
        declarators = node.children_by_field_name("declarator")
        mixed = any(declarator.child_by_field_name("dimensions") for declarator in declarators) and len(declarators) > 1
        parts, fills, types = [], [], set()
        for declarator in declarators:
            name = text_of(field_of(declarator, "name"))
            value_node = declarator.child_by_field_name("value")
            if ("nullable", name) in self.facts:
                parts.append(self.looked_up(declarator, base))
                types.add(name)
                continue
            value = self.value(value_node) if value_node else None
            place = self.place_of_element(value_node, value) if value_node and value else None
            if place and ("alias", name) in self.facts:
                parts.append(f"{self.declared(declarator, base).removesuffix(self.name(name)).rstrip()}* {self.name(name)} = {place}")
                self.aliases.add(name)
                types.add(name)
                continue
            kind = base
            if value_node and value is not None and value_node.type == "object_creation_expression" and base.name in LISTS | SETS | MAPS:
                kind = value.type  # what stands in a Map may be a TreeMap
            if value is not None and (base.name == "var" or (base.name in SETS | LISTS and value.type.name == "List")):
                kind = value.type  # such as the keys of a map, which are an array in D
                if base.name == "Iterator":
                    kind = JavaType("Iterator", value.type.arguments)
            declared = self.declared(declarator, kind)
            self.types[name] = self.types[name] if base.name != "Object" else kind
            types.add(declared.rpartition(" ")[0])
            if place:
                self.elements.add(name)
            if value is not None:
                value = self.fits(value, self.types[name], name)
            if value is None and ("ordered", name) in self.facts and self.on("maps"):
                mixed = len(declarators) > 1
            is_empty = value_node is not None and self.is_empty_collection(value_node, name)
            parts.append(declared + (f" = {value.at(ASSIGNMENT)}" if value is not None and not is_empty else ""))
            fills += self.zeros(value_node, name)
        if mixed or len(types) > 1:  # D gives all names of one declaration the same type
            return parts + fills
        prefix = f"{next(iter(types))} "
        return [", ".join([parts[0]] + [part.removeprefix(prefix) for part in parts[1:]]), *fills]

    def place_of_element(self, node: "Node", value: Expression) -> str | None:
        """What points to the element of a list, map or array that ``node`` takes out, if it is a collection."""
        if value.type.name not in LISTS | SETS | MAPS or not (self.on("lists") and self.on("maps")):
            return None
        if node.type == "method_invocation" and field_of(node, "name").text in (b"get", b"elementAt"):
            owner = self.value(field_of(node, "object"))
            if owner.type.name in MAPS:
                return f"{self.value(field_of(node, 'arguments').named_children[0]).operand} in {owner.operand}"
            return f"&{value.text}" if owner.type.name in LISTS else None
        return f"&{value.text}" if node.type == "array_access" else None

    def looked_up(self, declarator: "Node", base: JavaType) -> str:
        """A box that may be null, such as what a map has for a key: in D a pointer."""
        value, name = field_of(declarator, "value"), text_of(field_of(declarator, "name"))
        owner = value.child_by_field_name("object") if value.type == "method_invocation" else None
        collection = self.value(owner) if owner is not None else None
        if collection is None or collection.type.name not in MAPS or text_of(field_of(value, "name")) != "get":
            raise unsupported(declarator)
        self.types[name] = base
        self.declared_names.add(name)
        key = self.value(field_of(value, "arguments").named_children[0])
        return f"{self.spell(base)}* {self.name(name)} = {key.operand} in {collection.operand}"

    def is_empty_collection(self, value: "Node", name: str) -> bool:
        """Whether a new list, set or map is what D's declaration alone makes."""
        if value.type != "object_creation_expression" or ("ordered", name) in self.facts or child_of(value, "class_body") is not None:
            return False
        kind = type_of(field_of(value, "type")).name
        if kind not in LISTS | SETS | MAPS or not self.on("lists" if kind in LISTS else "maps"):
            return False
        return all(self.value(argument).type.is_number for argument in field_of(value, "arguments").named_children)

    def zeros(self, value: "Node | None", name: str) -> list[str]:
        """What fills the new array ``value`` in the variable ``name`` as Java does, where D does it otherwise."""
        if value is None or value.type != "array_creation_expression" or not self.on("defaults"):
            return []
        element = type_of(field_of(value, "type"))
        dimensions = value.children_by_field_name("dimensions")
        if not needs_zeros(element) or value.child_by_field_name("value") or any(child.type == "dimensions" for child in dimensions):
            return []
        target, zero = self.name(name), r"'\0'" if element.name == "char" else "0"
        text = f"[] = {zero}"
        for depth in range(len(dimensions) - 1):
            row = "row" + "_" * depth
            self.library |= {"each", row}
            text = f".each!({row} => {row}{text})"
        return [target + text]

    # Statements

    def lines(self, node: "Node", depth: int) -> list[str]:
        """The statements of a block, each a line that may go on over more."""
        return [line for child in node.named_children if "comment" not in child.type for line in self.statement(child, depth)]

    def block(self, node: "Node", depth: int) -> str:
        return _braces(self.lines(node, depth + 1), depth)

    def body(self, node: "Node", depth: int) -> str:
        """A loop's or branch's body, on the same line as its head."""
        lines = [self.block(node, depth)] if node.type == "block" else self.statement(node, depth)
        return lines[0] if len(lines) == 1 else _braces(lines, depth)

    def statement(self, node: "Node", depth: int) -> list[str]:
        """The D statements of a Java one; ``depth`` is how far they are indented."""
        match node.type:
            case "block":
                return [self.block(node, depth)]
            case "local_variable_declaration":
                return [f"{line};" for line in self.declaration(node)]
            case "expression_statement":
                return self.expression_statement(node.named_children[0], depth)
            case "return_statement":
                if not node.named_children:
                    return ["return;"]
                return [f"return {self.fits(self.value(node.named_children[0]), self.result_type).at(ASSIGNMENT)};"]
            case "break_statement" | "continue_statement":
                return [text_of(node)]
            case ";":
                return ["{}"]
            case "assert_statement":
                return []  # Java does not check them unless told to
            case "if_statement":
                text = f"if {self.condition(field_of(node, 'condition'))} {self.body(field_of(node, 'consequence'), depth)}"
                otherwise = node.child_by_field_name("alternative")
                return [text if otherwise is None else f"{text} else {self.body(otherwise, depth)}"]
            case "while_statement":
                return [f"while {self.condition(field_of(node, 'condition'))} {self.body(field_of(node, 'body'), depth)}"]
            case "do_statement":
                return [f"do {self.body(field_of(node, 'body'), depth)} while {self.condition(field_of(node, 'condition'))};"]
            case "for_statement":
                return [self.for_loop(node, depth)]
            case "enhanced_for_statement":
                return [self.foreach(node, depth)]
            case "labeled_statement":
                label, inner = node.named_children
                if inner.type == "block":
                    raise unsupported(node)
                return [f"{text_of(label)}: {self.body(inner, depth)}"]
            case "switch_expression":
                return [self.switch(node, depth)]
            case "throw_statement":
                return [self.throw(node)]
            case "try_statement":
                return [self.try_(node, depth)]
        raise unsupported(node)

    def expression_statement(self, node: "Node", depth: int) -> list[str]:
        if node.type == "switch_expression":
            return [self.switch(node, depth)]
        calls = _chain(node)
        if len(calls) > 1 and self.types.get(text_of(field_of(calls[0], "object")), VOID).name in BUILDERS and self.on("builders"):
            return [f"{self.call(call, self.value(field_of(calls[0], 'object'))).text};" for call in calls]
        value = self.value(node)
        text = value.text
        if node.type == "method_invocation" and value.level != ASSIGNMENT and not text.endswith(")"):
            text = f"cast(void) {value.cast}"  # D refuses a statement without an effect
        fills = self.zeros(node.child_by_field_name("right"), "") if node.type == "assignment_expression" else []
        target = self.value(field_of(node, "left")).owner if fills else ""
        return [f"{text};", *(f"{target}{fill};" for fill in fills)]

    def for_loop(self, node: "Node", depth: int) -> str:
        starts = [
            self.declaration(child) if child.type == "local_variable_declaration" else [self.value(child).text]
            for child in node.children_by_field_name("init")
        ]
        init = ", ".join(text for texts in starts for text in texts)
        tested = node.child_by_field_name("condition")
        condition = self.condition(tested) if tested else ""
        update = ", ".join(self.value(child).text for child in node.children_by_field_name("update"))
        return f"for ({init}; {condition}; {update}) {self.body(field_of(node, 'body'), depth)}"

    def foreach(self, node: "Node", depth: int) -> str:
        kind, value = type_of(field_of(node, "type")), self.value(field_of(node, "value"))
        self._walks_along(value)
        if kind.name == "var":
            kind = value.type.arguments[0]
        if value.wide:
            self.found.add(("wide", text_of(field_of(node, "name"))))
        declared = self.declared(node, kind).removeprefix("auto ")
        if not self.on("foreach"):
            return f"for ({declared} : {value}) {self.body(field_of(node, 'body'), depth)}"
        return f"foreach ({declared}; {value.items}) {self.body(field_of(node, 'body'), depth)}"

    def switch(self, node: "Node", depth: int) -> str:
        """Java's cases fall through and may lack a default; D wants both said."""
        groups = [child for child in field_of(node, "body").named_children if child.type.startswith("switch_")]
        lines, has_default = [], False
        for index, group in enumerate(groups):
            labels = [child for child in group.named_children if child.type == "switch_label"]
            for label in labels:
                has_default |= not label.named_children
                values = ", ".join(str(self.value(child)) for child in label.named_children)
                lines.append(f"case {values}:" if values else "default:")
            is_rule = group.type == "switch_rule"
            statements = [child for child in group.named_children if child.type != "switch_label" and "comment" not in child.type]
            inner = [line for child in statements for line in self.statement(child, depth + 2)]
            falls = statements and statements[-1].type not in _LEAVES
            if falls and (is_rule or index + 1 == len(groups)) and self.on("switches"):
                inner.append("break;")
            elif falls and self.on("switches"):
                following = next(child for child in groups[index + 1].named_children if child.type == "switch_label")
                inner.append("goto case;" if following.named_children else "goto default;")
            lines += [_INDENT + line for line in inner]
        if not has_default and self.on("switches"):
            lines += ["default:", _INDENT + "break;"]
        elif lines and lines[-1].endswith(":"):
            lines.append(_INDENT + "break;")
        return f"switch {self.condition(field_of(node, 'condition'))} {_braces(lines, depth)}"

    def throw(self, node: "Node") -> str:
        created = node.named_children[0]
        if created.type != "object_creation_expression":
            raise unsupported(node)
        arguments = [self.value(child) for child in field_of(created, "arguments").named_children]
        if not self.on("exceptions"):
            return f"throw new {text_of(field_of(created, 'type'))}({', '.join(map(str, arguments))});"
        return f"throw new Exception({self.string(arguments[0]) if arguments else chr(34) * 2});"

    def try_(self, node: "Node", depth: int) -> str:
        text = f"try {self.block(field_of(node, 'body'), depth)}"
        for clause in node.named_children:
            if clause.type == "catch_clause":
                parameter = clause.named_children[0]
                name = text_of(field_of(parameter, "name"))
                java = text_of(next(child for child in parameter.named_children if child.type == "catch_type"))
                kind = _CAUGHT.get(java, "Throwable") if self.on("exceptions") else java
                text += f" catch ({kind} {self.name(name)}) {self.block(field_of(clause, 'body'), depth)}"
            elif clause.type == "finally_clause":
                text += f" finally {self.block(clause.named_children[0], depth)}"
            elif clause.type != "block" and "comment" not in clause.type:
                raise unsupported(node)
        return text


def _chain(node: "Node") -> list["Node"]:
    """The calls of ``b.append(x).append(y)``, in order."""
    calls: list[Node] = []
    while node.type == "method_invocation" and (owner := node.child_by_field_name("object")) is not None:
        calls.insert(0, node)
        node = owner
    return calls if node.type == "identifier" else []


def _braces(lines: list[str], depth: int) -> str:
    """Lines in braces, whose end is indented by ``depth``."""
    return "{\n" + "".join(f"{_INDENT * (depth + 1)}{line}\n" for line in lines) + _INDENT * depth + "}"
