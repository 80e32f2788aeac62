from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

class SVC:
    coef_: NDArray[np.float64]
    def __init__(self, *, kernel: str = ..., C: float = ..., tol: float = ...) -> None: ...
    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> Self: ...
