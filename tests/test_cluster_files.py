from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CLUSTER = Path(__file__).parent.parent / "cluster"


@pytest.mark.ray
@pytest.mark.parametrize("name", ["aws", "gcp", "local"])
def test_ray_accepts_the_cluster_file(name: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    validate_config(prepare_config(config))


def test_rayjob_has_the_shape_of_the_resource() -> None:
    job = yaml.safe_load((CLUSTER / "kuberay.yaml").read_text())
    assert job["kind"] == "RayJob"
    spec = job["spec"]
    assert spec["entrypoint"].startswith("rewarm-suite run ")
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_every_place_pins_the_same_ray() -> None:
    root = CLUSTER.parent
    (pin,) = [
        line
        for line in (root / "constraints.txt").read_text().splitlines()
        if line.startswith("ray==")
    ]
    version = pin.removeprefix("ray==")
    for name in ("aws", "gcp"):
        image = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())["docker"]["image"]
        assert f":{version}-" in image
    job = yaml.safe_load((CLUSTER / "kuberay.yaml").read_text())
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version
