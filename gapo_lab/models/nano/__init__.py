"""The shipped models of about a million parameters: network, tokenizer, warm start, checkpoints."""
