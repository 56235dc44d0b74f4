"""The project's version, of which pyproject.toml takes it."""

VERSION = "0.1.0"
