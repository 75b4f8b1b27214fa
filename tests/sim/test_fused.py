"""Flights in one compiled loop: every operator, any number of robots, and what can go wrong."""

import ctypes
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from acclimate_sim.fused import CompilerError, FusedFlow, UnsupportedStepError
from acclimate_sim.fused.kernel import build
from acclimate_sim.trees import pack, pack_steps
from acclimate_training.algorithms import unroll as unroll_module
from acclimate_training.algorithms.unroll import looped, make_unroll

WIDTH = 5


def arithmetic(x: Tensor, y: Tensor) -> Tensor:
    return (2.0 - x) * y / (1.5 + y.square()) - x.pow(3) + (-x).reciprocal().clamp(-2.0, 2.0)


def functions(x: Tensor, y: Tensor) -> Tensor:
    positive = torch.sigmoid(x) + nn.functional.softplus(y) + torch.exp(-x.abs())
    return (
        torch.tanh(y) * torch.sqrt(positive)
        + torch.log(positive)
        + torch.rsqrt(positive)
        + positive**0.5
    )


def comparisons(x: Tensor, y: Tensor) -> Tensor:
    both = (x < y) & (y <= 1.0) | ~(x > -0.5) | (y.ne(y))
    chosen = torch.where(both, x, 2.0 * y) + torch.maximum(x, y) * torch.minimum(x, 0.1 * y)
    return chosen + (x >= y).to(x.dtype) + x.masked_fill(y == 0.0, 3.0) + torch.relu(x - y)


def reductions(x: Tensor, y: Tensor) -> Tensor:
    lengths = y.norm(dim=-1, keepdim=True) + x.amax(-1, keepdim=True)
    return lengths + x.mean(-1, keepdim=True) * y.sum(-1, keepdim=True).expand_as(x)


def shapes(x: Tensor, y: Tensor) -> Tensor:
    stacked = torch.stack((x, y, torch.lerp(x, y, 0.3)), dim=1)  # (num_envs, 3, WIDTH)
    first, rest = stacked.split((1, 2), dim=1)
    flat = torch.cat((rest.flatten(1), first.squeeze(1)), dim=-1)
    turned = rest.transpose(1, 2).reshape(len(x), WIDTH, 2).unbind(-1)[1]
    padded = nn.functional.pad(y[:, 1:], (0, 1))
    return padded + flat[:, 2 : 2 + WIDTH] + turned + x[:, :1].repeat(1, WIDTH) * torch.ones_like(y)


STEPS = [arithmetic, functions, comparisons, reductions, shapes]


