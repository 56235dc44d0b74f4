"""The edit: request, key, value, rank-one update; masked to the active features, applied and taken back."""
