"""Meta-training of policies, their evaluation and their export."""
