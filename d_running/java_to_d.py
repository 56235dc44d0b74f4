"""A rule-based Java to D translator on tree-sitter's Java grammar.

It is the reference "model" of KECode, and the source of right and wrong D for the embedded model: each place where D
differs from Java is a named rule, and a rule that is switched off copies the Java spelling, which is the error that
code models really make.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING

from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

RULES = {
    "arrays": "`int dp[]` becomes `int[] dp`",
    "casts": "`(int) x` becomes `cast(int) x`",
    "constants": "`Integer.MIN_VALUE` becomes `int.min`",
    "length": "`int n = s.length` becomes `int n = cast(int) s.length`",
    "math": "`Math.max(a, b)` becomes `max(a, b)`",
    "strings": "`s.charAt(i)` becomes `s[i]`",
    "types": "`boolean` becomes `bool`, `String` becomes `string`",
}

_TYPES = {
    "boolean": "bool", "String": "string", "Integer": "int", "Long": "long", "Double": "double",
    "Character": "char", "Boolean": "bool", "Float": "float",
}  # fmt: skip
_BOXES = {"Integer": "int", "Long": "long", "Double": "double", "Float": "float", "Character": "char", "Short": "short", "Byte": "byte"}
_LIMITS = {"MAX_VALUE": "max", "MIN_VALUE": "min"}
_MATH = {"max", "min", "abs", "floor", "ceil", "round", "exp", "log", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"}
_MATH_OF_REALS = {"sqrt", "pow", "cbrt"}
_STRING_METHODS = {"charAt", "substring", "equals", "isEmpty"}
_D_KEYWORDS = frozenset(
    """
    alias auto body cast dchar debug delegate deprecated export extern foreach function immutable in inout invariant is lazy macro
    mixin module nothrow out override pragma pure real ref scope shared string struct template typeid typeof ubyte ucent uint ulong
    union unittest ushort version wchar with wstring
    """.split()
)  # Java identifiers that D reserves
_INDENT = "    "


@cache
def _parser() -> "Parser":
    import tree_sitter_java
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_java.language()))


def translate_java(java: str, without: Iterable[str] = ()) -> str:
    """The D translation of one Java method.

    Args:
        java: source of one method, without a class around it.
        without: names of `RULES` that are switched off.

    Returns:
        The D function, one statement a line, indented by four spaces.

    Raises:
        BenchmarkError: if a rule is unknown, the Java does not parse, or a construct has no rule; the text names it.
    """
    without = frozenset(without)
    if unknown := without - RULES.keys():
        raise BenchmarkError(f"There is no rule {', '.join(sorted(unknown))}; the rules are {', '.join(RULES)}.")
    tree = _parser().parse(b"class C {\n" + java.encode() + b"\n}")
    if tree.root_node.has_error:
        raise BenchmarkError(f"This Java does not parse: {java.strip().splitlines()[0]!r}…")
    body = tree.root_node.children[0].child_by_field_name("body")
    methods = [node for node in body.named_children if node.type == "method_declaration"]
    if not methods:
        raise BenchmarkError("The Java source holds no method to translate.")
    return "\n\n".join(_Translation(without).method(method) for method in methods)


def d_type(java_type: str) -> str:
    """The D spelling of a Java type, such as ``String[]``."""
    base, brackets, rest = java_type.partition("[")
    return _TYPES.get(base, base) + brackets + rest


class _Translation:
    """One method's translation: the rules in force and the types of the names seen so far."""

    def __init__(self, without: frozenset[str]) -> None:
        self.without = without
        self.types: dict[str, str] = {}

    def on(self, rule: str) -> bool:
        return rule not in self.without

    # Types and declarations

    def type(self, node: "Node") -> str:
        """The D spelling of a Java type."""
        text = node.text.decode()
        match node.type:
            case "array_type":
                return self.type(node.child_by_field_name("element")) + node.child_by_field_name("dimensions").text.decode().replace(" ", "")
            case "integral_type" | "floating_point_type" | "void_type":
                return text
            case "boolean_type" | "type_identifier" if text in _TYPES:
                return _TYPES[text] if self.on("types") else text
        raise _unsupported(node)

    def declared(self, node: "Node", base: str) -> str:
        """``type name`` of a declarator or parameter, where Java may write brackets behind the name."""
        name = self.name(node.child_by_field_name("name"))
        dimensions = node.child_by_field_name("dimensions")
        brackets = dimensions.text.decode().replace(" ", "") if dimensions else ""
        self.types[name] = base + brackets
        return f"{base}{brackets} {name}" if self.on("arrays") else f"{base} {name}{brackets}"

    def name(self, node: "Node") -> str:
        text = node.text.decode()
        return text + "_" if text in _D_KEYWORDS else text

    def method(self, node: "Node") -> str:
        result = self.type(node.child_by_field_name("type"))
        parameters = ", ".join(
            self.declared(parameter, self.type(parameter.child_by_field_name("type")))
            for parameter in node.child_by_field_name("parameters").named_children
        )
        return f"{result} {self.name(node.child_by_field_name('name'))}({parameters}) {self.block(node.child_by_field_name('body'), 0)}"

    def declaration(self, node: "Node") -> str:
        base = self.type(node.child_by_field_name("type"))
        declarators = node.children_by_field_name("declarator")
        mixed = any(declarator.child_by_field_name("dimensions") for declarator in declarators) and len(declarators) > 1
        parts = []
        for declarator in declarators:
            declared = self.declared(declarator, base)
            value = declarator.child_by_field_name("value")
            parts.append(declared + (f" = {self.value(value)}" if value else ""))
        if mixed:  # D gives all names of one declaration the same type
            return "; ".join(parts)
        return ", ".join([parts[0]] + [part.removeprefix(self.types_prefix(part, base)) for part in parts[1:]])

    @staticmethod
    def types_prefix(part: str, base: str) -> str:
        return f"{base} " if part.startswith(f"{base} ") else ""

    # Statements

    def block(self, node: "Node", depth: int) -> str:
        lines = [self.statement(child, depth + 1) for child in node.named_children if "comment" not in child.type]
        return "{\n" + "".join(f"{_INDENT * (depth + 1)}{line}\n" for line in lines) + _INDENT * depth + "}"

    def body(self, node: "Node", depth: int) -> str:
        """A loop's or branch's body, on the same line as its head."""
        return self.block(node, depth) if node.type == "block" else self.statement(node, depth)

    def statement(self, node: "Node", depth: int) -> str:
        field = node.child_by_field_name
        match node.type:
            case "block":
                return self.block(node, depth)
            case "local_variable_declaration":
                return self.declaration(node) + ";"
            case "expression_statement":
                return self.value(node.named_children[0]) + ";"
            case "return_statement":
                return f"return {self.value(node.named_children[0])};" if node.named_children else "return;"
            case "break_statement" | "continue_statement":
                return node.text.decode()
            case ";":
                return "{}"
            case "if_statement":
                text = f"if {self.value(field('condition'))} {self.body(field('consequence'), depth)}"
                return text + (f" else {self.body(field('alternative'), depth)}" if field("alternative") else "")
            case "while_statement":
                return f"while {self.value(field('condition'))} {self.body(field('body'), depth)}"
            case "do_statement":
                return f"do {self.body(field('body'), depth)} while {self.value(field('condition'))};"
            case "for_statement":
                start = node.children_by_field_name("init")
                init = ", ".join(self.declaration(n) if n.type == "local_variable_declaration" else self.value(n) for n in start)
                condition = self.value(field("condition")) if field("condition") else ""
                update = ", ".join(self.value(n) for n in node.children_by_field_name("update"))
                return f"for ({init}; {condition}; {update}) {self.body(field('body'), depth)}"
            case "enhanced_for_statement":
                declared = self.declared(node, self.type(field("type")))
                return f"foreach ({declared}; {self.value(field('value'))}) {self.body(field('body'), depth)}"
        raise _unsupported(node)

    # Expressions

    def value(self, node: "Node") -> str:
        handler: Callable[[Node], str] | None = getattr(self, f"_{node.type}", None)
        if handler:
            return handler(node)
        if node.type.endswith("_literal") or node.type in ("true", "false"):
            text = node.text.decode()
            return text.replace("l", "L") if node.type.endswith("integer_literal") else text
        raise _unsupported(node)

    def _identifier(self, node: "Node") -> str:
        return self.name(node)

    def _parenthesized_expression(self, node: "Node") -> str:
        return f"({self.value(node.named_children[0])})"

    def _binary_expression(self, node: "Node") -> str:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = node.child_by_field_name("operator").text.decode()
        texts = self.value(left), self.value(right)
        if operator == "+" and "string" in (kinds := (self.kind(left), self.kind(right))):
            return " ~ ".join(text if kind == "string" else f"to!string({text})" for text, kind in zip(texts, kinds, strict=True))
        return f"{texts[0]} {operator} {texts[1]}"

    def _unary_expression(self, node: "Node") -> str:
        return node.child_by_field_name("operator").text.decode() + self.value(node.child_by_field_name("operand"))

    def _update_expression(self, node: "Node") -> str:
        return "".join(child.text.decode() if not child.is_named else self.value(child) for child in node.children)

    def _assignment_expression(self, node: "Node") -> str:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = node.child_by_field_name("operator").text.decode()
        if operator == "+=" and self.kind(left) == "string":
            text = self.value(right) if self.kind(right) == "string" else f"to!string({self.value(right)})"
            return f"{self.value(left)} ~= {text}"
        return f"{self.value(left)} {operator} {self.value(right)}"

    def _ternary_expression(self, node: "Node") -> str:
        condition, yes, no = (self.value(node.child_by_field_name(part)) for part in ("condition", "consequence", "alternative"))
        return f"{condition} ? {yes} : {no}"

    def _array_access(self, node: "Node") -> str:
        return f"{self.value(node.child_by_field_name('array'))}[{self.value(node.child_by_field_name('index'))}]"

    def _cast_expression(self, node: "Node") -> str:
        kind, value = self.type(node.child_by_field_name("type")), self.value(node.child_by_field_name("value"))
        return f"cast({kind}) {value}" if self.on("casts") else f"({kind}) {value}"

    def _array_initializer(self, node: "Node") -> str:
        return "[" + ", ".join(self.value(child) for child in node.named_children) + "]"

    def _array_creation_expression(self, node: "Node") -> str:
        if value := node.child_by_field_name("value"):
            return self.value(value)
        kind = self.type(node.child_by_field_name("type"))
        dimensions = node.children_by_field_name("dimensions")
        sizes = [self.value(child.named_children[0]) for child in dimensions if child.type == "dimensions_expr"]
        unsized = "".join(child.text.decode().replace(" ", "") for child in dimensions if child.type == "dimensions")
        if len(sizes) == 1 and not unsized:
            return f"new {kind}[{sizes[0]}]"
        return f"new {kind}{'[]' * len(sizes)}{unsized}({', '.join(sizes)})"

    def _field_access(self, node: "Node") -> str:
        owner, field = node.child_by_field_name("object"), node.child_by_field_name("field").text.decode()
        box = owner.text.decode()
        if box in _BOXES and field in _LIMITS:
            if not self.on("constants"):
                return f"{box}.{field}"
            # Java's MIN_VALUE of a real type is its smallest positive number
            return f"{_BOXES[box]}.{_LIMITS[field] if box not in ('Double', 'Float') or field == 'MAX_VALUE' else 'min_normal'}"
        if box == "Math":
            return field if self.on("math") else f"Math.{field}"
        if field == "length":
            return self.length(owner)
        raise _unsupported(node)

    def length(self, owner: "Node") -> str:
        text = f"{self.value(owner)}.length"
        return f"cast(int) {text}" if self.on("length") else text

    def _method_invocation(self, node: "Node") -> str:
        owner, name = node.child_by_field_name("object"), node.child_by_field_name("name").text.decode()
        arguments = [self.value(child) for child in node.child_by_field_name("arguments").named_children]
        listed = ", ".join(arguments)
        if owner is None:
            return f"{self.name(node.child_by_field_name('name'))}({listed})"
        if owner.text.decode() == "Math":
            if not self.on("math"):
                return f"Math.{name}({listed})"
            if name in _MATH:
                return f"{name}({listed})"
            if name in _MATH_OF_REALS:  # D's overloads are ambiguous for integers
                return f"{name}({', '.join(f'cast(double) ({argument})' for argument in arguments)})"
        if name == "length":
            return self.length(owner)
        text = self.value(owner)
        if not self.on("strings") and name in _STRING_METHODS:
            return f"{text}.{name}({listed})"
        match name:
            case "charAt":
                return f"{text}[{listed}]"
            case "substring":
                return f"{text}[{arguments[0]} .. {arguments[1] if len(arguments) > 1 else '$'}]"
            case "equals":
                return f"{text} == {listed}"
            case "isEmpty":
                return f"{text}.length == 0"
        raise _unsupported(node)

    def kind(self, node: "Node") -> str | None:
        """The D type of an expression, as far as the rules need it: strings are told from numbers."""
        match node.type:
            case "string_literal":
                return "string"
            case "identifier":
                kind = self.types.get(self.name(node))
                return "string" if kind == "String" else kind
            case "parenthesized_expression":
                return self.kind(node.named_children[0])
            case "binary_expression":
                sides = (self.kind(node.child_by_field_name("left")), self.kind(node.child_by_field_name("right")))
                return "string" if node.child_by_field_name("operator").text == b"+" and "string" in sides else None
            case "array_access":
                kind = self.kind(node.child_by_field_name("array"))
                return kind.removesuffix("[]") if kind else None
            case "method_invocation":
                return "string" if node.child_by_field_name("name").text in (b"substring", b"toString") else None
        return None


def _unsupported(node: "Node") -> BenchmarkError:
    return BenchmarkError(f"No rule translates the Java construct {node.type}: {node.text.decode()[:80]!r}.")
