"""What a person checks before spending GPU-hours: each check a pure function, what it looks at apart."""
