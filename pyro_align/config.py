"""The configuration of a fit: TOML, ``key=value`` settings and flags, checked before anything runs.

Every table is a pydantic model that refuses unknown keys; options of a model, guide or objective
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
    # Unlike pathlib's, it leaves the name of an unknown user as it is.
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
"""A path in which ``~`` and ``$VARIABLE`` are replaced, absolute: a run is resumed anywhere."""


class Table(BaseModel):
    """A table of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AUTO = "auto"
"""Name of a guide or objective that is to be chosen to go with the rest."""


class Component(BaseModel):
    """A model, guide or objective: its name, and options for its constructor."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the name."""
        return dict(self.model_extra or {})


class DataConfig(Table):
    """Where sentence pairs come from."""

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
        None, description="links of the test text; the ending says their format"
    )
    max_length: int = Field(
        256, gt=1, le=2**20, description="longest side of a pair, in pieces with EOS"
    )
    skip_long: bool = Field(False, description="skip and count longer pairs instead of refusing")

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
        description="most pieces of each vocabulary; a text that yields fewer has a smaller one",
    )
    joint: bool = Field(False, description="one vocabulary for both sides")
    source: ExpandedPath | None = Field(None, description="a sentencepiece model to use instead")
    target: ExpandedPath | None = Field(None, description="a sentencepiece model to use instead")

    @model_validator(mode="after")
    def _given_together(self) -> VocabularyConfig:
        if (self.source is None) != (self.target is None):
            raise ValueError("give both vocabulary.source and vocabulary.target, or neither")
        return self


class TrainingConfig(Table):
    """Optimisation, schedules, devices and logs."""

    epochs: Count = Field(10, description="most passes over the training text")
    max_steps: Count | None = Field(None, description="stop after this many optimiser steps")
    batch_tokens: Count = Field(
        2000, description="padded size of a batch: sentences times longest sentence"
    )
    accumulate: Count = Field(1, description="batches per optimiser step")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="optimiser")
    learning_rate: Positive = Field(2e-3, description="learning rate of the optimiser")
    weight_decay: NonNegative = Field(0.0, description="weight decay of the optimiser")
    clip: float = Field(5.0, gt=0, description="largest norm of a gradient (per token)")
    schedule: Literal["constant", "plateau", "inverse-square-root"] = Field(
        "plateau",
        description="schedule of the learning rate; plateau halves it when the validation "
        "perplexity stops falling",
    )
    warmup_steps: CountOrZero = Field(
        0, description="optimiser steps of linear warm-up; not with plateau"
    )
    patience: CountOrZero = Field(
        1, description="epochs without progress before plateau halves the learning rate"
    )
    early_stopping: Count = Field(5, description="stop after this many epochs without progress")
    kl_schedule: Literal["constant", "linear", "cyclical"] = Field(
        "constant", description="schedule of the weight of the KL divergence (KL annealing)"
    )
    kl_steps: Count = Field(
        1000, description="optimiser steps of the linear ramp, or of a cycle of cyclical"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="number format of the computation; weights stay fp32"
    )
    accelerator: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to train; auto takes a CUDA device if there is one"
    )
    devices: int = Field(
        1, gt=0, le=4096, description="processes to train in, each on a device of its own"
    )
    checkpoint_every: Count = Field(
        200, description="optimiser steps between checkpoints to resume from"
    )
    logger: Literal["csv", "tensorboard", "wandb", "mlflow"] = Field(
        "csv", description="experiment tracker to log to, in addition to metrics.csv"
    )
    freeze_model: bool = Field(
        False, description="train only the guide, in a run that starts from a trained one"
    )

    @model_validator(mode="before")
    @classmethod
    def _tensorboard_is_a_logger(cls, values: Any) -> Any:
        """Read the earlier setting ``tensorboard = true``, which older run folders have."""
        if isinstance(values, Mapping) and "tensorboard" in values:
            values = dict(values)
            if values.pop("tensorboard"):
                values["logger"] = "tensorboard"
        return values


class Config(Table):
    """A whole fit."""

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
        """Read a TOML file and apply ``key=value`` settings on top.

        Args:
            path: the file; None for the defaults.
            settings: such as ``training.epochs=5``, whose value is read as TOML, and as a string
                if it is not TOML; or pairs of key and value.

        Raises:
            ConfigError: naming file and key, and for an unknown key the nearest known one.
        """
        values = _plain(cls())
        for key, value in ({} if path is None else read_toml(path)).items():
            # A table adds to the defaults, but for a component, whose options are its own.
            merge = isinstance(value, dict) and "name" not in value
            values[key] = {**values.get(key, {}), **value} if merge else value
        pairs = [parse_setting(each) if isinstance(each, str) else each for each in settings]
        for key, value in pairs:
            _put(values, key, value)
        file = "the configuration" if path is None else str(path)
        return cls.checked(values, file, [key for key, _ in pairs])

    def changed(self, changes: Mapping[str, Any]) -> Config:
        """The configuration with values put in place of its own.

        Args:
            changes: by key, such as ``training.epochs``. The name of another model, guide or
                objective clears the options of the one before it.

        Raises:
            ConfigError: naming the key.
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
            origin: what to call them in an error.
            settings: keys of values that do not come from there, but from the command line.

        Raises:
            ConfigError: naming the key.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"]))
            if settings and not place:  # a rule about several tables
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
        """The configuration as TOML, defaults included."""
        return tomli_w.dumps(_plain(self))


RECIPES = Path(__file__).parent / "recipes"
"""Folder of the recipes that come with the package."""


def recipe(name: str) -> Path:
    """The file of a recipe that comes with the package, such as ``demo``."""
    return RECIPES / f"{name}.toml"


def recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude_none=True)


def config_file(path: Path) -> Path:
    """The file of a configuration, which a user names by a path or as a recipe.

    Raises:
        ConfigError: if there is neither.
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
    """The tables of a TOML file.

    Raises:
        ConfigError: if it is missing, unreadable or no TOML; the line is told.
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
    """Key and value of ``key=value``; the value is read as TOML, and as a string if it is none.

    Raises:
        ConfigError: if there is no ``=``.
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
        values.clear()  # options of the component that was named before
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
