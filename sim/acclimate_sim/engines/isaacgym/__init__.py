"""Quadrotors in Isaac Gym, and a working fake of its tensor API to try that without it."""
