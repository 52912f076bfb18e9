"""Adapters for frameworks of others: each needs the extra of its name."""
