"""Meta-imitation: teachers learn, the student learns from them, and what it is shown is right."""

import os
import signal
from pathlib import Path
from typing import Literal

import pytest
import torch

from acclimate_contract import ConfigError
from acclimate_deploy.policy import load_policy
from acclimate_sim.multirotor import DISTRIBUTIONS
from acclimate_training.algorithms.gradients import Taming, fly, make_step
from acclimate_training.algorithms.imitation import Classroom, give_lesson, make_lesson_step
from acclimate_training.algorithms.meta_imitation import (
    by_imitation,
    draw_for,
    exactly_sensed,
    make_classroom,
    steady_offsets,
)
from acclimate_training.algorithms.unroll import looped
from acclimate_training.checkpoint import load_checkpoint
from acclimate_training.config import ImitationCfg, TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policies.teachers import (
    Bottlenecked,
    LinearPerTeacher,
    latent_of,
    make_teachers,
)
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.episodes import Situations, draw_episodes
from acclimate_training.problems.multirotor_tracking import Episodes, TrackingCost
from acclimate_training.problems.privileged import num_privileged
from acclimate_training.trainer import CHECKPOINT, Report, train

CPU = torch.device("cpu")


def tiny(out: Path = Path("unused"), **changes: object) -> TrainCfg:
    """A small run; changes go to every part of the configuration that has the field."""
    lessons = {"teacher_iterations": 3, "teacher_width": 8}
    small = {
        "iterations": 6,
        "num_envs": 8,
        "first_horizon": 5,
        "last_horizon": 8,
        "compile": False,
        "algorithm": "meta-imitation",
    }
    of_lessons, of_run = ImitationCfg.__dataclass_fields__, TrainCfg.__dataclass_fields__
    lessons |= {name: value for name, value in changes.items() if name in of_lessons}
    small |= {name: value for name, value in changes.items() if name in of_run}
    return TrainCfg(out=out, imitation=ImitationCfg(**lessons), **small)


def episodes(space: str = "published", num_envs: int = 8, num_steps: int = 8) -> Episodes:
    generator = torch.Generator().manual_seed(0)
    return draw_episodes(DISTRIBUTIONS[space](), Situations(), num_envs, num_steps, generator)


def weights_of(policy: MultirotorPolicy) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


@pytest.mark.parametrize("teachers", ["privileged", 4])
def test_teachers_learn_to_fly_and_the_student_to_do_as_they_do(
    teachers: Literal["privileged"] | int,
) -> None:
    """Both are judged before and after on one batch of flights that nobody trained on."""
    torch.manual_seed(0)
    cfg = tiny(
        teachers=teachers,
        teacher_iterations=15,
        iterations=35,
        first_horizon=15,
        last_horizon=15,
        learning_rate=1e-2,
    )
    algorithm = by_imitation(cfg, CPU, Team())
    teacher, student = algorithm.parts["teacher"], algorithm.parts["policy"]
    assert isinstance(teacher, MultirotorPolicy)
    assert isinstance(student, MultirotorPolicy)
    room = Classroom(teacher=teacher, student=student, teller=None, latent_weight=0.0)
    exam = exactly_sensed(draw_for(cfg, CPU, Team())(1000, 15))
    taught, weights = cfg.imitation.teacher_iterations, TrackingCost()
    unroll = looped(make_step(teacher, weights, Taming()))

    def cost() -> float:
        with torch.no_grad():
            return fly(teacher, unroll, exam, weights).cost.item()

    def error(offsets: torch.Tensor) -> float:
        unroll = looped(make_lesson_step(room))
        with torch.no_grad():
            return give_lesson(room, unroll, exam, offsets, student_flies=True).loss.item()

    cost_before = cost()
    for i in range(taught):
        algorithm.iterate(i)
    # In 15 steps robots hardly move: most of the cost is where they start.
    assert cost() < 0.995 * cost_before
    graduated, offsets = weights_of(teacher), steady_offsets(cfg, teacher, CPU)
    error_before = error(offsets)
    for i in range(taught, cfg.iterations):
        algorithm.iterate(i)
    assert error(offsets) < 0.7 * error_before
    assert torch.equal(weights_of(teacher), graduated)


