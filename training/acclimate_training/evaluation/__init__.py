"""Evaluation: fly policies on robots they have never met and report how well they did."""
