from typing import Any

import numpy as np
from numpy.typing import NDArray

class Bunch(dict[str, Any]):
    images: NDArray[np.float64]
    target: NDArray[np.int64]

def load_digits() -> Bunch: ...
