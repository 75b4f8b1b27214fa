"""On-policy imitation: the student flies, the teacher says what it would have done.

The loss is the squared difference of the actions in every state of the flight, and the student's
memory is trained through the whole of it; nothing flows back through the physics, so that a flight
costs one backward pass of a small network per step. As an option the memory also learns to tell the
latent through which the teacher sees the robot (Kumar et al. 2021, RMA, arXiv 2107.04034).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acclimate_sim.fused.row_step import Step
from acclimate_sim.multirotor import (
    Imperfections,
    MultirotorParameters,
    advance,
    delayed,
    measure,
    signals,
)
from acclimate_sim.references import Reference
from acclimate_training.algorithms.gradients import Carry, Moment, moments, take_off
from acclimate_training.algorithms.unroll import Unroll
from acclimate_training.policies import MultirotorPolicy
from acclimate_training.policies.teachers import latent_of
from acclimate_training.problems.multirotor_tracking import Episodes, TrackingCost, stop_lost
from acclimate_training.problems.privileged import privileged


@dataclass(frozen=True, kw_only=True)
class Classroom:
    """Who teaches and who learns.

    Attributes:
        teacher: One policy, or several beside each other.
        student: What is exported in the end.
        teller: Reads the teacher's latent off the student's memory; none without a latent.
        latent_weight: Of the latent's squared error in the loss.
    """

    teacher: MultirotorPolicy
    student: MultirotorPolicy
    teller: nn.Linear | None
    latent_weight: float

    @property
    def learners(self) -> nn.ModuleList:
        """What learns from the teacher."""
        return nn.ModuleList([self.student] if self.teller is None else [self.student, self.teller])


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Outcome of one batch of flights under the eyes of the teacher.

    Attributes:
        loss: Scalar, mean over robots of the squared errors summed over time.
        action_error: Scalar, the part of it that is due to the actions.
        robot_loss: (num_envs,), summed over time.
        final_distance_m: (num_envs,), mean over the last 100 steps.
        lost: (num_envs,), 1 where control was lost.
    """

    loss: Tensor
    action_error: Tensor
    robot_loss: Tensor
    final_distance_m: Tensor
    lost: Tensor


def give_lesson(
    room: Classroom,
    unroll: Unroll,
    episodes: Episodes,
    offsets: Tensor,
    *,
    student_flies: bool,
) -> Lesson:
    """Fly all episodes to their end, the student from an empty memory.

    Args:
        room: Who teaches and who learns.
        unroll: Repeats the step of `make_lesson_step`.
        episodes: What is flown.
        offsets: (num_teachers, 3) in m, where each teacher rests.
        student_flies: Whether the student flies, or the teacher.
    """
    offset = offsets.repeat_interleave(len(episodes.robots) // len(offsets), dim=0)
    flies = torch.full_like(offset[:, :1], float(student_flies))
    carry, (of_actions, of_latent, distances) = unroll(
        (episodes.robots, episodes.imperfections, offset, flies),
        take_off(room.student, episodes),
        moments(episodes, TrackingCost()),
    )
    robot_loss = of_actions.sum(0) + room.latent_weight * of_latent.sum(0)
    return Lesson(
        loss=robot_loss.mean(),
        action_error=of_actions.detach().sum(0).mean(),
        robot_loss=robot_loss.detach(),
        final_distance_m=distances[-100:].detach().mean(0),
        lost=1.0 - carry.flying.detach(),
    )


def make_lesson_step(room: Classroom) -> Step:
    """Build one control step in which the teacher corrects the student.

    The teacher's offset is subtracted from the position that the student sees, in flight and in
    the loss alike: where the teacher comes to rest, the student believes to be at the reference,
    and so it learns to rest there.
    """

    def control_step(
        robots: MultirotorParameters,
        imperfections: Imperfections,
        offset: Tensor,
        student_flies: Tensor,
        carry: Carry,
        moment: Moment,
    ) -> tuple[Carry, Tensor, Tensor, Tensor]:
        now = moment.disturbances
        reference = Reference(position=moment.position, linear_velocity=moment.velocity)
        last = carry.actions[:, 0]
        reading = measure(imperfections, now, carry.state, carry.reading)
        seen = signals(reading, reference, last, moment.elapsed_s, moment.preview)
        seen["position_error"] = seen["position_error"] - offset
        truth = signals(carry.state, reference, last, moment.elapsed_s, moment.preview)
        truth["privileged"] = privileged(robots, imperfections, now, carry.state, carry.actions)
        with torch.no_grad():
            label, _ = room.teacher(truth, room.teacher.initial_memory(len(robots)))
        action, memory = room.student(seen, carry.memory)
        action_error = (action - label).square().mean(-1)
        latent_error = _latent_error(room, memory, truth["privileged"])
        flown = torch.where(student_flies > 0.0, action.detach(), label)
        actions = torch.cat((flown.unsqueeze(1), carry.actions[:, :-1]), dim=1)
        setpoint = delayed(imperfections, now, actions)
        state = advance(robots, imperfections, now, carry.state, setpoint)
        distance = (state.position - reference.position).norm(dim=-1)
        state, flying = stop_lost(state, distance)
        still = carry.flying * flying
        # A robot's last step before it is lost still teaches: its state was a real one.
        action_error, latent_error = carry.flying * action_error, carry.flying * latent_error
        carry = Carry(state=state, reading=reading, memory=memory, actions=actions, flying=still)
        return carry, action_error, latent_error, distance

    return control_step


def _latent_error(room: Classroom, memory: Tensor, known: Tensor) -> Tensor:
    """Squared error (num_envs,) of the latent as read off the student's memory; 0 without one."""
    if room.teller is None:
        return torch.zeros_like(known[:, 0])
    with torch.no_grad():
        latent = latent_of(room.teacher, known)
    return (room.teller(memory) - latent).square().mean(-1)
