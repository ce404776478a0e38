"""The configuration of a fit: TOML, ``key=value`` settings and flags, validated before it starts.

Every table is a pydantic model that rejects unknown keys; options of a model, guide or objective
are checked against its constructor when it is built.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from pyro_align.constraints import Count, CountOrZero, NonNegative, Positive, Seed
from pyro_align.errors import ConfigError, nearest
from pyro_align.files import atomic_write
from pyro_align.networks import NetworkConfig


def _expanded(path: Any) -> Any:
    if not isinstance(path, str | Path):
        return path
    if not str(path):
        raise ValueError("the path is empty; is a variable not set?")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError("the path is not UTF-8, which config.toml is: rename the file") from None
    # Unlike pathlib, os.path.expanduser leaves the name of an unknown user unchanged.
    expanded = Path(os.path.expanduser(os.path.expandvars(path))).absolute()  # noqa: PTH111
    unset = re.search(r"\$(\w+)|\$\{(\w+)\}", str(expanded))
    if unset is not None and not expanded.exists():
        name = unset[1] or unset[2]
        raise ValueError(
            f"{path}: the environment variable {name} is not set; set it to the folder that "
            f"replaces ${name} in this path: export {name}=/path/to/folder"
        )
    return expanded


ExpandedPath = Annotated[Path, BeforeValidator(_expanded)]
"""An absolute path, with ``~`` and ``$VARIABLE`` expanded, so a run can be resumed anywhere."""


class Table(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AUTO = "auto"
"""Name of a guide or objective that is chosen to match the other components."""


class Component(BaseModel):
    """A model, guide or objective: its name and its constructor options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """All fields except the name."""
        return dict(self.model_extra or {})


class DataConfig(Table):
    """Sentence pairs to train, validate and evaluate on."""

    train: list[ExpandedPath] | None = Field(
        None,
        description="training text: source and target file, or one .tsv or .jsonl; plain or "
        "compressed; default: the built-in corpus",
    )
    valid: list[ExpandedPath] | None = Field(None, description="validation text, given as train")
    test: list[ExpandedPath] | None = Field(
        None, description="text to evaluate at the end of a fit, given as train; default: valid"
    )
    gold: ExpandedPath | None = Field(
        None, description="gold links of the test text; the file extension gives the format"
    )
    max_length: int = Field(
        256, gt=1, le=2**20, description="maximum length of a side, in tokens with EOS"
    )
    skip_long: bool = Field(False, description="skip longer pairs instead of raising an error")

    @model_validator(mode="after")
    def _both_or_none(self) -> DataConfig:
        if (self.train is None) != (self.valid is None):
            missing = "valid" if self.valid is None else "train"
            raise ValueError(f"training and validation text go together: give --{missing} too")
        return self


class VocabularyConfig(Table):
    """Subword vocabularies."""

    kind: Literal["bpe", "unigram"] = Field("bpe", description="type of sentencepiece model")
    size: int = Field(
        4000,
        gt=4,
        le=1_000_000,
        description="maximum size of each vocabulary; smaller if the text yields fewer pieces",
    )
    joint: bool = Field(False, description="use one vocabulary for both sides")
    source: ExpandedPath | None = Field(None, description="an existing sentencepiece model")
    target: ExpandedPath | None = Field(None, description="an existing sentencepiece model")

    @model_validator(mode="after")
    def _given_together(self) -> VocabularyConfig:
        if (self.source is None) != (self.target is None):
            raise ValueError("give both vocabulary.source and vocabulary.target, or neither")
        return self


class TrainingConfig(Table):
    """Optimisation, schedules, devices and logging."""

    epochs: Count = Field(10, description="maximum number of passes over the training text")
    max_steps: Count | None = Field(None, description="stop after this many optimiser steps")
    batch_tokens: Count = Field(
        2000, description="padded size of a batch: sentences times the longest sentence"
    )
    accumulate: Count = Field(1, description="batches per optimiser step")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="optimiser")
    learning_rate: Positive = Field(2e-3, description="learning rate of the optimiser")
    weight_decay: NonNegative = Field(0.0, description="weight decay of the optimiser")
    clip: float = Field(5.0, gt=0, description="maximum norm of the gradient (per token)")
    schedule: Literal["constant", "plateau", "inverse-square-root"] = Field(
        "plateau",
        description="learning rate schedule; plateau halves it when the validation "
        "perplexity stops falling",
    )
    warmup_steps: CountOrZero = Field(
        0, description="optimiser steps of linear warm-up; not available with plateau"
    )
    patience: CountOrZero = Field(
        1, description="epochs without improvement before plateau halves the learning rate"
    )
    early_stopping: Count = Field(5, description="stop after this many epochs without improvement")
    kl_schedule: Literal["constant", "linear", "cyclical"] = Field(
        "constant", description="schedule of the KL weight (KL annealing)"
    )
    kl_steps: Count = Field(
        1000, description="optimiser steps of the linear ramp, or of one cycle of cyclical"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="number format of the computation; weights stay fp32"
    )
    accelerator: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="device to train on; auto uses a CUDA device if available"
    )
    devices: int = Field(
        1, gt=0, le=4096, description="number of training processes, one device each"
    )
    checkpoint_every: Count = Field(200, description="optimiser steps between checkpoints")
    logger: Literal["csv", "tensorboard", "wandb", "mlflow"] = Field(
        "csv", description="experiment tracker to log to, in addition to metrics.csv"
    )
    freeze_model: bool = Field(
        False, description="train only the guide, in a run that starts from a trained run"
    )

    @model_validator(mode="before")
    @classmethod
    def _tensorboard_is_a_logger(cls, values: Any) -> Any:
        """Read ``tensorboard = true``, the earlier form of this setting, in older run folders."""
        if isinstance(values, Mapping) and "tensorboard" in values:
            values = dict(values)
            if values.pop("tensorboard"):
                values["logger"] = "tensorboard"
        return values


