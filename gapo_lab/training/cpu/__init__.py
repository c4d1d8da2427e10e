"""verl on a machine without a GPU: engine, platform, rollout server, fork server."""
