"""Distributions over multirotors, four-motored unless they say otherwise.

`published` is the one of RAPTOR (Eschmann et al. 2025, arXiv 2509.11481, section "Sampling of
quadrotors" and its released code, which is followed where the two differ). `widened` adds what
real robots have and it leaves out.
"""

from collections.abc import Iterable
from dataclasses import replace

from acclimate_sim.randomization import (
    Constant,
    LogUniform,
    Normal,
    Parameter,
    ParameterSpace,
    Uniform,
)

CURVE_CONSTANT, CURVE_LINEAR = 0.0320, 0.1305
POSITIVE = (1e-4, None)
"""Bounds of what the equations divide by."""
MAX_MOTORS = 8
"""Of which spaces can describe differences."""


def published() -> ParameterSpace:
    """The published distribution: mass 20 g to 5 kg, thrust-to-weight 1.5 to 5."""
    return ParameterSpace(
        name="quadrotor/published",
        parameters=(
            Parameter(
                name="thrust_to_weight",
                unit="1",
                distribution=Uniform(low=1.5, high=5.0),
                description="Full thrust over weight.",
                bounds=(1.0, None),
            ),
            Parameter(
                name="size",
                unit="kg^(1/3)",
                distribution=Uniform(low=0.02 ** (1 / 3), high=5.0 ** (1 / 3)),
                description="Cube root of the mass: uniform in linear size.",
                bounds=(0.1, None),
            ),
            Parameter(
                name="arm_deviation",
                unit="1",
                distribution=Normal(mean=-0.1, std=0.1),
                description="Arm length relative to a Crazyflie scaled to the mass.",
            ),
            Parameter(
                name="torque_to_inertia",
                unit="1/s^2",
                distribution=Uniform(low=40.0, high=1200.0),
                description="One motor's full thrust times the arm over the roll inertia.",
                bounds=POSITIVE,
            ),
            Parameter(
                name="torque_coefficient",
                unit="m",
                distribution=Uniform(low=0.005, high=0.05),
                description="Reaction torque per thrust.",
                bounds=(0.0, None),
            ),
            Parameter(
                name="rise_time",
                unit="s",
                distribution=Uniform(low=0.03, high=0.10),
                description="Motor time constant while speeding up.",
                bounds=POSITIVE,
            ),
            Parameter(
                name="fall_time",
                unit="s",
                distribution=Uniform(low=0.03, high=0.30),
                description="Motor time constant while slowing down.",
                bounds=POSITIVE,
            ),
            Parameter(
                name="force_fraction",
                unit="1",
                distribution=Uniform(low=0.0, high=0.3),
                description="Spread of the external force over the thrust left after hovering.",
                bounds=(0.0, None),
            ),
            Parameter(
                name="curve_constant",
                unit="1",
                distribution=Constant(value=CURVE_CONSTANT),
                description="Share of the full thrust that does not depend on speed.",
            ),
            Parameter(
                name="curve_linear",
                unit="1",
                distribution=Constant(value=CURVE_LINEAR),
                description="Share of the full thrust that is linear in speed.",
            ),
        ),
    )


def widened() -> ParameterSpace:
    """The published distribution with weaker, stronger and differently shaped motors.

    Real thrust curves run from nearly quadratic to nearly linear; a policy that never met the
    latter loses racing frames. Torque-to-inertia is uniform in its logarithm: sluggish robots are
    the hardest, and a uniform draw hardly ever shows one.
    """
    wider = {
        "thrust_to_weight": Uniform(low=1.35, high=6.0),
        "torque_to_inertia": LogUniform(low=35.0, high=1400.0),
        "curve_constant": Uniform(low=-0.05, high=0.05),
        "curve_linear": Uniform(low=0.0, high=1.1),
    }
    return published().with_distributions("quadrotor/widened", wider)


def diverse() -> ParameterSpace:
    """Robots as they come out of workshops and into the weather.

    On top of `widened`: stronger motors and longer arms, unequal and tilted motors, a centre of
    mass beside the middle, latency, drag, sagging batteries, imperfect sensors. `severity` scales
    all imperfections of a robot together but its sensor noise; every second robot has none of
    them, and every second one no noise.
    """
    wider = {
        "thrust_to_weight": LogUniform(low=1.35, high=13.0),
        "arm_deviation": Uniform(low=-0.25, high=0.9),
        "force_fraction": Uniform(low=0.0, high=0.3),
    }
    space = widened().with_distributions("quadrotor/diverse", wider)
    return replace(space, parameters=(*space.parameters, *IMPERFECTIONS))


def _symmetric(name: str, unit: str, half_width: float, description: str) -> Parameter:
    distribution = Uniform(low=-half_width, high=half_width)
    return Parameter(name=name, unit=unit, distribution=distribution, description=description)


def _up_to(name: str, unit: str, high: float, description: str) -> Parameter:
    return Parameter(
        name=name,
        unit=unit,
        distribution=Uniform(low=0.0, high=high),
        description=description,
        bounds=(0.0, None),
    )


NOISE = (
    _symmetric(
        "noise_level",
        "1",
        1.2,
        "Sensor noise over that of the published noise test; negative means none.",
    ),
)


