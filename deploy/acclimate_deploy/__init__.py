"""What a robot needs: load a policy, build its signals, run it, and guard its output."""
