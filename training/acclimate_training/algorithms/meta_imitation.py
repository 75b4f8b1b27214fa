"""Meta-imitation: teachers learn first, then one policy with memory learns from them.

The recipe of RAPTOR (Eschmann et al., arXiv 2509.11481) with two changes: teachers learn by
gradients through the simulator instead of off-policy reinforcement learning, and a single teacher
that sees the true robot may stand for one teacher per robot. How the student learns is in
`imitation`; this module says who learns when, and on which robots.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from acclimate_sim.multirotor import (
    DISTRIBUTIONS,
    Imperfections,
    MultirotorParameters,
    sample_imperfect,
)
from acclimate_sim.trees import steps
from acclimate_training.algorithms.algorithm import (
    WHOLE_RUN,
    Algorithm,
    Draw,
    Iterate,
    Origin,
    Outcome,
    Part,
    descend,
    fresh_episodes,
    fresh_origin,
    stream,
    stream_seed,
)
from acclimate_training.algorithms.batches import draw_share, reordered
from acclimate_training.algorithms.gradient_training import gradient_steps
from acclimate_training.algorithms.gradients import (
    Taming,
    constants,
    make_step,
    moments,
    take_off,
)
from acclimate_training.algorithms.imitation import Classroom, give_lesson, make_lesson_step
from acclimate_training.algorithms.soap import Soap
from acclimate_training.algorithms.unroll import make_unroll
from acclimate_training.config import TrainCfg
from acclimate_training.parallel import Team
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policies.teachers import make_teachers
from acclimate_training.problems.episodes import SITUATIONS, Situations, episodes_of
from acclimate_training.problems.multirotor_tracking import Episodes, TrackingCost

ROBOTS, OFFSETS = range(2)
"""Second keys of the random numbers of a whole run."""


def by_imitation(cfg: TrainCfg, device: torch.device, team: Team) -> Algorithm:
    """Train the teachers for their share of the iterations, then the policy for the rest."""
    taught = cfg.imitation.teacher_iterations
    study = replace(cfg, algorithm="gradients", iterations=taught)
    practice = replace(
        study, iterations=cfg.iterations - taught, learning_rate=cfg.imitation.learning_rate
    )
    room = make_classroom(cfg, device)
    optimizer = Soap(room.learners.parameters(), lr=practice.learning_rate)
    teacher_optimizer = Soap(room.teacher.parameters(), lr=study.learning_rate)
    draw = draw_for(cfg, device, team)
    teach = gradient_steps(
        study, room.teacher, teacher_optimizer, lambda i, n: exactly_sensed(draw(i, n)), team
    )
    learn = imitation_steps(practice, room, optimizer, lambda i, n: draw(taught + i, n), team)

    def iterate(iteration: int) -> Outcome:
        return teach(iteration) if iteration < taught else learn(iteration - taught)

    parts: dict[str, Part] = {
        "policy": room.student,
        "optimizer": optimizer,
        "teacher": room.teacher,
        "teacher_optimizer": teacher_optimizer,
    }
    if room.teller is not None:
        parts["teller"] = room.teller
    return Algorithm(parts=parts, iterate=iterate, origin=origin_for(cfg, team))


def make_classroom(cfg: TrainCfg, device: torch.device) -> Classroom:
    """Build teachers and student, untrained."""
    settings = cfg.imitation
    student = MultirotorPolicy(cfg.policy).to(device)
    teacher = make_teachers(
        cfg.policy,
        width=settings.teacher_width,
        num_teachers=settings.num_teachers,
        latent_width=settings.latent,
    ).to(device)
    teller = None
    if settings.latent:
        teller = nn.Linear(student.memory_width, settings.latent).to(device)
    return Classroom(
        teacher=teacher, student=student, teller=teller, latent_weight=settings.latent_weight
    )


def draw_for(cfg: TrainCfg, device: torch.device, team: Team) -> Draw:
    """Fresh robots for a privileged teacher; always the same ones where each has its own."""
    if cfg.imitation.teachers == "privileged":
        return fresh_episodes(cfg, device, team)
    teachers = cfg.imitation.num_teachers
    robots, imperfections = _fleet(cfg, teachers)
    situations, preview = SITUATIONS[cfg.situations], cfg.policy.preview
    # A batch goes round the teachers, so that every share has equally many of each; then those of
    # the same teacher come to lie side by side.
    sorted_by_teacher = torch.arange(cfg.num_envs // team.size).view(-1, teachers).T.flatten()

    def draw(iteration: int, horizon: int) -> Episodes:
        def draw_block(block: int, envs: range) -> Episodes:
            which = torch.tensor(envs) % teachers
            generator = stream(cfg.seed, 1 + block, iteration)
            return episodes_of(
                robots[which], imperfections[which], situations, horizon, generator, preview=preview
            )

        share = draw_share(draw_block, cfg.num_envs, team)
        return reordered(share, sorted_by_teacher).to(device)

    return draw


def origin_for(cfg: TrainCfg, team: Team) -> Origin:
    """Where the robots of `draw_for` come from."""
    if cfg.imitation.teachers == "privileged":
        return fresh_origin(cfg)
    seed = stream_seed(cfg.seed, WHOLE_RUN, ROBOTS)
    share = cfg.num_envs // team.size
    of_each_teacher = share // cfg.imitation.num_teachers
    return lambda iteration, env: (seed, env % share // of_each_teacher)


def _fleet(cfg: TrainCfg, num_robots: int) -> tuple[MultirotorParameters, Imperfections]:
    """A run's known robots, in float32."""
    generator = stream(cfg.seed, WHOLE_RUN, ROBOTS)
    robots, imperfections = sample_imperfect(DISTRIBUTIONS[cfg.space](), num_robots, generator)
    return robots.to(torch.float32), imperfections.to(torch.float32)


