"""``lvc bench``: rate, quality and speed of lvc and of the codecs people use, measured on the same frames in one run.

``metrics`` and ``curves`` say what is measured, ``measure`` measures one point, ``run`` all of them, ``summary`` orders
the rows, ``report`` shows them; ``session`` ties these together and ``command`` is the command line.
"""
