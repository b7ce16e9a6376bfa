"""The training loop: ranges fixed, Adam with a rate that a cosine takes to zero, the best epoch kept, resumable after
every epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch

from ...targets.errors import OctetError
from ...targets.stored_array import Array
from . import checkpoint
from .checkpoint import Epoch, TrainingState
from .network import Network
from .objective import Objective
from .samples import feed
from .variants import Repeated

_WORST = 1e30  # JSON can hold no infinite score, so this one stands in.


@dataclass(frozen=True)
class Schedule:
    """epochs over the training samples, mini_batch samples per step; rate: of the first step, in steps of the weights'
    and results' scales; seed: of the order."""

    epochs: int
    mini_batch: int
    rate: float
    seed: int

    def rate_at(self, done: float) -> float:
        """The learning rate at a point of the training, which falls as a cosine does.

        done: the part of the training that is over."""
        return self.rate * (1 + cos(pi * done)) / 2


@dataclass
class Fit:
    """One training of a network, which may go on where an earlier run was interrupted.

    network: left with the parameters of the best epoch. arrays: the training inputs. score(network) -> what the
    held-out samples say, less is better.
    path, identity: of the file that the run goes on from (checkpoint.py); progress(steps done, steps in all, text).
    resumed: epochs that were found there."""

    network: Network
    objective: Objective
    arrays: Mapping[str, Array | Repeated]
    schedule: Schedule
    score: Callable[[Network], tuple]
    path: str
    identity: str
    progress: Callable = lambda done, total, text: None
    device: str = "cpu"
    resumed: int = 0

    def run(self) -> TrainingState:
        """Trains to the end. Raises DataError for a state file that is damaged, OctetError where there is nothing to
        train or the loss is no number."""
        self.network.to(self.device)
        self._named = dict(self.network.named_parameters())
        if not self._named:
            raise OctetError("fine-tuning: no layer has int8 weights, so there is nothing to train")
        self._optimizer = torch.optim.Adam(self._named.values(), lr=self.schedule.rate)
        state = checkpoint.load(self.path, self.identity, {name: tuple(p.shape) for name, p in self._named.items()})
        self.resumed = 0 if state is None else len(state.epochs) - 1
        if state is None:
            state = TrainingState(self._parameters(), self._parameters(), {}, [Epoch(0.0, self._judged())])
        else:
            self._go_on(state)
        for epoch in range(len(state.epochs) - 1, self.schedule.epochs):
            loss = self._epoch(epoch, state)
            state.epochs.append(Epoch(loss, self._judged()))
            state.now, state.moments = self._parameters(), self._moments()
            if state.epochs[-1].score < state.epochs[state.best].score:
                state.best, state.kept = len(state.epochs) - 1, state.now
            checkpoint.save(self.path, self.identity, state)
        self._set(state.kept)
        return state

    def _epoch(self, epoch, state):
        count, size = len(next(iter(self.arrays.values()))), self.schedule.mini_batch
        order = np.random.default_rng([self.schedule.seed, epoch]).permutation(count)
        parts, losses = max(count // size, 1), []
        for part in range(parts):
            done = epoch * parts + part
            said = f"epoch {epoch + 1} of {self.schedule.epochs}, best {state.best}"
            self.progress(done, self.schedule.epochs * parts, said)
            rows = np.sort(order[part * size : (part + 1) * size])
            for group in self._optimizer.param_groups:
                group["lr"] = self.schedule.rate_at(done / (self.schedule.epochs * parts))
            loss = self.objective.loss(self.network(feed(self.objective.model, self.arrays, rows, self.device)), rows)
            if not bool(torch.isfinite(loss)):
                raise OctetError(
                    f"fine-tuning: the loss is no number in epoch {epoch + 1}; check what fp32 answers for the "
                    "training samples, or take a smaller --learning-rate"
                )
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def _judged(self):
        return [
            float(min(max(value, -_WORST), _WORST)) if value == value else _WORST for value in self.score(self.network)
        ]

    def _parameters(self):
        return {name: p.detach().cpu().numpy().copy() for name, p in self._named.items()}

    def _moments(self):
        """Zeros for a layer that no float output depends on."""
        found = {name: (self._optimizer.state[p], np.zeros(p.shape, np.float32)) for name, p in self._named.items()}
        return {
            name: tuple(s[key].cpu().numpy().copy() if key in s else zeros for key in ("exp_avg", "exp_avg_sq"))
            for name, (s, zeros) in found.items()
        }

    def _set(self, values):
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(torch.from_numpy(values[name]))

    def _go_on(self, state):
        self._set(state.now)
        steps = (len(state.epochs) - 1) * max(len(next(iter(self.arrays.values()))) // self.schedule.mini_batch, 1)
        for name, parameter in self._named.items():
            first, second = (torch.from_numpy(moment.copy()).to(self.device) for moment in state.moments[name])
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(steps)),
                "exp_avg": first,
                "exp_avg_sq": second,
            }
