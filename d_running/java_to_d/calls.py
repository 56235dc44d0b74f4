"""Java's method calls and object creations to D."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from d_running.java_to_d import library
from d_running.java_to_d.d_expression import ADDITION, ASSIGNMENT, COMPARISON, LEVELS, UNARY, Expression
from d_running.java_to_d.expressions import ExpressionTranslator
from d_running.java_to_d.limits import ASCII, UTF_16
from d_running.java_to_d.spelling import holds_characters, order
from d_running.java_to_d.syntax import field_of, parent_of, root, stored_in, text_of
from d_running.java_to_d.types import (
    BOOLEAN,
    BOXES,
    BUILDERS,
    CHAR,
    DOUBLE,
    INT,
    LISTS,
    LONG,
    MAPS,
    SETS,
    SMALL,
    STRING,
    VOID,
    JavaType,
    named,
    promoted,
    type_of,
    unsupported,
)  # fmt: skip # isort: skip

if TYPE_CHECKING:
    from tree_sitter import Node

_MATH_OF_DOUBLES = {"sqrt", "pow", "floor", "ceil", "rint", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh"}
_MATH_OF_REALS = {"log", "log10", "log1p", "expm1", "cbrt", "hypot"}
"""D has these for `real` only, which is longer than Java's double."""
_EXACT = {"addExact": "+", "subtractExact": "-", "multiplyExact": "*"}
_PRINT = {"println": "writeln", "print": "write", "printf": "writef", "format": "writef"}
_RULE_OF_CLASS = {
    "Arrays": "utilities",
    "Collections": "utilities",
    "Math": "math",
    "String": "strings",
    "System": "utilities",
    "System.err": "printing",
    "System.out": "printing",
}
_GROWS_OR_SHRINKS = re.compile(r"(add|insert|offer|push|pop|poll|put|remove|clear)\w*")
_PUTS = {"add", "addFirst", "addLast", "offer", "push", "put", "set"}
_PLAIN_PATTERN = re.compile(r'"(?:[^\\.$|?*+()\[\]{}^"]|\\\\[.$|?*+()\[\]{}^])+"')
_DESCENDING = re.compile(r"(Collections|Comparator)\.(<\w+>)?reverseOrder\(\)")
_ASCENDING = re.compile(r"Comparator\.(<\w+>)?naturalOrder\(\)|(Integer|Long|Double|String|Character)::compare(To)?")


