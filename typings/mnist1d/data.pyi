from typing import Any

class ObjectView:
    num_samples: int
    train_split: float
    seed: int

def get_dataset_args() -> ObjectView: ...
def make_dataset(args: ObjectView | None = ...) -> dict[str, Any]: ...
