"""From runs to the paper's tables and figures. Imports gapo_lab, and is imported by nothing of it."""
