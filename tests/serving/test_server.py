"""examples/serving: the HTTP server over a real socket under load, and the C++ program."""

import http.client
import importlib.util
import io
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from octet.targets.npz import npz_bytes, read_npz
from octet.targets.package import Package
from octet.targets.runtime import Session
from octet.targets.standalone.export import export

SERVING = Path(__file__).resolve().parents[2] / "examples" / "serving"


@pytest.fixture(scope="module")
def server():
    for name in ("starlette", "uvicorn"):
        pytest.importorskip(name, reason=f"{name} is not installed (pip install 'octet[serve]')")
    spec = importlib.util.spec_from_file_location("octet_serving", SERVING / "server.py")
    module = sys.modules["octet_serving"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(server, session, **how):
    """The port of a server on the loopback interface."""
    import uvicorn

    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = uvicorn.Server(uvicorn.Config(server.application(session, **how), log_level="warning"))
        thread = threading.Thread(target=served.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            served.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def asked(port, body, connection=None):
    """(status, body) of an inference."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/infer", body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def row(seed):
    return np.random.default_rng(seed).standard_normal((1, 16)).astype(np.float32)


def test_requests_are_gathered_and_each_gets_its_own_answer(server, toy_variant):
    """Four samples a run, twelve callers."""
    session = Session(toy_variant, threads=1, streams=2)
    runs, run = [], session.run
    session.run = lambda *arguments: runs.append(1) or run(*arguments)

    def caller(number):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for i in range(20):
            x = row(100 * number + i)
            status, body = asked(port, npz_bytes({"x": x}), connection)
            (y,) = read_npz(io.BytesIO(body), 1 << 16).values()
            assert status == 200 and y.shape == (1, 16)
            np.testing.assert_array_equal(y, 2 * x + np.arange(16, dtype=np.float32))
        return True

    with running(server, session, wait=0.01) as port, ThreadPoolExecutor(12) as pool:
        assert all(pool.map(caller, range(12)))
    assert 240 / 4 <= len(runs) < 240
    session.close()


def test_a_lone_request_does_not_wait_for_ever(server, toy_variant):
    with Session(toy_variant, threads=1, streams=1) as session, running(server, session, wait=0.001) as port:
        assert asked(port, npz_bytes({"x": row(0)}))[0] == 200


def whole(variant):
    """The toy network without a batch: a request is a run."""
    return replace(
        variant,
        inputs=(replace(variant.inputs[0], batch_axis=None),),
        outputs=(replace(variant.outputs[0], batch_axis=None),),
    )


def test_streams_without_a_batch(server, toy_variant):
    x = np.ones((4, 16), np.float32)
    with (
        Session(whole(toy_variant), threads=1, streams=2) as session,
        running(server, session) as port,
        ThreadPoolExecutor(4) as pool,
    ):
        answers = list(pool.map(lambda _: asked(port, npz_bytes({"x": x})), range(40)))
        assert all(
            status == 200 and (read_npz(io.BytesIO(body), 1 << 16)["y"] == 2 + np.arange(16)).all()
            for status, body in answers
        )


def test_too_many_are_told_so_and_the_others_answered(server, toy_variant):
    session = Session(whole(toy_variant), threads=1, streams=1)
    run, begun, go = session.run, threading.Event(), threading.Event()
    session.run = lambda *arguments: (begun.set(), go.wait(30), run(*arguments))[2]
    body = npz_bytes({"x": np.ones((4, 16), np.float32)})
    with running(server, session, most=2) as port, ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(asked, port, body)]
        assert begun.wait(30)
        asking += [pool.submit(asked, port, body) for _ in range(7)]
        until = time.monotonic() + 30
        while sum(one.done() for one in asking) < 5 and time.monotonic() < until:  # One runs, and two wait.
            time.sleep(0.01)
        go.set()
        statuses = sorted(one.result()[0] for one in asking)
    assert statuses == [200] * 3 + [503] * 5
    session.close()


def test_wrong_requests(server, toy_variant):
    with Session(toy_variant, threads=1) as session, running(server, session, wait=0.0) as port:
        for body, status, said in (
            (b"", 400, ""),
            (b"nonsense", 400, ""),
            (npz_bytes({"z": row(0)}), 400, "the inputs are x, not z"),
            (npz_bytes({"x": row(0)[:, :3]}), 400, "x is float32 [1, 3], the network takes float32 [1, 16]"),
            (npz_bytes({"x": row(0).astype(np.float64)}), 400, "x is float64"),
            (bytes(1 << 20), 413, "more than the"),
            (npz_bytes({"x": np.zeros(1 << 17, np.float32)}), 400, "declares"),
        ):
            found, text = asked(port, body)
            assert found == status and said in text.decode(), (found, text)
        assert asked(port, npz_bytes({"x": row(0)}))[0] == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for path, said in (("/health", b"ok"), ("/signature", b'"shape":[1,16]')):
            connection.request("GET", path)
            assert said in connection.getresponse().read()


def test_a_wrong_package_is_one_line(server, tmp_path):
    (tmp_path / "no.octet").write_bytes(b"nothing")
    done = subprocess.run(
        [sys.executable, SERVING / "server.py", tmp_path / "no.octet"], capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr.startswith("server: ") and done.stderr.count("\n") == 1


def test_a_number_that_no_option_takes_is_said_before_anything_listens(server):
    done = subprocess.run(
        [sys.executable, SERVING / "server.py", "no.octet", "--wait", "-1"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "--wait: -1 is less than 0" in done.stderr and "no.octet" not in done.stderr


@pytest.mark.skipif(not shutil.which("g++"), reason="g++ is not installed")
def test_the_program_in_cpp(toy_variant, tmp_path):
    export(Package((toy_variant,)), tmp_path / "net", "net", toy_variant.target)
    command = [
        "g++",
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Inet",
        SERVING / "load.cpp",
        "-Lnet",
        "-lnet",
        "-Wl,-rpath,$ORIGIN/net",
        "-pthread",
        "-o",
        "load",
    ]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    done = subprocess.run(["./load", "2", "0.2"], cwd=tmp_path, capture_output=True, text=True)
    assert (
        done.returncode == 0 and done.stdout.startswith(f"{toy_variant.target}, 2 threads: ") and "p99" in done.stdout
    ), done.stderr
    assert subprocess.run(["./load", "0"], cwd=tmp_path, capture_output=True, text=True).returncode == 2