def exactly_sensed(episodes: Episodes) -> Episodes:
    """The same episodes with sensors that tell the truth, as teachers see it."""
    sensors = episodes.imperfections
    return replace(
        episodes,
        imperfections=replace(
            sensors,
            sensor_noise=torch.zeros_like(sensors.sensor_noise),
            sensor_bias=torch.zeros_like(sensors.sensor_bias),
        ),
        disturbances=replace(
            episodes.disturbances, dropout=torch.zeros_like(episodes.disturbances.dropout)
        ),
    )


def imitation_steps(
    cfg: TrainCfg,
    room: Classroom,
    optimizer: torch.optim.Optimizer,
    draw: Draw,
    team: Team,
) -> Iterate:
    """Build the function that flies what `draw` gives and takes one step towards the teacher."""
    unroll = make_unroll(make_lesson_step(room), room.learners, compile=cfg.compile)
    offsets: list[Tensor] = []  # measured once, when the teacher has learned all it will

    def iterate(iteration: int) -> Outcome:
        horizon = cfg.horizon(iteration)
        episodes = draw(iteration, horizon)
        if not offsets:
            offsets.append(steady_offsets(cfg, room.teacher, episodes.start.position.device))
        student_flies = iteration >= cfg.imitation.teacher_flies * cfg.iterations
        lesson = give_lesson(room, unroll, episodes, offsets[0], student_flies=student_flies)
        norm = descend(
            optimizer,
            lesson.loss,
            learning_rate=cfg.learning_rate_at(iteration),
            max_gradient_norm=cfg.max_gradient_norm * horizon,  # the loss is summed over time
            team=team,
        )
        figures = {
            "imitation_loss": lesson.loss.item() / horizon,
            "action_error": lesson.action_error.item() / horizon,
            "final_distance_m/median": lesson.final_distance_m.median().item(),
            "lost_fraction": lesson.lost.mean().item(),
            "gradient_norm": norm / horizon,
            "horizon": float(horizon),
        }
        return Outcome(figures=figures, robot_cost=lesson.robot_loss)

    return iterate


def steady_offsets(cfg: TrainCfg, teacher: MultirotorPolicy, device: torch.device) -> Tensor:
    """Where each teacher holds its robots instead of at the reference, (num_teachers, 3) in m.

    Mean position error over the second half of calm flights without force, lost robots left out
    (RAPTOR: 100 flights, steps 250 to 500). It is the same in all processes of a team.
    """
    alone = cfg.imitation.teachers == "privileged"
    num_teachers = cfg.imitation.num_teachers
    num_robots = cfg.num_envs if alone else num_teachers
    robots, imperfections = _fleet(cfg, num_robots)
    which = torch.arange(num_robots).repeat_interleave(cfg.num_envs // num_robots)
    robots, imperfections = robots[which], imperfections[which]
    episodes = exactly_sensed(
        episodes_of(
            replace(robots, force_std_n=torch.zeros_like(robots.force_std_n)),
            imperfections,
            Situations(moving=0.0),
            cfg.last_horizon,
            stream(cfg.seed, WHOLE_RUN, OFFSETS),
            preview=cfg.policy.preview,
        )
    ).to(device)
    weights = TrackingCost()
    control_step = make_step(teacher, weights, Taming())
    errors = []
    with torch.no_grad():
        carry = take_off(teacher, episodes)
        for moment in steps(moments(episodes, weights)):
            carry, _, _ = control_step(*constants(episodes), carry, moment)
            errors.append(carry.state.position - moment.position)
    error = torch.stack(errors[len(errors) // 2 :]).mean(0) * carry.flying.unsqueeze(-1)
    flying = carry.flying.view(num_teachers, -1, 1).sum(1)
    return error.view(num_teachers, -1, 3).sum(1) / flying.clamp_min(1.0)
