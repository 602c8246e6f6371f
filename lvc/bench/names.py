"""Names short enough for a table, and long enough to tell things apart."""

from collections import Counter
from collections.abc import Sequence


def distinct_names(forms: Sequence[Sequence[str]]) -> list[str]:
    """For each thing a name that no other one has.

    Args:
        forms: what each can be called, one form or more from short to long; where names are equal, longer ones are
            tried for all who share them. Things whose last form is the same keep it.
    """
    lengths = [0] * len(forms)
    while True:
        names = [form[length] for form, length in zip(forms, lengths, strict=True)]
        counts = Counter(names)
        longer = [
            index for index, name in enumerate(names) if counts[name] > 1 and lengths[index] < len(forms[index]) - 1
        ]
        if not longer:
            return names
        for index in longer:
            lengths[index] += 1