class Config(Table):
    """The complete configuration of a fit."""

    seed: Seed = Field(1, description="seed of weights, samples and batches")
    data: DataConfig = DataConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    network: NetworkConfig = NetworkConfig()
    model: Component = Component(name="categorical")
    guide: Component = Component(name=AUTO)
    objective: Component = Component(name=AUTO)
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _one_vocabulary_where_embeddings_are_one(self) -> Config:
        given = self.vocabulary.source is not None
        same = self.vocabulary.source == self.vocabulary.target if given else self.vocabulary.joint
        if self.network.tie_embeddings == "all" and not same:
            raise ValueError(
                "network.tie_embeddings = 'all' needs one vocabulary for both sides: set "
                "vocabulary.joint = true, or give one file as vocabulary.source and target"
            )
        return self

    @classmethod
    def load(
        cls, path: Path | None = None, settings: Iterable[str | tuple[str, Any]] = ()
    ) -> Config:
        """Read a TOML file and apply ``key=value`` settings to it.

        Args:
            path: the file; None for the defaults.
            settings: strings such as ``training.epochs=5``, whose value is parsed as TOML, or taken
                as a string if it is not valid TOML; or pairs of key and value.

        Raises:
            ConfigError: for an invalid value or unknown key; the message names file and key.
        """
        values = _plain(cls())
        for key, value in ({} if path is None else read_toml(path)).items():
            # A table is merged with the defaults; a component is replaced with all its options.
            merge = isinstance(value, dict) and "name" not in value
            values[key] = {**values.get(key, {}), **value} if merge else value
        pairs = [parse_setting(each) if isinstance(each, str) else each for each in settings]
        for key, value in pairs:
            _put(values, key, value)
        file = "the configuration" if path is None else str(path)
        return cls.checked(values, file, [key for key, _ in pairs])

    def changed(self, changes: Mapping[str, Any]) -> Config:
        """Return a copy of the configuration with some values changed.

        Args:
            changes: new values by key, such as ``training.epochs``. A new name of a model, guide
                or objective clears the options of the previous one.

        Raises:
            ConfigError: for an invalid value or unknown key.
        """
        values = _plain(self)
        for key, value in changes.items():
            _put(values, key, value)
        return self.checked(values, "the configuration")

    @classmethod
    def checked(
        cls, values: Mapping[str, Any], origin: str, settings: Sequence[str] = ()
    ) -> Config:
        """Validate plain values.

        Args:
            values: tables of values.
            origin: where the values come from, for error messages.
            settings: keys of values that come from the command line instead.

        Raises:
            ConfigError: for an invalid value or unknown key.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            if settings and not place:  # a constraint across several tables
                origin = "the configuration"
            elif any(_is_within(place, key) or _is_within(key, place) for key in settings):
                origin = "settings"
            raise ConfigError(f"{origin}: {_explained(cls, error)}") from None

    def save(self, path: Path) -> None:
        """Write the configuration to a TOML file.

        Raises:
            OutputError: if the file cannot be written.
        """
        with atomic_write(path, "t") as file:
            file.write(self.to_toml())

    def to_toml(self) -> str:
        """Return the configuration as TOML, including defaults."""
        return tomli_w.dumps(_plain(self))


RECIPES = Path(__file__).parent / "recipes"
"""Folder of the recipes included in the package."""


def recipe(name: str) -> Path:
    """File of a recipe included in the package, such as ``demo``."""
    return RECIPES / f"{name}.toml"


def recipes() -> list[str]:
    """Names of the recipes included in the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def config_file(path: Path) -> Path:
    """Resolve a path or the name of a recipe to a configuration file.

    Raises:
        ConfigError: if neither exists.
    """
    if path.exists():
        return path
    if str(path) not in recipes():
        raise ConfigError(
            f"{path}: no such file; give a TOML file, or the name of a recipe: "
            f"{', '.join(recipes())}"
        )
    return recipe(str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises:
        ConfigError: if the file is missing, unreadable or not valid TOML; the message gives the
            line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def parse_setting(setting: str) -> tuple[str, Any]:
    """Parse ``key=value``; the value is parsed as TOML, or taken as a string if it is not TOML.

    Raises:
        ConfigError: if ``=`` is missing.
    """
    key, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting}: expected key=value, such as training.epochs=5")
    return key.strip(), _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key}: {table!r} is a value, not a table")
    if last == "name" and values.get("name") != value:
        values.clear()  # the options belong to the previous component
    values[last] = value


def _is_within(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.")


def _explained(cls: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _fields_at(cls, first["loc"][:-1])
        return f"unknown key {place!r}; {nearest(str(first['loc'][-1]), known)}"
    given = "" if isinstance(first["input"], Mapping) else f", got {first['input']!r}"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{place}: {reason}{given}" if place else reason


def _fields_at(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        annotation = cls.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        cls = annotation
    return list(cls.model_fields)
