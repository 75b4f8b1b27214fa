"""C++ for a step forward and backward, repeated over time; see `lanes.h` for what it builds on."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from acclimate_sim.fused.printer import Printer
from acclimate_sim.fused.program import Value
from acclimate_sim.fused.scalarize import Scalars


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Numbers of rows: of what is constant, the carry, the moment and the outputs."""

    world: int
    carry: int
    moment: int
    outputs: int


FORWARD = """
extern "C" int lanes() {{ return LANES; }}

extern "C" void forward(long begin, long end, long steps, long stride,
                        const float* const* parameters, const float* world, const float* start,
                        const float* moments, float* tape, float* last, float* outputs) {{
{hoisted}
  for (long tile = begin; tile < end; tile++) {{
    const long robot = tile * LANES;
    V W[{sizes.world}], C[{sizes.carry}];
    for (long i = 0; i < {sizes.world}; i++) W[i] = load(world + i * stride + robot);
    for (long i = 0; i < {sizes.carry}; i++) C[i] = load(start + i * stride + robot);
    for (long t = 0; t < steps; t++) {{
      float* before = tape + (tile * steps + t) * {sizes.carry} * LANES;
      if (tape)
        for (long i = 0; i < {sizes.carry}; i++) store(before + i * LANES, C[i]);
      const float* m = moments + t * {sizes.moment} * stride + robot;
      float* o = outputs + t * {sizes.outputs} * stride + robot;
{body}
    }}
    for (long i = 0; i < {sizes.carry}; i++) store(last + i * stride + robot, C[i]);
  }}
}}
"""
BACKWARD = """
extern "C" void backward(long begin, long end, long steps, long stride,
                         const float* const* parameters, const float* world,
                         const float* moments, const float* tape, const float* of_outputs,
                         float* sums) {{
{hoisted}
  V* S = new (std::align_val_t(64)) V[{num_parameters}]();
{outers}
  for (long tile = begin; tile < end; tile++) {{
    const long robot = tile * LANES;
    V W[{sizes.world}], C[{sizes.carry}], G[{sizes.carry}] = {{}};
    for (long i = 0; i < {sizes.world}; i++) W[i] = load(world + i * stride + robot);
    for (long t = steps - 1; t >= 0; t--) {{
      const float* before = tape + (tile * steps + t) * {sizes.carry} * LANES;
      for (long i = 0; i < {sizes.carry}; i++) C[i] = load(before + i * LANES);
      const float* m = moments + t * {sizes.moment} * stride + robot;
      const float* g = of_outputs + t * {sizes.outputs} * stride + robot;
{body}
    }}
  }}
{flushes}
  for (long i = 0; i < {num_parameters}; i++)
    for (int lane = 0; lane < LANES; lane++) sums[i] += S[i][lane];
  operator delete[](S, std::align_val_t(64));
}}
"""
STEP = """
extern "C" int lanes() {{ return LANES; }}

template <bool WHOLE>
static void steps(long begin, long end, long count, const float* const* parameters,
                  const Row* world, const Row* carry, const Row* moment, const Row* after) {{
  constexpr long stride = LANES;
{hoisted}
  for (long block = begin; block < end; block++) {{
    V W[{sizes.world}], C[{sizes.carry}];
    float m[{sizes.moment} * LANES];
    for (long i = 0; i < {sizes.world}; i++) W[i] = gather<WHOLE>(world[i], block, count);
    for (long i = 0; i < {sizes.carry}; i++) C[i] = gather<WHOLE>(carry[i], block, count);
    for (long i = 0; i < {sizes.moment}; i++)
      store(m + i * LANES, gather<WHOLE>(moment[i], block, count));
{body}
    for (long i = 0; i < {sizes.carry}; i++) scatter<WHOLE>(after[i], block, count, C[i]);
  }}
}}

extern "C" void step(long begin, long end, const float* const* parameters, const Leaf* worlds,
                     const Leaf* carries, const Leaf* moments, const Leaf* afters) {{
  Row world[{sizes.world}], carry[{sizes.carry}], moment[{sizes.moment}], after[{sizes.carry}];
  spread(worlds, world, {sizes.world});
  spread(carries, carry, {sizes.carry});
  spread(moments, moment, {sizes.moment});
  spread(afters, after, {sizes.carry});
  const long whole = end / LANES, rest = end % LANES;
  steps<true>(begin / LANES, whole, LANES, parameters, world, carry, moment, after);
  if (rest) steps<false>(whole, whole + 1, rest, parameters, world, carry, moment, after);
}}
"""


