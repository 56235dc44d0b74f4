"""The smallest and the largest value that an integer can have, as far as they are easily told."""

Limits = tuple[int, int]

ASCII, UTF_16 = (0, 127), (0, 0xFFFF)


def within(limits: Limits | None, outer: Limits) -> bool:
    """Whether an integer is known to lie in ``outer``."""
    return limits is not None and outer[0] <= limits[0] and limits[1] <= outer[1]


def combined(left: Limits | None, operator: str, right: Limits | None) -> Limits | None:
    """The smallest and largest value of an operation on integers, where it is easily told."""
    if operator == "%" and right and right[0] == right[1] and right[0] > 0:
        return (0 if left and left[0] >= 0 else 1 - right[0], right[0] - 1)
    if left is None or right is None:
        return None
    match operator:
        case "+":
            limits = (left[0] + right[0], left[1] + right[1])
        case "-":
            limits = (left[0] - right[1], left[1] - right[0])
        case "*":
            corners = [x * y for x in left for y in right]
            limits = (min(corners), max(corners))
        case _:
            return None
    return limits if within(limits, (-(2**31), 2**31 - 1)) else None
