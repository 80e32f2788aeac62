"""Regression on the outputs of a random tanh network (Kumar et al. 2024, Figs. 8, 13b, 17, 18).

::

    x ~ N(0, I)         y = teacher(x)

A point is right where the squared error, mean over the outputs, is below 0.001; the metric
`accuracy_within` gives the share of right points for other thresholds too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from suite.clock import Clock
from suite.losses import VectorSquared
from suite.models.base import ModelSpec, build_model
from suite.models.inputs import Floats
from suite.models.tanh_mlp import TanhMlpConfig
from suite.seeding import Seeds
from suite.tasks.base import TASKS, Batch, SupervisedTask
from suite.tasks.fixed_set import FixedSet, FixedSetConfig


@TASKS.register("student_teacher")
class StudentTeacherConfig(FixedSetConfig):
    """Sizes; each update sees the whole training set.

    Attributes:
        dimension: of the inputs.
        outputs: of the teacher and of the student.
        points: for training.
        test_points: for testing.
        teacher: the network whose outputs are learnt.
    """

    default_metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "accuracy_within",
        "loss",
        "parameter_norm",
        "relative_update",
    )
    smoke: ClassVar[Mapping[str, Any]] = {
        "task": {
            "kind": "student_teacher",
            "dimension": 3,
            "outputs": 2,
            "points": 12,
            "test_points": 8,
            "teacher": {"kind": "tanh_mlp", "width": 4},
        },
        "model": {"kind": "mlp", "width": 8, "norm": "layer"},
        "optimizer": {"kind": "adam", "lr": 0.3},
        "budget": 12,
    }
    kind: Literal["student_teacher"] = "student_teacher"
    dimension: Annotated[int, Field(ge=1)] = 5
    outputs: Annotated[int, Field(ge=1)] = 5
    points: Annotated[int, Field(ge=1)] = 100
    test_points: Annotated[int, Field(ge=1)] = 100
    teacher: TanhMlpConfig = TanhMlpConfig()

    @property
    def train_size(self) -> int:
        """The training points."""
        return self.points

    def spec(self) -> ModelSpec:
        """Vectors in, vectors out."""
        return ModelSpec(inputs=Floats((self.dimension,)), outputs=self.outputs)

    def build(self, seeds: Seeds, clock: Clock, device: torch.device) -> SupervisedTask:
        """Return a `StudentTeacher`."""
        return StudentTeacher(self, seeds, device)


class StudentTeacher(FixedSet):
    """Both point sets.

    Attributes:
        teacher: the network whose outputs are learnt.
    """

    criterion = VectorSquared()

    def __init__(self, config: StudentTeacherConfig, seeds: Seeds, device: torch.device) -> None:
        teacher = build_model(config.teacher, config.spec(), seeds.seed("teacher"))
        self.teacher = teacher.to(device).requires_grad_(False)

        def part(stream: str, points: int) -> Batch:
            shape, generator = (points, config.dimension), seeds.torch(stream)
            x = torch.randn(shape, generator=generator, dtype=torch.float64)
            x = x.to(device, torch.get_default_dtype())
            return x, self.teacher(x)

        test = part("test", config.test_points)
        super().__init__(part("train", config.points), test, test[0][:64])
