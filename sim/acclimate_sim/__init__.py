"""Differentiable simulation of parametric robots, batched over robots."""
