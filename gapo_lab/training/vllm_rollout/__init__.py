"""verl's own vLLM classes as a run uses them: sockets and shared memory of its own, with a GPU or without."""
