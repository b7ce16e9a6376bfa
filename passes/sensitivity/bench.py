"""Where designs are measured: one network, its samples (a part held out), and everything that was built for it, kept
for the next design."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from functools import cache, cached_property, partial

import numpy as np

from octet.targets.batches import batch_of
from octet.targets.stored_array import Array, SampleArrays

from ..annotate import Annotate, Recipe
from ..annotate.plan import Plan
from ..calibrate.held_out import first_half, hold_out, spread
from ..calibrate.qparams import QParams
from ..calibrate.quantize import Quantized, group_qparams
from ..calibrate.statistics import Statistics
from ..frontend.model import Model
from ..repair.weights import Layer, LayerValues, layers_of
from .assembly import Origin, assembled, needs_maxima, rescaled, smoothings_of, with_biases, with_maxima
from .configuration import FLOAT, Configuration, Sites, measured_tensors, qparams_of_sites, sites_of
from .design import Design
from .few import FEW, few_for, few_for_ranges, few_of
from .layer_values import layer_values
from .learn import Learnt, learning
from .learner import Learner, unbiased
from .learnt_files import LearntFiles
from .libraries import Libraries
from .observe import statistics_of
from .output_error import judged, relative_error
from .padded_outputs import padding_of
from .rescaling import rescalable
from .simulator import RescaledNetwork, Simulator
from .taps import channel_maxima


class Bench:
    """Builds designs of one network and measures their errors on held-out samples. model: canonical fp32. samples:
    {input: array}; a part of them is held out (calibrate/held_out.py): ranges and repairs come from the others.
    outputs: names of those that errors are of, () for all. threads: of every run. progress(samples done, samples in
    all) of calibration runs. apart: whether what is chosen goes by the first half of the held-out samples alone, so
    that the others can vouch for it. measure: `statistics_of`, or the same by way of a cache. learnt_files: where what
    the repairs learn is kept; nowhere unless somebody sets it."""

    def __init__(
        self,
        model: Model,
        samples: SampleArrays,
        *,
        threads: int | None = None,
        progress: Callable[[int, int | None], None] | None = None,
        measure: Callable[..., dict[str, Statistics]] = statistics_of,
        outputs: tuple[str, ...] = (),
        apart: bool = False,
    ) -> None:
        self.model = with_biases(model)
        self.threads, self.progress, self.libraries, self._measure = threads, progress, Libraries(), measure
        self.fit, self.held = hold_out(samples, batch_of(model.inputs))
        self.held = first_half(self.held, batch_of(model.inputs)) if apart else self.held
        self._apart = apart
        count = few_of(self.model)
        self.few: dict[str, Array] = {name: array[:count] for name, array in self.held.items()}
        self._judged, self._padding = judged(model.outputs, outputs), padding_of(model)
        self._some: dict[int, dict[str, Array]] = {count: self.few}
        self._maxima, self.built = cache(self._channel_maxima), 0  # `built` counts networks and repairs learnt.
        self._rescaled = cache(lambda scaling: rescaled(self.model, scaling, self._maxima))
        self._forget()

    def _forget(self) -> None:
        self._networks: dict[str, RescaledNetwork] = {}
        self._learnt: dict[Design, dict[int, Learnt]] = {}
        self.learnt_files = LearntFiles()
        # The arrays are kept with the outputs, so that nothing else gets their id.
        self._references: dict[int, tuple[SampleArrays, dict[str, np.ndarray]]] = {}

    def scout(self) -> "Bench":
        """The same network on a few samples alone, for choices that a rough measurement decides at a fraction of a
        calibration's time. It judges by `few` and shares machine code, rescaled networks and the channels'
        magnitudes."""
        rough = copy(self)
        rough.fit, rough.held = self._fit_quickly(), self.few
        rough._measure, rough.progress = statistics_of, None
        rough._forget()
        return rough

    def forget_simulators(self, *scalings: str) -> None:
        """Drops the simulators of these rescaled networks, of all where none is named: each holds the weights twice."""
        for scaling in scalings or tuple(self._networks):
            self._network(scaling).simulator = self._network(scaling).by_layers = None

    # Designs are judged by the members from here on.

    @property
    def chosen_by(self) -> int:
        """How many of the held-out samples a search goes by, the first ones; without an accuracy target or calibrators
        to choose, FEW."""
        return len(next(iter(self.held.values()))) if self._apart else FEW

    def error(self, design: Design, arrays: SampleArrays | None = None) -> float:
        """Squared error of the worst output on the held-out samples, or on `arrays`, some of them, relative to its
        square: 1 / SQNR."""
        return self.error_of(self.outputs(design, self.held if arrays is None else arrays), arrays)

    def error_of(self, outputs: Mapping[str, np.ndarray], arrays: SampleArrays | None = None) -> float:
        """The error of outputs for these arrays. What the graph's own mask says is padding does not count."""
        inputs: SampleArrays = self.held if arrays is None else arrays
        exact = self.float_outputs(inputs)
        return relative_error(exact, outputs, self._judged, self._padding.kept(inputs, exact))

    def some(self, measurements: int) -> dict[str, Array]:
        """As many samples of `few` as suffice for one of so many measurements."""
        count = few_for(self.model, measurements)
        return self._some.setdefault(count, {name: array[:count] for name, array in self.few.items()})

    def outputs(self, design: Design, arrays: SampleArrays) -> dict[str, np.ndarray]:
        """{output: array} of the quantised network, simulated."""
        simulator, configuration = self.prepared(design)
        simulator.configure(configuration)
        return simulator.run(arrays)

    def outputs_of_part(self, design: Design, readers: Iterable[int], arrays: SampleArrays) -> dict[str, np.ndarray]:
        """{output: array} with only the operators `readers` (indices of bindings) quantised: their inputs and
        weights. Biases are those of fp32, as corrected ones answer for the errors of all operators together."""
        simulator, whole = self.prepared(replace(design, biases=False))
        readers = set(readers)
        operands = {operand: q for operand, q in whole.operands.items() if operand[0] in readers}
        simulator.configure(
            Configuration(operands, {layer: axis for layer, axis in whole.weights.items() if layer in readers})
        )
        return simulator.run(arrays)

    def float_outputs(self, arrays: SampleArrays) -> dict[str, np.ndarray]:
        """{output: array} in fp32; computed once per set of arrays."""
        if id(arrays) not in self._references:
            network = self._network("")
            simulator = network.simulator
            if simulator is None:
                simulator = network.simulator = Simulator(
                    network.model, (), {}, threads=self.threads, libraries=self.libraries
                )
            simulator.configure(FLOAT)
            self._references[id(arrays)] = (arrays, simulator.run(arrays))
        return self._references[id(arrays)][1]

    @cached_property
    def rescalable(self) -> bool:
        """Whether it has channels between layers that can absorb a factor."""
        return rescalable(self.model.module)

    @cached_property
    def smoothings(self) -> tuple[str, ...]:
        """Ways to multiply outlier channels where nothing absorbs a factor."""
        return smoothings_of(self.model.module)

    def plan(self, design: Design) -> Plan:
        """What becomes int8 in a design."""
        return Annotate(design.recipe).decide(self._network(design.scaling).model.module)

    def tensors(self, design: Design) -> list[str]:
        """The tensors that have a range of their own, longest tails first: where calibrators differ."""
        network = self._network(design.scaling)
        sites = self._sites(network, design.recipe)
        self._collect(network, sites)
        owners = {edge.tensor: edge.scheme for edge in sites.edges if edge.measured and edge.edge == edge.group}

        def tail(name: str) -> float:
            found = network.statistics[name]
            return -max(map(abs, found.range)) / max(found.quantile(0.999, of_magnitude=True), 1e-30)

        return sorted(owners, key=tail)

    def hub(self, design: Design) -> Quantized:
        """The QDQ hub of a design, calibrated on the samples."""
        network = self._network(design.scaling)
        self._collect(network, self._sites(network, design.recipe))
        maxima = self._maxima() if needs_maxima(design.scaling) else {}
        return assembled(network.model, Origin(design, maxima, self._learn(design)), network.statistics)

    def prepared(self, design: Design) -> tuple[Simulator, Configuration]:
        """The simulator with the design's weights, and the configuration that makes it the design."""
        network, configuration = self._network(design.scaling), self._configuration(design)
        missing = configuration.operands.keys() - network.operands
        if network.simulator is None or missing:
            network.operands |= missing
            network.simulator = Simulator(
                network.model, network.operands, {}, threads=self.threads, libraries=self.libraries
            )
            network.weights_of, self.built = (), self.built + 1
        made_for = (
            design.recipe.weights,
            design.rounding,
            design.biases,
            design if design.biases else design.rounded_as if design.rounding else None,
        )
        if network.weights_of != made_for:
            learnt = self._learn(design)
            network.simulator.use(layer_values(network.model.module, design, configuration, learnt))
            network.weights_of = made_for
        return network.simulator, configuration

    def _configuration(self, design: Design) -> Configuration:
        network = self._network(design.scaling)
        if design.recipe not in network.configurations:
            sites = self._sites(network, design.recipe)
            self._collect(network, sites)
            network.configurations[design.recipe] = qparams_of_sites(sites, network.statistics, design.recipe)
        return network.configurations[design.recipe]

    def quantized_weights(self, design: Design) -> LayerValues:
        """{layer: (int8 weights as float32, bias or None)}, for a simulator of one's own."""
        (_, configuration), network = self.prepared(design), self._network(design.scaling)
        return dict(layer_values(network.model.module, design, configuration, self._learn(design)))

    def ranges(self, design: Design) -> dict[str, tuple[Statistics, QParams]]:
        """{tensor: (Statistics, QParams)} of every tensor that has a range of its own."""
        network = self._network(design.scaling)
        sites = self._sites(network, design.recipe)
        self._collect(network, sites)
        measured = {edge.edge: network.statistics[edge.tensor] for edge in sites.edges if edge.measured}
        qparams = group_qparams(sites.edges, measured, design.recipe)
        return {
            edge.tensor: (network.statistics[edge.tensor], qparams[edge.edge])
            for edge in sites.edges
            if edge.measured and edge.edge == edge.group
        }

    def layers(self, design: Design) -> dict[int, Layer]:
        """{index: Layer} of the rescaled fp32 network."""
        return layers_of(self._network(design.scaling).model.module)

    def expect(self, recipes: Iterable[Recipe], scaling: str = "") -> None:
        """Makes room for what these recipes will observe, in one calibration run and one build."""
        network = self._network(scaling)
        sites = [self._sites(network, recipe) for recipe in recipes]
        self._collect(network, *sites)
        missing = set().union(*(s.operands for s in sites)) - network.operands
        if missing:
            network.operands |= missing
            network.simulator = None

    # Networks and their ranges are made by the members from here on.

    def _network(self, scaling: str) -> RescaledNetwork:
        if scaling not in self._networks:
            self._networks[scaling] = RescaledNetwork(self._rescaled(scaling))
        return self._networks[scaling]

    def _fit_quickly(self) -> dict[str, Array]:
        return spread(self.fit, few_for_ranges(self.model), batch_of(self.model.inputs))

    def _channel_maxima(self) -> dict[str, np.ndarray]:
        return channel_maxima(
            self.model,
            with_maxima(self.model.module),
            self._fit_quickly(),
            threads=self.threads,
            libraries=self.libraries,
        )

    def _sites(self, network: RescaledNetwork, recipe: Recipe) -> Sites:
        recipe = replace(recipe, calibrator="max", per_tensor=())  # Ranges do not decide where observers are.
        if recipe not in network.sites:
            network.sites[recipe] = sites_of(network.model.module, recipe)
        return network.sites[recipe]

    def _collect(self, network: RescaledNetwork, *sites: Sites) -> None:
        missing = measured_tensors(sites) - network.statistics.keys()
        if missing:
            factory = self.libraries.executor_factory(self.threads)
            network.statistics |= self._measure(network.model.module, missing, self.fit, factory, self.progress)

    def _learn(self, design: Design) -> dict[int, Learnt]:
        if not (design.rounding or design.biases):
            return {}
        key = design if design.biases else design.rounded_as
        if key not in self._learnt:
            network = self._network(key.scaling)
            layers = learning(self._sites(network, key.rounded_as.recipe), network.model.module)
            anew = partial(self._learnt_anew, key, layers)
            # Biases of what leaves more in float take no longer than a file of them.
            self._learnt[key] = self.learnt_files.get(key, layers, anew) if key == key.rounded_as else anew()
        return self._learnt[key]

    def _learnt_anew(self, key: Design, layers: Mapping[int, Layer]) -> dict[int, Learnt]:
        self.built += 1
        network, whole, configuration = (
            self._network(key.scaling),
            self._configuration(key.rounded_as),
            self._configuration(key),
        )
        learner = Learner(network, layers, whole, self.fit, self.threads, self.libraries)
        weights = learner.weights(key.rounding, centred=key.biases)
        return learner.with_biases(weights, key, configuration) if key.biases else unbiased(weights, layers)
