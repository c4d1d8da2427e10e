"""What the estimators will make of a model's rewards on its data, before anything is trained.

`groups`: the record and its facts. `decomposition`: each method as GRPO's advantage, scaled and shifted. `gradient`:
how far its gradient keeps the true direction. `conclusions`: what follows, in sentences. `page` writes it down.
"""

from analysis.probe.command import main as main
