"""The embedded default: its generator of Java functions, its model, and the chain that ``--demo`` runs."""