def test_interrupted_run_goes_on_as_if_never_interrupted_in_either_phase(tmp_path: Path) -> None:
    """What it exports is the student."""

    def interrupt_at(when: int) -> Report:
        def report(iteration: int, figures: dict[str, float]) -> None:
            if iteration == when:
                os.kill(os.getpid(), signal.SIGINT)

        return report

    cfg = tiny(tmp_path / "parts", latent=4, iterations=4, teacher_iterations=2)
    for when in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            train(cfg, interrupt_at(when))
    policy = load_policy(train(cfg), family="quadrotor")
    assert policy.manifest.num_parameters == 2068
    # The same in one go, without the trainer.
    torch.manual_seed(cfg.seed)
    whole = by_imitation(cfg, CPU, Team())
    for i in range(cfg.iterations):
        whole.iterate(i)
    saved = load_checkpoint(tmp_path / "parts" / CHECKPOINT).parts
    for part in ("policy", "teacher", "teller"):
        for name, value in whole.parts[part].state_dict().items():
            assert torch.equal(saved[part][name], value), (part, name)


def test_loss_is_that_of_the_student_replayed_on_what_it_saw() -> None:
    """Backpropagation goes through the student's memory for the whole flight and nothing else."""
    room = make_classroom(tiny(), CPU)
    seen, labels = [], []
    room.student.register_forward_hook(lambda m, inputs, outputs: seen.append(inputs[0]))
    room.teacher.register_forward_hook(lambda m, inputs, outputs: labels.append(outputs[0]))
    lesson = give_lesson(
        room, looped(make_lesson_step(room)), episodes(), torch.zeros(1, 3), student_flies=True
    )
    assert not lesson.lost.any()
    parameters = list(room.student.parameters())
    ours = torch.autograd.grad(lesson.loss, parameters)
    memory, loss = room.student.initial_memory(8), torch.zeros(())
    for signals, label in zip(seen[:8], labels, strict=True):
        action, memory = room.student(signals, memory)
        loss = loss + (action - label).square().mean()
    assert loss.item() == pytest.approx(lesson.loss.item(), rel=1e-5)
    # The same sums of float32 numbers in another order.
    torch.testing.assert_close(ours, torch.autograd.grad(loss, parameters), rtol=1e-3, atol=1e-6)


def test_teacher_flies_when_the_student_does_not() -> None:
    room, batch = make_classroom(tiny(), CPU), episodes(num_steps=20)
    unroll = looped(make_lesson_step(room))
    teaching = looped(make_step(room.teacher, TrackingCost(), Taming()))
    by_teacher = fly(room.teacher, teaching, batch, TrackingCost()).final_distance_m
    offsets = torch.zeros(1, 3)
    lesson = give_lesson(room, unroll, batch, offsets, student_flies=False)
    # The cost smooths the distance by a tenth of a millimetre.
    torch.testing.assert_close(lesson.final_distance_m, by_teacher, rtol=0, atol=2e-4)
    lesson = give_lesson(room, unroll, batch, offsets, student_flies=True)
    assert (lesson.final_distance_m - by_teacher).abs().max() > 1e-3


def test_student_sees_the_position_less_the_offset_of_its_teacher() -> None:
    room = make_classroom(tiny(teachers=2), CPU)
    seen, truth = [], []
    room.student.register_forward_hook(lambda m, inputs, outputs: seen.append(inputs[0]))
    room.teacher.register_forward_hook(lambda m, inputs, outputs: truth.append(inputs[0]))
    offsets = torch.tensor([[0.1, 0.0, 0.0], [0.0, -0.2, 0.3]])
    give_lesson(room, looped(make_lesson_step(room)), episodes(), offsets, student_flies=True)
    for student, teacher in zip(seen, truth, strict=True):
        offset = teacher["position_error"] - student["position_error"]
        torch.testing.assert_close(offset, offsets.repeat_interleave(4, dim=0))


def test_offset_of_each_teacher_is_where_its_robots_end() -> None:
    cfg = tiny(teachers=2, last_horizon=30)
    teacher = make_classroom(cfg, CPU).teacher
    with torch.no_grad():
        teacher.head.weight.zero_()
        teacher.head.bias.copy_(torch.tensor([[5.0] * 4, [-5.0] * 4]))  # full thrust, and none
    (_, _, up), (_, _, down) = steady_offsets(cfg, teacher, CPU).tolist()
    assert up > 0.05
    assert down < -0.05