def emit_forward(scalars: Scalars, sizes: Sizes) -> str:
    """Print a step whose results are the next carry and the outputs."""
    carry, outputs = scalars.results
    printer = Printer(scalars.program, [*carry, *outputs])
    ends = [f"store(o + {i} * stride, {printer.name(v)});" for i, v in enumerate(outputs)]
    ends += _assignments("C", printer, carry)
    return _header() + FORWARD.format(
        hoisted=printer.hoisted(), body=printer.body(ends), sizes=sizes
    )


def emit_step(scalars: Scalars, sizes: Sizes) -> str:
    """Print a single step, whose result is the next carry, for robots wherever they lie."""
    carry, _ = scalars.results
    printer = Printer(scalars.program, carry)
    return _header() + STEP.format(
        hoisted=printer.hoisted(),
        body=printer.body(_assignments("C", printer, carry)),
        sizes=sizes,
    )


def emit_backward(scalars: Scalars, sizes: Sizes, shapes: Sequence[tuple[int, ...]]) -> str:
    """Print a vector-Jacobian product: gradients of the carry and of parameters of these shapes."""
    of_carry, *gradients = scalars.results
    printer = Printer(scalars.program, [*of_carry, *(v for g in gradients for v in g)])
    outers: list[str] = []
    flushes: list[str] = []
    ends: list[str] = []
    start = 0
    for values, shape in zip(gradients, shapes, strict=True):
        if outer := _outer(printer, np.array(values).reshape(shape)):
            rows, columns = outer
            printer.skip(values)
            outers.append(f"Outer<{len(rows)}, {len(columns)}> outer{start};")
            ends += [
                f"const V rows{start}[] = {printer.array(rows)};",
                f"const V columns{start}[] = {printer.array(columns)};",
                f"outer{start}.add(rows{start}, columns{start}, S + {start});",
            ]
            flushes.append(f"outer{start}.flush(S + {start});")
        else:
            ends += [f"S[{start + i}] += {printer.name(value)};" for i, value in enumerate(values)]
        start += len(values)
    ends += _assignments("G", printer, of_carry)
    return _header() + BACKWARD.format(
        hoisted=printer.hoisted(),
        outers="\n".join(outers),
        body=printer.body(ends),
        flushes="\n".join(flushes),
        num_parameters=start,
        sizes=sizes,
    )


def _header() -> str:
    return files("acclimate_sim.fused").joinpath("lanes.h").read_text()


def _assignments(array: str, printer: Printer, values: Sequence[Value]) -> list[str]:
    """Replace a whole array at once: its old entries may be among the new ones."""
    new = f"const V new_{array}[] = {printer.array(values)};"
    return [new, f"for (long i = 0; i < {len(values)}; i++) {array}[i] = new_{array}[i];"]


def _outer(printer: Printer, gradient: np.ndarray) -> tuple[list[Value], list[Value]] | None:
    """The two vectors whose outer product the gradient of a matrix is, if it is one."""
    entries = gradient.ravel().tolist()
    if gradient.ndim != 2 or not all(map(printer.is_outer, entries)):
        return None
    pairs = np.array([printer.operands(value) for value in entries])
    rows, columns = pairs.T.reshape(2, *gradient.shape)
    if (rows == rows[:1]).all():
        rows, columns = columns, rows
    if (rows == rows[:, :1]).all() and (columns == columns[:1]).all():
        return rows[:, 0].tolist(), columns[0].tolist()
    return None
