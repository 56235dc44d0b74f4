"""What joins the rooms, and nothing else: a run from its configuration to its metrics."""
