"""Settings of the training loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from pyro_align.constraints import Count, CountOrZero, NonNegative, Positive, Rate, Table


class TrainingConfig(Table):
    """Optimisation, schedules, devices and logging."""

    epochs: Count = Field(
        10,
        description="maximum number of passes over the training text; more if training.min_steps "
        "needs them",
    )
    min_steps: CountOrZero = Field(
        0,
        description="optimiser steps that the epochs must have together: on a small training text "
        "epochs are added until they do; 0: none are added",
    )
    max_steps: Count | None = Field(None, description="stop after this many optimiser steps")
    batch_tokens: Count = Field(
        2000, description="padded size of a batch: sentences times the longest sentence"
    )
    accumulate: Count = Field(1, description="batches per optimiser step")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="optimiser")
    learning_rate: Positive = Field(2e-3, description="learning rate of the optimiser")
    weight_decay: NonNegative = Field(0.0, description="weight decay of the optimiser")
    clip: float = Field(5.0, gt=0, description="maximum norm of the gradient (per token)")
    schedule: Literal["constant", "plateau", "inverse-square-root", "cosine"] = Field(
        "plateau",
        description="learning rate schedule; plateau halves it when the validation "
        "perplexity stops falling, cosine lowers it to 0 over all epochs",
    )
    warmup_steps: CountOrZero = Field(
        0, description="optimiser steps of linear warm-up; not available with plateau"
    )
    patience: CountOrZero = Field(
        1, description="epochs without improvement before plateau halves the learning rate"
    )
    early_stopping: CountOrZero = Field(
        5, description="stop after this many epochs without improvement; 0: never"
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="weights that are saved: those with the best validation value, or those of the "
        "last epoch, for a learning rate that ends at 0",
    )
    average: Rate = Field(
        0.0,
        description="decay of a moving average of the weights, which is validated and saved in "
        "their place, such as 0.998 for about the last 500 steps; 0: no average",
    )
    label_smoothing: Rate = Field(
        0.0,
        description="probability of a random token in place of each target token; for training "
        "alone, validation and evaluation are without",
    )
    link_weight: float = Field(
        0.9,
        ge=0,
        le=1,
        description="with data.links: weight of the likelihood restricted to linked positions; the "
        "rest is that of all positions",
    )
    kl_schedule: Literal["constant", "linear", "cyclical"] = Field(
        "constant", description="schedule of the KL weight (KL annealing)"
    )
    kl_steps: Count = Field(
        1000, description="optimiser steps of the linear ramp, or of one cycle of cyclical"
    )
    lagging: bool = Field(
        False,
        description="train the guide until its bound stops improving before each step of the "
        "model, as long as the mutual information rises; for latent variables of sentences",
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
