"""Derived parameters: arithmetic and nothing else."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acclimate_contract import ConfigError
from acclimate_sim.randomization import Derived, Parameter, ParameterSpace, Uniform
from acclimate_sim.randomization.expression import MAX_LENGTH, Expression

UNHURRIED = settings(deadline=None)  # busy machines stall for longer than a deadline
NUMBERS = {"a": 1.5, "b": -0.75, "mass": 3.0}
FORMULAS = st.recursive(
    st.sampled_from([*NUMBERS, "2", "0.5", "3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda text: f"-({text})"),
        st.tuples(inner, st.integers(-3, 3)).map(lambda parts: f"({parts[0]}) ** {parts[1]}"),
        st.tuples(inner, inner).map(lambda parts: f"minimum({parts[0]}, {parts[1]})"),
    ),
    max_leaves=8,
)


def derived(expression: str, **settings: Any) -> Derived:
    return Derived(name="d", unit="1", expression=expression, description="", **settings)


def space_of(*followers: Derived) -> ParameterSpace:
    parameters = tuple(
        Parameter(name=name, unit="1", distribution=Uniform(low=1.0, high=2.0), description="")
        for name in ("a", "b", "mass")
    )
    return ParameterSpace(name="test", parameters=parameters, derived=followers)


def computed(text: str, numbers: dict[str, float]) -> float:
    tensors = {name: torch.tensor([value], dtype=torch.float64) for name, value in numbers.items()}
    return float(Expression(text).evaluate(tensors))


@UNHURRIED
@given(text=FORMULAS)
def test_arithmetic_is_python_s(text: str) -> None:
    try:
        expected = eval(text, {"minimum": min}, dict(NUMBERS))
    except (ZeroDivisionError, OverflowError):
        return
    if len(text) <= MAX_LENGTH and abs(expected) < 1e200:
        assert computed(text, NUMBERS) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@UNHURRIED
@given(base=st.floats(0.01, 100.0), exponent=st.floats(-20.0, 20.0))
def test_powers_are_those_of_the_standard_library(base: float, exponent: float) -> None:
    numbers = {"a": base, "b": exponent}
    for text in ("a ** b", f"a ** ({exponent!r})"):
        assert computed(text, numbers) == pytest.approx(math.pow(base, exponent), rel=1e-12)


def test_functions_and_powers_of_negative_numbers() -> None:
    text = "sqrt(a) + exp(b) * log(mass) - maximum(a, b) + b ** 3 + b ** -2"
    expected = 1.5**0.5 + math.exp(-0.75) * math.log(3.0) - 1.5 + (-0.75) ** 3 + (-0.75) ** -2
    assert computed(text, NUMBERS) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a +",
        "__import__('os').system('true')",
        "a.real",
        "a[0]",
        "lambda: a",
        "a if b else mass",
        "a < b",
        "[a]",
        "'a'",
        "True * a",
        "1j * a",
        "... * a",
        "a % b",
        "a // b",
        "+a",
        "~a",
        "not a",
        "(a := b)",
        "sqrt(a, b)",
        "sqrt(*a)",
        "minimum(a, b=b)",
        "sin(a)",
        "sqrt(a)(b)",
        "1e999 * a",
        "a\0b",
        "(" * 250 + "a" + ")" * 10,
        "a + " * 100 + "a",
        "9" * 301,
    ],
)
def test_anything_but_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="Fix:"):
        Expression(text)


def test_what_is_derived_follows_each_robot() -> None:
    doubled = derived("2 * a * mass ** 2")
    after = Derived(name="e", unit="1", expression="d / b", description="")
    draws = space_of(doubled, after).sample(9, torch.Generator().manual_seed(0))
    assert list(draws) == ["a", "b", "mass", "d", "e"]
    torch.testing.assert_close(draws["d"], 2.0 * draws["a"] * draws["mass"] ** 2)
    torch.testing.assert_close(draws["e"], draws["d"] / draws["b"])


def test_deriving_leaves_the_draws_as_they_were() -> None:
    plain = space_of().sample(9, torch.Generator().manual_seed(0))
    more = space_of(derived("a * b")).sample(9, torch.Generator().manual_seed(0))
    assert all(torch.equal(plain[name], more[name]) for name in plain)


def test_deriving_of_strangers_or_of_later_ones_is_refused_with_what_exists() -> None:
    with pytest.raises(ConfigError, match=r"derives 'd' of \['arm'\].*a, b, mass"):
        space_of(derived("a * arm"))
    later = Derived(name="e", unit="1", expression="a", description="")
    with pytest.raises(ConfigError, match=r"derives 'd' of \['e'\]"):
        space_of(derived("e * a"), later)
    with pytest.raises(ConfigError, match=r"derives 'd' of \['sqrt'\]"):
        space_of(derived("sqrt * a"))


def test_a_constant_is_no_derived_parameter() -> None:
    with pytest.raises(ConfigError, match=r"'d'.*Constant"):
        derived("2 * 3")


@pytest.mark.parametrize(
    ("expression", "bounds", "told"),
    [
        ("log(a - 2)", (None, None), "nan"),
        ("a / (a - a)", (None, None), "inf"),
        ("-a", (0.0, None), "physical from 0"),
        ("10 * a", (0.0, 5.0), "from 0 to 5"),
    ],
)
def test_a_derived_value_that_is_not_physical_names_the_robot(
    expression: str, bounds: tuple[float | None, float | None], told: str
) -> None:
    space = space_of(derived(expression, bounds=bounds))
    with pytest.raises(ConfigError, match=r"'d'.*robot 0.*'a': 1\..*") as refusal:
        space.sample(4, torch.Generator().manual_seed(0))
    assert told in str(refusal.value)
