"""Small tools without a noun of the lab in them: files, processes, signals, text."""
