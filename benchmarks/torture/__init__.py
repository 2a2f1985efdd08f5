"""Long runs that try to lose data or take the service down, each held to a goal."""
