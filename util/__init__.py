"""What belongs to no room: errors, atomic files, hooks, seeds, run tracking."""
