"""Teachers: memoryless policies that see what only a simulator knows."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from acclimate_training.policies.multirotor import MultirotorPolicy
from acclimate_training.policy_config import PolicyCfg
from acclimate_training.problems.privileged import num_privileged


class LinearPerTeacher(nn.Linear):
    """A dense layer with weights of its own for each of several equal groups of robots."""

    def __init__(self, num_teachers: int, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        layers = [nn.Linear(in_features, out_features) for _ in range(num_teachers)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, input: Tensor) -> Tensor:
        """Map (num_envs, in_features) to (num_envs, out_features), first teacher's robots first."""
        groups = input.unflatten(0, (len(self.weight), -1))
        return torch.baddbmm(self.bias.unsqueeze(1), groups, self.weight.mT).flatten(0, 1)


class Bottlenecked(nn.Linear):
    """A dense layer that sees its last inputs, the privileged ones, through a few numbers only."""

    def __init__(
        self, num_privileged: int, latent_width: int, in_features: int, out_features: int
    ) -> None:
        super().__init__(in_features - num_privileged + latent_width, out_features)
        self.bottleneck = nn.Linear(num_privileged, latent_width)

    def latent(self, known: Tensor) -> Tensor:
        """Squeeze (num_envs, num_privileged) into (num_envs, latent_width), each in (-1, 1)."""
        return torch.tanh(self.bottleneck(known))

    def forward(self, input: Tensor) -> Tensor:
        """Map (num_envs, in_features) to (num_envs, out_features)."""
        width = self.bottleneck.in_features
        seen, known = input[:, :-width], input[:, -width:]
        return super().forward(torch.cat((seen, self.latent(known)), dim=-1))


def make_teachers(
    student: PolicyCfg, *, width: int, num_teachers: int = 1, latent_width: int = 0
) -> MultirotorPolicy:
    """Build teachers of a student, with its optional signals but without memory.

    Args:
        student: Whose teachers they are.
        width: Of both hidden layers.
        num_teachers: Teachers beside each other in one policy; each flies an equal share of the
            robots of a batch, in order.
        latent_width: Numbers through which a single teacher sees what is privileged; 0 for all.
    """
    cfg = replace(
        student,
        cell="none",
        integrate=False,
        privileged=num_privileged(student.num_motors),
        width=width,
        memory_width=width,
    )
    teachers = MultirotorPolicy(cfg)
    if latent_width:
        encoder = teachers.encoder
        teachers.encoder = Bottlenecked(
            cfg.privileged, latent_width, encoder.in_features, encoder.out_features
        )
    if num_teachers > 1:
        dense = {n: layer for n, layer in teachers.named_modules() if isinstance(layer, nn.Linear)}
        for name, layer in dense.items():
            own = LinearPerTeacher(num_teachers, layer.in_features, layer.out_features)
            teachers.set_submodule(name, own)
    return teachers


def latent_of(teacher: MultirotorPolicy, known: Tensor) -> Tensor:
    """What a teacher with a bottleneck makes of its privileged input (num_envs, latent_width)."""
    assert isinstance(teacher.encoder, Bottlenecked)
    return teacher.encoder.latent(known)
