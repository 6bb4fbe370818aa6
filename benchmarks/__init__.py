"""Measurements of speed and of verdicts; see README.md. Run as modules from the root of the repository."""