class CallTranslator(ExpressionTranslator):
    """Adds what `library` knows to the translation of expressions."""

    def _method_invocation(self, node: "Node") -> Expression:
        owner, name = node.child_by_field_name("object"), text_of(field_of(node, "name"))
        if owner is None:
            if name not in self.methods:
                raise unsupported(node)
            return Expression(f"{self.name(name)}({', '.join(str(self.value(child)) for child in _arguments(node))})", self.methods[name])
        class_name = text_of(owner)
        if owner.type in ("identifier", "field_access") and class_name.partition(".")[0] not in self.types and class_name[0].isupper():
            rule = _RULE_OF_CLASS.get(class_name, "wrappers")
            return self._by_rule(rule, node, class_name, lambda: self._static_call(node, class_name, name))
        value = self.value(owner)
        if value.type == STRING and name == "length":
            return self.length(value)
        rule = "utilities" if name == "sort" or value.type.name == "[]" else library.methods_of(value.type)[1]
        return self._by_rule(rule, node, value.owner, lambda: self.call(node, value))

    def _by_rule(self, rule: str, node: "Node", owner: str, translate: Callable[[], Expression]) -> Expression:
        """A call as D has it, or, with the rule off, in Java's spelling."""
        if self.on(rule):
            return translate()
        used = set(self.library)
        kind = translate().type
        self.library = used
        arguments = ", ".join(text_of(child) if _is_function(child) else str(self.value(child)) for child in _arguments(node))
        return Expression(f"{owner}.{text_of(field_of(node, 'name'))}({arguments})", kind)

    def call(self, node: "Node", owner: Expression) -> Expression:
        """The method invocation ``node``, for the object ``owner``."""
        name, nodes, kind = text_of(field_of(node, "name")), _arguments(node), owner.type
        if kind.name == "[]":
            return self._array_call(node, owner, name)
        if name == "remove" and kind.name == "Iterator":
            raise unsupported(node)
        if name in ("put", "remove") and kind.name in MAPS and parent_of(node).type not in ("expression_statement", "lambda_expression"):
            raise unsupported(node)  # the value that was there before
        if name == "sort" and kind.name in LISTS:
            return self._sorted(owner, [], nodes[0] if nodes and nodes[0].type != "null_literal" else None, kind.element)
        if name in ("computeIfAbsent", "merge") and kind.name in MAPS:
            return self._map_function(node, owner, name, nodes)
        if owner.name in self.elements and _GROWS_OR_SHRINKS.fullmatch(name):
            self.found.add(("alias", owner.name))
        methods, rule = library.methods_of(kind)
        arguments = [self.value(child) for child in nodes]
        if name == "remove" and kind.name in LISTS and len(arguments) == 1:
            by_index = arguments[0].type.name in ("int", *SMALL)
            method = library.Method("removeAt({0}, {1})" if by_index else "removeItem({0}, {1})", "E" if by_index else "boolean")
        elif (name, len(arguments)) in methods:
            method = methods[name, len(arguments)]
        else:
            raise unsupported(node)
        if rule == "builders" and name == "append" and owner.name is None and not owner.text.endswith("]"):
            method = method._replace(d="{0.operand} ~ {1.operand}")  # to a new one
        if name in library.IN_ORDER and kind.name in SETS | MAPS:
            self._walks_along(owner)
        if name == "compareTo" and kind == STRING and _is_compared_with_zero(node):
            method = method._replace(d="cmp({0}, {1})")
        if name == "split" and _PLAIN_PATTERN.fullmatch(arguments[0].text):
            method = method._replace(d="splitAt({0}, {1})")
            arguments = [replace(arguments[0], text=arguments[0].text.replace("\\\\", ""))]
        arguments = self._as_elements(owner, name, arguments)
        if method.result == "length":
            return self.length(owner)
        if method.condition is not None:
            return self._membership(arguments[0], owner)
        if name == "toString" and (kind.name in LISTS | SETS or kind.name in BUILDERS or kind.is_number):
            return self.string(owner)
        if name == "toCharArray" and parent_of(node).type == "enhanced_for_statement":
            return replace(owner, type=CHAR.with_brackets(1))
        result = _result(method.result, owner, arguments)
        template = method.statement if method.statement and parent_of(node).type == "expression_statement" else method.d
        if result.unboxed == CHAR and "Element" in template:
            template = f"cast(char) {template}"  # D's algorithms see code points
        return replace(
            self.made(template, result, owner, *arguments),
            negation=self.fill(template.replace(" == ", " != "), owner, *arguments) if " == " in template else None,
            limits=(UTF_16 if owner.wide else ASCII) if result == CHAR else None,
            wide=owner.wide and holds_characters(result),
            name=owner.name if result == kind else None,
        )

    def _array_call(self, node: "Node", owner: Expression, name: str) -> Expression:
        if name == "clone":
            return replace(self.made("{0.owner}.dup", owner.type, owner), wide=owner.wide)
        if name == "equals":
            return self.made("{0.operand} is {1.operand}", BOOLEAN, owner, self.value(_arguments(node)[0]))
        raise unsupported(node)

    def _as_elements(self, owner: Expression, name: str, arguments: list[Expression]) -> list[Expression]:
        """The arguments as what the collection holds, or as text that is appended."""
        if owner.type.name in BUILDERS and name in ("append", "insert"):
            last = arguments[-1]
            is_text = last.type.unboxed == CHAR or last.type == STRING
            return [*arguments[:-1], last if is_text else self.string(last)]
        if owner.type.arguments and name in _PUTS:
            return [*arguments[:-1], self.fits(arguments[-1], owner.type.element)]
        return arguments

    def _map_function(self, node: "Node", owner: Expression, name: str, nodes: list["Node"]) -> Expression:
        key, element = self.value(nodes[0]), owner.type.element
        if name == "merge" and text_of(nodes[2]) in ("Integer::sum", "Long::sum"):
            return self.made("{0.owner}[{1}] = {0.owner}.get({1}, 0) + {2.operand}", element, owner, key, self.value(nodes[1]))
        body = nodes[1].child_by_field_name("body") if nodes[1].type == "lambda_expression" else None
        if name == "computeIfAbsent" and body is not None and body.type == "object_creation_expression":
            # by reference, as what is done to it changes the map
            return self.made("*requireIn({0}, {1})", element, owner, key)
        raise unsupported(node)

    # Static methods

    def _static_call(self, node: "Node", class_name: str, name: str) -> Expression:
        nodes = _arguments(node)
        if class_name in ("Arrays", "Collections", "System"):
            return self._utility(node, class_name, name, nodes)
        arguments = [self.value(child) for child in nodes]
        listed = ", ".join(map(str, arguments))
        if class_name in ("System.out", "System.err") and name in _PRINT:
            return self.made(f"{_PRINT[name]}({{0}})", VOID, listed)
        if class_name == "Math":
            return self._math(node, name, arguments)
        if class_name in ("IntStream", "LongStream") and name == "of" and len(arguments) == 1 and arguments[0].type.name == "[]":
            return Expression(arguments[0].text, JavaType("Stream", arguments[0].type.arguments))
        if class_name == "String" and name in ("valueOf", "copyValueOf") and len(arguments) == 1:
            return self.string(arguments[0])
        if class_name == "String" and name == "format":
            return self.made("format({0})", STRING, listed)
        if class_name in BOXES and name == "toString" and len(arguments) == 1:
            return self.string(arguments[0])
        tables = {"String": library.STRING_STATIC, "Objects": library.OBJECTS}
        method = tables.get(class_name, library.BOX_STATIC if class_name in BOXES else {}).get((name, len(arguments)))
        if class_name in BOXES and name == "valueOf":
            method = library.Method(f"to!{BOXES[class_name]}({{1}})" if arguments[0].type == STRING else "{1}", class_name)
        if (class_name, name) in library.BITS:
            method = library.Method(library.BITS[class_name, name], BOXES[class_name] if "One" in name else "int")
        if method is None:
            raise unsupported(node)
        result = _result(method.result, None, arguments)
        if name in ("toUpperCase", "toLowerCase") and result != CHAR:
            method = method._replace(d=method.d.replace("cast(char)", "cast(int)"))
        return replace(self.made(method.d, result, "", *arguments), limits=ASCII if result == CHAR else None)

    def _math(self, node: "Node", name: str, arguments: list[Expression]) -> Expression:
        kind = promoted(*(argument.type for argument in arguments)) if arguments else DOUBLE
        if name in ("max", "min", "abs"):
            types = {argument.type.unboxed.name for argument in arguments}
            if len(types) == 1 and types <= set(SMALL):
                arguments = [Expression(f"cast(int) {arguments[0].cast}", INT, UNARY), *arguments[1:]]
            return self.made(f"{name}({{0}})", kind, ", ".join(map(str, arguments)))
        if name in _MATH_OF_DOUBLES | _MATH_OF_REALS:
            listed = ", ".join(str(self._double(argument)) for argument in arguments)
            return self.made(f"{name}({{0}})" if name in _MATH_OF_DOUBLES else f"cast(double) {name}({{0}})", DOUBLE, listed)
        if name == "round":
            rounded = self.made("floor({0.operand} + 0.5)", DOUBLE, self._double(arguments[0]))
            return self._narrowed(rounded, LONG if kind == DOUBLE else INT)
        if name in _EXACT:
            return Expression(self._beside(arguments[0], _EXACT[name], arguments[1]), kind, LEVELS[_EXACT[name]])
        if (name, len(arguments)) not in library.MATH:
            raise unsupported(node)
        method = library.MATH[name, len(arguments)]
        return self.made(method.d, kind if method.result == "=" else named(method.result), "", *arguments)

    def _double(self, value: Expression) -> Expression:
        """A number as an argument that only one overload of D's function takes."""
        if value.type.unboxed == DOUBLE or not self.on("overloads"):
            return value
        if value.text.isdigit():
            return Expression(f"{value.text}.0", DOUBLE)
        return Expression(f"cast(double) {value.cast}", DOUBLE, UNARY)

    def _utility(self, node: "Node", class_name: str, name: str, nodes: list["Node"]) -> Expression:
        """A static method of Arrays, Collections or System."""
        if name in ("sort", "parallelSort"):
            comparator = nodes[-1] if len(nodes) in (2, 4) else None
            values = [self.value(child) for child in (nodes if comparator is None else nodes[:-1])]
            return self._sorted(values[0], values[1:], comparator, values[0].type.element)
        arguments = [self.value(child) for child in nodes]
        if not arguments:
            raise unsupported(node)
        first = arguments[0]
        if name == "asList":
            if len(arguments) == 1 and first.type.name == "[]":
                return replace(first, type=JavaType("List", first.type.arguments))
            return Expression(f"[{', '.join(map(str, arguments))}]", JavaType("List", (first.type.unboxed,)))
        if name == "stream" and len(arguments) == 1:
            return Expression(first.text, JavaType("Stream", first.type.arguments))
        if name == "arraycopy":
            source, start, target, begin, count = arguments
            text = f"{target.owner}[{begin} .. {begin.at(ADDITION)} + {count.operand}] = "
            return Expression(f"{text}{source.owner}[{start} .. {start.at(ADDITION)} + {count.operand}].dup", VOID, ASSIGNMENT)
        method = (library.ARRAYS if class_name == "Arrays" else library.COLLECTIONS).get((name, len(arguments)))
        if method is None:
            raise unsupported(node)
        if name == "fill":
            arguments[-1] = self.fits(arguments[-1], first.type.element, first.name)
        result = first.type.element if method.result == "E" else _result(method.result, None, arguments)
        if result == CHAR:
            return self.made(f"cast(char) {method.d}", CHAR, "", *arguments)  # D's algorithms see code points
        return replace(self.made(method.d, result, "", *arguments), wide=first.wide and holds_characters(result))

    def _sorted(self, array: Expression, part: list[Expression], comparator: "Node | None", element: JavaType) -> Expression:
        """Sorting in place; with a comparator objects that are equal keep their order."""
        if element == CHAR and not array.wide:
            array = self.made("{0.owner}.representation", array.type, array)  # D's strings are ranges of code points
        text = array.owner + (f"[{part[0]} .. {part[1]}]" if part else "")
        if comparator is None:
            return Expression(f"{text}.sort()", VOID)
        return self.made("{0}.sort!({1}, SwapStrategy.stable)", VOID, text, self.comparator(comparator, element))

    def comparator(self, node: "Node", element: JavaType) -> str:
        """A D predicate "comes before" of a Java comparator for values of type ``element``."""
        text = re.sub(r"\s", "", text_of(node))
        if _DESCENDING.fullmatch(text):
            return "(a, b) => a > b"
        if _ASCENDING.fullmatch(text):
            return "(a, b) => a < b"
        if node.type == "lambda_expression":
            parameters, body = field_of(node, "parameters"), field_of(node, "body")
            names = re.findall(r"(\w+)(?=\s*[,)])", text_of(parameters))
        elif (class_body := child_of(node, "class_body")) and (method := child_of(class_body, "method_declaration")):
            parameters, body = field_of(method, "parameters"), field_of(method, "body")
            names = [text_of(field_of(child, "name")) for child in parameters.named_children]
        else:
            raise unsupported(node)
        if len(names) != 2:
            raise unsupported(node)
        self.types |= dict.fromkeys(names, element)
        head = f"({', '.join(map(self.name, names))}) => "
        if body.type == "block":
            return f"{head}(() {self.block(body, 1)})() < 0"
        return f"{head}{self.value(body).at(COMPARISON + 1)} < 0"

    def block(self, node: "Node", depth: int) -> str:
        """A block of statements."""
        raise NotImplementedError

    # New objects

    def _object_creation_expression(self, node: "Node") -> Expression:
        if (body := child_of(node, "class_body")) is not None:
            return self._filled(node, body)
        return self._new_collection(node)

    def _new_collection(self, node: "Node") -> Expression:
        """A new object without regard to the body of an anonymous class."""
        written = type_of(field_of(node, "type"))
        if written.name == "PriorityQueue":
            return self._new_priority_queue(node, written)
        arguments = [self.value(child) for child in _arguments(node)]
        if written == STRING and len(arguments) == 3:
            part = "{0.owner}[{1} .. {1.operand} + {2.operand}]"
            return self.string(self.made(part, arguments[0].type, *arguments))
        if written == STRING:
            return self.string(arguments[0]) if arguments else Expression('""', STRING)
        if written.is_box:
            return replace(arguments[0], type=written)
        kind = written if written.arguments else JavaType(written.name, self._target_type(node).arguments)
        rule = "builders" if kind.name in BUILDERS else "lists" if kind.name in LISTS else "maps"
        if not self.on(rule):
            diamond = "<>" if "<>" in text_of(node) else ""
            return Expression(f"new {written}{diamond}({', '.join(map(str, arguments))})", kind)
        copied = arguments[0] if arguments and not arguments[0].type.is_number else None
        if kind.name in BUILDERS:
            return self.made("{0.owner}.dup", kind, copied) if copied else Expression('"".dup', kind)
        if kind.name in LISTS:
            if copied is None:
                return Expression(f"new {self.spell(kind.element)}[0]", kind)
            self._walks_along(copied)
            return self.made("{0.items}.dup", kind, copied)
        place = stored_in(node)
        is_ordered = place is not None and ("ordered", root(place)) in self.facts
        spelled = self.spell(kind, is_ordered)
        if is_ordered:
            if copied is not None:
                raise unsupported(node)
            capacity = arguments[0] if arguments and order(kind) == "HashMap" else ""
            return Expression(f"new {spelled}({capacity})", kind)
        if copied is None:
            return Expression(f"({spelled}).init", kind)
        return self.made("setOf({0.items})" if kind.name in SETS else "{0.owner}.dup", kind, copied)

    def _filled(self, node: "Node", body: "Node") -> Expression:
        """A new collection whose anonymous class calls its own methods: ``new HashMap<>() {{ put(1, 2); }}``."""
        block = body.named_children[0] if len(body.named_children) == 1 else body
        calls = [child.named_children[0] for child in block.named_children if child.type == "expression_statement"]
        new = self._new_collection(node)
        own = all(call.type == "method_invocation" and call.child_by_field_name("object") is None for call in calls)
        if block.type != "block" or len(calls) != len(block.named_children) or not own or new.type.name not in LISTS | SETS | MAPS:
            raise unsupported(node)
        steps = "".join(f"{self.call(call, Expression('made', new.type)).text}; " for call in calls)
        return Expression(f"(() {{ auto made = {new.text}; {steps}return made; }})()", new.type)

    def _new_priority_queue(self, node: "Node", written: JavaType) -> Expression:
        kind = written if written.arguments else JavaType(written.name, self._target_type(node).arguments)
        if not self.on("lists"):
            return Expression(text_of(node), kind)
        comparators = [child for child in _arguments(node) if _is_function(child)]
        if any(child not in comparators and not self.value(child).type.is_number for child in _arguments(node)):
            raise unsupported(node)  # a copy of another collection
        before = self.comparator(comparators[0], kind.element) if comparators else "(a, b) => a < b"
        return self.made("new PriorityQueue!({0}, {1})", kind, self.spell(kind.element), before)


