"""Installing: what pip makes of this repository, and the lock file."""
