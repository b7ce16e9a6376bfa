"""Measuring for real: workers on the loopback interface, a tracker with two servers, kernels and workers that die."""

import threading
from dataclasses import replace

import psutil
import pytest
import tvm
from click.testing import CliRunner
from tvm.rpc.tracker import Tracker

from octet.targets.errors import OctetError, TargetError
from octet.targets.registry import find
from octet.targets.x86.conv.problem import ConvProblem, Epilogue
from octet.targets.x86.workload import workload_of
from octet.tools.main import main
from octet.tuning import fleet
from octet.tuning.builder import build
from octet.tuning.database import Database, key_of
from octet.tuning.fleet import LOOPBACK, tracked_workers
from octet.tuning.kinds.registry import case_of
from octet.tuning.pool import RunnerPool
from octet.tuning.probe import check_worker
from octet.tuning.runner import Runner
from octet.tuning.server import Server
from octet.tuning.spaces.registry import spaces_of
from octet.tuning.state import TuningLimits
from octet.tuning.tasks import Task
from octet.tuning.tune import tune

SPEC = find("x86-64-v3")  # Its code runs on every machine.
KEY = "octet-test"


@pytest.fixture(scope="module")
def tracker():
    """host:port of a tracker, and its two servers."""
    running = Tracker(host=LOOPBACK, port=9390, port_end=9490, silent=True)
    address = (LOOPBACK, running.port)
    servers = [Server(LOOPBACK, range(9500, 9600), KEY, 1, address) for _ in range(2)]
    yield f"{LOOPBACK}:{running.port}", servers
    for server in servers:
        server.terminate()
    running.terminate()


def convolution(epilogue):
    return workload_of(ConvProblem("int8", 1, 32, 14, 14, 32, (3, 3), (1, 1), (1,) * 4, (1, 1), 1, 0, epilogue))


@pytest.fixture(scope="module")
def kernels():
    """A case, its default and four candidates."""
    chosen = convolution(Epilogue("int8"))
    case, space = case_of(chosen), spaces_of(chosen, SPEC)[0]
    schedules = [s for s in space.every() if s.units == 1][:4]
    return case, build(chosen, None, case, SPEC), [build(chosen, s, case, SPEC) for s in schedules]


class Here:
    """This process in place of a worker: a context manager that counts sessions."""

    def __init__(self, folder):
        self.folder, self.sessions, self.failures = folder, 0, 0

    def connect(self):
        self.sessions += 1
        return self

    def failed(self):
        self.failures += 1

    def get_function(self, name):
        return tvm.get_global_func(name)

    def upload(self, data, name):
        (self.folder / f"{self.sessions}{name}").write_bytes(data)

    def load_module(self, name):
        return tvm.runtime.load_module(str(self.folder / f"{self.sessions}{name}"))

    def cpu(self, index):
        return tvm.cpu(index)


def test_a_wrong_kernel_is_refused_and_the_others_are_measured(kernels, tmp_path):
    case, default, candidates = kernels
    narrow = convolution(Epilogue("int8", clip_min=0, clip_max=9))
    wrong = replace(candidates[1], library=build(narrow, candidates[1].schedule, case_of(narrow), SPEC).library)
    found = Runner(Here(tmp_path), (1,)).compare(case, default, [candidates[0], wrong, candidates[2]], 3)
    assert found.default.seconds > 0
    assert [outcome.error for outcome in found.candidates] == ["", "differs from the referee", ""]
    assert all((outcome.ratios is None) == bool(outcome.error) for outcome in found.candidates)


def test_a_kernel_that_fails_costs_itself_only(kernels, tmp_path):
    case, default, candidates = kernels
    worker = Here(tmp_path)
    found = Runner(worker, (1,)).compare(
        case, default, [candidates[0], replace(candidates[1], library=b"no library"), candidates[2]], 3
    )
    assert [bool(outcome.error) for outcome in found.candidates] == [False, True, False]
    assert (worker.sessions, worker.failures) == (2, 1)