def test_teachers_do_not_share_weights() -> None:
    teachers = make_teachers(PolicyCfg(), width=8, num_teachers=4)
    batch = episodes()
    fly(teachers, looped(make_step(teachers, TrackingCost(), Taming())), batch, TrackingCost())
    layer = LinearPerTeacher(4, 3, 2)
    x = torch.randn(8, 3)
    alone = [
        torch.nn.functional.linear(part, layer.weight[i], layer.bias[i])
        for i, part in enumerate(x.split(2))
    ]
    torch.testing.assert_close(layer(x), torch.cat(alone))
    layer(x)[:2].sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[0].abs().min() > 0.0
    assert layer.weight.grad[1:].abs().max() == 0.0


def test_known_robots_stay_the_same_and_their_flights_do_not() -> None:
    draw = draw_for(tiny(teachers=2), CPU, Team())
    one, two = draw(0, 3), draw(1, 3)
    assert torch.equal(one.robots.mass_kg, two.robots.mass_kg)
    assert (one.robots.mass_kg[:4] == one.robots.mass_kg[0]).all()
    assert one.robots.mass_kg[0] != one.robots.mass_kg[4]
    assert (one.start.linear_velocity != two.start.linear_velocity).any()
    share = draw_for(tiny(teachers=2, workers=2), CPU, Team(rank=1, size=2))(0, 3)
    assert torch.equal(share.robots.mass_kg, one.robots.mass_kg[::2])


def test_teacher_with_a_bottleneck_knows_the_robot_through_its_latent_only() -> None:
    teacher = make_teachers(PolicyCfg(), width=8, latent_width=3)
    known = torch.randn(5, num_privileged(4))
    latent = latent_of(teacher, known)
    assert latent.shape == (5, 3)
    assert isinstance(teacher.encoder, Bottlenecked)
    x = torch.randn(1, teacher.encoder.in_features - 3).expand(5, -1)
    assert teacher.encoder(torch.cat((x, known), 1)).std(0).min() > 0.0
    torch.nn.init.zeros_(teacher.encoder.bottleneck.weight)
    assert teacher.encoder(torch.cat((x, known), 1)).std(0).max() < 1e-6


def test_memory_learns_to_tell_the_latent() -> None:
    """The part of the loss that is not due to the actions falls; without a latent there is none."""
    torch.manual_seed(0)
    cfg = tiny(
        latent=4,
        latent_weight=1.0,
        learning_rate=2e-2,
        teacher_iterations=1,
        iterations=51,
        last_horizon=5,
    )
    algorithm = by_imitation(cfg, CPU, Team())
    told = [algorithm.iterate(i).figures for i in range(cfg.iterations)][1:]
    errors = [f["imitation_loss"] - f["action_error"] for f in told]
    assert sum(errors[-5:]) < 0.6 * sum(errors[:5]), errors
    room = make_classroom(tiny(), CPU)
    lesson = give_lesson(
        room, looped(make_lesson_step(room)), episodes(), torch.zeros(1, 3), student_flies=True
    )
    assert lesson.loss.item() == lesson.action_error.item()


def test_teachers_sense_exactly_on_the_same_robots() -> None:
    batch = episodes("diverse")
    exact = exactly_sensed(batch)
    assert batch.imperfections.sensor_noise.abs().max() > 0.0
    assert exact.imperfections.sensor_noise.abs().max() == 0.0
    assert exact.imperfections.sensor_bias.abs().max() == 0.0
    assert torch.equal(exact.imperfections.control_delay_s, batch.imperfections.control_delay_s)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher_iterations": 6}, "leave none of 6"),
        ({"teacher_iterations": 0}, "teacher_iterations is 0"),
        ({"teachers": 3}, "num_envs 8 .* 3 teachers"),
        ({"teachers": 0}, "teachers is 0"),
        ({"teachers": 4, "latent": 8}, "4 teachers have a latent"),
        ({"teacher_flies": 1.5}, "teacher_flies 1.5"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        (
            {"latent": 8, "policy": PolicyCfg(cell="none", integrate=False)},
            "without memory cannot tell",
        ),
    ],
)
def test_impossible_lessons_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s){message}.*Fix:"):
        tiny(**settings)
