"""A module for each group: its rows, and how what was measured becomes theirs."""
