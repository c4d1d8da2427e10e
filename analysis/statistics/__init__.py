"""Statistical inference over seeds."""