def _motor_imperfections(motors: Iterable[int]) -> tuple[Parameter, ...]:
    motors = tuple(motors)
    return (
        *(
            _symmetric(f"motor_{i}_deviation", "1", 0.2, f"Thrust of motor {i} over nominal, - 1.")
            for i in motors
        ),
        *(
            _symmetric(f"motor_{i}_tilt_{axis}", "rad", 0.05, f"Tilt of motor {i} along {axis}.")
            for i in motors
            for axis in "xy"
        ),
    )


IMPERFECTIONS = (
    Parameter(
        name="severity",
        unit="1",
        distribution=Uniform(low=-1.0, high=1.0),
        description="Scales the imperfections below but the noise; negative means none.",
    ),
    *_motor_imperfections(range(4)),
    _symmetric("offset_x", "1", 0.15, "Centre of mass ahead of the middle, over the arm."),
    _symmetric("offset_y", "1", 0.15, "Centre of mass left of the middle, over the arm."),
    _up_to("control_delay", "s", 0.03, "From the policy's answer to the motors' input."),
    _up_to("rotor_drag", "1/s", 1.0, "Drag in the rotor plane per speed and mass."),
    _up_to("body_drag", "1/m", 0.1, "Drag per squared speed and mass."),
    _up_to("voltage_sag", "1", 0.15, "Voltage lost with all motors at full speed."),
    *NOISE,
    _up_to("bias_level", "1", 1.0, "Spread of the sensor biases over their typical size."),
    *(
        Parameter(
            name=f"bias_{i}",
            unit="1",
            distribution=Normal(mean=0.0, std=1.0),
            description=f"Sensor bias {i} over its spread.",
        )
        for i in range(12)
    ),
)


def noisy() -> ParameterSpace:
    """`widened` with sensor noise up to a little more than the published noise test, or none."""
    space = widened()
    return replace(space, name="quadrotor/noisy", parameters=(*space.parameters, *NOISE))


DELAY = next(p for p in IMPERFECTIONS if p.name == "control_delay")


def delayed_family() -> ParameterSpace:
    """`published` with an unknown control delay, without what `held_out` has: for proofs.

    Unknown latency is what opens the gap between a policy that knows its robot and one that does
    not; thrust, lag or wind alone hardly do, because the previous action already acts as memory.
    """
    return _with_delay(
        "quadrotor/delayed",
        {
            "thrust_to_weight": Uniform(low=1.8, high=5.0),
            "size": Uniform(low=0.02 ** (1 / 3), high=2.5 ** (1 / 3)),
            "rise_time": Uniform(low=0.03, high=0.07),
            "fall_time": Uniform(low=0.03, high=0.20),
        },
    )


def held_out_family() -> ParameterSpace:
    """Heavy and weak robots with slow motors: none of `delayed_family` is like them."""
    return _with_delay(
        "quadrotor/held_out",
        {
            "thrust_to_weight": Uniform(low=1.5, high=1.8),
            "size": Uniform(low=2.5 ** (1 / 3), high=5.0 ** (1 / 3)),
            "rise_time": Uniform(low=0.07, high=0.10),
            "fall_time": Uniform(low=0.20, high=0.30),
        },
    )


def _with_delay(name: str, narrower: dict[str, Uniform]) -> ParameterSpace:
    space = published().with_distributions(name, narrower)
    return replace(space, parameters=(*space.parameters, DELAY))


def with_motors(space: ParameterSpace, num_motors: int) -> ParameterSpace:
    """The same variety on robots with another number of motors, evenly spread.

    All that the space draws stays as it was: robot 17 of a seed has its mass and thrust-to-weight
    with six motors as with four. Motors beyond the fourth vary if the first four do.
    """
    if num_motors == 4:
        return space
    further = range(4, num_motors) if "motor_0_deviation" in space.names else ()
    count = Parameter(
        name="num_motors",
        unit="1",
        distribution=Constant(value=num_motors),
        description="Evenly spread, neighbours turning against each other; one number for all.",
        bounds=(4.0, None),
    )
    added = (count, *_motor_imperfections(further))
    return replace(
        space, name=f"{space.name} with {num_motors} motors", parameters=(*space.parameters, *added)
    )


def hexarotor() -> ParameterSpace:
    """Six motors on `noisy` robots, down to the quick motors of PX4's simulated Typhoon H480."""
    quicker = {
        "rise_time": Uniform(low=0.01, high=0.1),
        "fall_time": Uniform(low=0.02, high=0.3),
    }
    quick = noisy().with_distributions("quadrotor/quick", quicker)
    return replace(with_motors(quick, 6), name="hexarotor/noisy")


DISTRIBUTIONS = {
    "published": published,
    "widened": widened,
    "noisy": noisy,
    "diverse": diverse,
    "delayed": delayed_family,
    "held_out": held_out_family,
    "hexarotor": hexarotor,
}

FAMILY = replace(with_motors(diverse(), MAX_MOTORS), name="multirotor")
"""Every parameter that `build` and `build_imperfections` know."""
NEEDED = tuple(parameter.name for parameter in published().parameters)