def _arguments(node: "Node") -> list["Node"]:
    return [child for child in field_of(node, "arguments").named_children if "comment" not in child.type]


def child_of(node: "Node", kind: str) -> "Node | None":
    """The first child of this kind."""
    return next((child for child in node.named_children if child.type == kind), None)


def _is_function(node: "Node") -> bool:
    """Whether an argument is a function, such as a comparator."""
    if node.type in ("lambda_expression", "method_reference") or child_of(node, "class_body") is not None:
        return True
    return node.type == "method_invocation" and text_of(node).startswith(("Collections.reverseOrder", "Comparator."))


def _is_compared_with_zero(node: "Node") -> bool:
    parent = parent_of(node)
    return parent.type == "binary_expression" and text_of(field_of(parent, "right")) == "0"


def _result(spelled: str, owner: Expression | None, arguments: list[Expression]) -> JavaType:
    """The type that a method's entry in `library` names."""
    base, is_list = spelled.removesuffix("[]"), spelled.endswith("[]")
    if owner is not None and base in ("E", "K", "=", "Entry"):
        if base == "Entry":
            kind = JavaType("Entry", owner.type.arguments)
        else:
            kind = owner.type if base == "=" else owner.type.arguments[0 if base == "K" else -1]
        return JavaType("List", (kind,)) if is_list else kind
    return arguments[0].type if base == "1" else INT if base == "length" else named(spelled)
