"""Which tensors projection takes of each registered model: results rest on it, so it is pinned."""

from __future__ import annotations

TABLE = """
cnn-none invariant: -
cnn-none matrices: 0 2 4 7 9
cnn-layer invariant: 0 3 6 10
cnn-layer matrices: 0 3 6 10 13
committee invariant: -
committee matrices: hidden
data_efficient_cnn-none invariant: -
data_efficient_cnn-none matrices: torso.conv1 torso.conv2 head.advantage.hidden
  head.advantage.output head.value.hidden head.value.output
data_efficient_cnn-none matrices: conv1 conv2 hidden output
data_efficient_cnn-layer invariant: torso.conv1 torso.conv2 head.advantage.hidden
  head.value.hidden
data_efficient_cnn-layer invariant: conv1 conv2 hidden
data_efficient_cnn-layer matrices: torso.conv1 torso.conv2 head.advantage.hidden
  head.advantage.output head.value.hidden head.value.output
data_efficient_cnn-layer matrices: conv1 conv2 hidden output
diagonal invariant: -
diagonal matrices: =u =v
impala_cnn-none invariant: -
impala_cnn-none matrices: torso.section1.0 torso.section1.2.branch.1 torso.section1.2.branch.3
  torso.section1.3.branch.1 torso.section1.3.branch.3 torso.section2.0 torso.section2.2.branch.1
  torso.section2.2.branch.3 torso.section2.3.branch.1 torso.section2.3.branch.3 torso.section3.0
  torso.section3.2.branch.1 torso.section3.2.branch.3 torso.section3.3.branch.1
  torso.section3.3.branch.3 head.advantage.hidden head.advantage.output head.value.hidden
  head.value.output
impala_cnn-none matrices: section1.0 section1.2.branch.1 section1.2.branch.3 section1.3.branch.1
  section1.3.branch.3 section2.0 section2.2.branch.1 section2.2.branch.3 section2.3.branch.1
  section2.3.branch.3 section3.0 section3.2.branch.1 section3.2.branch.3 section3.3.branch.1
  section3.3.branch.3 hidden output
impala_cnn-layer invariant: torso.section1.0 torso.section1.3.branch.1 torso.section1.3.branch.4
  torso.section1.4.branch.1 torso.section1.4.branch.4 torso.section2.0 torso.section2.3.branch.1
  torso.section2.3.branch.4 torso.section2.4.branch.1 torso.section2.4.branch.4 torso.section3.0
  torso.section3.3.branch.1 torso.section3.3.branch.4 torso.section3.4.branch.1
  torso.section3.4.branch.4 head.advantage.hidden head.value.hidden
impala_cnn-layer invariant: section1.0 section1.3.branch.1 section1.3.branch.4 section1.4.branch.1
  section1.4.branch.4 section2.0 section2.3.branch.1 section2.3.branch.4 section2.4.branch.1
  section2.4.branch.4 section3.0 section3.3.branch.1 section3.3.branch.4 section3.4.branch.1
  section3.4.branch.4 hidden
impala_cnn-layer matrices: torso.section1.0 torso.section1.3.branch.1 torso.section1.3.branch.4
  torso.section1.4.branch.1 torso.section1.4.branch.4 torso.section2.0 torso.section2.3.branch.1
  torso.section2.3.branch.4 torso.section2.4.branch.1 torso.section2.4.branch.4 torso.section3.0
  torso.section3.3.branch.1 torso.section3.3.branch.4 torso.section3.4.branch.1
  torso.section3.4.branch.4 head.advantage.hidden head.advantage.output head.value.hidden
  head.value.output
impala_cnn-layer matrices: section1.0 section1.3.branch.1 section1.3.branch.4 section1.4.branch.1
  section1.4.branch.4 section2.0 section2.3.branch.1 section2.3.branch.4 section2.4.branch.1
  section2.4.branch.4 section3.0 section3.3.branch.1 section3.3.branch.4 section3.4.branch.1
  section3.4.branch.4 hidden output
linearised invariant: -
linearised matrices: inner.1 inner.3 inner.5
matrix_factors invariant: -
matrix_factors matrices: =u =v
mean_field_mlp invariant: -
mean_field_mlp matrices: hidden.0 hidden.1 hidden.2 readout
mlp-none invariant: -
mlp-none matrices: torso.1 head.advantage.hidden head.advantage.output head.value.hidden
  head.value.output
mlp-none matrices: 1 3 5
mlp-layer invariant: torso.1 head.advantage.hidden head.value.hidden
mlp-layer invariant: 1 4
mlp-layer matrices: torso.1 head.advantage.hidden head.advantage.output head.value.hidden
  head.value.output
mlp-layer matrices: 1 4 7
mlp-rms invariant: torso.1 head.advantage.hidden head.value.hidden
mlp-rms invariant: 1 4
mlp-rms matrices: torso.1 head.advantage.hidden head.advantage.output head.value.hidden
  head.value.output
mlp-rms matrices: 1 4 7
nature_cnn-none invariant: -
nature_cnn-none matrices: torso.conv1 torso.conv2 torso.conv3 head.advantage.hidden
  head.advantage.output head.value.hidden head.value.output
nature_cnn-none matrices: conv1 conv2 conv3 hidden output
nature_cnn-layer invariant: torso.conv1 torso.conv2 torso.conv3 head.advantage.hidden
  head.value.hidden
nature_cnn-layer invariant: conv1 conv2 conv3 hidden
nature_cnn-layer matrices: torso.conv1 torso.conv2 torso.conv3 head.advantage.hidden
  head.advantage.output head.value.hidden head.value.output
nature_cnn-layer matrices: conv1 conv2 conv3 hidden output
pair_mlp-none invariant: -
pair_mlp-none matrices: tokens first decoder
pair_mlp-layer invariant: first
pair_mlp-layer matrices: tokens first decoder
pair_mlp-rms invariant: first
pair_mlp-rms matrices: tokens first decoder
pair_quadratic invariant: -
pair_quadratic matrices: hidden readout
pair_relu invariant: -
pair_relu matrices: hidden readout
scaled invariant: -
scaled matrices: inner.1 inner.3 inner.5
scaled_start invariant: -
scaled_start matrices: 1 3 5
tanh_mlp invariant: -
tanh_mlp matrices: 1 3 5
three_token_transformer invariant: -
three_token_transformer matrices: tokens places query key value mix up down decoder
transformer-none invariant: -
transformer-none matrices: tokens places query key value mix up down decoder
transformer-layer invariant: -
transformer-layer matrices: tokens places query key value mix up down decoder
transformer-rms invariant: -
transformer-rms matrices: tokens places query key value mix up down decoder
"""
"""Model, norm and selection; names less ".weight", whole ones after "=", "-" for none.

A model has a line for each of its heads; written down before forward passes told what is invariant.
"""


def _table() -> dict[tuple[str, str], set[tuple[str, ...]]]:
    found: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for line in TABLE.replace("\n  ", " ").strip().splitlines():
        head, _, names = line.partition(": ")
        model, which = head.split()
        full = (n[1:] if n[0] == "=" else f"{n}.weight" for n in names.split() if n != "-")
        found.setdefault((model, which), set()).add(tuple(full))
    return found


PINNED = _table()
