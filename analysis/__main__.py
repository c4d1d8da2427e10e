"""`python -m analysis`: says which commands there are."""

import sys

COMMANDS = """python -m analysis.report STUDY   tables, figures and statistics of a study's runs
python -m analysis.page PAGE      the made parts of a results page, from an archive of runs
python -m analysis.check paper    misprints in the paper's tables or one's own, and what stands out from noise
python -m analysis.probe WORDS    what they make of a model's rewards on its data, before training
python -m analysis.replay REWARDS what methods make of recorded rewards, without training"""

if __name__ == "__main__":
    print(COMMANDS)
    sys.exit(0 if {"-h", "--help"} & set(sys.argv) else 2)
