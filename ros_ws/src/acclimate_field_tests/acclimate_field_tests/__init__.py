"""Scripted field tests: the plan of a flight, and the node that flies it."""