def step_of(
    function: Callable[[Tensor, Tensor], Tensor], layers: nn.Module
) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """A step that mixes by a layer, applies a function and tells two numbers about it."""

    def step(world: Tensor, carry: Tensor, moment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        after = torch.tanh(function(layers(carry), moment + world))
        return after, after.square().sum(-1), after[:, 0] * carry[:, 1]

    return step


def flown(
    unroll: Callable[..., tuple[Tensor, tuple[Tensor, ...]]],
    layers: nn.Module,
    num_envs: int,
    num_steps: int = 7,
) -> list[Tensor]:
    """Last carry, outputs and gradients."""
    generator = torch.Generator().manual_seed(num_envs)
    world, start = torch.randn(2, num_envs, WIDTH, generator=generator)
    moments = torch.randn(num_steps, num_envs, WIDTH, generator=generator)
    last, (squares, others) = unroll((world,), start, moments)
    weights = torch.randn(squares.shape, generator=generator)
    loss = (weights * squares).sum() + others.mean()
    return [last.detach(), squares, others, *torch.autograd.grad(loss, tuple(layers.parameters()))]


def layers_of(seed: int = 0) -> nn.Module:
    """Wide enough for products that stay loops, and narrow enough for some that do not."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(WIDTH, 19), nn.ReLU(), nn.Linear(19, 2), nn.Linear(2, WIDTH))


def assert_all_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        scale = 1.0 + float(other.detach().abs().max())
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)


@pytest.fixture
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail rather than let torch compile what has no scalar form."""
    monkeypatch.setattr(unroll_module, "CompiledFlow", None)


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize("function", STEPS, ids=lambda f: f.__name__)
def test_operators_and_their_gradients_are_those_of_torch(
    function: Callable[[Tensor, Tensor], Tensor],
) -> None:
    layers = layers_of()
    step = step_of(function, layers)
    ours = flown(make_unroll(step, layers, compile=True), layers, 21)
    assert_all_close(ours, flown(looped(step), layers, 21))


def fused(step: Callable[..., tuple[Tensor, Tensor, Tensor]], layers: nn.Module) -> FusedFlow:
    one = torch.randn(3, 1, WIDTH).unbind(0)
    return FusedFlow(step, layers, (one[0], one[1], one[2]))


@pytest.mark.usefixtures("nothing_else")
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_robots_and_threads_gives_the_same(threads: int) -> None:
    """Fewer robots than lanes, full lanes, and a rest."""
    layers = layers_of()
    step = step_of(arithmetic, layers)
    unroll = make_unroll(step, layers, compile=True)
    for num_envs in (1, 8, 16, 17, 50):
        torch.set_num_threads(threads)
        try:
            ours = flown(unroll, layers, num_envs)
        finally:
            torch.set_num_threads(1)
        assert_all_close(ours, flown(looped(step), layers, num_envs))


def test_robots_do_not_know_of_each_other() -> None:
    """One that is not finite leaves all others as they were."""
    layers = layers_of()
    flow = fused(step_of(functions, layers), layers)
    world, start = torch.randn(2, WIDTH, 20)
    moments = torch.randn(4, WIDTH, 20)
    _, plain = flow(world, start, moments)
    start[:, 3] = float("nan")
    _, broken = flow(world, start, moments)
    others = torch.arange(20) != 3
    assert broken[..., 3].isnan().any()
    assert torch.equal(broken[..., others], plain[..., others])


def test_weights_that_do_not_learn_are_read_anew_at_each_flight() -> None:
    """A teacher may go on learning elsewhere."""
    layers, teacher = layers_of(), nn.Linear(WIDTH, WIDTH)

    def step(world: Tensor, carry: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            label = teacher(carry)
        return carry, (layers(moment) - label).square().sum(-1)

    start, moments = torch.randn(4, WIDTH), torch.randn(2, 4, WIDTH)
    unroll = make_unroll(step, layers, compile=True)
    for _ in range(2):
        _, (errors,) = unroll((start,), start, moments)
        _, (expected,) = looped(step)((start,), start, moments)
        torch.testing.assert_close(errors, expected)
        with torch.no_grad():
            teacher.weight.add_(1.0)


def test_step_without_scalar_form_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = nn.Linear(WIDTH, WIDTH)

    def step(world: Tensor, carry: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
        after = layers(carry).cumsum(-1)
        return after, after.sum(-1) + moment[:, 0]

    one = torch.randn(3, 1, WIDTH).unbind(0)
    with pytest.raises(UnsupportedStepError, match="cumsum"):
        FusedFlow(step, layers, (one[0], one[1], one[2]))

    monkeypatch.setattr(torch, "compile", lambda graph, **options: graph)
    start, moments = torch.randn(4, WIDTH), torch.randn(3, 4, WIDTH)
    _, (ours,) = make_unroll(step, layers, compile=True)((start,), start, moments)
    _, (theirs,) = looped(step)((start,), start, moments)
    torch.testing.assert_close(ours, theirs)


def test_rows_of_steps_are_the_rows_of_each_step() -> None:
    tree = (torch.randn(3, 4, 2), torch.randn(3, 4), torch.randn(3, 4, 2, 2))
    rows = pack_steps(tree)
    for t in range(3):
        assert torch.equal(rows[t], pack(tuple(leaf[t] for leaf in tree)))


# The vector functions, against float64.

EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exponential": np.exp,
    "sigmoid": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "hyperbolic_tangent": np.tanh,
    "softplus": lambda x: np.logaddexp(0.0, x),
    "logarithm": lambda x: np.log(np.abs(x)),
    "square_root": lambda x: np.sqrt(np.abs(x)),
}
POSITIVE = {"logarithm", "square_root"}


@pytest.fixture(scope="module")
def vector_functions() -> ctypes.CDLL:
    header = files("acclimate_sim.fused").joinpath("lanes.h").read_text()
    calls = [
        f'extern "C" void call_{name}(long n, const float* x, float* y) {{'
        f"for (long i = 0; i < n; i += LANES) store(y + i, {name}({argument})); }}"
        for name in EXACT
        for argument in ["absolute(load(x + i))" if name in POSITIVE else "load(x + i)"]
    ]
    return build("\n".join([header, *calls]))[0]


@pytest.mark.parametrize("name", EXACT)
def test_vector_functions_are_accurate_to_a_few_ulps(
    vector_functions: ctypes.CDLL, name: str
) -> None:
    near_zero = np.linspace(-2.0, 2.0, 3200)
    x = np.concatenate((near_zero, 1e-3 * near_zero, np.linspace(-85.0, 85.0, 3200)))
    x = x.astype(np.float32)
    y = np.empty_like(x)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y)]
    getattr(vector_functions, f"call_{name}")(ctypes.c_long(len(x)), *pointers)
    np.testing.assert_allclose(
        y, EXACT[name](x.astype(np.float64)), rtol=6e-7, atol=1e-7 if name == "logarithm" else 1e-37
    )


@pytest.mark.parametrize("name", sorted(set(EXACT) - POSITIVE))
def test_vector_functions_take_extremes_and_pass_on_what_is_not_a_number(
    vector_functions: ctypes.CDLL, name: str
) -> None:
    x = np.array([np.nan, 1e4, -1e4, 200.0, -200.0, 0.0, np.nan, 1.0] * 2, dtype=np.float32)
    y = np.empty_like(x)
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, y)]
    getattr(vector_functions, f"call_{name}")(ctypes.c_long(len(x)), *pointers)
    assert np.isnan(y[0])
    assert np.isfinite(y[1:6]).all()


# What can go wrong with the compiler.


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "acclimate"


def test_source_is_compiled_once(empty_cache: Path) -> None:
    source = 'extern "C" int answer() { return 42; }'
    assert build(source, source)[1].answer() == 42
    (library,) = empty_cache.iterdir()
    compiled_ns = library.stat().st_mtime_ns
    assert build(source)[0].answer() == 42
    assert library.stat().st_mtime_ns == compiled_ns


def test_refused_source_is_reported_and_leaves_nothing(empty_cache: Path) -> None:
    with pytest.raises(CompilerError, match=r"(?s)refused a generated step.*--no-compile"):
        build("no C++ at all")
    assert list(empty_cache.iterdir()) == []


def test_missing_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CompilerError, match=r"no C\+\+ compiler found. Fix: install g\+\+"):
        build("int answer;")


def test_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CompilerError, match=r"cannot keep compiled steps.*XDG_CACHE_HOME"):
        build("int answer;")
