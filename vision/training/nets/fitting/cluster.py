"""Several machines train one network: each takes its share of every batch, and gradients are averaged.

Keras' `fit` does not run under MultiWorkerMirroredStrategy, which is used here to start TensorFlow's servers
alone. Every machine runs a plain `fit` on its share instead, and averaged over the machines are the
gradients, the moments of batch normalisation and the figures of an epoch, by TensorFlow's own collective
operations. All begin with the numbers of machine 0, so weights and decisions stay the same on all of them.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import logging
import shutil
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

from vision.base.closure import ROOT, import_closure
from vision.base.errors import ConfigError, TrainingError
from vision.base.files import storage_errors, write_atomically
from vision.config.training import CandidateSettings
from vision.training.machines import Machines

logger = logging.getLogger(__name__)

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
"""What TensorFlow raises where another machine is gone."""
HEARTBEAT_SECONDS = 20
"""After so long without a sign of life a machine counts as gone."""

_HOST, _DEVICE = 7001, 7002  # keys of the groups of processors and of devices


class Cluster:
    """This machine's place among those that train together."""

    def __init__(self, machines: Machines, wait_seconds: int) -> None:
        """Meet the others.

        Raises:
            TrainingError: one did not come in time, or TensorFlow cannot connect them.
            ConfigError: this machine has several GPUs.
        """
        self.index, self.number = machines.index, len(machines.addresses)
        self._keys = itertools.count(1)
        gpus = tf.config.list_physical_devices("GPU")
        if len(gpus) > 1:
            raise ConfigError(
                f"machine {self.index} has {len(gpus)} GPUs. Expected one for each process. Start one "
                "process a GPU, with CUDA_VISIBLE_DEVICES=0, 1, ... and an address of its own."
            )
        self.kind = "GPU" if gpus else "CPU"
        place = f"/job:worker/replica:0/task:{self.index}/device:"
        self._places = {_HOST: f"{place}CPU:0", _DEVICE: f"{place}{self.kind}:0"}
        machines.meet(wait_seconds)
        logger.info("All %d machines are there; TensorFlow connects them ...", self.number)
        try:
            _connect(machines)
            self._total(tf.zeros(1), _HOST)
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise TrainingError(
                f"TensorFlow cannot connect {', '.join(machines.addresses)}: {first_line(error)}. Expected "
                "machines that reach each other by these names, and no use of TensorFlow in this process "
                "before: where the images came by it, type the same command again."
            ) from error

    @property
    def leads(self) -> bool:
        """Whether this is machine 0, whose numbers and files count."""
        return self.index == 0

    def check(self, settings: CandidateSettings, num_train: int, num_validation: int) -> str:
        """What keeps these settings from several machines; empty if nothing does."""
        if settings.batch_size % self.number:
            return f"batch_size is {settings.batch_size}; expected a multiple of the {self.number} machines"
        if num_train < settings.batch_size or num_validation < self.number:
            return (
                f"{num_train} training and {num_validation} validation images; expected a batch of "
                f"{settings.batch_size} and {self.number}"
            )
        return "jit: true does not go with several machines; remove it" if settings.jit else ""

    def agree(self, name: str, identity: str, problem: str = "") -> None:
        """Go on where all machines are about to do the same.

        Raises:
            TrainingError: one has a problem, or other settings, data, code or kind of device.
        """
        own = {"settings or data": identity, "code": digest_code(), "device": self.kind, "problem": problem}
        found = [json.loads(each) for each in self.gather(json.dumps(own).encode())]
        problems = [f"machine {i}: {each['problem']}" for i, each in enumerate(found) if each["problem"]]
        for what in ("code", "settings or data", "device") if not problems else ():
            others = [str(i) for i, each in enumerate(found) if each[what] != found[0][what]]
            if others:
                problems.append(
                    f"other {what} on machine {', '.join(others)} than on machine 0 ({found[0][what][:12]})"
                )
        if problems:
            raise TrainingError(
                f"{name}: {'; '.join(problems)}. Expected the same program, images and kind of device on all "
                "machines. Mend that machine, start its line again, then type the same command here."
            )

    def gather(self, own: bytes) -> list[bytes]:
        """What every machine gives here, in their order; empty from those with nothing to say."""
        sizes = np.zeros(self.number, np.int64)
        sizes[self.index] = len(own)
        sizes = self._total(tf.constant(sizes), _HOST).numpy()
        ends = np.cumsum(-(-sizes // 4))  # of 4 bytes each: sums of bytes are not offered
        words = np.zeros(max(1, int(ends[-1])), np.int32)
        first = int(ends[self.index] - -(-sizes[self.index] // 4))
        padded = own + bytes(-len(own) % 4)
        words[first : int(ends[self.index])] = np.frombuffer(padded, np.int32)
        words = self._total(tf.constant(words), _HOST).numpy()
        starts = [0, *ends[:-1].tolist()]
        return [words[a:b].tobytes()[:n] for a, b, n in zip(starts, ends, sizes, strict=True)]

    def dismiss(self) -> None:
        """Tell the machines that wait for a training that there is none any more, if they are still there."""
        with suppress(*LOST):
            for _ in range(2):  # the second is over when all have heard the first
                self.gather(b"")

    def copy(self, folder: Path) -> None:
        """Give every machine machine 0's files of this folder, in place of its own.

        Raises:
            StorageError: they cannot be read or written.
        """
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive, storage_errors(folder, "read"):
            for path in sorted(folder.iterdir()) if self.leads and folder.is_dir() else ():
                archive.write(path, path.name)
        content = self.gather(packed.getvalue() if self.leads else b"")[0]
        if self.leads:
            return
        shutil.rmtree(folder, ignore_errors=True)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                write_atomically(folder / name, archive.read(name))

    def spread(self, variables: Sequence[Any]) -> None:
        """Give every machine machine 0's values of these variables."""
        packed = io.BytesIO()
        if self.leads:
            np.savez(
                packed, allow_pickle=False, **{str(i): np.asarray(each) for i, each in enumerate(variables)}
            )
        with np.load(io.BytesIO(self.gather(packed.getvalue())[0])) as values:
            for i, variable in enumerate(variables):
                variable.assign(values[str(i)])

    def tell_loss(self, name: str, error: Exception) -> str:
        """What to say where a machine is gone in the middle of a training."""
        return (
            f"{name}: a machine of {self.number} is gone, or the network between them: {first_line(error)}. "
            "Expected all until the end. See the last lines on the others, start python run.py worker there "
            "again, then type the same command here: the training goes on from its last checkpoint."
        )

    def connect_model(self, model: keras.Model) -> None:
        """Average its gradients, and the moments of each batch normalisation that learns, at every step."""
        apply = model.optimizer.apply
        model.optimizer.apply = lambda grads, variables=None: apply(self._average(grads), variables)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
                layer._moments = partial(self._moments, layer)

    def average_figures(self, logs: dict[str, float], num_validation: int) -> None:
        """Put the figures of all machines in place of this one's, each by its number of images."""
        names = sorted(logs)
        weights = np.array([num_validation if name.startswith("val_") else 1.0 for name in names])
        own = np.array([float(logs[name]) for name in names]) * weights
        sums, weights = self._total(tf.constant(np.stack([own, weights])), _HOST).numpy()
        logs.update(zip(names, (sums / weights).tolist(), strict=True))

    def _moments(self, layer: Any, inputs: tf.Tensor, _mask: None) -> tuple[tf.Tensor, tf.Tensor]:
        values, axes = tf.cast(inputs, tf.float32), layer._reduction_axes
        means = tf.stack([tf.reduce_mean(values, axes), tf.reduce_mean(tf.square(values), axes)])
        mean, square = tf.unstack(self._mean(means))
        return mean, tf.maximum(square - tf.square(mean), 0.0)

    def _average(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Mean over the machines, all in one message."""
        flat = tf.concat([tf.reshape(each, [-1]) for each in tensors], 0)
        parts = tf.split(self._mean(flat), [each.shape.num_elements() for each in tensors])
        return [tf.reshape(part, each.shape) for part, each in zip(parts, tensors, strict=True)]

    def _mean(self, tensor: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def mean(own: tf.Tensor) -> tuple[tf.Tensor, Any]:
            return self._total(own, _DEVICE) / self.number, lambda up: self._total(up, _DEVICE) / self.number

        return mean(tensor)

    def _total(self, tensor: tf.Tensor, group: int) -> tf.Tensor:
        """Sum over the machines; all have to call this in the same order."""
        with tf.device(self._places[group]):
            return tf.raw_ops.CollectiveReduceV2(
                input=tensor,
                group_size=self.number,
                group_key=group,
                instance_key=next(self._keys),
                ordering_token=[],
                merge_op="Add",
                final_op="Id",
                communication_hint="ring",
            )


def digest_code() -> str:
    """Digest of the program's files that training reaches, and of the versions of what it stands on."""
    files = import_closure(("vision.training.nets.fitting.fit",))
    parts = [(ROOT / each).read_bytes() for each in files]
    versions = [f"{each} {version(each)}" for each in ("keras", "numpy")]
    return hashlib.sha256(
        b"\0".join([*parts, *(each.encode() for each in [*versions, tf.__version__])])
    ).hexdigest()


def _connect(machines: Machines) -> None:
    number = len(machines.addresses)
    job = coordination_config_pb2.CoordinatedJob(name="worker", num_tasks=number)
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        heartbeat_timeout_in_ms=1000 * HEARTBEAT_SECONDS,
        coordinated_jobs=[job],
    )
    spec = tf.train.ClusterSpec({"worker": list(machines.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=machines.index, rpc_layer="grpc"
    )
    tf.distribute.MultiWorkerMirroredStrategy(resolver)


def first_line(error: Exception) -> str:
    """The line of TensorFlow's message that says what happened."""
    lines = [each.strip() for each in str(error).splitlines() if each.strip()]
    told = [each for each in lines if "aborted by" in each or "timed out" in each] or lines or [""]
    return told[0].rstrip(".:")[:300]
