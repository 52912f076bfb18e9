"""Enums, states, transition tables and rules: pure, immutable, no I/O."""
