"""What pytest has to know before it looks for tests."""

import os

# Scripts that tests run as processes of their own; some limit or kill the process that imports them.
collect_ignore = ["hazards"]

# Threads of OpenMP that wait by spinning keep a busy machine from the work they wait for: most tests launch so small
# kernels that they take five times as long then. Processes that tests start inherit this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
