"""How fast the service is, side by side with what a user would otherwise run."""