def test_a_default_that_cannot_be_measured_is_an_error(kernels, tmp_path):
    case, default, _ = kernels
    with pytest.raises(OctetError, match="default kernel could not be measured"):
        Runner(Here(tmp_path), (1,)).compare(case, replace(default, library=b"no library"), [], 1)


def test_a_session_over_two_servers(tracker, workload, tmp_path):
    address, _ = tracker
    chosen = workload(channels=16, size=8, out=16)
    database = Database(str(tmp_path / "records.db"))
    session = tune([Task(chosen, 1)], SPEC, database, TuningLimits(trials=4), threads=1, tracker=address, key=KEY)
    state = session.states[0]
    assert (state.trials, state.failed) == (4, 0) and database.count_trials() == 4
    assert all(trial.ratio > 0 for trial in database.trials(key_of(chosen.key, SPEC)))
    database.close()


def test_a_worker_of_another_kind_is_refused(tracker):
    worker = tracked_workers(tracker[0], KEY, replace(SPEC, features=SPEC.features | {"of_tomorrow"}), check_worker)[0]
    with pytest.raises(TargetError, match="lacks of_tomorrow"):
        worker.connect()


def test_a_worker_that_dies_costs_one_measurement(tracker, kernels):
    """Runs last: it ends one of the two servers."""
    address, servers = tracker
    case, default, candidates = kernels
    runners = [Runner(worker, (1,)) for worker in tracked_workers(address, KEY, SPEC, check_worker)]
    assert len(runners) == 2
    process = psutil.Process(servers[0].process._proc.pid)
    victims = [*process.children(recursive=True), process]
    timer = threading.Timer(
        0.3, lambda: [victim.kill() for victim in [*process.children(recursive=True), *victims] if victim.is_running()]
    )
    timer.start()
    found = RunnerPool(runners).compare(case, default, candidates, 24)
    timer.join()
    assert sum(bool(outcome.error) for outcome in found.candidates) <= 1
    assert found.default.seconds > 0


def test_trackers_and_keys_that_are_not_there(tracker):
    address, _ = tracker
    for where, key, words in (
        ("nonsense", KEY, "HOST:PORT"),
        (f"{LOOPBACK}:1", KEY, "no TVM RPC tracker"),
        (address, "other", "no worker"),
    ):
        with pytest.raises(OctetError, match=words):
            tracked_workers(where, key, SPEC, check_worker)


@pytest.mark.parametrize(
    "host, said",
    [
        ((), "every user of this machine can run code here"),
        (("--host", "0.0.0.0"), "whoever reaches 0.0.0.0 can run code here"),
    ],
)
def test_a_worker_says_who_may_run_code(monkeypatch, host, said):
    started = []
    monkeypatch.setattr(fleet, "serve", lambda *arguments: started.append(arguments))
    done = CliRunner().invoke(main, ["worker", "--tracker", "127.0.0.1:1", "--key", "k", "--threads", "1", *host])
    assert done.exit_code == 0 and said in done.stderr and done.stderr.count("\n") == 1
    assert started == [("127.0.0.1:1", "k", host[1] if host else LOOPBACK, 1)]


@pytest.mark.parametrize(
    "known, started",
    [
        ([False, False, True, True, False], 1),
        ([True, False], 1),
        ([False] * 6, 1),
        ([False, True, False, True, False], 2),
    ],
)
def test_a_worker_that_nobody_knows_yet_is_not_started_again(monkeypatch, known, started):
    """A server registers after it was started, a dead one is replaced at the first look."""
    servers, answers = [], iter(known)

    class Server:
        port = 1

        def __init__(self, *_):
            servers.append(self)

        def terminate(self):
            pass

    monkeypatch.setattr(fleet, "Server", Server)
    monkeypatch.setattr(fleet.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(fleet, "_alive", lambda *_: next(answers))
    with pytest.raises(StopIteration):
        fleet.serve("h:1", "key", LOOPBACK, 1)
    assert len(servers) == started + 1
