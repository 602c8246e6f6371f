"""What holds for all tests."""

import signal

# Shells start background jobs with Ctrl-C ignored, which processes that tests start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
