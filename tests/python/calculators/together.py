"""EMT whose first step waits until as many processes as there should be have come to theirs."""

import os
import time
from pathlib import Path

from ase.calculators.calculator import all_changes
from ase.calculators.emt import EMT


class Together(EMT):
    def __init__(self, count, meeting):
        super().__init__()
        self.count, self.meeting = count, Path(meeting)

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        (self.meeting / str(os.getpid())).touch()
        while len(list(self.meeting.iterdir())) < self.count:
            time.sleep(0.01)
        super().calculate(atoms, properties, all_changes)


def setup(way):
    count, meeting = way.split(" ", 1)
    return Together(int(count), meeting)
