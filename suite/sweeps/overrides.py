"""``--set``: changes from the command line to the runs of some or all tasks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from suite.config import merge
from suite.errors import ConfigError, nearest
from suite.sweeps.labels import matcher
from suite.sweeps.yaml_file import parse_yaml


class Overrides:
    """A list of ``[TASK:]key.path=value``, in order; TASK is a glob over the tasks' labels.

    The key ``seeds`` replaces the repetitions of an experiment.

    Raises:
        ConfigError: for one that is not of that form, or whose value is not YAML.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._parsed = [_parse(text) for text in texts]
        self._matches = [matcher(task, "--set") for task, _, _ in self._parsed]
        self._used = [False] * len(texts)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def seeds(self, body: dict[str, Any], label: str) -> dict[str, Any]:
        """Return an experiment, its seeds replaced if that is asked for."""
        for index, (_, key, value) in enumerate(self._parsed):
            if key == "seeds" and self._matches[index](label):
                body, self._used[index] = {**body, "seeds": value}, True
        return body

    def lay_over(self, request: dict[str, Any], label: str) -> dict[str, Any]:
        """Return a run's request with the changes for its task.

        Raises:
            ConfigError: if one does not fit the config that it changes.
        """
        for index, (_, key, value) in enumerate(self._parsed):
            if key != "seeds" and self._matches[index](label):
                try:
                    request, self._used[index] = merge(request, {key: value}), True
                except ConfigError as error:
                    raise ConfigError(f"--set {error.key}", error.value, error.expected) from None
        return request

    def of_runs(self, label: str) -> list[str]:
        """Return those, as they were written, that make a task's runs others: all but of seeds."""
        given = zip(self._texts, self._parsed, self._matches, strict=True)
        return [t for t, (_, key, _), matches in given if key != "seeds" and matches(label)]

    def check_free(self, searched: Collection[str], label: str) -> None:
        """Check that no change is of a key that an experiment searches, which names its arms.

        Raises:
            ConfigError: if one is.
        """
        for (_, key, value), matches in zip(self._parsed, self._matches, strict=True):
            if not matches(label):
                continue
            for other in searched:
                if key == other or key.startswith(f"{other}.") or other.startswith(f"{key}."):
                    raise ConfigError(
                        f"--set {key}", value, f"another key; the search sets {other}"
                    )

    def check_used(self, tasks: Collection[str]) -> None:
        """Check that each was for a task that there is.

        Raises:
            ConfigError: for the first that was not.
        """
        for text, used in zip(self._texts, self._used, strict=True):
            if not used:
                raise ConfigError("--set", text, f"a task of this sweep: {nearest(text, tasks)}")


def _parse(text: str) -> tuple[str, str, Any]:
    """Return task, key and value.

    Raises:
        ConfigError: if it is not of that form.
    """
    target, equals, value = text.partition("=")
    task, colon, key = target.rpartition(":")
    if not equals or not key:
        raise ConfigError("--set", text, "key.path=value, or TASK:key.path=value")
    key = key.strip()
    if key == "seed":
        raise ConfigError("--set", text, "seeds=[...], which lists the repetitions")
    return task if colon else "*", key, parse_yaml(value, f"--set {key}")
