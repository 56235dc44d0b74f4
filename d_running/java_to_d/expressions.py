"""Java expressions to D, with their Java types."""

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from d_running.java_to_d.d_expression import ADDITION, ASSIGNMENT, COMPARISON, LEVELS, PRIMARY, TERNARY, UNARY, Expression
from d_running.java_to_d.limits import ASCII, UTF_16, combined, within
from d_running.java_to_d.spelling import Spelling, holds_characters, needs_zeros
from d_running.java_to_d.syntax import field_of, has_effect, is_stored, parent_of, root, text_of
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
    NULL,
    REALS,
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
from util.errors import BenchmarkError

if TYPE_CHECKING:
    from tree_sitter import Node

_LIMITS = {"MAX_VALUE": "max", "MIN_VALUE": "min"}
_INFINITIES = {"POSITIVE_INFINITY": "infinity", "NEGATIVE_INFINITY": "-infinity", "NaN": "nan"}
_WIDTH = {"byte": 8, "short": 16, "int": 32, "long": 64}


class ExpressionTranslator(Spelling):
    """Translates expressions."""

    def condition(self, node: "Node") -> str:
        """The text of an expression of which only the truth matters, in the parentheses that Java has around it."""
        value = self.value(node)
        inner = node.named_children[0] if node.type == "parenthesized_expression" else node
        if inner.type == "assignment_expression":  # D takes it for a mistyped comparison
            return f"(({value}) != false)"
        return value.condition or value.text

    def value(self, node: "Node") -> Expression:
        """The D of an expression.

        Raises:
            BenchmarkError: if no rule translates it.
        """
        handler: Callable[[Node], Expression] | None = getattr(self, f"_{node.type}", None)
        if handler is None:
            raise unsupported(node)
        return handler(node)

    def _identifier(self, node: "Node") -> Expression:
        name = text_of(node)
        if name not in self.types:
            raise BenchmarkError(f"The Java name {name} is used and not declared.")
        kind = self.types[name]
        if ("nullable", name) in self.facts:
            return Expression(f"*{self.name(name)}", kind.unboxed, UNARY)
        if name in self.aliases:
            return Expression(f"*{self.name(name)}", kind, UNARY, name=name)
        wide = ("wide", name) in self.facts
        limits = (UTF_16 if wide else ASCII) if kind.unboxed == CHAR else None
        return Expression(self.name(name), kind, limits=limits, wide=wide, name=name)

    def _parenthesized_expression(self, node: "Node") -> Expression:
        return self.value(node.named_children[0]).parenthesized()

    def _true(self, node: "Node") -> Expression:
        return Expression(text_of(node), BOOLEAN)

    _false = _true

    def _null_literal(self, _node: "Node") -> Expression:
        return Expression("null", NULL)

    def _string_literal(self, node: "Node") -> Expression:
        return Expression(text_of(node), STRING)

    def _character_literal(self, node: "Node") -> Expression:
        text = text_of(node)
        code = ord(ast.literal_eval(text))
        return Expression(text, CHAR, limits=(code, code), wide=code > ASCII[1])

    def _decimal_integer_literal(self, node: "Node") -> Expression:
        text = text_of(node).replace("l", "L")
        value = int(text.rstrip("L").replace("_", ""))
        return Expression(text, LONG if text.endswith("L") else INT, limits=(value, value))

    def _hex_integer_literal(self, node: "Node") -> Expression:
        """Hexadecimal, octal and binary numbers, which Java lets reach into the sign; D has no octal ones."""
        text = text_of(node).replace("l", "L")
        digits = text.rstrip("L").replace("_", "")
        octal = digits[0] == "0" and digits.isdigit()
        value = int(digits, 8 if octal else 0)
        kind = LONG if text.endswith("L") else INT
        signed = value - (1 << _WIDTH[kind.name]) if value >> (_WIDTH[kind.name] - 1) else value
        limits = (signed, signed)
        if not self.on("literals"):
            return Expression(text, kind, limits=limits)
        text = f"{value}{'L' * (kind == LONG)}" if octal else text
        return Expression(f"cast({kind}) {text}", kind, UNARY, limits=limits) if signed < 0 else Expression(text, kind, limits=limits)

    _octal_integer_literal = _binary_integer_literal = _hex_integer_literal

    def _decimal_floating_point_literal(self, node: "Node") -> Expression:
        text = text_of(node)
        kind = named("float") if text[-1] in "fF" else DOUBLE
        if self.on("literals"):
            text = text.rstrip("dD")
            text = re.sub(r"\.(?=[eEfF]|$)", ".0", text if re.search(r"[.eEfF]", text) else text + ".0")
        return Expression(text, kind)

    def _binary_expression(self, node: "Node") -> Expression:
        left_node, right_node = field_of(node, "left"), field_of(node, "right")
        operator = text_of(field_of(node, "operator"))
        if operator in ("==", "!=") and "null_literal" in (left_node.type, right_node.type) and self.on("nulls"):
            return self._null_test(right_node if left_node.type == "null_literal" else left_node, operator)
        left, right = self.value(left_node), self.value(right_node)
        kinds = (left.type, right.type)
        if operator == "+" and STRING in kinds:
            if not self.on("concatenation"):
                return Expression(f"{left.at(ADDITION)} + {right.at(ADDITION + 1)}", STRING, ADDITION)
            parts = (*(left.parts or (left,)), right)
            if len(parts) > 2 and has_effect(node):  # LDC evaluates a longer chain of ~ from the right
                listed = ", ".join(str(part if part.type in (STRING, INT, CHAR) else self.string(part)) for part in parts)
                return replace(self.made("text({0})", STRING, listed), parts=parts)
            return Expression(f"{self.piece(left, ADDITION)} ~ {self.piece(right)}", STRING, ADDITION, parts=parts)
        if operator in ("==", "!="):
            return self._equality(left, right, operator)
        if operator in ("&&", "||"):
            level = LEVELS[operator]
            texts = [replace(e, text=e.condition or e.text) for e in (left, right)]
            return Expression(f"{texts[0].at(level)} {operator} {texts[1].at(level + 1)}", BOOLEAN, level)
        if operator in ("<", ">", "<=", ">="):
            return Expression(self._beside(left, operator, right), BOOLEAN, COMPARISON)
        if operator in ("<<", ">>", ">>>"):
            kind = promoted(left.type)
            count = self._shift_count(right, kind)
            return Expression(f"{self._operand(left, operator)} {operator} {count}", kind, LEVELS[operator])
        kind = BOOLEAN if BOOLEAN in (left.type.unboxed, right.type.unboxed) else promoted(*kinds)
        return Expression(self._beside(left, operator, right), kind, LEVELS[operator], limits=combined(left.limits, operator, right.limits))

    def _beside(self, left: Expression, operator: str, right: Expression) -> str:
        level = LEVELS[operator]
        left_level = level + (level == COMPARISON and self.on("precedence"))  # D's comparisons do not chain
        return f"{self._operand(left, operator, left_level)} {operator} {self._operand(right, operator, level + 1)}"

    def _operand(self, value: Expression, operator: str, level: int | None = None) -> str:
        """An operand's text; D wants parentheses around a comparison beside a bitwise operator."""
        if value.level == COMPARISON and operator in ("&", "|", "^"):
            return f"({value.text})" if self.on("precedence") else value.text
        return value.at(LEVELS[operator] if level is None else level)

    def _shift_count(self, count: Expression, kind: JavaType) -> str:
        """Java uses the lowest bits of the count; D leaves a larger one undefined."""
        mask = _WIDTH[kind.name] - 1
        if not self.on("shifts") or (count.limits and count.limits[0] >= 0 and count.limits[1] <= mask):
            return count.at(ADDITION)
        return f"({count.at(LEVELS['&'])} & {mask})"

    def _equality(self, left: Expression, right: Expression, operator: str) -> Expression:
        """Java's == of two objects asks whether they are the same one."""
        is_object = [not (e.type.is_number or e.type.unboxed == BOOLEAN or e.type == NULL) for e in (left, right)]
        same = operator == "=="
        if self.on("identity"):
            if left.type.is_box and right.type.is_box and left.type.unboxed.name not in REALS and left.type.unboxed != BOOLEAN:
                return self.made("sameBox({0}, {1})" if same else "!sameBox({0}, {1})", BOOLEAN, left, right)
            if all(is_object):
                operator = "is" if same else "!is"
        return Expression(self._beside(left, operator, right), BOOLEAN, COMPARISON)

    def _null_test(self, node: "Node", operator: str) -> Expression:
        same = operator == "=="
        name = text_of(node)
        if self.types.get(name, VOID).is_box:
            self.found.add(("nullable", name))
            return Expression(f"{self.name(name)} {'is' if same else '!is'} null", BOOLEAN, COMPARISON)
        if node.type == "method_invocation" and (owner := node.child_by_field_name("object")):
            collection, method = self.value(owner), text_of(field_of(node, "name"))
            if method == "get" and collection.type.name in MAPS and self.on("maps"):
                key = self.value(field_of(node, "arguments").named_children[0])
                return self._membership(key, collection, negated=same)
            if method in ("peek", "poll", "peekFirst", "peekLast") and self.on("lists"):
                return Expression(f"{collection.owner}.length {operator} 0", BOOLEAN, COMPARISON)
        value = self.value(node)
        return Expression(f"{value.at(COMPARISON + 1)} {'is' if same else '!is'} null", BOOLEAN, COMPARISON)

    def _membership(self, key: Expression, collection: Expression, negated: bool = False) -> Expression:
        """Whether a set or map has a key: in D a pointer, which is a condition as it is."""
        plain, absent = (f"{key.operand} {operator} {collection.operand}" for operator in ("in", "!in"))
        if negated:
            return Expression(absent, BOOLEAN, COMPARISON, negation=plain)
        return Expression(f"({plain}) !is null", BOOLEAN, COMPARISON, condition=plain, negation=absent)

    def piece(self, value: Expression, level: int = ADDITION + 1) -> str:
        """A part of a string, as D's ``~`` takes it."""
        if value.type == STRING or (value.type.unboxed == CHAR and not value.wide):
            return value.at(level)
        return self.string(value).text

    def string(self, value: Expression) -> Expression:
        """``value`` as a string, in Java's spelling."""
        if value.type.is_real:
            return self.made("realText({0})", STRING, value)
        if value.type == CHAR.with_brackets(1) or value.type.name in BUILDERS:
            return self.made("to!string({0})" if value.wide else "{0.owner}.idup", STRING, value)
        if value.type.name in LISTS | SETS:
            self._walks_along(value)
            return self.made("textOf({0.items})", STRING, value)
        if value.type.name in ("[]", "Entry") or value.type.name in MAPS:
            raise BenchmarkError(f"No rule translates the Java text of a {value.type}: {value.text[:80]}.")
        self.library.add("to")
        return Expression(value.string, STRING)

    def _unary_expression(self, node: "Node") -> Expression:
        operator = text_of(field_of(node, "operator"))
        value = self.value(field_of(node, "operand"))
        if operator == "!":
            if value.negation and value.level == COMPARISON:
                return Expression(value.negation, BOOLEAN, COMPARISON)
            return Expression("!" + replace(value, text=value.condition or value.text).at(UNARY), BOOLEAN, UNARY)
        kind = promoted(value.type)
        limits = value.limits
        if operator == "-" and limits and limits[0] == limits[1] == 1 << (_WIDTH.get(kind.name, 0) - 1) and self.on("constants"):
            return Expression(f"{kind}.min", kind, limits=(-limits[0], -limits[0]))
        if value.type.unboxed.name in SMALL and self.on("casts"):
            value = Expression(f"cast(int) {value.cast}", INT, UNARY)  # D does not promote the operand of a sign
        text = value.cast
        limits = (-limits[1], -limits[0]) if limits and operator == "-" else None
        return Expression(operator + (f"({text})" if text[0] in "+-" else text), kind, UNARY, limits=limits)

    def _update_expression(self, node: "Node") -> Expression:
        value = next(self.value(child) for child in node.children if child.is_named)
        text = "".join(text_of(child) if not child.is_named else value.cast for child in node.children)
        prefix = not node.children[0].is_named
        return Expression(text, value.type.unboxed, UNARY if prefix else PRIMARY, wide=value.wide)

    def _assignment_expression(self, node: "Node") -> Expression:
        left_node, right_node = field_of(node, "left"), field_of(node, "right")
        left, right = self.value(left_node), self.value(right_node)
        operator = text_of(field_of(node, "operator"))
        kind, name = left.type, root(left_node)
        if ("nullable", name) in self.facts or text_of(left_node) in self.aliases:
            raise unsupported(node)
        if operator == "=":
            value = self.fits(right, kind, name)
            return Expression(f"{left.text} = {value.at(ASSIGNMENT)}", kind, ASSIGNMENT)
        if operator == "+=" and kind == STRING:
            if not self.on("concatenation"):
                return Expression(f"{left.text} += {right.at(ASSIGNMENT)}", kind, ASSIGNMENT)
            text = right.at(ASSIGNMENT) if right.type == STRING or right.type.unboxed == CHAR else self.piece(right)
            return Expression(f"{left.text} ~= {text}", kind, ASSIGNMENT)
        simple = operator[:-1]
        if kind == CHAR and name not in self.parameters and not within(combined(left.limits, simple, right.limits), ASCII):
            self.found.add(("wide", name))
        if simple in ("<<", ">>", ">>>"):
            return Expression(f"{left.text} {operator} {self._shift_count(right, promoted(kind))}", kind, ASSIGNMENT)
        if left.name and re.search(rf"(\+\+|--){re.escape(left.text)}\b|\b{re.escape(left.text)}(\+\+|--| [^ =!<>]?= )", right.text):
            # Java reads the variable first, D last
            return Expression(f"{left.text} = {left.text} {simple} {right.at(LEVELS[simple] + 1)}", kind, ASSIGNMENT)
        if kind.is_integer and right.type.is_real and self.on("saturation") and "(" not in left.text and "++" not in left.text:
            sum_ = Expression(f"{left.text} {simple} {right.at(LEVELS[simple] + 1)}", DOUBLE, LEVELS[simple])
            return Expression(f"{left.text} = {self._narrowed(sum_, kind).text}", kind, ASSIGNMENT)
        return Expression(f"{left.text} {operator} {right.at(ASSIGNMENT)}", kind, ASSIGNMENT)

    def _ternary_expression(self, node: "Node") -> Expression:
        condition = self.value(field_of(node, "condition"))
        yes, no = (self.value(field_of(node, part)) for part in ("consequence", "alternative"))
        kinds = {yes.type.unboxed, no.type.unboxed} - {NULL}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            kind = yes.type
            if yes.type.is_number and no.type.is_number:
                constant = yes if no.type.unboxed == CHAR else no
                kind = CHAR if CHAR in (yes.type, no.type) and within(constant.limits, UTF_16) else promoted(yes.type, no.type)
                if kind == CHAR:
                    yes, no = (e if e.type == CHAR else Expression(f"cast(char) {e.cast}", CHAR, UNARY, limits=e.limits) for e in (yes, no))
        limits = (min(yes.limits[0], no.limits[0]), max(yes.limits[1], no.limits[1])) if yes.limits and no.limits else None
        text = f"{replace(condition, text=condition.condition or condition.text).at(TERNARY + 1)} ? {yes.at(TERNARY)} : {no.at(TERNARY)}"
        return Expression(text, kind, TERNARY, limits=limits, wide=yes.wide or no.wide)

    def _array_access(self, node: "Node") -> Expression:
        array, index = self.value(field_of(node, "array")), self.value(field_of(node, "index"))
        if array.type.name not in ("[]", "List"):
            raise unsupported(node)
        kind = array.type.arguments[0]
        limits = (UTF_16 if array.wide else ASCII) if kind == CHAR else None
        return Expression(f"{array.owner}[{index}]", kind, limits=limits, wide=array.wide)

    def _cast_expression(self, node: "Node") -> Expression:
        kind, value = type_of(field_of(node, "type")), self.value(field_of(node, "value"))
        if not kind.is_number or not (value.type.is_number):
            return value if value.type.name not in ("Object", "null") else replace(value, type=kind)
        if kind.is_box and kind.unboxed == value.type.unboxed:
            return replace(value, type=kind)
        kind = kind.unboxed
        if not self.on("casts"):
            return Expression(f"({kind}) {value.cast}", kind, UNARY)
        return self._narrowed(value, kind)

    def _narrowed(self, value: Expression, kind: JavaType) -> Expression:
        """A conversion between numbers as Java's casts do it: from real ones the nearest integer, from integers the lowest bits."""
        if value.type.is_real and kind.is_integer and self.on("saturation") and not _is_small_literal(value):
            value = self.made("toLong({0})" if kind == LONG else "toInt({0})", LONG if kind == LONG else INT, value)
            if kind in (INT, LONG):
                return value
        if kind == CHAR and value.type.is_integer:
            wide = (value.wide if value.type.unboxed == CHAR else not within(value.limits, ASCII)) and self.on("characters")
            return Expression(f"cast({'wchar' if wide else 'char'}) {value.cast}", kind, UNARY, limits=None if wide else ASCII, wide=wide)
        limits = value.limits if kind.is_integer and kind.name not in SMALL else None
        return Expression(f"cast({kind}) {value.cast}", kind, UNARY, limits=limits)

    # Arrays and objects

    def _array_initializer(self, node: "Node") -> Expression:
        elements = ", ".join(str(self.value(child)) for child in node.named_children if "comment" not in child.type)
        brackets = "[]" if self.on("initializers") else "{}"
        return Expression(f"{brackets[0]}{elements}{brackets[1]}", NULL)

    def _array_creation_expression(self, node: "Node") -> Expression:
        base = type_of(field_of(node, "type"))
        dimensions = node.children_by_field_name("dimensions")
        unsized = sum(text_of(child).count("[") for child in dimensions if child.type == "dimensions")
        sizes = [self.value(child.named_children[0]) for child in dimensions if child.type == "dimensions_expr"]
        if base.name in LISTS | SETS | MAPS and not base.arguments:  # Java has no arrays of generic types
            base = self._target_type(node)
            while base.name == "[]":
                base = base.arguments[0]
        kind = base.with_brackets(len(sizes) + unsized)
        if value := node.child_by_field_name("value"):
            text = self.value(value).text
            return Expression(text if self.on("initializers") else f"new {kind}{text}", kind)
        element = self.spell(base, wide=self._is_for_wide(node))
        if len(sizes) == 1 and not unsized:
            text = f"new {element}[{sizes[0]}]"
        elif self.on("matrices"):
            text = f"new {element}{'[]' * len(sizes)}{'[]' * unsized}({', '.join(map(str, sizes))})"
        else:
            text = f"new {element}{''.join(f'[{size}]' for size in sizes)}{'[]' * unsized}"
        if needs_zeros(base) and not unsized and self.on("defaults") and not is_stored(node) and sizes[0].limits != (0, 0):
            if len(sizes) > 1:
                raise unsupported(node)
            return self.made(f"resized!{element}(null, 0, {{0}})", kind, sizes[0])
        return Expression(text, kind, wide=holds_characters(kind) and self._is_for_wide(node))

    def _target_type(self, node: "Node") -> JavaType:
        """The type of what a new object is stored in, which the diamond takes over."""
        parent = parent_of(node)
        if parent.type == "variable_declarator":
            return type_of(field_of(parent_of(parent), "type"))
        if parent.type == "assignment_expression":
            return self.value(field_of(parent, "left")).type
        if parent.type == "argument_list" and (owner := parent_of(parent).child_by_field_name("object")) is not None:
            return self.value(owner).type.element
        return VOID

    def _is_for_wide(self, node: "Node") -> bool:
        """Whether a new array is stored in a variable of wide characters."""
        parent = parent_of(node)
        target = parent.child_by_field_name("name" if parent.type == "variable_declarator" else "left")
        return target is not None and ("wide", root(target)) in self.facts

    # Fields

    def _field_access(self, node: "Node") -> Expression:
        owner, field = field_of(node, "object"), text_of(field_of(node, "field"))
        box = text_of(owner)
        if box in BOXES and box not in self.types:
            kind = named(BOXES[box])
            if not self.on("constants"):
                return Expression(f"{box}.{field}", kind)
            if field in _LIMITS:
                # Java's MIN_VALUE of a real type is its smallest positive number
                limit = _LIMITS[field] if not kind.is_real or field == "MAX_VALUE" else "min_normal"
                if kind == CHAR:
                    return Expression("wchar." + limit, CHAR, limits=UTF_16, wide=limit == "max")
                return Expression(f"{kind}.{limit}", kind)
            if field in _INFINITIES:
                sign, name = ("-", "infinity") if field[0] == "N" and field != "NaN" else ("", _INFINITIES[field])
                return Expression(f"{sign}{kind}.{name}", kind, UNARY if sign else PRIMARY)
            if field == "SIZE":
                return Expression(f"{_WIDTH[kind.name]}", INT)
        if box == "Math" and field in ("PI", "E"):
            return self.made(f"cast(double) {field}", DOUBLE) if self.on("math") else Expression(f"Math.{field}", DOUBLE)
        if field == "length":
            return self.length(self.value(owner))
        raise unsupported(node)

    def length(self, owner: Expression) -> Expression:
        """The number of elements, as an int."""
        text = f"{owner.owner}.length"
        return Expression(f"cast(int) {text}", INT, UNARY) if self.on("length") else Expression(text, INT)

    def _walks_along(self, value: Expression) -> None:
        """Note that the order of a set or map matters."""
        if value.type.name in SETS | MAPS:
            if value.name is None:
                raise BenchmarkError(f"No rule translates walking along {value.text[:80]}.")
            self.found.add(("ordered", value.name))


def _is_small_literal(value: Expression) -> bool:
    """Whether a real number is written out and lies well in the range of an int."""
    try:
        return abs(float(value.text)) < 2**31 - 1
    except ValueError:
        return False
