"""Let the tests of the replay share `traces`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
